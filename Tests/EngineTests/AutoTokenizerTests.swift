import Foundation
import Testing

@testable import Engine

/// Folders of small tokenizers, whose tokens, flags, marks and spaces stand in settings beside `tokenizer.json`, against
/// `AutoTokenizer`: `Tests/Oracles/make_tokenizers.py` made the goldens.
struct AutoTokenizerTests {
  static let goldens = try? JSONValue(
    path: URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Oracles/tokenizers.json").path, limit: 4 << 20)

  static let cases = goldens?["cases"]?.array?.count ?? 0

  private func write(_ golden: JSONValue, to folder: String) throws {
    let base = try #require(golden["base"]?.string)
    var files = try #require(golden["files"]?.object)
    files["tokenizer.json"] = Self.goldens?["bases"]?[base]
    for (name, value) in files { try Data(value.fileContents).write(to: URL(fileURLWithPath: folder + "/" + name)) }
  }

  @Test(arguments: 0..<cases) func idsEqualAutoTokenizer(number: Int) throws {
    let golden = try #require(Self.goldens?["cases"]?.array?[number])
    let texts = try #require(Self.goldens?["texts"]?.array).compactMap(\.string)
    let what = "\(golden["base"]?.text ?? "") \(golden["files"]?.text.prefix(300) ?? "")"
    try Files.withFolder { folder in
      try write(golden, to: folder)
      guard golden["error"] == nil else {
        #expect(throws: EngineError.self, "\(what)") { try Tokenizer(folder: folder) }
        return
      }
      let tokenizer = try Tokenizer(folder: folder)
      for (place, text) in texts.enumerated() {
        let bytes = Array(text.utf8)
        func expected(_ key: String) -> [Int]? { golden[key]?.array?[place].array?.compactMap(\.int) }
        let plain = try tokenizer.encode(bytes, bos: .never)
        #expect(plain.ids == expected("plain"), "\(what): \(text.debugDescription)")
        // Theirs puts a second BOS in front of one that the text spells out; asked for one, ours does too.
        let whole = try tokenizer.encode(bytes, bos: tokenizer.addsBOS ? .always : .automatic)
        #expect(whole.ids == expected("ids"), "\(what): \(text.debugDescription)")
      }
      #expect(tokenizer.vocabularySize == golden["size"]?.int, "\(what)")
      if golden["bos"]?.int != nil { #expect(tokenizer.bos == golden["bos"]?.int, "\(what)") }
      #expect(tokenizer.endTokens == (golden["eos"]?.int.map { [$0] } ?? []), "\(what)")
      #expect(tokenizer.templateValues == golden["special"]?.object, "\(what)")
    }
  }
}
