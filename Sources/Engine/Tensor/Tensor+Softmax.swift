import Foundation

/// Softmax and largest entries.
extension Tensor {
  /// `exp(x) / sum exp(x)` along `dimension`, shifted by the largest entry so that nothing overflows. A row with a NaN,
  /// or without a finite largest entry, becomes NaN, as in NumPy.
  public func softmax(dimension: Int = -1) throws -> Tensor {
    let place = try resolved(dimension: dimension)
    guard place == rank - 1 else {
      var order = Array(0..<rank)
      order.swapAt(place, rank - 1)
      return try permuted(order).softmax().permuted(order)
    }
    let out = try Tensor(uninitialized: shape)
    let width = shape[place], source = pointer, target = out.mutablePointer
    guard width > 0 else { return out }
    parallelRanges(count / width, minimum: max(1, 8192 / width)) { rows in
      for row in rows {
        let x = source + row * width, y = target + row * width
        var largest = x[0]
        for i in 1..<max(1, width) where x[i] > largest || x[i].isNaN { largest = x[i] }
        var sum = 0.0
        for i in 0..<width {
          y[i] = expf(x[i] - largest)
          sum += Double(y[i])
        }
        let scale = Float(1 / sum)
        for i in 0..<width { y[i] *= scale }
      }
    }
    return out
  }

  /// The `k` largest entries of the last dimension, largest first: values `[..., k]` and their 0-based places in the
  /// same order. Equal entries come in order of place; NaN counts as smaller than everything.
  /// Throws `.argument` when k is not between 1 and that dimension.
  public func topk(_ k: Int) throws -> (values: Tensor, indices: [Int]) {
    guard let width = shape.last else { throw EngineError(.shape, "topk: a scalar has no entries to rank") }
    guard k >= 1, k <= width else {
      throw EngineError(.argument, "topk: k = \(k) is not between 1 and \(width), the last size of \(shapeText(shape))")
    }
    let out = try Tensor(uninitialized: shape.dropLast() + [k])
    var indices: [Int] = []
    indices.reserveCapacity(out.count)
    for row in 0..<(count / width) {
      let places = Tensor.largest(k, of: pointer + row * width, count: width)
      for (rank, place) in places.enumerated() { out.mutablePointer[row * k + rank] = pointer[row * width + place] }
      indices += places
    }
    return (out, indices)
  }

  private static func largest(_ k: Int, of x: UnsafePointer<Float>, count: Int) -> [Int] {
    func before(_ i: Int, _ j: Int) -> Bool {
      let (a, b) = (x[i], x[j])
      if a.isNaN || b.isNaN { return a.isNaN == b.isNaN ? i < j : b.isNaN }
      return a == b ? i < j : a > b
    }
    if k > count / 16 { return Array((0..<count).sorted(by: before).prefix(k)) }
    // A short sorted list: on average only k ln(count / k) entries enter it.
    var best: [Int] = []
    best.reserveCapacity(k + 1)
    for i in 0..<count {
      if best.count == k, !before(i, best[k - 1]) { continue }
      var low = 0, high = best.count
      while low < high {
        let middle = (low + high) / 2
        if before(i, best[middle]) { high = middle } else { low = middle + 1 }
      }
      best.insert(i, at: low)
      if best.count > k { best.removeLast() }
    }
    return best
  }
}
