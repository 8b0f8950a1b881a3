import Testing

@testable import Engine

@Suite struct JSONTests {
  @Test func documentsAreRead() throws {
    let value = try JSONValue(
      parsing: " {\"b\": [1, -2.5e3, true, null], \"a\": \"x\\u00e9\\ud83d\\ude00\\n\\/\", \"n\": NaN} ")
    #expect(value.object.map { Array($0.keys) } == ["b", "a", "n"])
    #expect(value["b"] == .array([.integer(1), .number(-2500), .bool(true), .null]))
    #expect(value["a"]?.string == "xé😀\n/")
    #expect(value["n"]?.double?.isNaN == true)
    #expect(try JSONValue(parsing: "\"\\ud800x\"").string == "\u{fffd}x")
    #expect(try JSONValue(parsing: "9007199254740993").int == 9_007_199_254_740_993)
    #expect(try JSONValue(parsing: "[]").array == [])
    #expect(try JSONValue(parsing: "-0").int == 0)
  }

  @Test(arguments: [
    "", "{", "[1,", "[1 2]", "{\"a\" 1}", "{\"a\":1,}", "tru", "\"abc", "\"\\x\"", "\"\\u12\"", "1.2.3", "-", "1e",
    "[1]]",
    "{\"a\":1,\"a\":2}", "\"\u{1}\"", "nul", "-Infinit", "'a'", "\"\\",
  ]) func badTextIsAnErrorWithItsPlace(text: String) {
    let error = #expect(throws: EngineError.self) { try JSONValue(parsing: text, source: "x.json") }
    #expect(error?.message.hasPrefix("x.json: bad JSON at byte ") == true)
  }

  @Test func deepNestingIsRefused() {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: EngineError.self) { try JSONValue(parsing: deep) }
  }

  @Test func textThatIsNotUTF8IsRefused() {
    let bytes: [UInt8] = [0x22, 0xff, 0x22]
    #expect(throws: EngineError.self) { try bytes.withUnsafeBytes { try JSONValue(parsing: $0, source: "x") } }
  }
}
