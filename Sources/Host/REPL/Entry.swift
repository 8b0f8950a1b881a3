import Foundation
import LuaBindings

/// What somebody typed or pasted at the prompt, made ready to run.
struct Entry {
  /// Chunks to run one after the other; the values of each are shown.
  let chunks: [String]

  /// A single line is one chunk. Several lines (a paste) are one chunk that returns its last expression, if it ends in
  /// one; else one chunk, if they are one; else, with expressions between the statements, the pieces that are complete
  /// by themselves. Where a piece has a syntax error it is the whole text, so that nothing runs and the error is shown.
  init(_ text: String, check: (String) -> SourceCheck) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.count > 1, !check("return " + text).isComplete else {
      chunks = [Entry.returningEnd(of: text, check: check) ?? text]
      return
    }
    if let chunk = Entry.returningLast(lines, check: check) {
      chunks = [chunk]
    } else if check(text).isComplete {
      chunks = [text]
    } else {
      chunks = Entry.pieces(lines, check: check) ?? [text]
    }
  }

  /// `x = 1; x + 1`: the statements, with what stands after the last semicolon returned. Nil where the text is complete
  /// as it is, or does not end in an expression.
  static func returningEnd(of text: String, check: (String) -> SourceCheck) -> String? {
    guard text.contains(";"), !check(text).isComplete else { return nil }
    for place in text.indices.reversed() where text[place] == ";" {
      let statements = text[..<place], rest = text[text.index(after: place)...]
      guard !rest.allSatisfy(\.isWhitespace), check("return " + rest).isComplete,
        check(statements + "; return nil").isComplete
      else { continue }
      return statements + "; return " + rest
    }
    return nil
  }

  /// `local x = 1` and `x + 1` on two lines: the second is returned, and sees the local.
  private static func returningLast(_ lines: [String], check: (String) -> SourceCheck) -> String? {
    guard let last = lines.lastIndex(where: { !$0.allSatisfy(\.isWhitespace) }), last > 0 else { return nil }
    for start in stride(from: last, to: max(0, last - 50), by: -1) {
      // A line that begins with a parenthesis may go on a call.
      guard !lines[start].drop(while: \.isWhitespace).hasPrefix("(") else { continue }
      let statements = lines[..<start].joined(separator: "\n")
      let chunk = statements + "\nreturn " + lines[start...].joined(separator: "\n")
      if check(chunk).isComplete, check(statements).isComplete { return chunk }
    }
    return nil
  }

  private static func pieces(_ lines: [String], check: (String) -> SourceCheck) -> [String]? {
    var result: [String] = [], piece = ""
    for line in lines {
      if piece.isEmpty, line.allSatisfy(\.isWhitespace) { continue }
      piece += piece.isEmpty ? line : "\n" + line
      switch check(piece) {
      case .complete:
        result.append(piece)
        piece = ""
      case .incomplete: continue
      case .damaged: return nil
      }
    }
    return piece.isEmpty ? result : nil
  }

  /// The statements of a transcript: lines that begin with the prompt or the continuation prompt lose them, and lines
  /// between them are results and go, unless the statement before needs them to be complete.
  static func withoutPrompts(_ text: String, check: (String) -> SourceCheck) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    func stripped(_ line: String) -> String? {
      for prompt in [Prompt.prompt, Prompt.continuation] where line.hasPrefix(prompt) {
        return String(line.dropFirst(prompt.count))
      }
      return line == ">" || line == ".." ? "" : nil
    }
    guard let first = lines.first(where: { !$0.allSatisfy(\.isWhitespace) }), first.hasPrefix(">"),
      stripped(first) != nil
    else {
      return text
    }
    var result: [String] = [], statement = ""
    for line in lines {
      if let code = stripped(line) {
        result.append(code)
        statement = line.hasPrefix(">") ? code : statement + "\n" + code
      } else if case .incomplete = check(statement) {
        result.append(line)
        statement += "\n" + line
      }
    }
    return result.joined(separator: "\n")
  }

  /// Names that `local` declares at the beginning of a line: they end with the entry.
  static func lostLocals(_ text: String) -> [String] {
    text.split(separator: "\n").filter { $0.hasPrefix("local ") }.flatMap { line -> [String] in
      var rest = line.dropFirst("local ".count)
      if rest.hasPrefix("function ") { rest = rest.dropFirst("function ".count) }
      let names = rest.prefix { $0 != "=" && $0 != "(" }.split(separator: ",")
      return names.map { $0.prefix { $0 != "<" }.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
  }
}

extension SourceCheck {
  fileprivate var isComplete: Bool {
    if case .complete = self { return true }
    return false
  }
}
