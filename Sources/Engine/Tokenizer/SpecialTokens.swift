/// The tokens that are matched in text before it is split: control and unknown tokens (`<|im_start|>`), matched where
/// special tokens are read, and user-defined ones (Gemma's runs of newlines and spaces), matched always. A trie: the
/// leftmost match wins, at one place the longest, as in SentencePiece and Hugging Face tokenizers.
struct SpecialTokens: Sendable {
  /// Longer ones are refused at load: matching takes their length at every byte of the text.
  static let longestAllowed = 1024

  private struct Node {
    var token: Int32 = -1
    var isUserDefined = false
  }

  private var nodes = [Node()]
  private var edges = PairTable(capacity: 1024)
  /// The child of the root for each first byte, or -1.
  private var roots = [Int32](repeating: -1, count: 256)

  /// Throws `.token` where two special tokens are equal or one is too long.
  mutating func insert(_ text: ArraySlice<UInt8>, token: Int, isUserDefined: Bool) throws {
    guard text.count <= Self.longestAllowed else {
      throw EngineError(
        .token,
        "the vocabulary is damaged: special token \(token) has \(text.count) bytes (at most \(Self.longestAllowed))")
    }
    var node: Int32 = 0
    for byte in text {
      var child = node == 0 ? roots[Int(byte)] : edges.find(node, Int32(byte)).id
      if child < 0 {
        child = Int32(nodes.count)
        nodes.append(Node())
        if node == 0 { roots[Int(byte)] = child } else { edges.insert(node, Int32(byte), Merge(rank: 0, id: child)) }
      }
      node = child
    }
    guard nodes[Int(node)].token < 0 else {
      throw EngineError(
        .token,
        "the vocabulary is damaged: tokens \(nodes[Int(node)].token) and \(token) are both "
          + ByteStringList.quoted(text))
    }
    nodes[Int(node)] = Node(token: Int32(token), isUserDefined: isUserDefined)
  }

  /// The longest token that starts exactly at `offset`. `controls`: control and unknown tokens count too.
  @inline(__always)
  func match(
    _ text: UnsafeBufferPointer<UInt8>, at offset: Int, controls: Bool
  ) -> (token: Int, end: Int)? {
    let root = roots[Int(text[offset])]
    return root < 0 ? nil : match(text, from: root, at: offset, controls: controls)
  }

  private func match(
    _ text: UnsafeBufferPointer<UInt8>, from root: Int32, at offset: Int, controls: Bool
  ) -> (token: Int, end: Int)? {
    var node = root
    var end = offset + 1
    var best: (token: Int, end: Int)?
    while true {
      let here = nodes[Int(node)]
      if here.token >= 0, controls || here.isUserDefined { best = (Int(here.token), end) }
      guard end < text.count else { return best }
      node = edges.find(node, Int32(text[end])).id
      guard node >= 0 else { return best }
      end += 1
    }
  }

  /// The token that is spelt exactly so.
  func find(_ text: [UInt8]) -> Int? {
    guard !text.isEmpty else { return nil }
    return text.withUnsafeBufferPointer { text in
      match(text, at: 0, controls: true).flatMap { $0.end == text.count ? $0.token : nil }
    }
  }
}
