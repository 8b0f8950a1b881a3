import CKernels

/// Dropout of an adapter's inputs (Srivastava et al. 2014, scaled while training): which values fall out follows from
/// the seed, the module and the place alone, so that the backward pass makes the same choice again.
struct Dropout {
  let probability: Float
  /// Another one for every step.
  let seed: UInt64
  let workspace: Workspace

  /// x `[rows, inputs]` with some values zero and the others larger; nil where nothing falls out.
  func masked(_ x: UnsafePointer<Float>, rows: Int, module: LinearModule) throws -> Tensor? {
    guard probability > 0 else { return nil }
    let result = try workspace.tensor([rows, module.inputs])
    drop(x, into: result.mutablePointer, rows: rows, module: module)
    return result
  }

  func drop(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, rows: Int, module: LinearModule) {
    let stream =
      seed &* 0x9E37_79B9_7F4A_7C15
      &+ UInt64(module.layer * BlockMatrix.allCases.count + module.matrix.rawValue) << 32 &+ UInt64(module.first)
    parallelRanges(rows * module.inputs, minimum: 1 << 14) { range in
      ck_dropout(range.count, x + range.lowerBound, y + range.lowerBound, stream, UInt64(range.lowerBound), probability)
    }
  }
}
