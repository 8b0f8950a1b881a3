import Engine
import Transfer

/// Options that rows of `mapper` share.
enum MapperRows {
  static let texts: [Option] = [
    Option("texts", "list of strings (or token lists)", .none, "what both models read"),
    Option(
      "conversations", "list of lists of { role =, content = }", .none,
      "instead: each written in either model's own template, and paired turn by turn"),
    Option("from_texts", "list of strings", .none, "what the source reads, with to_texts"),
    Option("to_texts", "list of strings", .none, "what the target reads, with from_texts"),
    Option("chat", "boolean", .boolean(false), "wraps each text as one user turn of the model's template"),
    Option(
      "align", "string", .string("offset"), "how tokens are paired", choices: TokenAlignment.allCases.map(\.rawValue)),
    Option("include_first", "boolean", .boolean(false), "first tokens, which are attention sinks, become rows too"),
  ]

  static let fitting: [Option] = [
    Option(
      "method", "string", .string("autoencoder"), "kind of map (?map_methods)",
      choices: MapperOptions.Method.allCases.map(\.rawValue)),
    Option(
      "preset", "string", .string("standard"), "how it is trained",
      choices: MapperOptions.Preset.allCases.map(\.rawValue)),
    Option("hidden", "integer", .computed("floor(sqrt(d_from d_to))"), "units of the autoencoder"),
    Option(
      "epochs", "integer or \"converge\"", .computed("12; paper: 3"),
      "passes over the rows; \"converge\" trains until validation texts say that it is done", choices: ["converge"]),
    Option(
      "patience", "integer", .computed("10 with epochs = \"converge\""),
      "epochs without a fall of the validation loss before lr falls tenfold, and then before the end"),
    Option("max_epochs", "integer", .computed("1000"), "where training to convergence ends in any case"),
    Option("lr", "number", .computed("1e-3; paper: 1e-4"), "learning rate of Adam"),
    Option("batch", "integer", .computed("256; paper: 16 sequences"), "rows of a batch"),
    Option(
      "lambda", "number", .number(1e-3),
      "penalty of ridge, low_rank and shuffled, relative to the mean variance of the standardised source"),
    Option("rank", "integer", .computed("64, or the smaller width"), "rank of a low_rank map"),
    Option("holdout", "number", .number(0.1), "share of texts kept for the report"),
    Option("seed", "integer", .integer(0), "of the split, the start and the order of rows"),
  ]

  static let methods = Topic(
    "map_methods",
    """
    Trained by gradients: "autoencoder" D relu(E x + e) + d, "affine" W x + b. With a fixed number of epochs nothing says
    whether training was long enough; epochs = "converge" (or patience = n) sets a tenth of the training texts aside, stops
    when their loss falls no more, and says so in report.converged. report.curve has every epoch.
    In closed form: "ridge"; "low_rank", ridge through `rank` directions (reduced-rank regression, in deviations of the
    target); "procrustes", centred and not standardised: one rotation, semi-orthogonal for different widths, times one scale;
    "mean_shift", the activation plus the difference of the two means, and "identity", as it is, for equal widths.
    A null: "shuffled", ridge on each text's rows with another text's, content with content and template with template: what
    place and template tell. align = "index" pairs by place instead of by text.
    """)
}

extension OptionReader {
  /// `method`, `lambda`, ... of a fit.
  func mapperOptions() throws -> MapperOptions {
    var settings = MapperOptions()
    settings.method = MapperOptions.Method(rawValue: try choice("method")) ?? .autoencoder
    settings.preset = MapperOptions.Preset(rawValue: try choice("preset")) ?? .standard
    settings.hidden = try optional("hidden")?.integer(in: 1...1 << 20)
    settings.patience = try optional("patience")?.integer(in: 1...100_000)
    settings.maximumEpochs = try optional("max_epochs")?.integer(in: 1...1_000_000)
    if let epochs = optional("epochs") {
      if epochs.isString {
        _ = try epochs.choice(["converge"])
        settings.patience = settings.patience ?? 10
      } else {
        settings.epochs = try epochs.integer(in: 1...1_000_000)
      }
    }
    if settings.patience == nil, let most = optional("max_epochs") {
      throw most.error("belongs to epochs = \"converge\"; epochs = n is a fixed number")
    }
    settings.learningRate = try optional("lr")?.number()
    settings.batch = try optional("batch")?.integer(in: 1...1 << 24)
    settings.lambda = try number("lambda", in: 0...Double.infinity)
    settings.rank = try optional("rank")?.integer(in: 1...1 << 20)
    settings.holdout = try number("holdout", in: 0...1)
    settings.seed = try integer("seed")
    return settings
  }

  func alignment() throws -> TokenAlignment { TokenAlignment(rawValue: try choice("align")) ?? .offset }

  /// The same texts as both models read them, and whether their templates wrote them.
  func pairedPrompts(_ from: Model, _ to: Model) throws -> (from: [Prompt], to: [Prompt], isChat: Bool) {
    let chat = try boolean("chat")
    func read(_ name: String, _ model: Model) throws -> [Prompt] {
      let reader = try required(name)
      guard reader.isTable else { throw reader.mismatch("a list of strings") }
      guard reader.listCount > 0 else { throw reader.error("the list is empty") }
      if let first = reader.entry(1), first.isTable, first.entry(1)?.isTable == true || first.field("role") != nil {
        throw reader.error("these are messages; conversations = takes lists of { role =, content = }")
      }
      return try reader.prompts(of: model, chat: chat)
    }
    let given = ["texts", "conversations", "from_texts"].filter(isPresent)
    guard given.count <= 1, given.first == "from_texts" || !isPresent("to_texts") || given.isEmpty else {
      throw call.error("give texts, or conversations, or from_texts and to_texts, not both")
    }
    switch given.first {
    case "texts": return (try read("texts", from), try read("texts", to), chat)
    case "conversations":
      if isPresent("chat"), !chat {
        throw call.error("conversations are written by the models' templates; chat = false takes texts =")
      }
      let reader = try required("conversations")
      return (try reader.conversations(of: from), try reader.conversations(of: to), true)
    default: break
    }
    guard isPresent("from_texts"), isPresent("to_texts") else {
      throw call.error("texts are missing: give texts =, conversations =, or from_texts = and to_texts =")
    }
    let pair = (from: try read("from_texts", from), to: try read("to_texts", to))
    guard pair.from.count == pair.to.count else {
      throw call.error("from_texts has \(pair.from.count) texts and to_texts \(pair.to.count); they are read in pairs")
    }
    return (pair.from, pair.to, chat)
  }
}

extension ArgumentReader {
  /// Conversations as a model's template writes them, open for an answer unless the assistant spoke last.
  fileprivate func conversations(of model: Model) throws -> [Prompt] {
    guard isTable, listCount > 0 else {
      throw mismatch("a list of conversations, each a list of { role =, content = }")
    }
    return try list { entry in
      guard entry.isTable, entry.listCount > 0 else { throw entry.mismatch("a list of { role =, content = }") }
      let messages = try entry.messages()
      do {
        let rendered = try model.renderChat(messages, generationPrompt: messages.last?.role != "assistant")
        return try model.prompt(rendered: rendered)
      } catch let failure as EngineError {
        throw entry.error("\(model.name): \(failure.message)", kind: failure.kind)
      }
    }
  }
}
