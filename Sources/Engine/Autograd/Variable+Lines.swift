import Foundation

/// Statistics and order of the lines of one dimension. Each moves the dimension last, so that a line lies in memory
/// without gaps, and moves it back where it stays.
extension Variable {
  /// The dimension moved last, the others in their order.
  private func movedLast(_ dimension: Int) throws -> Variable {
    let last = value.rank - 1
    guard dimension != last else { return self }
    return try permuted((0...last).filter { $0 != dimension } + [dimension])
  }

  /// The last dimension moved to `dimension`.
  private func movedBack(_ dimension: Int) throws -> Variable {
    let last = value.rank - 1
    guard dimension != last else { return self }
    var order = Array(0..<last)
    order.insert(last, at: dimension)
    return try permuted(order)
  }

  /// `body(line, length, line number)` of each line of the last dimension, in parallel.
  private func eachLine(_ body: (UnsafePointer<Float>, Int, Int) -> Void) {
    let width = value.lastDimension, source = value.pointer
    guard width > 0 else { return }
    parallelRanges(value.count / width, minimum: max(1, 8192 / width)) { range in
      for line in range { body(source + line * width, width, line) }
    }
  }

  private func requireEntries(_ operation: String, _ dimension: Int, atLeast count: Int = 1) throws {
    guard shape[dimension] < count else { return }
    throw EngineError(
      .shape,
      "\(operation): dimension \(dimension + 1) of \(shapeText(shape)) has \(shape[dimension]) entries, at least "
        + "\(count) are needed")
  }

  /// Variances along a dimension with the divisor `n - correction`, in Double. Throws `.shape` where that is not
  /// positive.
  public func variance(dimension: Int, correction: Int = 1) throws -> Variable {
    try spread(dimension: dimension, correction: correction, isRoot: false)
  }

  /// Standard deviations along a dimension with the divisor `n - correction`; the gradient of a deviation of 0 is 0.
  public func standardDeviation(dimension: Int, correction: Int = 1) throws -> Variable {
    try spread(dimension: dimension, correction: correction, isRoot: true)
  }

  private func spread(dimension: Int, correction: Int, isRoot: Bool) throws -> Variable {
    try requireEntries(isRoot ? "std" : "var", dimension, atLeast: max(1, correction + 1))
    let lines = try movedLast(dimension), x = lines.value, width = x.lastDimension
    let out = try Tensor(uninitialized: Array(x.shape.dropLast())), target = out.mutablePointer
    let averages = try Tensor(uninitialized: out.shape), means = averages.mutablePointer
    let divisor = Double(width - correction)
    lines.eachLine { line, width, place in
      var sum = 0.0, squares = 0.0
      for i in 0..<width { sum += Double(line[i]) }
      let mean = sum / Double(width)
      for i in 0..<width { squares += (Double(line[i]) - mean) * (Double(line[i]) - mean) }
      means[place] = Float(mean)
      target[place] = Float(isRoot ? (squares / divisor).squareRoot() : squares / divisor)
    }
    return try lines.tape.record(out, inputs: [lines]) { gradients in
      let dx = try Tensor(uninitialized: x.shape), upstream = gradients.upstream.pointer
      for line in 0..<out.count {
        let deviation = out.pointer[line], mean = averages.pointer[line]
        let slope = isRoot ? (deviation == 0 ? 0 : 1 / deviation) : 2
        let factor = upstream[line] * slope / Float(divisor)
        for i in line * width..<(line + 1) * width { dx.mutablePointer[i] = factor * (x.pointer[i] - mean) }
      }
      try gradients.add(dx, to: 0)
    }
  }

  /// log sum exp(x) along a dimension, shifted by the largest entry so that nothing overflows.
  public func logSumExp(dimension: Int) throws -> Variable {
    try requireEntries("logsumexp", dimension)
    let lines = try movedLast(dimension), x = lines.value, width = x.lastDimension
    let out = try Tensor(uninitialized: Array(x.shape.dropLast())), target = out.mutablePointer
    lines.eachLine { line, width, place in
      var largest = line[0]
      for i in 0..<width where line[i] > largest || line[i].isNaN { largest = line[i] }
      guard largest.isFinite else { return target[place] = largest }
      var sum = 0.0
      for i in 0..<width { sum += Double(expf(line[i] - largest)) }
      target[place] = largest + Float(Foundation.log(sum))
    }
    return try lines.tape.record(out, inputs: [lines]) { gradients in
      let dx = try Tensor(uninitialized: x.shape), slopes = dx.mutablePointer, source = x.pointer
      let (sums, upstream) = (out.pointer, gradients.upstream.pointer)
      parallelRanges(out.count, minimum: max(1, 8192 / width)) { range in
        for line in range {
          for i in line * width..<(line + 1) * width {
            slopes[i] = sums[line] == -.infinity ? 0 : upstream[line] * expf(source[i] - sums[line])
          }
        }
      }
      try gradients.add(dx, to: 0)
    }
  }

  /// Running sums along a dimension, in Double.
  public func cumulativeSum(dimension: Int) throws -> Variable {
    let lines = try movedLast(dimension), out = try Tensor(uninitialized: lines.shape), target = out.mutablePointer
    lines.eachLine { line, width, place in
      var sum = 0.0
      for i in 0..<width {
        sum += Double(line[i])
        target[place * width + i] = Float(sum)
      }
    }
    return try lines.tape.record(out, inputs: [lines]) { gradients in
      let dx = try Tensor(uninitialized: out.shape), upstream = gradients.upstream.pointer, width = out.lastDimension
      for line in 0..<(width == 0 ? 0 : out.count / width) {
        var sum = 0.0
        for i in (line * width..<(line + 1) * width).reversed() {
          sum += Double(upstream[i])
          dx.mutablePointer[i] = Float(sum)
        }
      }
      try gradients.add(dx, to: 0)
    }.movedBack(dimension)
  }

  /// The values of each line of a dimension in order, equals in order of place, NaN as the largest; and the places they
  /// came from, 0-based, in a tensor of the same shape.
  public func sorted(dimension: Int, descending: Bool = false) throws -> (values: Variable, places: Tensor) {
    let lines = try movedLast(dimension), width = lines.value.lastDimension
    let places = lines.order(descending: descending)
    let flat = places.enumerated().map { $0 / max(1, width) * width + $1 }
    let values = try lines.picked(flat, shape: lines.shape).movedBack(dimension)
    let table = try Tensor(places.map(Float.init), shape: lines.shape)
    return (values, try Tape().constant(table).movedBack(dimension).value)
  }

  /// The order of the entries of each line of the last dimension.
  private func order(descending: Bool) -> [Int] {
    var places = Array(repeating: 0, count: value.count)
    places.withUnsafeMutableBufferPointer { target in
      nonisolated(unsafe) let target = target
      eachLine { line, width, number in
        func before(_ i: Int, _ j: Int) -> Bool {
          let (a, b) = (line[i], line[j])
          if a.isNaN || b.isNaN { return a.isNaN == b.isNaN ? i < j : b.isNaN != descending }
          return a == b ? i < j : (a < b) != descending
        }
        for (rank, place) in (0..<width).sorted(by: before).enumerated() { target[number * width + rank] = place }
      }
    }
    return places
  }

  /// The `q` quantile, 0 to 1, along a dimension, linear between neighbours (NumPy's and PyTorch's default); NaN where
  /// a line has one.
  public func quantile(_ q: Double, dimension: Int) throws -> Variable {
    try requireEntries("quantile", dimension)
    let lines = try movedLast(dimension), width = lines.value.lastDimension
    let places = lines.order(descending: false), position = q * Double(width - 1)
    let low = Int(position.rounded(.down)), share = Float(position - position.rounded(.down))
    let rest = Array(lines.shape.dropLast())
    func entries(_ rank: Int) throws -> Variable {
      let flat = (0..<lines.value.count / width).map { line -> Int in
        let base = line * width, last = base + places[base + width - 1]
        return lines.value.pointer[last].isNaN ? last : base + places[base + rank]
      }
      return try lines.picked(flat, shape: rest)
    }
    let below = try entries(low)
    guard share > 0, low + 1 < width else { return below }
    return try below.scaled(by: 1 - share) + entries(low + 1).scaled(by: share)
  }
}
