import Engine
import Foundation

extension ModelObject {
  static let runRows: [Function] = [
    Function(
      "run", "m:run{ prompt | prompts | tokens, ... }",
      "Runs prompts and returns logits and captured activations. Interventions apply; `hooks` says what they did.",
      options: SharedOptions.prompts + [
        Option(
          "logits", "string", .string("last"), "rows whose logits are kept",
          choices: LogitsMode.allCases.map(\.rawValue)),
        SharedOptions.capture,
      ],
      results: "{ logits, tokens, acts, hooks }, or a list of them for a batch",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local r = m:run{ prompt = "The capital of France is" }
        print(m:top_tokens(r.logits, 1)[1].text)
        """
    ) { call in
      let model = try call.model, options = try call.options()
      let set = try options.prompts(of: model)
      let mode = LogitsMode(rawValue: try options.choice("logits")) ?? .last
      let (captures, acts) = try options.captures(of: model, sequences: set.prompts.count)
      let results = try call.withProgress("run", prompts: set.prompts.count) { update in
        try model.run(set.prompts, logits: mode, captures: captures, progress: update)
      }
      call.noteWarnings(of: model)
      let hooks = call.hookTables(of: try call.this(ModelObject.self))
      let tables = results.enumerated().map { i, result in
        var table: LuaTable = ["tokens": result.tokens, "hooks": hooks]
        if let logits = result.logits { table.set("logits", logits.asLua) }
        if !acts.isEmpty { table.set("acts", acts[i].asLua) }
        return table
      }
      return call.push(tables, single: set.isSingle)
    },
    Function(
      "generate", "m:generate{ prompt | prompts | tokens, ... }",
      "Continues prompts with a cache. Ctrl-C returns what there is; the next run of a model after it is interrupted, so "
        + "that a loop ends.",
      options: SharedOptions.prompts + [
        Option("max_tokens", "integer", .integer(64), "new tokens at most"),
        Option("temperature", "number", .number(0), "0 takes the likeliest token"),
        Option("top_k", "integer", .none, "draws from the k likeliest"),
        Option("top_p", "number", .none, "draws from the smallest set with this probability"),
        Option("stop", "string, id or list of both", .none, "ends a sequence, besides m.stop_tokens"),
        Option("ignore_eos", "boolean", .boolean(false), "goes on after the model's own stop tokens"),
        Option("seed", "integer", .integer(0), "row i of a batch draws as seed + i - 1"),
        SharedOptions.capture,
        Option(
          "logits", "string", .string("none"), "first: keeps those that the first new token is drawn from",
          choices: ["none", "first"]),
        Option(
          "on_token", "function(text, id, sequence)", .none,
          "gets whole pieces of text that join to .text; returning false ends that sequence"),
      ],
      results: "{ text, tokens, finish, acts, logits, note }, or a list of them for a batch. finish is stop, length, "
        + "context (the model's context ended) or interrupted. tokens are the new ones that lie within text: the stopping "
        + "token and the tokens of a stop string are left out. acts have rows for the prompt and all of tokens but the last",
      example: """
        local m = model.load("smollm2-135m-instruct")
        local c = m:generate{ prompt = "What is the capital of France?", chat = true, max_tokens = 20 }
        print(c.text, c.finish)
        """
    ) { call in
      let model = try call.model, options = try call.options()
      let set = try options.prompts(of: model)
      var settings = try generationOptions(options)
      if let tokenizer = model.tokenizer, let end = try options.template(of: model)?.endOfTurn(tokenizer) {
        settings.stopTokens.append(end)
      }
      let (captures, acts) = try options.captures(of: model, sequences: set.prompts.count)
      var onToken: (([UInt8], Int, Int) throws -> Bool)?
      if let function = try options.optional("on_token")?.function() {
        onToken = { text, id, sequence in
          try function.call([LuaBytes(text), id, sequence + 1], results: 1) { results in
            results[0].isBoolean ? try results[0].boolean() : true
          }
        }
      }
      let completions = try call.withProgress("generate", prompts: set.prompts.count) { update in
        try model.generate(set.prompts, options: settings, captures: captures, onToken: onToken, progress: update)
      }
      call.keepResultsOfInterruption(completions.contains { $0.finish == .interrupted })
      call.noteWarnings(of: model)
      let tables = completions.enumerated().map { i, completion in
        var table: LuaTable = [
          "text": LuaBytes(completion.text), "tokens": completion.tokens, "finish": completion.finish.rawValue,
        ]
        if let logits = completion.firstLogits { table.set("logits", logits.asLua) }
        if let note = completion.note {
          table.set("note", note)
          call.state.output.note("warning: " + note)
        }
        if !acts.isEmpty {
          acts[i].keepRows(through: set.prompts[i].tokens.count + max(0, completion.tokens.count - 1))
          table.set("acts", acts[i].asLua)
        }
        return table
      }
      return call.push(tables, single: set.isSingle)
    },
  ]

  private static func generationOptions(_ options: OptionReader) throws -> GenerationOptions {
    var settings = GenerationOptions()
    settings.maxTokens = try options.integer("max_tokens", in: 1...1 << 20)
    settings.temperature = try options.number("temperature", in: 0...Double.infinity)
    settings.topK = try options.optional("top_k")?.integer(in: 1...Int.max)
    settings.topP = try options.optional("top_p")?.number()
    settings.ignoreEnd = try options.boolean("ignore_eos")
    settings.seed = try options.integer("seed", in: -(1 << 53)...1 << 53)
    _ = try options.optional("stop")?.oneOrMany { reader in
      if reader.isNumber {
        settings.stopTokens.append(try reader.integer())
      } else if reader.isString {
        settings.stopStrings.append(try reader.string())
      } else {
        throw reader.mismatch("a string or a token id")
      }
    }
    settings.keepsFirstLogits = try options.choice("logits") == "first"
    return settings
  }
}

extension Call {
  /// For functions that hand back what they have after Ctrl-C: lets the script take it. Also where the work was over
  /// when the key was pressed.
  func keepResultsOfInterruption(_ isCut: Bool) {
    if isCut || Interrupt.isRequested { state.deferInterruption() }
  }

  /// A batch's tables as a list, a single prompt's as itself.
  func push(_ tables: [LuaTable], single: Bool) -> Int { single ? push(tables[0]) : push(tables) }

  /// What a run has to say beside its results: warnings, and with `--verbose` the memory the model holds.
  func noteWarnings(of model: Model) {
    if Module.isVerbose { state.output.note("\(model.name): \(model.memory.summary)") }
    guard !model.interventions.isEmpty else { return }
    for warning in model.interventions.warnings { state.output.note("warning: " + warning) }
  }
}
