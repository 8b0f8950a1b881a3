import Engine
import Foundation

/// What train.lora is asked for.
struct LoraPlan {
  let model: Model
  let teacher: Model?
  let examples: SupervisedExamples
  let settings: TrainingOptions
  let adapter: Adapter
  /// In the store, where the call names one.
  let folder: String?

  var isStored: Bool {
    folder.map(Adapter.isComplete) ?? false
  }
}

extension SharedOptions {
  static let endToken = Option(
    "end_token", "boolean", .computed("chat"),
    "whether the token that ends the turn, or without chat the text, follows each completion of examples and counts; "
      + "never after an example with finish = \"length\"")
}

extension OptionReader {
  func loraPlan() throws -> LoraPlan {
    let model = try required("model").model(), examples = try supervised(model)
    let teacher = try optional("teacher")?.model()
    var settings = try training()
    settings.learningRate = try number("lr")
    let adapter = try adapter(for: model, seed: settings.seed)
    let folder = try cacheFolder(Trainer.recipe(model, adapter, teacher: teacher, examples.list, settings).prefix(12))
    return LoraPlan(
      model: model, teacher: teacher, examples: examples, settings: settings, adapter: adapter, folder: folder)
  }

  /// Where the store keeps the result: its name in the call with a suffix from what it follows from; nil without a
  /// name.
  func cacheFolder(_ suffix: some StringProtocol) throws -> String? {
    guard let reader = optional("cache") else { return nil }
    let name = try reader.string()
    guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) }), name.first != "." else {
      throw reader.error("'\(name)' cannot be a folder's name; use letters, digits, - and _")
    }
    return "\(ModelStore().home)/trained/\(name)-\(suffix)"
  }

  /// The examples as tokens, cut at `limit` or `max_length`.
  func supervised(_ model: Model, limit: Int? = nil) throws -> SupervisedExamples {
    let chat = try !isPresent("chat") || boolean("chat")
    let limit = try limit ?? integer("max_length", in: 2...1 << 24)
    var examples = SupervisedExamples()
    for example in try supervisedExamples(of: model, chat: chat) { examples.add(example, limit: limit) }
    return examples
  }

  /// `examples = { { prompt =, completion =, finish = }, ... }` with `template` and `end_token`: what training learns and
  /// the measures score.
  func supervisedExamples(of model: Model, chat: Bool) throws -> [SupervisedExample] {
    let reader = try required("examples")
    guard reader.isTable else { throw reader.mismatch("a list of { prompt =, completion = }") }
    guard reader.listCount > 0 else { throw reader.error("the list is empty") }
    let template = try template(of: model)
    let endToken = try isPresent("end_token") ? boolean("end_token") : chat
    return try reader.list { example in
      if example.isTable { try example.checkKeys(["prompt", "completion", "finish"]) }
      guard example.isTable, let prompt = example.field("prompt"), let completion = example.field("completion") else {
        guard !example.isTable || example.listCount > 0 else {
          throw example.error("an example needs prompt and completion")
        }
        throw example.mismatch("an example { prompt =, completion = }")
      }
      let isWhole = try example.field("finish").map { try !["length", "context"].contains($0.string()) } ?? true
      do {
        return try SupervisedExample(
          prompt: try prompt.bytes(), completion: try completion.bytes(), model: model, chat: chat, template: template,
          endToken: endToken && isWhole)
      } catch let failure as EngineError where failure.kind == .argument { throw example.error(failure.message) }
    }
  }

  func training() throws -> TrainingOptions {
    var settings = TrainingOptions()
    settings.epochs = try integer("epochs", in: 1...1_000_000)
    settings.batch = try integer("batch", in: 1...1 << 20)
    settings.warmup = try integer("warmup", in: 0...1 << 30)
    settings.schedule = TrainingOptions.Schedule(rawValue: try choice("schedule")) ?? .constant
    settings.weightDecay = try number("weight_decay", in: 0...1)
    settings.clip = try number("clip", in: 0...Double.infinity)
    settings.seed = try integer("seed")
    settings.checkpoint = try optional("checkpoint")?.path()
    return settings
  }

  func adapter(for model: Model, seed: Int) throws -> Adapter {
    var targets: [String]?
    if let reader = optional("targets") {
      if reader.isString { _ = try reader.choice(["all"]) } else { targets = try reader.list { try $0.string() } }
    }
    return try Adapter(
      for: model, rank: try integer("rank", in: 1...4096), alpha: try number("alpha", in: 0...Double.infinity),
      dropout: try number("dropout", in: 0...1), targets: targets, layers: try optional("layers")?.layers(of: model),
      seed: seed)
  }
}
