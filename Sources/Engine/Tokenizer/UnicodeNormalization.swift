import Foundation

/// The four forms of Unicode Standard Annex 15.
enum UnicodeNormalization: String, Sendable, CaseIterable {
  case nfc = "NFC"
  case nfd = "NFD"
  case nfkc = "NFKC"
  case nfkd = "NFKD"

  /// Nil where the text is in this form already. Characters whose form may depend on their neighbours are put into it
  /// grapheme cluster by grapheme cluster, across whose bounds nothing composes or is reordered.
  func normalize(_ text: SourceText) throws -> AlignedBuffer? {
    var buffer: AlignedBuffer?
    var done = 0
    try text.forEachRun { run, isValid in
      guard isValid, let base = text.bytes.baseAddress else { return }
      var position = run.lowerBound
      while let doubtful = firstDoubtful(base, position..<run.upperBound) {
        position = doubtful.upperBound
        if isCertainlyNormal(UnsafeBufferPointer(rebasing: text.bytes[doubtful])) { continue }
        for (range, scalars) in clusters(text, doubtful) {
          let normal = form(of: scalars)
          if normal == scalars { continue }
          if buffer == nil { buffer = AlignedBuffer(of: text) }
          buffer?.copy(done..<range.lowerBound)
          try buffer?.append(normal.flatMap { UTF8.encode($0).map(Array.init) ?? [] }, for: range)
          done = range.upperBound
        }
      }
    }
    buffer?.copy(done..<text.bytes.count)
    return buffer
  }

  /// Foundation's answer for short stretches; in long ones it takes a square of steps.
  private func isCertainlyNormal(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard self == .nfc, bytes.count <= 256 else { return false }
    let text = String(decoding: bytes, as: UTF8.self)
    return text.decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping.utf8.elementsEqual(bytes)
  }

  /// Grapheme clusters and the bytes they take. Jamo that only compatibility makes combine count to the one in front.
  private func clusters(_ text: SourceText, _ range: Range<Int>) -> [(range: Range<Int>, scalars: [Unicode.Scalar])] {
    var result: [(range: Range<Int>, scalars: [Unicode.Scalar])] = []
    var start = range.lowerBound
    for character in String(decoding: UnsafeBufferPointer(rebasing: text.bytes[range]), as: UTF8.self) {
      let scalars = Array(character.unicodeScalars)
      let end = start + character.utf8.count
      if !isCanonical, let last = result.indices.last, let first = decomposition(scalars[0]).first?.value,
        (0x1161...0x11C2).contains(first)
      {
        result[last].range = result[last].range.lowerBound..<end
        result[last].scalars += scalars
      } else {
        result.append((start..<end, scalars))
      }
      start = end
    }
    return result
  }

  private var isCanonical: Bool { self == .nfc || self == .nfd }

  /// Decomposes, puts marks into canonical order, and composes (UAX 15, section 1.3), in n log n steps.
  private func form(of cluster: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var scalars = cluster.flatMap(decomposition)
    var start = 0
    while start < scalars.count {
      var end = start
      while end < scalars.count, scalars[end].properties.canonicalCombiningClass != .notReordered { end += 1 }
      if end > start + 1 {
        scalars[start..<end].sort {  // stable
          $0.properties.canonicalCombiningClass.rawValue < $1.properties.canonicalCombiningClass.rawValue
        }
      }
      start = end + 1
    }
    return self == .nfc || self == .nfkc ? Self.composed(scalars) : scalars
  }

  private func decomposition(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
    if scalar.isASCII { return [scalar] }
    let text = String(Character(scalar))
    let decomposed =
      isCanonical ? text.decomposedStringWithCanonicalMapping : text.decomposedStringWithCompatibilityMapping
    return Array(decomposed.unicodeScalars)
  }

  /// Joins each mark with the last starter where the two compose and no mark of the same class stands between.
  private static func composed(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    var starter: Int?
    var between: UInt8 = 0
    for scalar in scalars {
      let order = scalar.properties.canonicalCombiningClass.rawValue
      let isAdjacent = starter == result.count - 1
      if let starter, isAdjacent || between < order, let joined = composition(result[starter], scalar) {
        result[starter] = joined
        continue
      }
      if order == 0 { starter = result.count }
      between = order
      result.append(scalar)
    }
    return result
  }

  private static func composition(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    let left = first.value
    let right = second.value
    if (0x1100..<0x1113).contains(left), (0x1161..<0x1176).contains(right) {  // Hangul, Unicode 3.12
      return Unicode.Scalar(0xAC00 + ((left - 0x1100) * 21 + right - 0x1161) * 28)
    }
    if (0xAC00..<0xD7A4).contains(left), (left - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(right) {
      return Unicode.Scalar(left + right - 0x11A7)
    }
    if left < 0x3C || right < 0x300 { return nil }
    var pair = String.UnicodeScalarView()
    pair.append(first)
    pair.append(second)
    // Foundation composes a letter only with marks that follow its own decomposition.
    let joined = String(pair).decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping.unicodeScalars
    return joined.count == 1 ? joined.first : nil
  }

  /// The next stretch of characters that are not known to stay as they are, with the one in front that may compose with
  /// them.
  private func firstDoubtful(_ text: UnsafePointer<UInt8>, _ range: Range<Int>) -> Range<Int>? {
    var position = range.lowerBound
    var before = position
    while true {
      while position + 8 <= range.upperBound {
        let word = UnsafeRawPointer(text).loadUnaligned(fromByteOffset: position, as: UInt64.self)
        guard word & 0x8080_8080_8080_8080 == 0 else { break }
        position += 8
        before = position - 1
      }
      guard position < range.upperBound else { return nil }
      let length = max(1, utf8Length(text + position, range.upperBound - position))
      guard isStable(utf8Scalar(text + position, length)) else { break }
      before = position
      position += length
    }
    var end = position
    while end < range.upperBound {
      let length = max(1, utf8Length(text + end, range.upperBound - end))
      if isStable(utf8Scalar(text + end, length)) { break }
      end += length
    }
    return before..<end
  }

  /// Whether a character is its own form, of combining class 0, and never composes with what stands in front. Not every
  /// such character is in the table: the rest only take longer.
  private func isStable(_ scalar: UInt32) -> Bool {
    if scalar < 0x80 { return true }
    guard self == .nfc else { return false }
    switch scalar {
    case 0x80..<0x300, 0x0400...0x0482, 0x048A...0x052F, 0x0531...0x0556, 0x05D0...0x05EA, 0x0620...0x064A,
      0x0904...0x0928, 0x0E01...0x0E30, 0x1E00...0x1EFF, 0x200B...0x2027, 0x2030...0x205E, 0x2070...0x209C,
      0x20A0...0x20BF, 0x2190...0x2328, 0x2500...0x2ADB, 0x3001...0x3029, 0x3041...0x3096, 0x309D...0x30FF,
      0x3400...0x4DBF, 0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFE00...0xFE0F,
      0xFF01...0xFF9D, 0x1F300...0x1F3FA, 0x1F400...0x1FAFF:
      return true
    default: return false
    }
  }
}
