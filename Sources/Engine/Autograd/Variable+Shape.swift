/// Shapes, parts and joins. Dimensions and places are 0-based.
extension Variable {
  /// The same values in another shape.
  public func reshaped(_ sizes: [Int]) throws -> Variable {
    let before = shape
    return try tape.record(value.reshaped(sizes), inputs: [self]) { gradients in
      try gradients.add(gradients.upstream.reshaped(before), to: 0)
    }
  }

  /// The same values with memory of their own.
  public func cloned() throws -> Variable {
    try tape.record(value.cloned(), inputs: [self]) { try $0.add($0.upstream, to: 0) }
  }

  /// The dimensions in reverse order.
  public func transposed() throws -> Variable {
    try tape.record(value.transposed(), inputs: [self]) { gradients in
      try gradients.add(gradients.upstream.transposed(), to: 0)
    }
  }

  /// Dimensions in the order given: `out.shape[i] == shape[order[i]]`.
  public func permuted(_ order: [Int]) throws -> Variable {
    let out = try value.permuted(order)
    var inverse = order
    for (place, dimension) in order.enumerated() { inverse[dimension] = place }
    return try tape.record(out, inputs: [self]) { [inverse] gradients in
      try gradients.add(gradients.upstream.permuted(inverse), to: 0)
    }
  }

  /// Rows of the first dimension, values shared.
  public func rows(_ range: Range<Int>) throws -> Variable {
    let before = shape, out = try value.rows(range)
    return try tape.record(out, inputs: [self]) { gradients in
      let upstream = gradients.upstream, start = range.lowerBound * before.dropFirst().reduce(1, *)
      let source = upstream.pointer
      try gradients.accumulate(into: 0, shape: before) { target, beta in
        if beta == 0 { target.update(repeating: 0, count: before.reduce(1, *)) }
        for i in 0..<upstream.count { target[start + i] += source[i] }
      }
    }
  }

  /// Entries `range` of a dimension, which stays.
  public func sliced(dimension: Int, _ range: Range<Int>) throws -> Variable {
    if dimension == 0 { return try rows(range) }
    return try gathered(dimension: dimension, Array(range))
  }

  /// Entries `places` of a dimension in that order, repeats allowed; the dimension stays. Throws `.shape` for a place
  /// outside.
  public func gathered(dimension: Int, _ places: [Int]) throws -> Variable {
    let before = shape
    guard let size = before.indices.contains(dimension) ? before[dimension] : nil,
      places.allSatisfy({ $0 >= 0 && $0 < size })
    else { throw EngineError(.shape, "gather: a place is outside dimension \(dimension) of \(shapeText(before))") }
    let outer = before[..<dimension].reduce(1, *), inner = before[(dimension + 1)...].reduce(1, *)
    let out = try Tensor(uninitialized: before[..<dimension] + [places.count] + before[(dimension + 1)...])
    let source = value.pointer, target = out.mutablePointer
    parallelRanges(outer * places.count, minimum: max(1, Broadcast.grain / max(1, inner))) { range in
      for row in range {
        let place = row / places.count * size + places[row % places.count]
        (target + row * inner).update(from: source + place * inner, count: inner)
      }
    }
    return try tape.record(out, inputs: [self]) { gradients in
      let upstream = gradients.upstream.pointer
      try gradients.accumulate(into: 0, shape: before) { target, beta in
        if beta == 0 { target.update(repeating: 0, count: before.reduce(1, *)) }
        for row in 0..<(outer * places.count) {
          let into = target + (row / places.count * size + places[row % places.count]) * inner
          let from = upstream + row * inner
          for i in 0..<inner { into[i] += from[i] }
        }
      }
    }
  }

  /// The values at flat places `places`, in any shape; repeats allowed.
  public func picked(_ places: [Int], shape: [Int]) throws -> Variable {
    let before = self.shape, out = try Tensor(uninitialized: shape)
    for (i, place) in places.enumerated() { out.mutablePointer[i] = value.pointer[place] }
    return try tape.record(out, inputs: [self]) { gradients in
      let upstream = gradients.upstream.pointer
      try gradients.accumulate(into: 0, shape: before) { target, beta in
        if beta == 0 { target.update(repeating: 0, count: before.reduce(1, *)) }
        for (i, place) in places.enumerated() { target[place] += upstream[i] }
      }
    }
  }

  /// One value of each row of the last dimension: `[..., n]` and as many places as there are rows give `[...]`.
  /// Throws `.shape` where the numbers differ or a place is outside.
  public func picked(_ places: [Int]) throws -> Variable {
    guard let width = shape.last, width > 0, places.count == value.count / width else {
      throw EngineError(
        .shape,
        "pick: \(places.count) places for the \(value.count / max(1, shape.last ?? 1)) rows of "
          + "\(shapeText(shape)); one for each")
    }
    if let wrong = places.first(where: { $0 < 0 || $0 >= width }) {
      throw EngineError(.shape, "pick: place \(wrong) is outside the last dimension of \(shapeText(shape))")
    }
    return try picked(places.enumerated().map { $0 * width + $1 }, shape: Array(shape.dropLast()))
  }

  /// Entries (i, i + offset) of the last two dimensions, as a new last one. Throws `.shape` below rank 2.
  public func diagonal(offset: Int = 0) throws -> Variable {
    guard value.rank >= 2 else { throw EngineError(.shape, "diagonal: \(shapeText(shape)) is not a matrix") }
    let rows = shape[value.rank - 2], columns = shape[value.rank - 1]
    let isInside = offset > -rows && offset < columns
    let first = isInside ? max(0, -offset) : 0, count = isInside ? min(rows, columns - offset) - first : 0
    let matrices = rows * columns == 0 ? 0 : value.count / (rows * columns)
    var places: [Int] = []
    places.reserveCapacity(matrices * count)
    for matrix in 0..<matrices {
      for i in 0..<count { places.append(matrix * rows * columns + (first + i) * columns + first + i + offset) }
    }
    return try picked(places, shape: shape.dropLast(2) + [count])
  }

  /// Joins along a dimension; all other sizes must agree. Throws `.shape` otherwise.
  public static func concatenated(_ variables: [Variable], dimension: Int = 0) throws -> Variable {
    let out = try Tensor.concatenated(variables.map(\.value), dimension: dimension)
    let place = try out.resolved(dimension: dimension), sizes = variables.map { $0.shape[place] }
    return try variables[0].tape.record(out, inputs: variables) { gradients in
      let upstream = Tape().constant(gradients.upstream)
      var start = 0
      for (input, size) in sizes.enumerated() {
        if gradients.isWanted(input) {
          try gradients.add(upstream.sliced(dimension: place, start..<start + size).value, to: input)
        }
        start += size
      }
    }
  }

  /// Values of one shape as the entries of a new dimension, the first unless given.
  public static func stacked(_ variables: [Variable], dimension: Int = 0) throws -> Variable {
    try concatenated(
      variables.map { variable in
        var shape = variable.shape
        guard dimension >= 0, dimension <= shape.count else {
          throw EngineError(.shape, "stack: dimension \(dimension) does not exist among \(shape.count + 1)")
        }
        shape.insert(1, at: dimension)
        return try variable.reshaped(shape)
      }, dimension: dimension)
  }

  /// The k largest values of the last dimension where they stand, 0 elsewhere (first of equals; NaN counts as smallest).
  public func keepingLargest(_ k: Int) throws -> Variable {
    let places = try value.topk(k).indices, width = value.lastDimension
    let mask = try Tensor.zeros(shape)
    for (i, place) in places.enumerated() { mask.mutablePointer[i / k * width + place] = 1 }
    return try .choosing(mask, self, tape.constant(.number(0)))
  }
}
