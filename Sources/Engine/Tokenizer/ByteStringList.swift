/// Byte strings one behind another in one buffer: a vocabulary of 262,144 tokens takes two allocations.
struct ByteStringList: Sendable {
  private(set) var bytes: [UInt8] = []
  /// String i is `bytes[bounds[i] ..< bounds[i + 1]]`.
  private(set) var bounds: [Int] = [0]

  var count: Int { bounds.count - 1 }

  init() {}

  init(_ strings: some Sequence<some Sequence<UInt8>>) {
    for string in strings { append(string) }
  }

  mutating func reserve(count: Int, bytes: Int) {
    bounds.reserveCapacity(count + 1)
    self.bytes.reserveCapacity(bytes)
  }

  mutating func append(_ string: some Sequence<UInt8>) {
    bytes.append(contentsOf: string)
    bounds.append(bytes.count)
  }

  /// Appends as one string what `write` appends to the bytes.
  mutating func appendBytes<Result>(_ write: (inout [UInt8]) throws -> Result) rethrows -> Result {
    defer { bounds.append(bytes.count) }
    return try write(&bytes)
  }

  func range(_ index: Int) -> Range<Int> { bounds[index]..<bounds[index + 1] }

  subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

  /// String `index` for an error message: quoted, repaired where it is no UTF-8, cut at 60 characters.
  func quoted(_ index: Int) -> String { Self.quoted(self[index]) }

  static func quoted(_ bytes: some Collection<UInt8>) -> String {
    let text = String(decoding: bytes.prefix(240), as: UTF8.self).prefix(60)
    return "“\(text)\(text.utf8.count < bytes.count ? "…" : "")”"
  }
}
