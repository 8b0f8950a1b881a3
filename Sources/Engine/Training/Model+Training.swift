extension Model {
  /// A copy whose weights are in memory in float32, under a Hugging Face checkpoint's names, so that all of them can be
  /// trained. Throws `.memory`.
  public func trainable(precision: WeightPrecision? = nil) throws -> Model {
    let layout = try CheckpointLayout(decoder.weights.base)
    var parameters: [Parameter] = []
    for name in layout.names {
      try Interrupt.check()
      parameters.append(Parameter(name, owning: try layout.tensor(name)))
    }
    let source = decoder.weights.base.replacing(MemoryWeights(path: path, parameters))
    let kept = precision ?? (self.precision == .native ? .f32 : self.precision)
    return try Model(
      source: source, name: name, weights: try DecoderWeights(source, precision: kept), template: givenTemplate,
      hash: baseHash, ancestors: ancestors + [baseHash])
  }

  /// Gives a model whose weights were trained a hash of its own.
  public func settleHash() {
    guard let memory = decoder.weights.source.weights as? MemoryWeights else { return }
    var hash = SHA256()
    for parameter in memory.parameters {
      hash.add(UnsafeRawBufferPointer(start: parameter.value.pointer, count: parameter.value.count * 4))
    }
    setBaseHash(hash.finish())
  }
}
