import CShim

extension LuaState {
  /// A value as the prompt shows it: strings as they are, tables to depth 3 and 30 items, objects by their summary or
  /// display. Never a dump.
  public func describe(_ value: LuaReference) -> String {
    guard let stack = currentStack, value.push(on: stack) else { return "(gone)" }
    defer { stack.pop() }
    return stack.text(at: -1)
  }
}
