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
        let bytes = UnsafeBufferPointer(rebasing: text.bytes[doubtful])
        let original = String(decoding: bytes, as: UTF8.self)
        if form(of: original).utf8.elementsEqual(bytes) { continue }
        var start = doubtful.lowerBound
        for character in original {
          let cluster = String(character), range = start..<start + cluster.utf8.count
          start = range.upperBound
          let normal = form(of: cluster)
          if normal.utf8.elementsEqual(cluster.utf8) { continue }
          if buffer == nil { buffer = AlignedBuffer(of: text) }
          buffer?.copy(done..<range.lowerBound)
          try buffer?.append(Array(normal.utf8), for: range)
          done = range.upperBound
        }
      }
    }
    buffer?.copy(done..<text.bytes.count)
    return buffer
  }

  private func form(of text: String) -> String {
    switch self {
    case .nfc: text.precomposedStringWithCanonicalMapping
    case .nfd: text.decomposedStringWithCanonicalMapping
    case .nfkc: text.precomposedStringWithCompatibilityMapping
    case .nfkd: text.decomposedStringWithCompatibilityMapping
    }
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
