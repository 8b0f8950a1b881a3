import Foundation

extension TemplateRun {
  // MARK: Truth

  func isTrue(_ value: TemplateValue) throws -> Bool {
    switch value {
    case .undefined, .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .float(let value): value != 0
    case .text(let text): !text.isEmpty
    case .list(let list), .tuple(let list): !list.items.isEmpty
    case .mapping(let mapping), .view(let mapping, _): mapping.count > 0
    case .range(let range): range.count > 0
    default: true
    }
  }

  // MARK: Comparison

  func holds(
    _ comparison: TemplateExpression.Comparison, _ left: TemplateValue, _ right: TemplateValue
  ) throws -> Bool {
    switch comparison {
    case .equal: try equal(left, right)
    case .unequal: try !equal(left, right)
    case .less: try isOrdered(left, right, "<") { $0 < 0 }
    case .lessOrEqual: try isOrdered(left, right, "<=") { $0 <= 0 }
    case .greater: try isOrdered(left, right, ">") { $0 > 0 }
    case .greaterOrEqual: try isOrdered(left, right, ">=") { $0 >= 0 }
    case .contained: try contains(right, left)
    case .notContained: try !contains(right, left)
    }
  }

  func equal(_ left: TemplateValue, _ right: TemplateValue) throws -> Bool {
    try step()
    switch (left, right) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.text(let left), .text(let right)):
      try step(min(left.bytes.count, right.bytes.count) / 64)
      return left.bytes == right.bytes
    case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
      return try equal(left.items, right.items)
    case (.mapping(let left), .mapping(let right)):
      guard left.count == right.count else { return false }
      return try left.entries.allSatisfy { key, entry in try right[key].map { try equal(entry.value, $0) } ?? false }
    case (.range(let left), .range(let right)):
      return left.count == right.count
        && (left.count == 0 || (left.start == right.start && (left.count == 1 || left.step == right.step)))
    case (.iterator(let left), .iterator(let right)), (.namespace(let left), .namespace(let right)),
      (.macro(let left), .macro(let right)), (.loop(let left), .loop(let right)):
      return left == right
    case (.cycler(let left), .cycler(let right)), (.joiner(let left), .joiner(let right)): return left == right
    case (.blocks, .blocks): return true
    case (.function(let left), .function(let right)): return left == right
    case (.method(let left), .method(let right)): return left === right
    default:
      if let left = left.index, let right = right.index { return left == right }
      guard let left = left.number, let right = right.number else { return false }
      return left == right
    }
  }

  private func equal(_ left: [TemplateValue], _ right: [TemplateValue]) throws -> Bool {
    guard left.count == right.count else { return false }
    return try zip(left, right).allSatisfy { try equal($0, $1) }
  }

  /// Orders two values as Python does; numbers that are not comparable (NaN) hold for nothing.
  private func isOrdered(
    _ left: TemplateValue, _ right: TemplateValue, _ symbol: String, _ holds: (Int) -> Bool
  ) throws -> Bool {
    try order(left, right, symbol).map(holds) ?? false
  }

  /// Below zero where `left` comes first. nil where one is NaN. `symbol` names the comparison in errors.
  func order(_ left: TemplateValue, _ right: TemplateValue, _ symbol: String = "<") throws -> Int? {
    try step()
    for case .undefined(let message) in [left, right] { throw TemplateFailure(message) }
    if let left = left.index, let right = right.index { return left < right ? -1 : left > right ? 1 : 0 }
    if let left = left.number, let right = right.number {
      return left.isNaN || right.isNaN ? nil : left < right ? -1 : left > right ? 1 : 0
    }
    switch (left, right) {
    case (.text(let left), .text(let right)):
      try step(min(left.bytes.count, right.bytes.count) / 64)
      // UTF-8 orders as code points do.
      return left.bytes.lexicographicallyPrecedes(right.bytes) ? -1 : left.bytes == right.bytes ? 0 : 1
    case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
      for (a, b) in zip(left.items, right.items) where try !equal(a, b) { return try order(a, b, symbol) }
      return left.items.count - right.items.count
    default:
      throw TemplateFailure(
        "'\(symbol)' not supported between instances of '\(left.typeName)' and '\(right.typeName)'")
    }
  }

  /// Python's `value in container`.
  func contains(_ container: TemplateValue, _ value: TemplateValue) throws -> Bool {
    switch container {
    case .text(let text):
      guard case .text(let part) = value else {
        throw TemplateFailure("'in <string>' requires string as left operand, not \(value.typeName)")
      }
      return try find(part, in: text, 0..<text.bytes.count) != nil
    case .mapping(let mapping), .view(let mapping, .keys): return try mapping[TemplateKey(value)] != nil
    case .range(let range):
      if let value = value.index { return range.contains(value) }
      return value.number.flatMap { Int(exactly: $0) }.map(range.contains) ?? false
    default: return try items(of: container, asArgument: true).contains { try equal($0, value) }
    }
  }

  /// Where `part` first stands in `range` of `text`, as byte offset.
  func find(_ part: TemplateText, in text: TemplateText, _ range: Range<Int>) throws -> Int? {
    try step((range.count + part.bytes.count) / 64)
    guard !part.isEmpty else { return range.lowerBound }
    return range.count < part.bytes.count ? nil : TextSearch(part.bytes).first(in: text.bytes, range)
  }

  // MARK: Arithmetic

  func signed(_ sign: TemplateExpression.Sign, _ value: TemplateValue) throws -> TemplateValue {
    switch value {
    case .undefined(let message): throw TemplateFailure(message)
    case .float(let value): return .float(sign == .minus ? -value : value)
    default:
      guard let value = value.index else {
        throw TemplateFailure("bad operand type for unary \(sign == .minus ? "-" : "+"): '\(value.typeName)'")
      }
      return .integer(sign == .minus ? try whole(0.subtractingReportingOverflow(value)) : value)
    }
  }

  private func whole(_ result: (partialValue: Int, overflow: Bool)) throws -> Int {
    guard !result.overflow else { throw TemplateFailure("an integer is beyond 64 bits") }
    return result.partialValue
  }

  func apply(
    _ operation: TemplateExpression.Arithmetic, _ left: TemplateValue, _ right: TemplateValue
  ) throws -> TemplateValue {
    if case .remainder = operation, case .text(let format) = left { return try percentFormat(format, right) }
    for case .undefined(let message) in [left, right] { throw TemplateFailure(message) }
    if let left = left.index, let right = right.index { return try integers(operation, left, right) }
    if let left = left.number, let right = right.number { return try floats(operation, left, right) }
    switch (operation, left, right) {
    case (.add, .text(var left), .text(var right)):
      if left.isMarkup != right.isMarkup {  // what is marked as safe has the other escaped
        left = left.isMarkup ? left : left.escapedForHTML
        right = right.isMarkup ? right : right.escapedForHTML
        left.isMarkup = true
      }
      try checkLength(left.bytes.count + right.bytes.count)
      left.append(right)
      return try text(left)
    case (.add, .list(let left), .list(let right)): return try list(left.items + right.items)
    case (.add, .tuple(let left), .tuple(let right)): return .tuple(try items(left.items + right.items))
    case (.multiply, _, _):
      if let count = right.index, let value = try repeated(left, count) { return value }
      if let count = left.index, let value = try repeated(right, count) { return value }
    default: break
    }
    throw TemplateFailure(mismatch(operation, left, right))
  }

  private func mismatch(
    _ operation: TemplateExpression.Arithmetic, _ left: TemplateValue, _ right: TemplateValue
  ) -> String {
    let symbol = operation == .power ? "** or pow()" : operation.rawValue
    if operation == .add {
      switch left {
      case .text: return "can only concatenate str (not \"\(right.typeName)\") to str"
      case .list: return "can only concatenate list (not \"\(right.typeName)\") to list"
      case .tuple: return "can only concatenate tuple (not \"\(right.typeName)\") to tuple"
      default: break
      }
    }
    return "unsupported operand type(s) for \(symbol): '\(left.typeName)' and '\(right.typeName)'"
  }

  /// `'-' * 40`, `[none] * 3`; nil for values that cannot be repeated.
  private func repeated(_ value: TemplateValue, _ count: Int) throws -> TemplateValue? {
    let count = max(0, count)
    func total(_ size: Int) throws -> Int {
      let (bytes, overflow) = size.multipliedReportingOverflow(by: count)
      try checkLength(overflow ? .max : bytes)
      return bytes
    }
    switch value {
    case .text(let text):
      try charge(try total(text.bytes.count + 48 * text.marks.count))
      guard !text.isEmpty else { return value }
      var result = TemplateText()
      var doubled = text
      var rest = count
      while rest > 0 {
        if rest & 1 == 1 { result.append(doubled) }
        rest >>= 1
        if rest > 0 { doubled.append(doubled) }
      }
      return .text(result)
    case .list(let part), .tuple(let part):
      try charge(try total(part.items.count * MemoryLayout<TemplateValue>.stride))
      let items = try checked(
        TemplateList(part.items.isEmpty ? [] : (0..<count).flatMap { _ in part.items }))
      if case .list = value { return .list(items) }
      return .tuple(items)
    default: return nil
    }
  }

  private func integers(_ operation: TemplateExpression.Arithmetic, _ left: Int, _ right: Int) throws -> TemplateValue {
    switch operation {
    case .add: return .integer(try whole(left.addingReportingOverflow(right)))
    case .subtract: return .integer(try whole(left.subtractingReportingOverflow(right)))
    case .multiply: return .integer(try whole(left.multipliedReportingOverflow(by: right)))
    case .divide: return try floats(.divide, Double(left), Double(right))
    case .floorDivide, .remainder:
      guard right != 0 else { throw TemplateFailure("integer division or modulo by zero") }
      let quotient = try whole(left.dividedReportingOverflow(by: right))
      let rest = left &- quotient &* right
      let isBelow = rest != 0 && (rest < 0) != (right < 0)
      if operation == .floorDivide { return .integer(isBelow ? quotient - 1 : quotient) }
      return .integer(isBelow ? rest + right : rest)
    case .power:
      guard right >= 0 else { return try floats(.power, Double(left), Double(right)) }
      return .integer(try power(left, right))
    }
  }

  private func power(_ base: Int, _ exponent: Int) throws -> Int {
    var result = 1
    var factor = base
    var rest = exponent
    if (-1...1).contains(base) { return base == 0 ? (exponent == 0 ? 1 : 0) : base == -1 && exponent % 2 == 1 ? -1 : 1 }
    while rest > 0 {
      if rest & 1 == 1 { result = try whole(result.multipliedReportingOverflow(by: factor)) }
      rest >>= 1
      if rest > 0 { factor = try whole(factor.multipliedReportingOverflow(by: factor)) }
    }
    return result
  }

  private func floats(
    _ operation: TemplateExpression.Arithmetic, _ left: Double, _ right: Double
  ) throws -> TemplateValue {
    switch operation {
    case .add: return .float(left + right)
    case .subtract: return .float(left - right)
    case .multiply: return .float(left * right)
    case .divide, .floorDivide, .remainder:
      guard right != 0 else {
        throw TemplateFailure(operation == .divide ? "division by zero" : "float modulo by zero")
      }
      if operation == .divide { return .float(left / right) }
      var rest = left.truncatingRemainder(dividingBy: right)
      if rest != 0, (rest < 0) != (right < 0) { rest += right }
      if operation == .remainder { return .float(rest == 0 ? Double(signOf: right, magnitudeOf: 0) : rest) }
      return .float(((left - rest) / right).rounded())
    case .power:
      let result = pow(left, right)
      guard !result.isNaN || left.isNaN || right.isNaN else { throw TemplateFailure("a power is no real number") }
      guard left != 0 || right >= 0 else { throw TemplateFailure("0.0 cannot be raised to a negative power") }
      return .float(result)
    }
  }
}
