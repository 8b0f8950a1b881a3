import CKernels

/// A plain number type of safetensors and NumPy files. Raw values are safetensors' names.
public enum ScalarType: String, Sendable, CaseIterable {
  case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16"
  case i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8"
  case u64 = "U64", u32 = "U32", u16 = "U16", u8 = "U8", bool = "BOOL"

  /// Bytes of one value.
  public var size: Int {
    switch self {
    case .f64, .i64, .u64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16, .u16: 2
    case .i8, .u8, .bool: 1
    }
  }

  public var isInteger: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: false
    default: true
    }
  }

  /// `count` little-endian values at `source`, of any alignment, rounded to float32.
  func floats(_ source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>) {
    switch self {
    case .f32: _ = ck_dequantize(UInt32(CK_TYPE_F32), source, count, destination)
    case .f16: _ = ck_dequantize(UInt32(CK_TYPE_F16), source, count, destination)
    case .bf16: _ = ck_dequantize(UInt32(CK_TYPE_BF16), source, count, destination)
    case .f64: each(source, count, UInt64.self) { destination[$0] = Float(Double(bitPattern: $1)) }
    case .i64: each(source, count, Int64.self) { destination[$0] = Float($1) }
    case .i32: each(source, count, Int32.self) { destination[$0] = Float($1) }
    case .i16: each(source, count, Int16.self) { destination[$0] = Float($1) }
    case .i8: each(source, count, Int8.self) { destination[$0] = Float($1) }
    case .u64: each(source, count, UInt64.self) { destination[$0] = Float($1) }
    case .u32: each(source, count, UInt32.self) { destination[$0] = Float($1) }
    case .u16: each(source, count, UInt16.self) { destination[$0] = Float($1) }
    case .u8: each(source, count, UInt8.self) { destination[$0] = Float($1) }
    case .bool: each(source, count, UInt8.self) { destination[$0] = $1 == 0 ? 0 : 1 }
    }
  }

  /// `count` values at `source` as integers; nil for a float type or a value beyond `Int`.
  func integers(_ source: UnsafeRawPointer, count: Int) -> [Int]? {
    guard isInteger else { return nil }
    var fits = true
    let values = [Int](unsafeUninitializedCapacity: count) { values, filled in
      filled = count
      switch self {
      case .i64: each(source, count, Int64.self) { values[$0] = Int($1) }
      case .i32: each(source, count, Int32.self) { values[$0] = Int($1) }
      case .i16: each(source, count, Int16.self) { values[$0] = Int($1) }
      case .i8: each(source, count, Int8.self) { values[$0] = Int($1) }
      case .u64:
        each(source, count, UInt64.self) {
          values[$0] = Int(truncatingIfNeeded: $1)
          if $1 > UInt64(Int.max) { fits = false }
        }
      case .u32: each(source, count, UInt32.self) { values[$0] = Int($1) }
      case .u16: each(source, count, UInt16.self) { values[$0] = Int($1) }
      default: each(source, count, UInt8.self) { values[$0] = Int($1) }
      }
    }
    return fits ? values : nil
  }

  @inline(__always)
  private func each<Stored: FixedWidthInteger>(
    _ source: UnsafeRawPointer, _ count: Int, _ stored: Stored.Type, _ body: (Int, Stored) -> Void
  ) {
    for index in 0..<count {
      body(
        index,
        Stored(littleEndian: source.loadUnaligned(fromByteOffset: index * MemoryLayout<Stored>.size, as: Stored.self)))
    }
  }
}
