/// Sums, means, norms and extremes, over all elements or along one dimension (which then disappears). Accumulated in
/// Double, in blocks of fixed size, so the result does not depend on the number of threads.
extension Tensor {
  public func sum() -> Double { reduced { $0 } }

  /// Throws `.shape` for an empty tensor.
  public func mean() throws -> Double {
    try requireElements("mean")
    return sum() / Double(count)
  }

  /// Euclidean (Frobenius) norm.
  public func norm() -> Double { reduced { $0 * $0 }.squareRoot() }

  /// Largest element; NaN when there is one, as NumPy. Throws `.shape` for an empty tensor.
  public func maximum() throws -> Float { pointer[try argmax()] }

  /// Smallest element; NaN when there is one. Throws `.shape` for an empty tensor.
  public func minimum() throws -> Float {
    try requireElements("minimum")
    return pointer[Tensor.extreme(pointer, count: count, step: 1) { $0 < $1 }]
  }

  /// Place of the largest element (the first of equals; the first NaN where there is one).
  public func argmax() throws -> Int {
    try requireElements("argmax")
    return Tensor.extreme(pointer, count: count, step: 1) { $0 > $1 }
  }

  /// Number of NaN values.
  public func nanCount() -> Int { Int(reduced { $0.isNaN ? 1 : 0 }) }

  public func sum(dimension: Int) throws -> Tensor {
    try reduced(dimension) {
      $0
    } finish: { sum, _ in
      sum
    }
  }

  /// Throws `.shape` where the dimension has no entries.
  public func mean(dimension: Int) throws -> Tensor {
    try requireElements("mean")
    return try reduced(dimension) {
      $0
    } finish: {
      $0 / Double($1)
    }
  }

  public func norm(dimension: Int) throws -> Tensor {
    try reduced(dimension) {
      $0 * $0
    } finish: { sum, _ in
      sum.squareRoot()
    }
  }

  public func maximum(dimension: Int) throws -> Tensor { try extremes(dimension) { $0 > $1 }.values }
  public func minimum(dimension: Int) throws -> Tensor { try extremes(dimension) { $0 < $1 }.values }

  /// Places of the largest entries along `dimension`, 0-based, in the order of the other dimensions.
  public func argmax(dimension: Int) throws -> [Int] { try extremes(dimension) { $0 > $1 }.places }
  /// Places of the smallest entries, likewise.
  public func argmin(dimension: Int) throws -> [Int] { try extremes(dimension) { $0 < $1 }.places }

  private func requireElements(_ operation: String) throws {
    guard count > 0 else { throw EngineError(.shape, "\(operation): a tensor of shape \(shapeText(shape)) is empty") }
  }

  @inline(__always)
  private func reduced(_ term: (Double) -> Double) -> Double {
    let block = 1 << 14, blocks = (count + block - 1) / block, source = pointer, total = count
    guard blocks > 1 else { return Tensor.blockSum(source, count, term) }
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: blocks) { partial in
      let base = partial.baseAddress!
      parallelRanges(blocks, minimum: 4) { range in
        for i in range {
          base[i] = Tensor.blockSum(source + i * block, min(block, total - i * block), term)
        }
      }
      return partial.reduce(0, +)
    }
  }

  /// Four running sums, so that the adder's latency hides.
  @inline(__always)
  private static func blockSum(_ source: UnsafePointer<Float>, _ count: Int, _ term: (Double) -> Double) -> Double {
    var a = 0.0, b = 0.0, c = 0.0, d = 0.0
    let whole = count & ~3
    var i = 0
    while i < whole {
      a += term(Double(source[i]))
      b += term(Double(source[i + 1]))
      c += term(Double(source[i + 2]))
      d += term(Double(source[i + 3]))
      i += 4
    }
    while i < count {
      a += term(Double(source[i]))
      i += 1
    }
    return (a + b) + (c + d)
  }

  /// Sizes before, at and after a dimension.
  private func split(_ dimension: Int) throws -> (outer: Int, size: Int, inner: Int, shape: [Int]) {
    let place = try resolved(dimension: dimension)
    var rest = shape
    rest.remove(at: place)
    return (shape[..<place].reduce(1, *), shape[place], shape[(place + 1)...].reduce(1, *), rest)
  }

  @inline(__always)
  private func reduced(
    _ dimension: Int, _ term: (Double) -> Double, finish: (Double, Int) -> Double
  ) throws -> Tensor {
    let (outer, size, inner, rest) = try split(dimension)
    let out = try Tensor(uninitialized: rest)
    let source = pointer, target = out.mutablePointer
    if inner == 1 {
      parallelRanges(outer, minimum: max(1, Broadcast.grain / max(1, size))) { range in
        for i in range { target[i] = Float(finish(Tensor.blockSum(source + i * size, size, term), size)) }
      }
      return out
    }
    // Columns in stripes: each row is read along memory.
    let stripe = 256, stripes = (inner + stripe - 1) / stripe
    parallelRanges(outer * stripes, minimum: max(1, Broadcast.grain / max(1, size * stripe))) { range in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: stripe) { sums in
        for task in range {
          let low = task % stripes * stripe, width = min(stripe, inner - low), base = task / stripes
          sums.update(repeating: 0)
          for i in 0..<size {
            let row = source + (base * size + i) * inner + low
            for j in 0..<width { sums[j] += term(Double(row[j])) }
          }
          for j in 0..<width { target[base * inner + low + j] = Float(finish(sums[j], size)) }
        }
      }
    }
    return out
  }

  @inline(__always)
  private static func extreme(
    _ source: UnsafePointer<Float>, count: Int, step: Int, _ better: (Float, Float) -> Bool
  ) -> Int {
    var place = 0, best = source[0]
    for i in 1..<max(1, count) {
      let value = source[i * step]
      if better(value, best) || (value.isNaN && !best.isNaN) { (place, best) = (i, value) }
    }
    return place
  }

  @inline(__always)
  private func extremes(
    _ dimension: Int, _ better: (Float, Float) -> Bool
  ) throws -> (values: Tensor, places: [Int]) {
    let (outer, size, inner, rest) = try split(dimension)
    guard size > 0 else {
      throw EngineError(.shape, "maximum: dimension \(dimension) of a tensor of shape \(shapeText(shape)) is empty")
    }
    let out = try Tensor(uninitialized: rest)
    var places = Array(repeating: 0, count: outer * inner)
    for i in 0..<(inner == 0 ? 0 : outer) {
      for j in 0..<inner {
        let source = pointer + i * size * inner + j
        let place = Tensor.extreme(source, count: size, step: inner, better)
        places[i * inner + j] = place
        out.mutablePointer[i * inner + j] = source[place * inner]
      }
    }
    return (out, places)
  }
}
