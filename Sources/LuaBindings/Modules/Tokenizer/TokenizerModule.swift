import Engine

/// A tokenizer on its own.
public final class TokenizerObject: LuaObject {
  let tokenizer: Tokenizer
  /// Where it was read from.
  let path: String?

  init(_ tokenizer: Tokenizer, path: String? = nil) {
    self.tokenizer = tokenizer
    self.path = path
  }

  public var summary: String { "tokenizer of \(tokenizer.vocabularySize) tokens" }

  public static let luaType = ObjectType(
    "tokenizer", "Turns text into token ids and back.",
    methods: [
      Function(
        "encode", "t:encode(text [, { bos =, special = }])",
        "Token ids, and for each the bytes of the text it covers, as string.sub takes them (a BOS covers none).",
        options: Array(SharedOptions.prompts.suffix(2)), results: "ids, list of { first, last }",
        example: "local t = tokenizer.load(\"model.gguf\")\nlocal ids, spans = t:encode(\"Hello world\")"
      ) { call in
        let tokenizer = try call.this(TokenizerObject.self).tokenizer, options = try call.options(2)
        let encoding = try tokenizer.encode(
          try call.argument(1).bytes(), bos: try options.optional("bos")?.bosPolicy() ?? .automatic,
          special: try options.boolean("special"))
        return call.push(encoding.ids, encoding.spans.map { [$0.lowerBound + 1, $0.upperBound] })
      },
      Function(
        "decode", "t:decode(ids [, spans])",
        "The exact bytes of tokens, without the space that some tokenizers (Llama 2) put in front of every text. Spans, which "
          + "t:encode gives beside the ids, may follow and change nothing.",
        results: "string",
        example: "local t = tokenizer.load(\"model.gguf\")\nprint(t:decode(t:encode(\"Hello\")))"
      ) { call in
        let tokenizer = try call.this(TokenizerObject.self).tokenizer
        return call.push(LuaBytes(try tokenizer.decode(try call.argument(1).list { try $0.integer() })))
      },
    ])
}

extension Module {
  static let tokenizer = Module(
    "tokenizer", "Tokenizers on their own.",
    functions: [
      Function(
        "load", "tokenizer.load(path)",
        "Reads a tokenizer.json, or the tokenizer of a Hugging Face folder, a .gguf file or a model in the store.",
        results: "tokenizer",
        example: "local t = tokenizer.load(\"smollm2-135m-instruct\")\nprint(#t:encode(\"Hello world\"))"
      ) { call in
        let path = try ModelStore().resolve(try call.argument(1).string())
        return call.push(TokenizerObject(try Tokenizer(path: path), path: path))
      }
    ],
    types: [TokenizerObject.self])
}
