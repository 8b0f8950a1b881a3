/// A checkpoint's tensors in memory, float32, as parameters that an optimiser may change.
final class MemoryWeights: WeightSource, @unchecked Sendable {
  let path: String
  let names: [String]
  private let tensors: [String: Parameter]

  init(path: String, _ parameters: [Parameter]) {
    self.path = path
    names = parameters.map(\.name)
    tensors = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0) })
  }

  var parameters: [Parameter] { names.compactMap { tensors[$0] } }

  func shape(of name: String) -> [Int]? { tensors[name]?.value.shape }

  func storage(of name: String) -> StoredForm? {
    tensors[name].map { StoredForm(type: "F32", bytes: $0.value.count * 4) }
  }

  func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let tensor = tensors[name]?.value else { throw missing(name) }
    try check(rows, of: name, tensor.shape)
    let width = tensor.shape.last ?? 1
    destination.update(from: tensor.pointer + rows.lowerBound * width, count: rows.count * width)
  }
}
