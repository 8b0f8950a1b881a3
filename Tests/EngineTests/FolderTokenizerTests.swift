import Foundation
import Testing

@testable import Engine

/// A Hugging Face folder with a tokenizer takes text; ids of the embedding beyond its tokens print nothing.
@Suite struct FolderTokenizerTests {
  /// One token for each byte, in GPT-2's alphabet, then `<|end|>`: 257 tokens for an embedding of 320 rows.
  private static var tokenizer: String {
    var shifted: UInt32 = 256
    let vocabulary = (0..<256).map { byte -> String in
      var scalar = UInt32(byte)
      if !((33...126).contains(byte) || (161...172).contains(byte) || byte >= 174) {
        scalar = shifted
        shifted += 1
      }
      let text = String(UnicodeScalar(scalar)!)
      return "\"\(text == "\"" || text == "\\" ? "\\" + text : text)\": \(byte)"
    }
    return """
      {"added_tokens": [{"id": 256, "content": "<|end|>", "special": true}],
       "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
       "decoder": {"type": "ByteLevel"},
       "model": {"type": "BPE", "vocab": {\(vocabulary.joined(separator: ", "))}, "merges": []}}
      """
  }

  private static let settings = """
    {"eos_token": "<|end|>", "tokenizer_class": "PreTrainedTokenizerFast",
     "chat_template": "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}[assistant]"}
    """

  @Test func aFolderWithATokenizerTakesText() throws {
    guard let source = Files.fixture("tiny/llama") else { return }
    let folder = FileManager.default.temporaryDirectory.path + "/" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for name in ["config.json", "model.safetensors"] {
      try FileManager.default.createSymbolicLink(atPath: folder + "/" + name, withDestinationPath: source + "/" + name)
    }
    try Self.tokenizer.write(toFile: folder + "/tokenizer.json", atomically: true, encoding: .utf8)
    try Self.settings.write(toFile: folder + "/tokenizer_config.json", atomically: true, encoding: .utf8)
    let model = try Model.load(path: folder)
    let prompt = try model.prompt(text: Array("hi é".utf8))
    #expect(prompt.tokens == [0x68, 0x69, 0x20, 0xc3, 0xa9])
    let chat = try model.prompt(text: Array("x".utf8), chat: true)
    #expect(try model.requireTokenizer().decode(chat.tokens) == Array("[user]x<|end|>[assistant]".utf8))
    #expect(model.stopTokens.first == 256)
    #expect(try model.requireTokenizer().decode([0x68, 300, 0x69]) == Array("hi".utf8))
    #expect(throws: EngineError.self) { try model.requireTokenizer().decode([320]) }
    var options = GenerationOptions()
    options.maxTokens = 8
    options.ignoreEnd = true
    let completion = try model.generate([prompt], options: options)[0]
    #expect(completion.text == (try model.requireTokenizer().decode(completion.tokens)))
  }
}
