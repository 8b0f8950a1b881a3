import CKernels

extension GGUFFile: WeightSource {
  public func shape(of name: String) -> [Int]? { tensors[name]?.shape }

  public func verify() throws { try file.verify() }
  public func releasePages() { file.releasePages() }

  public func storedRows(of name: String) -> StoredRows? {
    guard let tensor = tensors[name], let width = tensor.shape.last, let base = file.bytes.baseAddress else {
      return nil
    }
    return StoredRows(
      type: tensor.type.rawValue, base: base + tensor.range.lowerBound,
      rowBytes: width / tensor.type.block.values * tensor.type.block.bytes)
  }

  public func storage(of name: String) -> StoredForm? {
    tensors[name].map { StoredForm(type: $0.type.name, bytes: $0.range.count) }
  }

  public func read(_ name: String, rows: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
    guard let tensor = tensors[name] else { throw missing(name) }
    try check(rows, of: name, tensor.shape)
    guard !rows.isEmpty, let stored = storedRows(of: name), let width = tensor.shape.last else { return }
    let start = stored.base + rows.lowerBound * stored.rowBytes
    guard ck_dequantize(stored.type, start, rows.count * width, destination) else {
      let known = GGMLType.allCases.filter { ck_can_dequantize($0.rawValue) }.map(\.name)
      throw EngineError(
        .file, "\(path): tensor \(name) is stored as \(tensor.type.name); \(known.joined(separator: " ")) can be read")
    }
  }
}
