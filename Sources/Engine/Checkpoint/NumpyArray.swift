/// The `.npy` format. Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
enum NumpyArray {
  /// Reads an array of numbers or booleans as float32, Fortran order too. `source` names the file in errors.
  static func read(_ bytes: UnsafeRawBufferPointer, source: String) throws -> Tensor {
    guard bytes.count >= 10, bytes.prefix(6).elementsEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]) else {
      throw EngineError(.file, "\(source) is not a NumPy array: it does not start with \\x93NUMPY")
    }
    let wide = bytes[6] >= 2
    guard (1...3).contains(bytes[6]), bytes.count >= (wide ? 12 : 10) else {
      throw EngineError(.file, "\(source): NumPy format version \(bytes[6]) cannot be read, or the file is cut short")
    }
    let start = wide ? 12 : 10
    let length =
      wide
      ? Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
      : Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
    guard length <= 1 << 20, length <= bytes.count - start else {
      throw EngineError(.file, "\(source) is damaged or cut short: its header would take \(length) bytes")
    }
    let text = String(decoding: bytes[start..<start + length], as: UTF8.self)
    let header = try NumpyHeader(text, source: source)
    let count = try Tensor.checkedCount(header.shape), data = bytes.count - start - length
    guard count <= data / header.type.size else {
      throw EngineError(
        .file,
        "\(source) is cut short: \(shapeText(header.shape)) needs \(count) values of \(header.type.size) bytes, "
          + "\(data) bytes follow")
    }
    let tensor = try Tensor(uninitialized: header.shape)
    if let base = bytes.baseAddress, count > 0 {
      header.type.floats(base + start + length, count: count, into: tensor.mutablePointer)
    }
    return header.isFortran && header.shape.count > 1 ? try fromColumns(tensor) : tensor
  }

  /// The row-major tensor whose values stand in `stored` with the first dimension fastest.
  private static func fromColumns(_ stored: Tensor) throws -> Tensor {
    let result = try Tensor(uninitialized: stored.shape), shape = stored.shape
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in 1..<shape.count { strides[axis] = strides[axis - 1] * shape[axis - 1] }
    var index = [Int](repeating: 0, count: shape.count), from = 0
    for place in 0..<stored.count {
      result.mutablePointer[place] = stored.pointer[from]
      var axis = shape.count - 1
      while axis >= 0 {
        index[axis] += 1
        from += strides[axis]
        if index[axis] < shape[axis] { break }
        from -= strides[axis] * shape[axis]
        index[axis] = 0
        axis -= 1
      }
    }
    return result
  }

  /// Header (version 1.0) and data of a tensor as little-endian float32.
  static func header(_ tensor: Tensor) -> [UInt8] {
    let sizes = tensor.shape.map(String.init).joined(separator: ", ") + (tensor.rank == 1 ? "," : "")
    var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }"
    text += String(repeating: " ", count: 63 - (10 + text.utf8.count) % 64) + "\n"
    let length = UInt16(text.utf8.count)
    return [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, UInt8(length & 255), UInt8(length >> 8)] + Array(text.utf8)
  }
}

/// The header of an array: a Python dictionary with `descr`, `fortran_order` and `shape`.
struct NumpyHeader {
  let type: ScalarType
  let isFortran: Bool
  let shape: [Int]

  init(_ text: String, source: String) throws {
    let fault = { (what: String) in EngineError(.file, "\(source) is not a usable NumPy array: \(what)") }
    guard let description = NumpyHeader.value(of: "descr", in: text), description.hasPrefix("'") else {
      throw fault("its header has no simple descr (records and objects cannot be read)")
    }
    let code = description.dropFirst().prefix { $0 != "'" }
    guard let type = NumpyHeader.types[String(code.drop { "<|=".contains($0) })] else {
      throw fault("its type '\(code.prefix(20))' cannot be read; little-endian floats, integers and booleans can")
    }
    guard let order = NumpyHeader.value(of: "fortran_order", in: text),
      order.hasPrefix("True") || order.hasPrefix("False")
    else { throw fault("its header has no fortran_order") }
    guard let tuple = NumpyHeader.value(of: "shape", in: text), tuple.hasPrefix("("),
      let end = tuple.firstIndex(of: ")")
    else { throw fault("its header has no shape") }
    let parts = tuple[..<end].dropFirst().split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
    let sizes = parts.compactMap { Int($0) }
    guard sizes.count == parts.count, sizes.count <= 32, sizes.allSatisfy({ $0 >= 0 }) else {
      throw fault("its shape \(tuple.prefix(60)) makes no sense")
    }
    (self.type, isFortran, shape) = (type, order.hasPrefix("True"), sizes)
  }

  /// What follows `'key':`, leading spaces dropped.
  private static func value(of key: String, in text: String) -> Substring? {
    guard let place = text.firstRange(of: "'\(key)'") else { return nil }
    let rest = text[place.upperBound...].drop { $0 == " " }
    return rest.first == ":" ? rest.dropFirst().drop { $0 == " " } : nil
  }

  private static let types: [String: ScalarType] = [
    "f8": .f64, "f4": .f32, "f2": .f16, "i8": .i64, "i4": .i32, "i2": .i16, "i1": .i8, "u8": .u64, "u4": .u32,
    "u2": .u16,
    "u1": .u8, "b1": .bool,
  ]
}
