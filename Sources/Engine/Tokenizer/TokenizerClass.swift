/// What a tokenizer class of Hugging Face transformers (4.57) adds to its `tokenizer.json`: tokens that it has whatever
/// the files say, and whose word counts on what is put around a text. Classes that are not listed add nothing.
struct TokenizerClass: Equatable {
  /// Whose word counts on BOS and EOS.
  enum Marks: Equatable {
    /// `post_processor` of `tokenizer.json`; `add_bos_token` and `add_eos_token` are passed over.
    case file
    /// The settings `add_bos_token` and `add_eos_token`, or these where they are not given.
    case settings(bos: Bool, eos: Bool)
    /// `post_processor`, and the settings over it where they are given: of a folder that names no class.
    case both
  }

  /// Without `Fast`.
  let name: String
  /// Special tokens by attribute, in the class's order.
  var tokens: [String: String] = [:]
  /// Additional special tokens, behind those of the settings.
  var additional: [String] = []
  var marks = Marks.file
  /// The tokens are literal: not searched for in normalized text, whatever else is said of them.
  var wrapsTokens = false
  /// `add_prefix_space` where the settings have no such key; nil leaves the file's.
  var prefixSpace: Bool? = false

  /// The class that the files of a folder name, as `AutoTokenizer` finds it; nil where they name none.
  static func named(settings: ConfigurationFile?, configuration: ConfigurationFile?) -> TokenizerClass? {
    let name =
      settings?["tokenizer_class"]?.string ?? configuration?["tokenizer_class"]?.string
      ?? configuration?["model_type"]?.string.map { byModelType[$0] ?? "PreTrainedTokenizer" }
    guard let name else { return settings == nil && configuration == nil ? nil : unnamed }
    let bare = name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
    return known.first { $0.name == bare } ?? TokenizerClass(name: bare)
  }

  /// Of a folder that says neither its tokenizer's class nor its model's type.
  static let unnamed = TokenizerClass(name: "", marks: .both, prefixSpace: nil)

  private static let sentencePiece = ["unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"]
  private static let endOfText = "<|endoftext|>"

  static let known: [TokenizerClass] = [
    TokenizerClass(
      name: "LlamaTokenizer", tokens: sentencePiece, marks: .settings(bos: true, eos: false), prefixSpace: nil),
    TokenizerClass(
      name: "CodeLlamaTokenizer", tokens: sentencePiece, additional: ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"],
      marks: .settings(bos: true, eos: false)),
    TokenizerClass(
      name: "GemmaTokenizer",
      tokens: ["unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"],
      marks: .settings(bos: true, eos: false)),
    TokenizerClass(
      name: "CohereTokenizer",
      tokens: ["unk_token": "<UNK>", "bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>"],
      marks: .settings(bos: true, eos: false)),
    TokenizerClass(
      name: "GPTNeoXTokenizer", tokens: ["unk_token": endOfText, "bos_token": endOfText, "eos_token": endOfText],
      marks: .settings(bos: false, eos: false)),
    TokenizerClass(
      name: "GPT2Tokenizer", tokens: ["unk_token": endOfText, "bos_token": endOfText, "eos_token": endOfText]),
    TokenizerClass(
      name: "CodeGenTokenizer", tokens: ["unk_token": endOfText, "bos_token": endOfText, "eos_token": endOfText]),
    TokenizerClass(
      name: "Qwen2Tokenizer", tokens: ["unk_token": endOfText, "eos_token": endOfText, "pad_token": endOfText],
      wrapsTokens: true),
    TokenizerClass(
      name: "BloomTokenizer",
      tokens: ["unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"]),
  ]

  /// Classes of the model types whose folders name none.
  private static let byModelType = [
    "llama": "LlamaTokenizer", "mistral": "LlamaTokenizer", "mixtral": "LlamaTokenizer", "phi3": "LlamaTokenizer",
    "code_llama": "CodeLlamaTokenizer", "qwen2": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer",
    "gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer", "gemma3": "GemmaTokenizer",
    "gemma3_text": "GemmaTokenizer", "gpt2": "GPT2Tokenizer", "starcoder2": "GPT2Tokenizer", "opt": "GPT2Tokenizer",
    "gpt_neox": "GPTNeoXTokenizer", "olmo": "GPTNeoXTokenizer", "olmo2": "GPTNeoXTokenizer",
    "stablelm": "GPTNeoXTokenizer", "phi": "CodeGenTokenizer", "cohere": "CohereTokenizer", "bloom": "BloomTokenizer",
  ]
}
