import Foundation

/// A loaded language model: weights, tokenizer, template, and the interventions registered on it.
///
/// ```swift
/// let model = try Model.load(path: "smollm2.gguf")
/// let result = try model.run([model.prompt(text: Array("Hello".utf8))], logits: .last)[0]
/// ```
public final class Model: @unchecked Sendable {
  public let name: String
  public let path: String
  /// A fingerprint of the weights as they are, attached adapters included: vectors and maps remember which model they
  /// belong to by it.
  public private(set) var hash: String
  /// The same without adapters.
  public private(set) var baseHash: String
  /// Base hashes of the models that these weights come from by training, merging or saving: their activations have the
  /// same axes, so that a vector of one is one of the other.
  public let ancestors: [String]
  /// Take part in every forward pass, in this order.
  public private(set) var adapters: [Adapter] = []
  public let configuration: ModelConfiguration
  /// nil where the files have none, or one that cannot be read (`tokenizerFailure`).
  public let tokenizer: Tokenizer?
  /// Why texts cannot be used though the files have a tokenizer: of a kind that is not known, or damaged. Token ids work.
  public let tokenizerFailure: EngineError?
  /// The one it was loaded with, its file's own, or a built-in one that fits its tokens.
  public let template: ChatTemplate?
  /// The model's own for conversations with tools, where it has one of that name.
  let toolTemplate: ChatTemplate?
  /// The one it was loaded with in place of its own: copies of it keep that, and its saved folder.
  let givenTemplate: ChatTemplate?
  /// How weights are kept for products.
  public var precision: WeightPrecision { decoder.weights.precision }
  /// What a reader should know of how its file was taken: the language part of a larger model, a head of its own.
  public let notes: [String]
  /// Ids that end a generation: eos, and the template's end of turn.
  public let stopTokens: [Int]
  public let interventions: InterventionList
  let decoder: Decoder
  /// A run is under way: hooks may not start another on the same model.
  private var isRunning = false
  /// A training goes on, perhaps between two steps.
  var isTraining = false
  /// Bytes of keys and values that the last run held at once.
  var lastCacheBytes = 0

  init(
    source: ModelSource, name: String, weights: DecoderWeights, template givenTemplate: ChatTemplate? = nil,
    hash: String? = nil, ancestors: [String]? = nil
  ) throws {
    self.ancestors = ancestors ?? Model.savedAncestors(source.folder)
    self.givenTemplate = givenTemplate
    self.name = name.printable
    path = source.path
    notes = source.notes
    baseHash = try hash ?? Fingerprint.ofModel(source.path)
    self.hash = baseHash
    configuration = source.configuration
    interventions = InterventionList(configuration: configuration)
    decoder = Decoder(weights: weights)
    let tokenizer: Tokenizer?
    do { (tokenizer, tokenizerFailure) = (try source.tokenizer(), nil) } catch let error as EngineError
      where [.token, .missing].contains(error.kind)
    {
      (tokenizer, tokenizerFailure) = (nil, error)
    }
    self.tokenizer = tokenizer
    let template =
      givenTemplate
      ?? tokenizer.flatMap {
        ChatTemplate(source: $0.chatTemplate, family: source.configuration.family, tokenizer: $0)
      }
    self.template = template
    toolTemplate =
      givenTemplate == nil ? tokenizer.flatMap { ChatTemplate.own(ChatTemplateTexts.toolUse, of: $0) } : nil
    var stops = tokenizer?.endTokens ?? []
    for end in try source.endTokens() where !stops.contains(end) { stops.append(end) }
    for turns in [template, toolTemplate] {
      if let end = tokenizer.flatMap({ turns?.endOfTurn($0) }), !stops.contains(end) { stops.append(end) }
    }
    stopTokens = stops
  }

  /// What `save` notes of a model's descent.
  private static func savedAncestors(_ folder: HuggingFaceFolder?) -> [String] {
    ["model_hash", "model_ancestors"].flatMap { key in
      (folder?.metadata[key] ?? "").split(separator: ",").prefix(64).map(String.init)
    }
  }

  /// Names by which files call this kind of model: `model_type` in `config.json`, and architectures of GGUF, of which
  /// llama's serves Mistral too.
  public var architectureNames: [String] {
    let common = decoder.weights.source.family.fileArchitecture
    let alike = Family.all.filter { $0.fileArchitecture == common }
    return [common] + alike.flatMap(\.modelTypes).filter { $0 != common }
  }

  func setBaseHash(_ hash: String) {
    baseHash = hash
    self.hash = Model.hash(hash, with: adapters)
  }

  /// Throws as reading weights does, where adapters change those, and leaves all as it was.
  func setAdapters(_ list: [Adapter]) throws {
    let overlays = list.compactMap(\.overlay), known = adapters.compactMap(\.overlay)
    if !overlays.elementsEqual(known, by: ===) {
      let layers = try (overlays + known).reduce(into: Set<Int>()) {
        $0.formUnion(try $1.layers(of: decoder.weights.base))
      }
      try decoder.use(overlays, layers: layers)
    }
    adapters = list
    decoder.use(list.flatMap(\.updates))
    hash = Model.hash(baseHash, with: list)
  }

  /// The fingerprint of a model with adapters.
  static func hash(_ base: String, with adapters: [Adapter]) -> String {
    let text = ([base] + adapters.map(\.hash)).joined(separator: "+")
    return adapters.isEmpty ? base : SHA256.hex(of: Array(text.utf8))
  }

  /// Loads a `.gguf` file or a Hugging Face folder (`config.json`, safetensors files).
  /// `template`: a built-in chat template's name, or the text of one in Jinja, in place of the model's own.
  /// `ignoring`: settings of the file that are passed over although they are not known. Throws `.numeric` for weights with
  /// values that are no numbers, `.missing` for a wrong path, `.file` for a damaged or unsupported one, `.argument` for quantised weights
  /// where the file has none, `.template`, `.memory`.
  public static func load(
    path: String, name: String? = nil, precision: WeightPrecision = .f32, template: String? = nil,
    ignoring: Set<String> = []
  ) throws -> Model {
    let source = try ModelSource(path: path, ignoring: ignoring)
    if precision == .native, source.gguf == nil {
      throw EngineError(
        .argument, "\(path) is a folder without quantised weights: native is for .gguf files; use f32 or bf16")
    }
    let fallback = source.gguf == nil ? folderName(of: path) : SplitGGUF.modelName(path)
    let given = try template.map { try ChatTemplate.named($0, tokenizer: try? source.tokenizer()) }
    do {
      let weights = try DecoderWeights(source, precision: precision)
      let model = try Model(source: source, name: name ?? fallback, weights: weights, template: given)
      try source.weights.verify()
      return model
    } catch {
      try source.weights.verify()  // a file that changed meanwhile explains whatever went wrong
      throw error
    }
  }

  /// Tokens of a text. With `chat`, the text becomes one user turn of `template`, else of the model's own, with the
  /// generation prompt. Throws `.missing` without a tokenizer, `.template` without a template.
  public func prompt(
    text: [UInt8], chat: Bool = false, template: ChatTemplate? = nil, bos: BOSPolicy = .automatic, special: Bool = true
  ) throws -> Prompt {
    guard chat else {
      return try prompt(rendered: RenderedChat(text: text, contentSpans: []), bos: bos, special: special)
    }
    let messages = [ChatMessage(role: "user", content: text)]
    let rendered = try renderChat(messages, generationPrompt: true, template: template)
    return try prompt(rendered: rendered, bos: bos, special: special)
  }

  /// What `override`, else the model's template, prints for a conversation; where tools are given, the model's template
  /// for them, if it has one.
  public func renderChat(
    _ messages: [ChatMessage], generationPrompt: Bool, template override: ChatTemplate? = nil,
    variables: ChatTemplate.Variables = ChatTemplate.Variables()
  ) throws -> RenderedChat {
    guard let template = override ?? (variables.tools == nil ? nil : toolTemplate) ?? template else {
      let names = tokenizer?.chatTemplates.names ?? []
      guard names.isEmpty else {
        throw EngineError(
          .template,
          "\(name) has the chat templates \(names.joined(separator: ", ")) and none named default: say which with "
            + "template = \"\(names[0])\"")
      }
      if let tokenizerFailure { throw noText(tokenizerFailure) }
      throw EngineError(
        .template,
        "\(name) has no chat template; give one with template = (\(ChatTemplate.builtInNames.joined(separator: ", ")) "
          + "or the text of one in Jinja) here or to model.load, or give the text as the model should see it, without "
          + "chat = true")
    }
    return try template.render(messages, generationPrompt: generationPrompt, variables: variables)
  }

  /// Tokens of a rendered conversation. Without `special` the contents of messages are plain text; what the template
  /// prints around them is read as it is meant.
  public func prompt(rendered: RenderedChat, bos: BOSPolicy = .automatic, special: Bool = true) throws -> Prompt {
    let contents = special ? [] : rendered.contentPieces
    let encoding = try requireTokenizer().encode(
      rendered.text, bos: bos, special: special || contents != nil, plain: contents ?? [])
    return Prompt(
      tokens: encoding.ids, text: rendered.text, spans: encoding.spans, contentSpans: rendered.contentSpans)
  }

  public func requireTokenizer() throws -> Tokenizer {
    if let tokenizerFailure { throw noText(tokenizerFailure) }
    guard let tokenizer else { throw EngineError(.missing, "\(name) has no tokenizer: give tokens instead of text") }
    return tokenizer
  }

  /// What a text meets where the tokenizer could not be read.
  private func noText(_ failure: EngineError) -> EngineError {
    EngineError(
      failure.kind, "\(name) takes no text, only tokens, since its tokenizer cannot be read: \(failure.message)")
  }

  /// A token that the model has no row for: of a tokenizer with more entries than the embedding has rows, or of none.
  public func outOfRange(_ token: Int) -> EngineError {
    let rows = configuration.vocabularySize
    guard let tokenizer, (rows..<max(rows, tokenizer.vocabularySize)).contains(token) else {
      return EngineError(.token, "token id \(token) is out of range: \(name) has ids 0 to \(rows - 1)")
    }
    let text = (try? tokenizer.tokenBytes(token)).map { ByteStringList.quoted($0) } ?? "?"
    return EngineError(
      .token,
      "token \(token) (\(text)) has no row: the embedding of \(name) has \(rows) rows, for ids 0 to \(rows - 1), its "
        + "tokenizer \(tokenizer.vocabularySize) tokens. Such tokens were added without training the model on them: "
        + "leave them out of the text, or give it with special = false")
  }

  /// Bytes a model holds, by kind.
  public struct Memory: Sendable {
    /// Mapped weights on disk; shared with the page cache.
    public var weights: Int
    /// Packed matrices.
    public var packs: Int
    /// Buffers of the forward pass.
    public var workspace: Int
    /// Keys and values, at the most in the last run; freed at its end.
    public var cache: Int

    /// `98.4 MB of weights, 425.0 MB packed, ...`
    public var summary: String {
      "\(byteText(weights)) of weights mapped, \(byteText(packs)) packed, \(byteText(workspace)) of buffers, "
        + "\(byteText(cache)) of cache in the last run"
    }
  }

  public var memory: Memory {
    let file = decoder.weights.source.weights
    let size = file.names.reduce(0) { $0 + (file.storage(of: $1)?.bytes ?? 0) }
    return Memory(
      weights: size, packs: decoder.weights.packedBytes,
      workspace: decoder.workspace.rows * ActivationBuffers.bytesPerRow(configuration),
      cache: lastCacheBytes)
  }

  /// Guards against a hook that runs its own model: the decoder's buffers are in use.
  func exclusively<Result>(_ body: () throws -> Result) throws -> Result {
    guard !isRunning else {
      throw EngineError(
        .argument, "\(name) is running: a hook or on_token cannot run the model that calls it")
    }
    isRunning = true
    defer { isRunning = false }
    // Embeddings are read from the file as they are needed.
    let weights = decoder.weights.source.weights
    try weights.verify()
    let result = try body()
    try weights.verify()
    return result
  }

  /// Throws `.argument` where a token id stands for another text in `other`.
  public func requireSameTokens(as other: Model, for what: String) throws {
    let count = configuration.vocabularySize
    guard other.configuration.vocabularySize == count else {
      throw EngineError(
        .argument,
        "\(what): \(other.name) has \(other.configuration.vocabularySize) tokens, \(name) \(count); both models "
          + "must have the same")
    }
    guard let own = tokenizer, let others = other.tokenizer else { return }
    for id in 0..<count where try own.decode([id]) != others.decode([id]) {
      throw EngineError(
        .argument,
        "\(what): token \(id) is another text in \(other.name) than in \(name); both models must have the same tokens")
    }
  }

  /// Refuses empty batches, empty prompts, token ids out of range and prompts beyond the context.
  /// `first`: the 0-based place of the first one in what the caller was given.
  public func check(_ prompts: [Prompt], first: Int = 0) throws {
    try checkTokens(of: prompts)
    for (i, prompt) in prompts.enumerated() where prompt.tokens.count > configuration.contextLength {
      throw EngineError(.argument, tooLong(first + i, prompt.tokens.count) + "; shorten it or leave it out")
    }
  }

  /// `prompt 3 has 300 tokens; llama was made for 256`.
  func tooLong(_ index: Int, _ count: Int) -> String {
    "prompt \(index + 1) has \(count) tokens; \(name) was made for \(configuration.contextLength)"
  }

  /// Refuses empty batches, empty prompts and token ids out of range.
  func checkTokens(of prompts: [Prompt]) throws {
    guard !prompts.isEmpty else { throw EngineError(.argument, "there are no prompts to run") }
    for (i, prompt) in prompts.enumerated() {
      guard !prompt.tokens.isEmpty else { throw EngineError(.argument, "prompt \(i + 1) has no tokens") }
      for token in prompt.tokens where !(0..<configuration.vocabularySize).contains(token) {
        throw outOfRange(token)
      }
    }
  }
}
