import Engine
import Foundation
import OrderedCollections

extension Module {
  static let data = Module(
    "data", "Prompt sets and tables from files.",
    functions: [
      Function(
        "lines", "data.lines(path [, { limit = }])", "The lines of a text file; empty ones are left out.",
        options: [limit], results: "list of strings",
        example: "local texts = data.lines(\"prompts.txt\", { limit = 32 })"
      ) { call in
        let lines = try call.textLines().map(\.text)
        return call.push(try call.limited(lines))
      },
      Function(
        "jsonl", "data.jsonl(path [, { field =, limit =, shuffle = }])",
        "Rows of a JSON lines file, or one field of each.",
        options: [
          Option("field", "string", .none, "takes this field of each row"), limit,
          Option("shuffle", "integer", .none, "seed of a shuffle before the limit"),
        ],
        results: "list",
        example: "local prompts = data.jsonl(\"jailbreakbench.jsonl\", { field = \"instruction\", limit = 100 })"
      ) { call in
        let path = try call.argument(1).string(), options = try call.options(2)
        let field = try options.optional("field")?.string()
        var rows = try call.textLines().map { line -> JSONValue in
          let row: JSONValue
          do { row = try JSONValue(parsing: line.text, source: path) } catch {
            throw EngineError(.file, "\(path), line \(line.number): \(error)")
          }
          guard let field else { return row }
          guard let value = row[field] else {
            let keys = row.object.map { Array($0.keys) } ?? []
            throw EngineError(
              .file, "\(path), line \(line.number) has no field '\(field)'\(suggestion(for: field, in: keys))")
          }
          return value
        }
        if let seed = try options.optional("shuffle")?.integer() {
          var random = RandomGenerator(seed: seed)
          rows = random.permutation(rows.count).map { rows[$0] }
        }
        return call.push(LuaList(try call.limited(rows)))
      },
      Function(
        "csv", "data.csv(path [, { limit = }])",
        "Rows of a CSV file keyed by its header; quoted fields as in RFC 4180.",
        options: [limit], results: "list of tables of strings", example: "local rows = data.csv(\"questions.csv\")"
      ) { call in
        let path = try call.argument(1).string()
        var records = try CSV.records(try call.readText(path), path: path)
        guard !records.isEmpty else { throw EngineError(.file, "\(path) is empty: a CSV file needs a header") }
        let header = records.removeFirst()
        let rows = try records.enumerated().map { i, record -> JSONValue in
          guard record.count == header.count else {
            throw EngineError(
              .file, "\(path), record \(i + 2) has \(record.count) fields, the header has \(header.count)")
          }
          return .object(OrderedDictionary(zip(header, record.map { .string($0) })) { $1 })
        }
        return call.push(LuaList(try call.limited(rows)))
      },
      Function(
        "split", "data.split(list, fractions [, seed])", "Shuffles a list by seed and cuts it by fractions.",
        results: "one list per fraction", example: "local train, test = data.split({ 1, 2, 3, 4, 5 }, { 0.8, 0.2 }, 0)"
      ) { call in
        let list = call.argument(1), count = list.listCount
        guard list.isTable, count > 0 else { throw list.mismatch("a list with entries") }
        try list.requireOnlyEntries()
        let fractions = try call.argument(2).list { try $0.number(in: 0...1) }
        guard !fractions.isEmpty, fractions.reduce(0, +) <= 1 + 1e-9 else {
          throw call.argument(2).error("fractions must add up to at most 1")
        }
        var random = RandomGenerator(seed: try call.optionalArgument(3)?.integer() ?? 0)
        let order = random.permutation(count)
        var start = 0.0
        for fraction in fractions {
          let low = Int((start * Double(count)).rounded()), high = Int(((start + fraction) * Double(count)).rounded())
          start += fraction
          call.pushList(order[low..<max(low, high)].map { $0 + 1 }, of: 1)
          call.stack.markAsSplit()
        }
        return fractions.count
      },
    ])

  private static let limit = Option("limit", "integer", .none, "the first so many")
}

extension Call {
  /// A text file of at most 1 GB.
  fileprivate func readText(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    guard file.bytes.count <= 1 << 30 else {
      throw EngineError(.file, "\(path) has \(byteText(file.bytes.count)); at most 1 GB is read")
    }
    guard let text = String(validating: file.bytes, as: UTF8.self) else {
      throw EngineError(.file, "\(path) is not UTF-8 text")
    }
    noteDataFile(path)
    return text
  }

  fileprivate func textLines() throws -> [(number: Int, text: String)] {
    let text = try readText(try argument(1).string())
    return text.split(omittingEmptySubsequences: false) { $0.isNewline }.enumerated()
      .map { ($0 + 1, $1.trimmingCharacters(in: .whitespaces)) }.filter { !$0.1.isEmpty }
  }

  fileprivate func limited<Item>(_ items: [Item]) throws -> [Item] {
    guard let limit = try options(2).optional("limit")?.integer(in: 0...Int.max) else { return items }
    return Array(items.prefix(limit))
  }
}

/// Comma-separated values (RFC 4180): quotes, doubled quotes, line ends within quotes.
enum CSV {
  static func records(_ text: String, path: String) throws -> [[String]] {
    var records: [[String]] = [], record: [String] = [], field: [UInt8] = []
    var isQuoted = false, wasQuoted = false, previousQuote = false, line = 1
    func endField() {
      record.append(String(decoding: field, as: UTF8.self))
      field = []
      wasQuoted = false
    }
    func endRecord() {
      endField()
      if record != [""] { records.append(record) }
      record = []
    }
    for byte in text.utf8 {
      if byte == 10 { line += 1 }
      if isQuoted {
        if byte == 34 { (isQuoted, previousQuote) = (false, true) } else { field.append(byte) }
        continue
      }
      switch byte {
      case 34 where previousQuote:  // a doubled quote
        field.append(34)
        isQuoted = true
      case 34 where field.isEmpty && !wasQuoted: (isQuoted, wasQuoted) = (true, true)
      case 44: endField()
      case 10: endRecord()
      case 13: break
      default: field.append(byte)
      }
      previousQuote = false
    }
    guard !isQuoted else { throw EngineError(.file, "\(path): a quote is not closed before the end (line \(line))") }
    if !field.isEmpty || !record.isEmpty { endRecord() }
    return records
  }
}
