extension InterventionList {
  /// Adds what is registered, values included, so that two lists with the same effect have the same digest. Lua
  /// functions are the host's to add. Returns, in words, what has no content that could be added.
  public func addContent(to hash: inout SHA256) -> [String] {
    var unknown: [String] = []
    for entry in entries {
      let intervention = entry.intervention
      let places = intervention.places.map { "\($0.site.rawValue) \($0.layer.map(String.init) ?? "")" }
      let heads = intervention.heads.map { " heads \($0)" } ?? ""
      hash.add(text: "\(intervention.kind) at \(places)\(heads) \(intervention.positions.content)")
      for effect in intervention.effects {
        switch effect {
        case .add(let vector, let coefficient, let scale):
          hash.add(text: "add \(coefficient) \(scale)")
          hash.add(vector)
        case .ablate(let vector): hash.add(vector)
        case .mean(let mean): hash.add(mean)
        case .patch(let values): hash.add(values)
        case .patchEach(let list):
          hash.add(text: "\(list.count) values")
          for values in list { hash.add(values) }
        case .knockout(let target): hash.add(text: "towards \(target.content)")
        case .function: hash.add(text: "function")
        case .replace: unknown.append("the \(intervention.kind) of \(places.joined(separator: ", ")) by computed rows")
        }
      }
    }
    return unknown
  }
}

extension PositionSelector {
  /// All that is said, where `text` may cut a list; a function is the host's to add.
  fileprivate var content: String {
    if case .computed = self { return "function" }
    return "\(self)"
  }
}

extension SHA256 {
  /// Length and bytes, so that texts in a row cannot run into each other.
  public mutating func add(text: String) {
    let bytes = Array(text.utf8)
    withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { add($0) }
    add(bytes)
  }

  /// Shape and values.
  public mutating func add(_ tensor: Tensor) {
    add(text: shapeText(tensor.shape))
    add(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * MemoryLayout<Float>.stride))
  }
}
