import Foundation

/// A GGUF model in several files, `NAME-00001-of-00003.gguf`, as llama.cpp's gguf-split writes them: metadata stand in
/// the first, tensors in all.
public final class SplitGGUF: WeightSource {
  /// In order.
  public let parts: [GGUFFile]
  public let names: [String]
  private let places: [String: GGUFFile]

  /// The file at `path`, or all files of the model that it is a part of; the first of them has the metadata.
  ///
  /// Throws `.missing` for parts that are not there, naming them, and `.file` for parts that do not belong together.
  public static func open(_ path: String) throws -> (first: GGUFFile, weights: any WeightSource) {
    let file = try GGUFFile(path: path)
    let count = try file.int(ifPresent: "split.count") ?? 1
    guard count > 1 else { return (file, file) }
    let split = try SplitGGUF(file, count: count)
    return (split.parts[0], split)
  }

  private init(_ file: GGUFFile, count: Int) throws {
    let path = file.path
    guard let paths = SplitGGUF.siblings(of: path) else {
      throw EngineError(
        .file,
        "\(path) is one of \(count) parts of a model, which are found by their names: it must be called as it was, "
          + "NAME-00001-of-\(SplitGGUF.digits(count)).gguf")
    }
    guard paths.count == count else {
      throw EngineError(.file, "\(path) is one of \(count) parts by what it says, and of \(paths.count) by its name")
    }
    let absent = paths.filter { access($0, F_OK) != 0 }
    guard absent.isEmpty else {
      let names = absent.map { lastName(of: $0) }
      throw EngineError(
        .missing,
        "\(path) is one of \(count) parts of a model, and \(names.count == 1 ? "one is" : "\(names.count) are") missing: "
          + names.prefix(6).joined(separator: ", ") + (names.count > 6 ? ", ..." : ""))
    }
    parts = try paths.map { $0 == path ? file : try GGUFFile(path: $0) }
    var names: [String] = [], places: [String: GGUFFile] = [:]
    for (number, part) in parts.enumerated() {
      let own = try part.int(ifPresent: "split.no"), others = try part.int(ifPresent: "split.count")
      guard own == number, others == count else {
        throw EngineError(
          .file,
          "\(part.path) says that it is part \((own ?? -1) + 1) of \(others ?? 1); by its name it is part \(number + 1) of "
            + "\(count)")
      }
      for name in part.names {
        guard places.updateValue(part, forKey: name) == nil else {
          throw EngineError(.file, "\(part.path) has tensor \(name), which an earlier part has too")
        }
        names.append(name)
      }
    }
    if let total = try parts[0].int(ifPresent: "split.tensors.count"), total != names.count {
      throw EngineError(
        .file,
        "\(parts[0].path) says that the parts have \(total) tensors; they have \(names.count): they do not belong together"
      )
    }
    (self.names, self.places) = (names, places)
  }

  /// Paths of all parts of the model that `path` is a part of by its name; nil where it is none.
  static func siblings(of path: String) -> [String]? {
    guard let match = path.wholeMatch(of: /(?s)(.*)-(\d{5})-of-(\d{5})\.gguf/), let count = Int(match.3),
      let own = Int(match.2),
      (1...4096).contains(count), (1...count).contains(own)
    else { return nil }
    return (1...count).map { "\(match.1)-\(digits($0))-of-\(digits(count)).gguf" }
  }

  /// A file's name without the extension, and without its place among the parts of a model.
  static func modelName(_ path: String) -> String {
    let name = stem(of: path)
    return name.replacing(/-\d{5}-of-\d{5}$/, with: "")
  }

  private static func digits(_ number: Int) -> String { String(format: "%05d", number) }

  public var path: String { parts[0].path }

  public func verify() throws { for part in parts { try part.verify() } }

  public func shape(of name: String) -> [Int]? { places[name]?.shape(of: name) }

  public func storage(of name: String) -> StoredForm? { places[name]?.storage(of: name) }

  public func storedRows(of name: String) -> StoredRows? { places[name]?.storedRows(of: name) }

  public func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let part = places[name] else { throw missing(name) }
    try part.read(name, rows: rows, into: destination)
  }
}
