import Engine
import Foundation
import Transfer

extension OptionReader {
  /// `texts = {...}`, all of whose tokens count, or `examples = { { prompt =, completion = } }`, of which completions do.
  fileprivate func scoredTexts(of model: Model) throws -> [SupervisedExample] {
    let (name, value) = try oneOf(["texts", "examples"])
    let chat = try boolean("chat")
    guard name == "texts" else {
      guard !isPresent("special") else { throw call.error("option 'special' belongs to 'texts'") }
      return try supervisedExamples(of: model, chat: chat)
    }
    guard !isPresent("end_token") else { throw call.error("option 'end_token' belongs to 'examples'") }
    guard value.isTable, value.listCount > 0 else { throw value.error("the list is empty") }
    let bos = model.tokenizer?.bos
    return try value.prompts(
      of: model, TextRule(chat: chat, template: try template(of: model), special: try boolean("special"))
    ).map {
      SupervisedExample(prompt: $0, scoredFrom: $0.tokens.first == bos ? 1 : 0)
    }
  }
}

extension ModelObject {
  private static let textOptions: [Option] = [
    Option("texts", "list of strings", .none, "texts whose tokens are all scored, BOS aside"),
    Option(
      "examples", "list of { prompt =, completion = }", .none,
      "only completions are scored, and the tokens that end them: what train.* learns of the same examples"),
    SharedOptions.endToken,
    Option("chat", "boolean", .boolean(false), "wraps texts or prompts as a user turn of the model's template"),
    SharedOptions.template,
    Option(
      "special", "boolean", .boolean(true), "reads special tokens in texts; false in a chat: in the message's content"),
  ]

  static let measureRows: [Function] = [
    Function(
      "nll", "m:nll{ texts | examples, chat = }",
      "Negative log-likelihood per token (natural log) and perplexity; interventions apply.",
      options: textOptions, results: "{ mean, perplexity, per_text, tokens }",
      example:
        "local m = model.load(\"smollm2-135m-instruct\")\nprint(m:nll{ texts = { \"The sky is blue.\" } }.perplexity)"
    ) { call in
      let model = try call.model, scored = try call.options().scoredTexts(of: model)
      let parts = try call.withProgress("nll", prompts: scored.count) { update in
        try model.negativeLogLikelihood(
          scored.map(\.prompt), scoredFrom: scored.map(\.scoredFrom), progress: update)
      }
      call.noteWarnings(of: model)
      let tokens = parts.reduce(0) { $0 + $1.tokens }
      guard tokens > 0 else { throw call.error("there is no token to score: each text needs at least two tokens") }
      let mean = parts.reduce(0) { $0 + $1.sum } / Double(tokens)
      let empty = parts.count { $0.tokens == 0 }
      if empty > 0 {
        call.state.output.note(
          "nll: \(empty) of \(parts.count) texts have no token to score, and nan in per_text; they count for nothing in mean"
        )
      }
      let perText = parts.map { $0.tokens > 0 ? $0.sum / Double($0.tokens) : Double.nan }
      return call.push(["mean": mean, "perplexity": exp(mean), "per_text": perText, "tokens": tokens] as LuaTable)
    },
    Function(
      "reference", "m:reference{ texts | examples, chat = }",
      "The model's predictions without interventions, kept for m:kl{ reference = }: rows of logits, so about 4 bytes times "
        + "vocabulary per token.",
      options: textOptions, results: "reference",
      example:
        "local m = model.load(\"smollm2-135m-instruct\")\nlocal r = m:reference{ texts = { \"The sky is blue.\" } }"
    ) { call in
      let object = try call.this(ModelObject.self), scored = try call.options().scoredTexts(of: object.model)
      let reference = try object.model.reference(scored)
      return call.push(ReferenceObject(reference, of: object))
    },
    Function(
      "kl", "m:kl{ texts | examples | reference, chat = }",
      "How far the interventions move the model's predictions: KL(without || with) per token, natural log, and the "
        + "perplexity that is left. Of examples the predictions of the completion and of what follows it count.",
      options: textOptions + [
        Option(
          "reference", "reference", .none,
          "what m:reference made, instead of texts; of another model with the same tokens, KL(that one || this one)")
      ],
      results: "{ mean, perplexity, per_text, rows, tokens }",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local h <close> = m:add{ dir = tensor.ones(m.d_model), layer = 5 }
        print(m:kl{ texts = { "The sky is blue." } }.mean)
        """
    ) { call in
      let object = try call.this(ModelObject.self), model = object.model, options = try call.options()
      var parts: [Divergence] = []
      if let reader = options.optional("reference") {
        let reference = try reader.object(ReferenceObject.self)
        for name in ["texts", "examples", "chat", "template", "special", "end_token"] where options.isPresent(name) {
          throw call.error("option '\(name)' does not go with 'reference', which has its texts")
        }
        if reference.owner !== object {
          try model.requireSameTokens(as: reference.owner.model, for: "kl to another model")
        }
        parts = try model.divergence(from: reference.reference)
      } else {
        let scored = try options.scoredTexts(of: model)
        for (i, text) in scored.enumerated() { try model.check([text.prompt], first: i) }
        parts = try call.withProgress("kl", prompts: scored.count) { update in
          try scored.enumerated().flatMap { i, text in
            defer { update(i + 1) }
            return try model.divergence(from: try model.reference([text]))
          }
        }
      }
      call.noteWarnings(of: model)
      let rows = parts.reduce(0) { $0 + $1.rows }, tokens = parts.reduce(0) { $0 + $1.tokens }
      let mean = parts.reduce(0) { $0 + $1.sum } / Double(max(1, rows))
      let nll = parts.reduce(0) { $0 + $1.nll } / Double(max(1, tokens))
      return call.push(
        [
          "mean": mean, "perplexity": exp(nll), "per_text": parts.map { $0.sum / Double(max(1, $0.rows)) },
          "rows": rows,
          "tokens": tokens,
        ] as LuaTable)
    },
    Function(
      "massive_dimensions", "m:massive_dimensions{ texts = }",
      "Dimensions of the residual stream whose mean absolute value exceeds 20 times the median dimension's, token 1 left "
        + "out (Sun et al. 2024). They swamp norms and cosines; directions leave them out unless told otherwise.",
      options: [Option("texts", "list of strings", .computed("a built-in sample"), "what to measure on")],
      results: "{ dims = { [layer] = {...} }, union = {...}, share = { [layer] = ... } }",
      example: "local m = model.load(\"gemma-3-270m\")\nprint(#m:massive_dimensions{}.union)"
    ) { call in
      let model = try call.model
      let found: MassiveDimensions
      if let texts = try call.options().optional("texts") {
        let prompts = try texts.prompts(of: model, TextRule()), short = prompts.count { $0.tokens.count == 1 }
        if short > 0, short < prompts.count {
          call.state.output.note(
            "massive_dimensions: \(short) of \(prompts.count) texts have one token only, which is left out")
        }
        found = try MassiveDimensions(of: model, prompts: prompts)
      } else {
        found = try MassiveDimensions(of: model)
      }
      var dims = LuaTable(), share = LuaTable()
      for (layer, list) in found.byLayer.sorted(by: { $0.key < $1.key }) { dims.set(layer, list) }
      for (layer, part) in found.share.sorted(by: { $0.key < $1.key }) { share.set(layer, part) }
      return call.push(["dims": dims, "union": found.union, "share": share] as LuaTable)
    },
    Function(
      "memory", "m:memory()",
      "Bytes of the mapped weights, of packed matrices, of the forward pass's buffers, and of keys and values at "
        + "the most in the last run. acthost --verbose prints them after every run.",
      results: "{ weights, packs, buffers, cache }",
      example: "local m = model.load(\"smollm2-135m-instruct\")\nprint(m:memory().packs)"
    ) { call in
      let memory = try call.model.memory
      return call.push(
        [
          "weights": memory.weights, "packs": memory.packs, "buffers": memory.workspace, "cache": memory.cache,
        ] as LuaTable)
    },
  ]
}

/// Kept predictions of an unedited model.
final class ReferenceObject: LuaObject {
  let reference: LogitsReference
  let owner: ModelObject

  init(_ reference: LogitsReference, of owner: ModelObject) {
    self.reference = reference
    self.owner = owner
  }

  var summary: String {
    let rows = reference.logits.reduce(0) { $0 + $1.shape[0] }
    return "reference of \(owner.model.name): \(reference.prompts.count) texts, \(rows) rows of logits"
  }

  static let luaType = ObjectType(
    "reference", "Predictions of a model without interventions; see m:reference and m:kl.")
}
