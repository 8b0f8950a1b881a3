/// Shapes, rows and copies. Dimensions and rows are 0-based here; a negative dimension counts from the last one.
extension Tensor {
  /// The dimension meant by `dimension`, which may be negative. Throws `.shape` when there is none.
  public func resolved(dimension: Int) throws -> Int {
    let place = dimension < 0 ? dimension + rank : dimension
    guard place >= 0, place < rank else {
      throw EngineError(.shape, "dimension \(dimension) does not exist in a tensor of shape \(shapeText(shape))")
    }
    return place
  }

  /// The same values in another shape, storage shared. One size may be -1: what is left over.
  public func reshaped(_ sizes: [Int]) throws -> Tensor {
    var target = sizes
    if let free = target.firstIndex(of: -1) {
      target[free] = 1
      let rest = try Tensor.checkedCount(target)
      guard rest > 0, count % rest == 0, !target.contains(-1) else {
        throw EngineError(.shape, "reshape: \(shapeText(shape)) does not fill \(shapeText(sizes))")
      }
      target[free] = count / rest
    }
    guard try Tensor.checkedCount(target) == count else {
      throw EngineError(
        .shape, "reshape: \(shapeText(shape)) holds \(count) values and \(shapeText(sizes)) asks for another number")
    }
    return Tensor(storage: storage, offset: offset, shape: target)
  }

  /// All dimensions in reverse order: rows become columns. A vector stays as it is.
  public func transposed() throws -> Tensor {
    try rank < 2 ? self : permuted(Array((0..<rank).reversed()))
  }

  /// Dimensions in the order given: `out.shape[i] == shape[order[i]]`. Copies.
  public func permuted(_ order: [Int]) throws -> Tensor {
    guard order.count == rank, Set(order) == Set(0..<rank) else {
      throw EngineError(
        .shape, "permute: \(shapeText(order)) is not an order of the \(rank) dimensions of \(shapeText(shape))")
    }
    let out = try Tensor(uninitialized: order.map { shape[$0] })
    guard count > 0 else { return out }
    if order == [1, 0] {
      Tensor.transpose(pointer, rows: shape[0], columns: shape[1], into: out.mutablePointer)
      return out
    }
    var strides = Array(repeating: 1, count: rank)
    for dimension in stride(from: rank - 2, through: 0, by: -1) {
      strides[dimension] = strides[dimension + 1] * shape[dimension + 1]
    }
    let sizes = out.shape, steps = order.map { strides[$0] }
    let source = pointer, target = out.mutablePointer, inner = sizes.last ?? 1, innerStep = steps.last ?? 1
    parallelRanges(count / inner, minimum: max(1, Broadcast.grain / inner)) { rows in
      for row in rows {
        var rest = row, place = 0
        for dimension in stride(from: sizes.count - 2, through: 0, by: -1) {
          place += rest % sizes[dimension] * steps[dimension]
          rest /= sizes[dimension]
        }
        for i in 0..<inner { target[row * inner + i] = source[place + i * innerStep] }
      }
    }
    return out
  }

  /// `[rows, columns]` into `[columns, rows]`, in blocks that stay in cache.
  static func transpose(
    _ source: UnsafePointer<Float>, rows: Int, columns: Int, into target: UnsafeMutablePointer<Float>
  ) {
    let block = 32
    let stripes = (columns + block - 1) / block
    parallelRanges(stripes, minimum: max(1, Broadcast.grain / max(1, rows * block))) { range in
      for stripe in range {
        let low = stripe * block, high = min(columns, low + block)
        for first in stride(from: 0, to: rows, by: block) {
          for column in low..<high {
            for row in first..<min(rows, first + block) { target[column * rows + row] = source[row * columns + column] }
          }
        }
      }
    }
  }

  /// Entry `index` of the first dimension, storage shared: `[d]` of `[rows, d]`, a scalar `[]` of a vector.
  public func row(_ index: Int) throws -> Tensor {
    guard let size = shape.first else { throw EngineError(.shape, "row: a scalar has no rows") }
    guard index >= 0, index < size else {
      throw EngineError(.shape, "row \(index) does not exist in a tensor of shape \(shapeText(shape))")
    }
    let rest = Array(shape.dropFirst())
    return Tensor(storage: storage, offset: offset + index * rest.reduce(1, *), shape: rest)
  }

  /// Rows `range` of the first dimension, storage shared: `[range.count, ...]`.
  public func rows(_ range: Range<Int>) throws -> Tensor {
    guard let size = shape.first else { throw EngineError(.shape, "rows: a scalar has no rows") }
    guard range.lowerBound >= 0, range.upperBound <= size else {
      throw EngineError(.shape, "rows \(range) do not exist in a tensor of shape \(shapeText(shape))")
    }
    let rest = Array(shape.dropFirst())
    return Tensor(
      storage: storage, offset: offset + range.lowerBound * rest.reduce(1, *), shape: [range.count] + rest)
  }

  /// Copies the rows `indices`, in that order: `[indices.count, ...]`.
  public func gathered(rows indices: [Int]) throws -> Tensor {
    guard let size = shape.first else { throw EngineError(.shape, "gather: a scalar has no rows") }
    if let wrong = indices.first(where: { $0 < 0 || $0 >= size }) {
      throw EngineError(.shape, "gather: row \(wrong) does not exist in a tensor of shape \(shapeText(shape))")
    }
    let rest = Array(shape.dropFirst()), width = rest.reduce(1, *)
    let out = try Tensor(uninitialized: [indices.count] + rest)
    for (place, index) in indices.enumerated() {
      (out.mutablePointer + place * width).update(from: pointer + index * width, count: width)
    }
    return out
  }

  /// Joins tensors along `dimension`; all other sizes must agree.
  public static func concatenated(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
    guard let first = tensors.first else { throw EngineError(.shape, "concatenate: no tensors") }
    let place = try first.resolved(dimension: dimension)
    var shape = first.shape
    shape[place] = 0
    for tensor in tensors {
      var rest = tensor.shape
      if rest.count == shape.count { rest[place] = first.shape[place] }
      guard rest == first.shape else {
        throw EngineError(
          .shape,
          "concatenate: \(shapeText(tensor.shape)) and \(shapeText(first.shape)) differ beside dimension \(place)")
      }
      shape[place] += tensor.shape[place]
    }
    let out = try Tensor(uninitialized: shape)
    guard out.count > 0 else { return out }
    let outer = shape[..<place].reduce(1, *), inner = shape[(place + 1)...].reduce(1, *)
    var start = 0
    for tensor in tensors {
      let width = tensor.shape[place] * inner
      for i in 0..<outer {
        (out.mutablePointer + i * shape[place] * inner + start).update(from: tensor.pointer + i * width, count: width)
      }
      start += width
    }
    return out
  }

  /// Tensors of one shape as the rows of a new first dimension.
  public static func stacked(_ tensors: [Tensor]) throws -> Tensor {
    try concatenated(tensors.map { try $0.reshaped([1] + $0.shape) })
  }

  /// A copy with storage of its own: what a view of a large tensor becomes before it is kept.
  public func cloned() throws -> Tensor { try Tensor(copying: pointer, shape: shape) }

  /// The one value of a tensor of one element.
  public func item() throws -> Float {
    guard count == 1 else {
      throw EngineError(.shape, "item: a tensor of shape \(shapeText(shape)) holds \(count) values, not one")
    }
    return pointer[0]
  }
}
