/// The matrices of a block as the decoder multiplies by them: weights that read the same rows form one.
enum BlockMatrix: Int, CaseIterable, Sendable {
  /// `[(heads + 2 kvHeads) * dHead, dModel]`: queries, keys, values.
  case queryKeyValue
  /// `[dModel, heads * dHead]`.
  case output
  /// `[2 dMLP, dModel]`: gate, up; or `[dMLP, dModel]`: up alone.
  case gateUp
  /// `[dModel, dMLP]`.
  case down

  /// The weights it is made of, from top to bottom.
  func parts(_ c: ModelConfiguration) -> [MatrixPart] {
    switch self {
    case .queryKeyValue:
      [
        MatrixPart(role: .query, rows: c.headCount * c.dHead, headSize: c.dHead),
        MatrixPart(role: .key, rows: c.kvHeadCount * c.dHead, headSize: c.dHead),
        MatrixPart(role: .value, rows: c.kvHeadCount * c.dHead, headSize: c.dHead),
      ]
    case .output: [MatrixPart(role: .output, rows: c.dModel)]
    case .gateUp:
      (c.isGated ? [MatrixPart(role: .gate, rows: c.dMLP)] : []) + [MatrixPart(role: .up, rows: c.dMLP)]
    case .down: [MatrixPart(role: .down, rows: c.dModel)]
    }
  }

  func inputs(_ c: ModelConfiguration) -> Int {
    switch self {
    case .queryKeyValue, .gateUp: c.dModel
    case .output: c.headCount * c.dHead
    case .down: c.dMLP
    }
  }

  func outputs(_ c: ModelConfiguration) -> Int { parts(c).reduce(0) { $0 + $1.rows } }
}
