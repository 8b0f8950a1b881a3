import CShim
import Engine

/// The one table argument of a function, checked against the function's row: unknown keys are errors that name the
/// nearest key, absent keys take the row's default.
///
/// ```swift
/// let options = try call.options()
/// let count = try options.integer("max_tokens", in: 0...1 << 20)
/// let seed = try options.optional("seed")?.integer()
/// ```
public struct OptionReader {
  let call: Call
  let index: Int32
  let isGiven: Bool

  init(call: Call, index: Int32, argument: Int) throws {
    self.call = call
    self.index = index
    let stack = call.stack
    let type = lua_type(stack.pointer, index)
    isGiven = type == LUA_TTABLE
    if isGiven {
      try checkKeys(call.argument(argument))
      return
    }
    guard type <= LUA_TNIL else {
      let keys = call.function.row.options.prefix(3).map { "\($0.name) =" }.joined(separator: ", ")
      throw call.argument(argument).mismatch("a table of options { \(keys), ... }")
    }
    if let missing = call.function.row.options.first(where: { $0.fallback == .required }) {
      throw call.error("option '\(missing.name)' is missing: \(missing.summary)")
    }
  }

  private func checkKeys(_ table: ArgumentReader) throws {
    let known = call.function.row.options.map(\.name)
    let stack = call.stack
    guard table.listCount == 0 else {
      let found = table.stack.found(at: index)
      throw call.error(
        "options are named: write { \(known.first ?? "name") = value }, found "
          + (found == "table" ? "a list entry" : found))
    }
    for name in try table.fieldNames(limit: 1000) where !known.contains(name) {
      let near = suggestion(for: name, in: known)
      let others = near.isEmpty ? "; known: \(known.sorted().joined(separator: ", "))" : near
      throw call.error("unknown option '\(name)'\(others)")
    }
    for row in call.function.row.options where row.fallback == .required {
      stack.push(row.name)
      let type = lua_rawget(stack.pointer, index)
      stack.pop()
      if type == LUA_TNIL { throw call.error("option '\(row.name)' is missing: \(row.summary)") }
    }
  }

  /// The row of an option; asking for one that the row does not declare is a mistake of ours.
  private func row(_ name: String) -> Option {
    guard let row = call.function.row.options.first(where: { $0.name == name }) else {
      preconditionFailure("\(call.name) reads the option \(name), which its row does not declare")
    }
    return row
  }

  public func isPresent(_ name: String) -> Bool { optional(name) != nil }

  /// The value of an option when it is given. It stays on the stack until the call returns.
  public func optional(_ name: String) -> ArgumentReader? {
    _ = row(name)
    let stack = call.stack
    guard isGiven, lua_checkstack(stack.pointer, 16) != 0 else { return nil }
    stack.push(name)
    guard lua_rawget(stack.pointer, index) != LUA_TNIL else {
      stack.pop()
      return nil
    }
    let function = call.name
    return ArgumentReader(stack: stack, index: -1) { "\(function): option '\(name)'" }
  }

  /// The value of an option, an error when it is absent.
  public func required(_ name: String) throws -> ArgumentReader {
    guard let value = optional(name) else { throw call.error("option '\(name)' is missing: \(row(name).summary)") }
    return value
  }

  /// The value that makes one of several options necessary: exactly one of `names` must be given.
  public func oneOf(_ names: [String]) throws -> (name: String, value: ArgumentReader) {
    let given = names.filter(isPresent)
    let list = names.map { "'\($0)'" }.joined(separator: ", ")
    guard given.count == 1 else {
      throw call.error(
        given.isEmpty ? "one of the options \(list) is needed" : "only one of the options \(list) can be given")
    }
    return (given[0], try required(given[0]))
  }

  /// The given value or the row's default.
  public func integer(_ name: String, in range: ClosedRange<Int> = Int.min...Int.max) throws -> Int {
    if let value = optional(name) { return try value.integer(in: range) }
    guard case .integer(let value) = row(name).fallback else { return try required(name).integer() }
    return value
  }

  public func number(_ name: String, in range: ClosedRange<Double>? = nil) throws -> Double {
    if let value = optional(name) { return try value.number(in: range) }
    switch row(name).fallback {
    case .number(let value): return value
    case .integer(let value): return Double(value)
    default: return try required(name).number()
    }
  }

  public func boolean(_ name: String) throws -> Bool {
    if let value = optional(name) { return try value.boolean() }
    guard case .boolean(let value) = row(name).fallback else { return try required(name).boolean() }
    return value
  }

  public func string(_ name: String) throws -> String {
    if let value = optional(name) { return try value.string() }
    guard case .string(let value) = row(name).fallback else { return try required(name).string() }
    return value
  }

  /// One of the row's choices.
  public func choice(_ name: String) throws -> String {
    if let value = optional(name) { return try value.choice(row(name).choices) }
    return try string(name)
  }
}
