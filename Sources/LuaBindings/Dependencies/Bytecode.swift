import CShim
import Engine
import Foundation

/// The code of a Lua function without line numbers and names: what it does, and which globals it names.
///
/// Reads what `lua_dump` writes (ldump.c of Lua 5.4). Moving a function in its file, or a comment inside it, changes
/// nothing here; another constant, operator or nested function does.
struct Bytecode {
  /// SHA-256 of instructions, constants and nested functions.
  let digest: String
  /// For every upvalue of the function: keys by which it or a nested function reads it as a table.
  private(set) var keysRead: [Set<String>]
  /// For every upvalue: whether it is also used in other ways than by reading or writing constant keys.
  private(set) var isUsedWhole: [Bool]
  /// All string constants, those of nested functions included.
  private(set) var strings: Set<String> = []

  /// The function at `index`; nil for a C function, or where this Lua writes another format.
  init?(at index: Int32, on stack: LuaStack) {
    var count = 0
    guard let dumped = act_dump(stack.pointer, index, &count) else { return nil }
    defer { free(dumped) }
    var reader = DumpReader(bytes: UnsafeBufferPointer(start: dumped, count: count))
    guard reader.header(), let function = reader.function() else { return nil }
    digest = reader.hash.finish()
    keysRead = Array(repeating: [], count: function.upvalues.count)
    isUsedWhole = Array(repeating: false, count: function.upvalues.count)
    gather(function, upvalues: function.upvalues.indices.map { $0 })
  }

  /// `upvalues`: which upvalue of the outermost function each one of `function` is; nil for a local of a function
  /// between.
  private mutating func gather(_ function: DumpReader.Prototype, upvalues: [Int?]) {
    for case .string(let text) in function.constants { strings.insert(text) }
    for instruction in function.code {
      let b = Int(instruction >> 16 & 0xff), c = Int(instruction >> 24 & 0xff)
      switch instruction & 0x7f {  // lopcodes.h
      case 9:  // GETUPVAL A B
        if b < upvalues.count, let place = upvalues[b] { isUsedWhole[place] = true }
      case 11:  // GETTABUP A B C: R[A] := UpValue[B][K[C]]
        guard b < upvalues.count, let place = upvalues[b] else { continue }
        if c < function.constants.count, case .string(let key) = function.constants[c] {
          keysRead[place].insert(key)
        } else {
          isUsedWhole[place] = true
        }
      default: break
      }
    }
    for inner in function.inner {
      gather(
        inner, upvalues: inner.upvalues.map { $0.isLocal ? nil : $0.index < upvalues.count ? upvalues[$0.index] : nil })
    }
  }
}

/// Reads a stripped dump and hashes what matters of it.
private struct DumpReader {
  enum Constant {
    case string(String)
    case other
  }

  struct Prototype {
    var code: [UInt32] = []
    var constants: [Constant] = []
    var upvalues: [(isLocal: Bool, index: Int)] = []
    var inner: [Prototype] = []
  }

  let bytes: UnsafeBufferPointer<UInt8>
  var place = 0
  var hash = SHA256()

  init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// Signature, version 5.4, official format, sizes; then the number of upvalues.
  mutating func header() -> Bool {
    let expected: [UInt8] = Array("\u{1b}Lua".utf8) + [0x54, 0] + [0x19, 0x93, 0x0d, 0x0a, 0x1a, 0x0a] + [4, 8, 8]
    guard let found = take(expected.count + 16 + 1) else { return false }
    return found.prefix(expected.count).elementsEqual(expected)
  }

  mutating func function() -> Prototype? {
    var result = Prototype()
    guard take(string: false) != nil, size() != nil, size() != nil else { return nil }  // source, first and last line
    guard let head = take(3) else { return nil }  // parameters, vararg, stack
    add(head)
    guard let instructions = count(of: 4), let code = take(instructions * 4) else { return nil }
    add(code)
    result.code = stride(from: 0, to: code.count, by: 4).map { at in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(code[code.startIndex + at + $1]) << UInt32(8 * $1) }
    }
    guard let constants = count(of: 1) else { return nil }
    for _ in 0..<constants {
      guard let kind = take(1) else { return nil }
      add(kind)
      switch kind[kind.startIndex] {
      case 0x03, 0x13:  // integer, float
        guard let value = take(8) else { return nil }
        add(value)
        result.constants.append(.other)
      case 0x04, 0x14:  // short, long string
        guard let text = take(string: true) else { return nil }
        result.constants.append(.string(String(decoding: text, as: UTF8.self)))
      default: result.constants.append(.other)
      }
    }
    guard let upvalues = count(of: 3) else { return nil }
    for _ in 0..<upvalues {
      guard let row = take(3) else { return nil }
      add(row)
      result.upvalues.append((row[row.startIndex] != 0, Int(row[row.startIndex + 1])))
    }
    guard let inner = count(of: 1) else { return nil }
    for _ in 0..<inner {
      guard let function = function() else { return nil }
      result.inner.append(function)
    }
    return skipDebug() ? result : nil
  }

  /// Line numbers, locals and names, all empty in a stripped dump.
  private mutating func skipDebug() -> Bool {
    guard let lines = size(), take(lines) != nil else { return false }
    for _ in 0..<3 { guard size() == 0 else { return false } }
    return true
  }

  private mutating func take(_ count: Int) -> Slice<UnsafeBufferPointer<UInt8>>? {
    guard count >= 0, count <= bytes.count - place else { return nil }
    defer { place += count }
    return bytes[place..<place + count]
  }

  /// Seven bits a byte, the highest first; the last byte has its top bit set.
  private mutating func size() -> Int? {
    var value = 0
    while let byte = take(1)?.first {
      guard value < Int.max >> 8 else { return nil }
      value = value << 7 | Int(byte & 0x7f)
      if byte & 0x80 != 0 { return value }
    }
    return nil
  }

  /// A length that the rest can hold at `bytes` each; hashed.
  private mutating func count(of size: Int) -> Int? {
    guard let count = self.size(), count <= (bytes.count - place) / size else { return nil }
    withUnsafeBytes(of: UInt64(count).littleEndian) { hash.add($0) }
    return count
  }

  private mutating func take(string hashed: Bool) -> Slice<UnsafeBufferPointer<UInt8>>? {
    guard let length = size(), let text = take(max(0, length - 1)) else { return nil }
    if hashed {
      withUnsafeBytes(of: UInt64(length).littleEndian) { hash.add($0) }
      add(text)
    }
    return text
  }

  private mutating func add(_ part: Slice<UnsafeBufferPointer<UInt8>>) {
    hash.add(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: part)))
  }
}
