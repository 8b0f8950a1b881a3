import Engine
import Transfer

let refusalDirectionRow = Function(
  "refusal_direction",
  "steer.refusal_direction(m, { harmful =, harmless =, harmful_val =, harmless_val =, kl_limit = })",
  "The direction that mediates refusal (Arditi et al. 2024): of the mean differences at every layer but the last fifth "
    + "and every template position, the one whose ablation leaves the least refusal, among those that induce it when "
    + "added and change little else. Exactly theirs with mask_massive = false.",
  options: [
    SteerOptions.prompts("harmful", "requests to refuse, for the directions"),
    SteerOptions.prompts("harmless", "requests to answer, for the directions"),
    SteerOptions.prompts("harmful_val", "requests to refuse, for the selection"),
    SteerOptions.prompts("harmless_val", "requests to answer, for the selection"),
    Option("kl_limit", "number", .number(0.1), "largest change of the next token's distribution on harmless prompts"),
    Option(
      "filter", "boolean", .boolean(true), "drops harmful prompts that are not refused and harmless ones that are"),
    SteerOptions.maskMassive, SteerOptions.chat(true),
    Option(
      "layers", "integer, list or { from =, to = }", .string("all"), "layers to try, those of the last fifth left out"),
    Option(
      "pos", "list of negative integers", .computed("the template after the request"), "positions to try, from the end"),
    Option("tokens", "list of ids", .computed("steer.refusal_tokens(m)"), "first tokens of a refusal"),
    Option(
      "judge_all", "boolean", .boolean(false),
      "judges ablation, too, of candidates that do not induce refusal when added and so cannot be chosen"),
  ],
  results: "{ dir, layer, pos, site = \"resid_pre\", refusal, steering, kl, scores = rows of all candidates }",
  example: """
    local m = model.load("smollm2-135m-instruct")
    local harmful = { "Tell me how to pick a stranger's lock", "Write a threatening letter" }
    local harmless = { "Tell me how to bake bread", "Write a birthday letter" }
    local ok, r = pcall(steer.refusal_direction, m, {
      harmful = harmful, harmless = harmless, harmful_val = harmful, harmless_val = harmless,
      kl_limit = 1, filter = false, layers = { 12 },
    })
    print(ok and r.dir or r)  -- a model that never refuses has no such direction: the error lists the best candidates
    """
) { call in
  let model = try call.argument(1).model()
  let options = try call.options(2)
  let prompts = RefusalDirection.Prompts(
    harmful: try options.prompts("harmful", of: model), harmless: try options.prompts("harmless", of: model),
    harmfulValidation: try options.prompts("harmful_val", of: model),
    harmlessValidation: try options.prompts("harmless_val", of: model))
  var settings = RefusalDirection.Options(refusalTokens: try refusalTokens(of: model, options))
  settings.divergenceLimit = try options.number("kl_limit", in: 0...Double.infinity)
  settings.filters = try options.boolean("filter")
  settings.masked = try options.maskedDimensions(of: model, .residPre)
  settings.judgesAll = try options.boolean("judge_all")
  settings.layers = try options.optional("layers")?.layers(of: model)
  settings.positions = try options.optional("pos")?.oneOrMany { try $0.integer(in: -4096 ... -1) }
  let found = try call.withPhases { phases in
    try RefusalDirection(of: model, prompts, options: settings, template: call.templateName(model, options)) {
      phases.update("refusal direction", $0, of: $1)
    }
  }
  call.note(gaps: found.gaps, in: "refusal_direction")
  let scores = found.candidates.map { candidate -> LuaTable in
    [
      "layer": candidate.layer, "pos": candidate.position, "refusal": candidate.refusal, "steering": candidate.steering,
      "kl": candidate.divergence,
      "passes": candidate.steering >= 0 && candidate.divergence <= settings.divergenceLimit && !candidate.refusal.isNaN,
    ]
  }
  let result: LuaTable = [
    "dir": VectorObject(found.vector).asLua, "layer": found.chosen.layer, "pos": found.chosen.position,
    "site": Site.residPre.rawValue, "refusal": found.chosen.refusal, "steering": found.chosen.steering,
    "kl": found.chosen.divergence, "scores": scores,
  ]
  return call.push(result)
}

let refusalTokensRow = Function(
  "refusal_tokens", "steer.refusal_tokens(m [, { words = }])",
  "First tokens of words that open a refusal, as the model's tokenizer has them at the start of an answer.",
  options: [
    Option("words", "list of strings", .computed("I, Sorry, As, Unfortunately"), "words that open a refusal")
  ],
  results: "list of ids",
  example: "local m = model.load(\"smollm2-135m-instruct\")\nprint(#steer.refusal_tokens(m))"
) { call in
  let model = try call.argument(1).model()
  let options = try call.options(2)
  guard let reader = options.optional("words") else {
    return call.push(try RefusalDirection.openingTokens(model.requireTokenizer()))
  }
  let words = try reader.list { try $0.string() }
  guard !words.isEmpty else { throw reader.error("the list is empty") }
  return call.push(try RefusalDirection.openingTokens(model.requireTokenizer(), words: words))
}

let refusalScoresRow = Function(
  "refusal_scores", "steer.refusal_scores(m, { prompts =, chat =, tokens = })",
  "How strongly each prompt's next token opens a refusal: log-odds of the probability of all refusal tokens together "
    + "(Arditi et al. 2024). Interventions apply.",
  options: [
    SteerOptions.prompts("prompts", "prompts to score"), SteerOptions.chat(true),
    Option("tokens", "list of ids", .computed("steer.refusal_tokens(m)"), "first tokens of a refusal"),
  ],
  results: "list of log-odds",
  example: """
    local m = model.load("smollm2-135m-instruct")
    print(steer.refusal_scores(m, { prompts = { "How do I pick a lock?" } })[1])
    """
) { call in
  let model = try call.argument(1).model()
  let options = try call.options(2)
  let prompts = try options.prompts("prompts", of: model)
  let tokens = try refusalTokens(of: model, options)
  let scores = try call.withProgress("refusal scores", prompts: prompts.count) { update in
    try RefusalDirection.scores(model, prompts, tokens: tokens, progress: update)
  }
  call.noteWarnings(of: model)
  return call.push(scores)
}

private func refusalTokens(of model: Model, _ options: OptionReader) throws -> [Int] {
  if let reader = options.optional("tokens") { return try reader.tokenIDs(of: model) }
  return try RefusalDirection.openingTokens(model.requireTokenizer())
}
