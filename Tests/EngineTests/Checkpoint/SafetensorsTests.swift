import Foundation
import Testing

@testable import Engine

@Suite struct SafetensorsTests {
  /// A file with `header` and `data`, opened.
  private func open(_ header: String, _ data: [UInt8] = []) throws -> SafetensorsFile {
    try Files.withFolder { folder in
      var bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
      bytes += Array(header.utf8) + data
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/x.safetensors"))
      return try SafetensorsFile(path: "\(folder)/x.safetensors")
    }
  }

  private func littleEndian<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

  @Test func everyNumberTypeIsRead() throws {
    let parts: [(String, [UInt8], [Float])] = [
      ("F64", littleEndian([0.1, -2] as [Double]), [0.1, -2]),
      ("F32", littleEndian([0.5, .infinity] as [Float]), [0.5, .infinity]),
      // Largest, smallest normal, smallest subnormal, largest subnormal, infinity, minus zero (IEEE 754 binary16).
      (
        "F16", littleEndian([0x7bff, 0x0400, 0x0001, 0x83ff, 0xfc00, 0x8000] as [UInt16]),
        [65504, 0x1p-14, 0x1p-24, -0x1.ff8p-15, -.infinity, -0.0]
      ),
      ("BF16", littleEndian([0x3f80, 0xc049, 0x0001] as [UInt16]), [1, -3.140625, 0x1p-133]),
      ("I64", littleEndian([-3, 1 << 40] as [Int64]), [-3, 0x1p40]),
      ("I32", littleEndian([-3, 7] as [Int32]), [-3, 7]),
      ("I16", littleEndian([-3, 7] as [Int16]), [-3, 7]),
      ("I8", littleEndian([-128, 7] as [Int8]), [-128, 7]),
      ("U8", [0, 255], [0, 255]),
      ("BOOL", [0, 1], [0, 1]),
    ]
    var entries: [String] = [], data: [UInt8] = []
    for (type, bytes, values) in parts {
      let offsets = "[\(data.count),\(data.count + bytes.count)]"
      entries.append("\"\(type)\":{\"dtype\":\"\(type)\",\"shape\":[\(values.count)],\"data_offsets\":\(offsets)}")
      data += bytes
    }
    let file = try open("{\(entries.joined(separator: ","))}  ", data)
    for (type, _, values) in parts {
      #expect(try file.tensor(type).values.map(\.bitPattern) == values.map(\.bitPattern), "\(type)")
    }
    #expect(try file.integers("I64") == [-3, 1 << 40])
    #expect(try file.integers("BOOL") == [0, 1])
    #expect(throws: EngineError.self) { try file.integers("F32") }
  }

  /// `TYPE SHAPE OFFSETS` of tensors a, b, ... as a header.
  private func header(_ entries: [String]) -> String {
    let members = zip(["a", "b"], entries).map { name, entry in
      let parts = entry.split(separator: " ")
      return #""\#(name)":{"dtype":"\#(parts[0])","shape":\#(parts[1]),"data_offsets":\#(parts[2])}"#
    }
    return "{\(members.joined(separator: ","))}"
  }

  @Test(arguments: [
    (["F32 [2] [0,4]"], "needs 8 bytes"), (["F32 [4] [0,16]"], "outside the file"), (["F32 [1] [4,8]"], "gap"),
    (["F32 [1] [0,4]"], "belong to none"), (["U8 [8] [0,8]", "U8 [4] [4,8]"], "overlaps"),
    (["F4 [2] [0,8]"], "F4"), (["F32 [-2] [0,8]"], "dimension of -2"), (["F32 [1e30] [0,8]"], "dimension of 1e+30"),
    (["F32 [1099511627775,1099511627775,8] [0,8]"], "impossible"), (["F32 {} [0,8]"], "no usable shape"),
    (["F32 [2] [8,0]"], "outside the file"), (["F32 [2] [0,1e9]"], "outside the file"),
  ]) func damagedHeadersAreRefused(entries: [String], message: String) {
    let error = #expect(throws: EngineError.self) { try open(header(entries), Array(repeating: 0, count: 8)) }
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("x.safetensors") == true)
  }

  @Test func headersThatAreNoObjectsAreRefused() {
    #expect(throws: EngineError.self) { try open("[]") }
    #expect(throws: EngineError.self) { try open("{\"a\":") }
    let entry = #""a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#
    let error = #expect(throws: EngineError.self) { try open("{\(entry),\(entry)}") }
    #expect(error?.message.contains("twice") == true)
  }

  @Test func aHugeHeaderLengthIsRefused() throws {
    try Files.withFolder { folder in
      try Data(Array(repeating: 0xff, count: 64)).write(to: URL(fileURLWithPath: "\(folder)/x"))
      #expect(throws: EngineError.self) { try SafetensorsFile(path: "\(folder)/x") }
    }
  }

  @Test func aModelFolderIsRead() throws {
    guard let path = Files.fixture("tiny/llama"), let expected = Files.fixture("tiny/llama/expected.safetensors")
    else { return }
    let folder = try HuggingFaceFolder(path: path)
    #expect(try folder.configuration.int("num_hidden_layers") == 4)
    #expect(try folder.configuration.double("rope_theta") == 10000)
    #expect(try folder.configuration.object(ifPresent: "rope_scaling") == nil)  // null
    #expect(try folder.configuration.string("model_type") == "llama")
    #expect(folder.shape(of: "model.embed_tokens.weight") == [320, 64])
    #expect(try folder.tensor("model.norm.weight").count == 64)
    let golden = try SafetensorsFile(path: expected)
    #expect(try golden.integers("input_ids").count == 48)
    let error = #expect(throws: EngineError.self) { try folder.configuration.int("num_hiden_layers") }
    #expect(error?.message.contains("num_hidden_layers") == true)
  }

  @Test func settingsOfTheWrongKindAreRefusedWithoutATrap() throws {
    let text = #"{"a": 1e12, "b": 1e300, "c": 99999999999999999999, "d": [1, 2.5], "e": 3.0, "f": {"g": "x"}}"#
    let keys = try ConfigurationFile(JSONValue(parsing: text), source: "config.json")
    #expect(try keys.int("a") == 1_000_000_000_000)
    #expect(try keys.int("e") == 3)
    for key in ["b", "c", "d", "f"] {
      let error = #expect(throws: EngineError.self) { try keys.int(key) }
      #expect(error?.message.contains("config.json: \(key) is ") == true)
    }
    #expect(try keys.double("c") == 1e20)
    #expect(try keys.floats("d") == [1, 2.5])
    let error = #expect(throws: EngineError.self) { try keys.object(ifPresent: "f")?.int("g") }
    #expect(error?.message.contains("config.json: f: g is \"x\"") == true)
  }
}
