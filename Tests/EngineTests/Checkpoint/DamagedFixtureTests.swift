import Foundation
import Testing

@testable import Engine

/// Every checkpoint file of the fixtures, damaged at random with a fixed seed: it is read, or refused by an
/// `EngineError`.
@Suite(.serialized) struct DamagedFixtureTests {
  /// Checkpoint files below `fixtures`, sorted, without the tokenizers' own.
  private func fixtures(_ matches: (String) -> Bool) -> [String] {
    guard let root = Files.fixture("gguf").map({ ($0 as NSString).deletingLastPathComponent }) else { return [] }
    let all = FileManager.default.subpaths(atPath: root) ?? []
    return all.filter { !$0.hasPrefix("tokenizers") && matches($0) }.sorted().map { "\(root)/\($0)" }
  }

  /// Reads everything a weights file offers.
  private func readAll(_ path: String) throws {
    let source: any WeightSource = path.hasSuffix("gguf") ? try GGUFFile(path: path) : try SafetensorsFile(path: path)
    if let file = source as? GGUFFile {
      for value in file.metadata.values {
        if case .strings(let list) = value { _ = list.reduce(0) { $0 + $1.count } }
        if case .numbers(let list) = value { _ = (list.integers, list.floats) }
      }
    }
    for name in source.names {
      do { _ = try source.tensor(name).values.last } catch let error as EngineError {
        guard error.message.contains("can be read") else { throw error }
      }
    }
  }

  /// Bytes of the header, where damage tells: a change of weights is just another weight.
  private func headerLength(_ bytes: [UInt8]) -> Int {
    guard !bytes.starts(with: Array("GGUF".utf8)) else { return 1200 }
    return 8 + bytes.withUnsafeBytes { Int($0.loadUnaligned(as: UInt32.self).littleEndian) }
  }

  @Test(.timeLimit(.minutes(5))) func damagedWeightFilesAreReadOrRefused() throws {
    let paths = fixtures { $0.hasSuffix(".safetensors") || $0.hasSuffix(".gguf") }
    let start = ContinuousClock.now
    for (number, path) in paths.enumerated() {
      let name = (path as NSString).lastPathComponent
      let original = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
      let header = headerLength(original), rounds = original.count < 200_000 ? 300 : 150
      try Files.withFolder { folder in
        let copy = "\(folder)/\(name)"
        try Data(original).write(to: URL(fileURLWithPath: copy))
        try readAll(copy)
        let descriptor = open(copy, O_RDWR)
        defer { close(descriptor) }
        var random = SeededRandom(state: UInt64(number)), refused = 0
        for round in 0..<rounds {
          if round % 6 == 0 {  // cut off anywhere, most of all in the header
            let end = Int.random(in: 0..<(round % 12 == 0 ? header : original.count), using: &random)
            ftruncate(descriptor, end)
          } else {
            var bytes = Array(original[..<header])
            for _ in 0...Int.random(in: 0..<3, using: &random) { damage(&bytes, &random) }
            pwrite(descriptor, bytes, header, 0)
          }
          do { try readAll(copy) } catch let error as EngineError {
            refused += 1
            #expect(error.message.contains(name), "\(path), round \(round): \(error.message)")
          }
          if round % 6 == 0 {
            pwrite(descriptor, original, original.count, 0)
          } else {
            pwrite(descriptor, original, header, 0)
          }
        }
        #expect(refused > rounds / 3, "\(path)")
        print("\(path.split(separator: "/").suffix(2).joined(separator: "/"))  \(refused) of \(rounds) refused")
      }
    }
    print("\(paths.count) files in \(ContinuousClock.now - start)")
    #expect(paths.isEmpty || paths.count >= 20)
  }

  /// One fault that keeps the length: a bit, a byte, a hostile number in either notation, a shifted or doubled stretch.
  private func damage(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
    let place = Int.random(in: 0..<bytes.count, using: &random)
    func write(_ values: [UInt8]) {
      for (index, byte) in values.enumerated() where place + index < bytes.count { bytes[place + index] = byte }
    }
    switch Int.random(in: 0..<6, using: &random) {
    case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 2:
      let hostile: [UInt64] = [.max, 1 << 63, 1 << 62, 1 << 48, 1 << 40, 1 << 32, 0xffff_ffff, 0x7fff_ffff, 0]
      write(GGUFBuilder.number(hostile[Int.random(in: 0..<hostile.count, using: &random)]))
    case 3:
      let texts = ["99999999", "-1", "1e30", "NaN", "[[[[[[", "}}", "\"\\u", "null", "{}", ",,"]
      write(Array(texts[Int.random(in: 0..<texts.count, using: &random)].utf8))
    case 4:
      let length = bytes.count
      bytes.removeSubrange(place..<min(length, place + Int.random(in: 1...16, using: &random)))
      bytes += Array(repeating: 0x20, count: length - bytes.count)
    default:
      let from = Int.random(in: 0..<bytes.count, using: &random)
      write(Array(bytes[from..<min(bytes.count, from + 24)]))
    }
  }

  /// Settings and indexes as text: each is read, or refused by name.
  @Test func damagedSettingsAreReadOrRefused() throws {
    let paths = fixtures { $0.hasSuffix("config.json") }
    for (number, path) in paths.enumerated() {
      let original = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
      try Files.withFolder { folder in
        let copy = "\(folder)/config.json"
        var random = SeededRandom(state: UInt64(number)), refused = 0
        for round in 0..<100 {
          var bytes = original
          for _ in 0...Int.random(in: 0..<3, using: &random) { damage(&bytes, &random) }
          if round % 5 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
          try Data(bytes).write(to: URL(fileURLWithPath: copy))
          do {
            let keys = try ConfigurationFile(path: copy)
            for key in keys.keyNames {
              _ = (try? keys.int(ifPresent: key), try? keys.ints(ifPresent: key))
              _ = keys[key]?.indentedText
            }
          } catch let error as EngineError {
            refused += 1
            #expect(error.message.contains("config.json"))
          }
        }
        #expect(refused > 30)
      }
    }
    #expect(paths.isEmpty || paths.count >= 19)
  }

  @Test func damagedIndexesAreReadOrRefused() throws {
    guard let path = Files.fixture("tiny/llama") else { return }
    let source = try HuggingFaceFolder(path: path)
    let tensors = try source.names.map { try StreamedTensor(name: $0, from: source) }
    try Files.withFolder { folder in
      try HuggingFaceFolder.write(
        "\(folder)/m", configuration: source.configuration.value, tensors: tensors, shardBytes: 300_000)
      let index = "\(folder)/m/\(HuggingFaceFolder.indexName)"
      let original = Array(try Data(contentsOf: URL(fileURLWithPath: index)))
      var random = SeededRandom(state: 1), refused = 0
      for _ in 0..<400 {
        var bytes = original
        for _ in 0...Int.random(in: 0..<2, using: &random) { damage(&bytes, &random) }
        try Data(bytes).write(to: URL(fileURLWithPath: index))
        do {
          let model = try HuggingFaceFolder(path: "\(folder)/m")
          for name in model.names { _ = model.shape(of: name) }
        } catch let error as EngineError {
          refused += 1
          #expect(error.message.contains("\(folder)/m"))
        }
      }
      print("\(refused) of 400 damaged indexes refused")
      #expect(refused > 200)
    }
  }
}
