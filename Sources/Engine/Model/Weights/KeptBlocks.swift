/// Tensors of some of a checkpoint's blocks, numbered anew in the order given; tensors outside the blocks stay.
struct KeptBlocks: WeightSource {
  private let base: any WeightSource
  /// What precedes a block's number in names: `model.layers.`.
  private let stem: String
  /// For each block its number in `base`.
  private let blocks: [Int]
  let names: [String]

  init(_ base: any WeightSource, stem: String, _ blocks: [Int]) {
    (self.base, self.stem, self.blocks) = (base, stem, blocks)
    var places: [Int: [Int]] = [:]
    for (place, block) in blocks.enumerated() { places[block, default: []].append(place) }
    names = base.names.flatMap { name -> [String] in
      guard let (block, rest) = KeptBlocks.parts(name, stem) else { return [name] }
      return (places[block] ?? []).map { "\(stem)\($0)\(rest)" }
    }
  }

  var path: String { base.path }
  func verify() throws { try base.verify() }
  func shape(of name: String) -> [Int]? { original(name).flatMap(base.shape) }
  func storage(of name: String) -> StoredForm? { original(name).flatMap(base.storage) }
  func releasePages() { base.releasePages() }
  func storedRows(of name: String) -> StoredRows? { original(name).flatMap(base.storedRows) }

  func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let original = original(name) else { throw missing(name) }
    try base.read(original, rows: rows, into: destination)
  }

  private func original(_ name: String) -> String? {
    guard let (place, rest) = KeptBlocks.parts(name, stem) else { return name }
    return blocks.indices.contains(place) ? "\(stem)\(blocks[place])\(rest)" : nil
  }

  /// A block's number in a tensor's name, and what follows it.
  private static func parts(_ name: String, _ stem: String) -> (block: Int, rest: Substring)? {
    guard name.hasPrefix(stem) else { return nil }
    let tail = name.dropFirst(stem.count), digits = tail.prefix { $0 != "." }
    return Int(digits).map { ($0, tail.dropFirst(digits.count)) }
  }
}

extension Model {
  /// A model of its own that consists of blocks `blocks` (0-based, in this order, repeats allowed) between this one's
  /// embedding and its final norm. Adapters attached to this one take no part. Throws `.argument` for blocks it does
  /// not have and for none at all, and as `load`.
  public func keeping(_ blocks: [Int]) throws -> Model {
    for block in blocks where !(0..<configuration.layerCount).contains(block) {
      throw EngineError(.argument, "\(name) has layers 0 to \(configuration.layerCount - 1), not \(block)")
    }
    guard !blocks.isEmpty else { throw EngineError(.argument, "a model needs at least one layer") }
    let source = try decoder.weights.base.keeping(blocks)
    let text = "\(baseHash) layers \(blocks)"
    return try Model(
      source: source, name: "\(name):\(blocks.count)", weights: try DecoderWeights(source, precision: precision),
      template: givenTemplate, hash: SHA256.hex(of: Array(text.utf8)),
      ancestors: [])  // its layers are others: a vector of layer 12 is none of its layer 12
  }
}
