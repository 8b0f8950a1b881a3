import Foundation

@testable import Engine

/// Files that the tokenizer tests read: goldens beside the repository, models of the store.
enum TokenizerFixtures {
  private static let folder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("shared/fixtures")

  static func path(_ path: String) -> String { folder.appendingPathComponent(path).path }

  static func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

  static func json(_ path: String) throws -> Any {
    try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appendingPathComponent(path)))
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(contentsOf: folder.appendingPathComponent(path)))
  }

  static func modelPath(_ name: String) -> String {
    let environment = ProcessInfo.processInfo.environment
    let home =
      environment["ACTHOST_HOME"]
      ?? (environment["XDG_DATA_HOME"] ?? NSHomeDirectory() + "/.local/share") + "/acthost"
    return "\(home)/models/\(name).gguf"
  }

  static func hasModel(_ name: String) -> Bool { FileManager.default.fileExists(atPath: modelPath(name)) }

  static func tokenizer(_ name: String) throws -> Tokenizer { try Tokenizer(gguf: GGUFFile(path: modelPath(name))) }

  static let modelNames = ["smollm2-135m-instruct", "gemma-3-270m"]
  static let hasModels = modelNames.allSatisfy(hasModel)
  static let noModels = "needs \(modelNames.joined(separator: " and ")) in the store: acthost pull all"
  static let noGoldens = "needs the goldens of ../shared/fixtures beside the repository"
}

/// SplitMix64 (Steele et al. 2014): the same numbers on every run.
struct SeededBytes: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }

  /// Random bytes; with `alphabet`, characters of it joined.
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }

  mutating func text(_ count: Int, of alphabet: [String]) -> [UInt8] {
    (0..<count).flatMap { _ in Array(alphabet.randomElement(using: &self)!.utf8) }
  }
}

/// Small vocabularies written out.
enum TokenizerSamples {
  /// GPT-2's spelling of a byte.
  static func spelled(_ byte: UInt8) -> String {
    let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
    if isPrintable { return String(UnicodeScalar(byte)) }
    let others = (0...255).filter { !((0x21...0x7E).contains($0) || (0xA1...0xAC).contains($0) || $0 >= 0xAE) }
    return String(UnicodeScalar(UInt32(0x100 + others.firstIndex(of: Int(byte))!))!)
  }

  /// Token 0 `<|end|>`, token 1 `<|start|>` (BOS), then all 256 bytes (or those of `bytes`), then one for each merge.
  static func byteLevel(
    merges: [(String, String)], bytes: [UInt8] = Array(0...255), pre: String = "gpt-2"
  ) -> TokenizerVocabulary {
    let tokens = ["<|end|>", "<|start|>"] + bytes.map(spelled) + merges.map { $0.0 + $0.1 }
    var vocabulary = TokenizerVocabulary(model: "gpt2", tokens: ByteStringList(tokens.map(\.utf8)))
    vocabulary.pre = pre
    vocabulary.types = tokens.indices.map { $0 < 2 ? 3 : 1 }
    vocabulary.merges = ByteStringList(merges.map { "\($0.0) \($0.1)".utf8 })
    vocabulary.bos = 1
    vocabulary.ends = [0]
    return vocabulary
  }

  /// `<unk>`, `<bos>`, a user-defined token of two newlines, 256 byte tokens, then `pieces`, the earlier the better.
  static func sentencePiece(pieces: [String]) -> TokenizerVocabulary {
    let tokens =
      ["<unk>", "<bos>", "\n\n"] + (0...255).map { String(format: "<0x%02X>", $0) } + pieces
    var vocabulary = TokenizerVocabulary(model: "llama", tokens: ByteStringList(tokens.map(\.utf8)))
    vocabulary.types = [2, 3, 4] + [Int](repeating: 6, count: 256) + [Int](repeating: 1, count: pieces.count)
    vocabulary.scores = tokens.indices.map { -Float($0) }
    vocabulary.bos = 1
    vocabulary.unknown = 0
    vocabulary.addsSpacePrefix = false
    return vocabulary
  }
}
