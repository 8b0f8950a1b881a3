import Engine
import Foundation

extension Module {
  /// Training inside the host: adapters, whole models, gradients.
  static let train = Module(
    "train", "Fine-tuning on prompts and completions, and gradients of losses.",
    functions: [loraRow, cachedRow, fullRow, adapterRow, loadRow, gradientsRow], types: [AdapterObject.self],
    topics: [
      Topic(
        "training",
        """
        train.lora leaves the model as it is and gives an adapter: m:attach(a) lets it take part, m:detach(a) takes it out
        again, m:merge(a) is a model of its own. train.full trains a copy of all weights.

          examples = { { prompt = "...", completion = "..." }, ... }

        With chat = true (the default) the prompt is a user turn of the model's template, or of template = "alpaca", "chatml",
        "gemma", "llama3" or a text in Jinja; the completion and the token that ends the turn are learnt, nothing else is.
        Without chat the completion alone is learnt. end_token = true adds the token that ends a text there, false leaves the
        end out in a chat. An example with finish = "length", as m:generate has it for what was cut, is learnt without an end.
        m:nll, m:kl and train.gradients score the same tokens of the same examples.
        A step is one batch of examples, packed without padding; the loss is the mean over its scored tokens.

        checkpoint = folder keeps the state every minute, at Ctrl-C and at errors, and continues from there with the same
        numbers. It is removed once training is over; where on_step ends it early it stays.
        Ctrl-C ends a training and hands back what was learnt so far, with history.interrupted = true; the next run of a
        model after that is interrupted.
        cache = name keeps the finished adapter or model in the store under a hash of model, examples and settings: the same call
        gives it back at once.
        """)
    ])

  private static let trainingOptions: [Option] = [
    Option("examples", "list of { prompt =, completion = }", .required, "what is learnt"),
    Option("chat", "boolean", .boolean(true), "wraps prompts as a user turn of the template"), SharedOptions.template,
    SharedOptions.endToken,
    Option("epochs", "integer", .integer(3), "passes over the examples"),
    Option("batch", "integer", .integer(16), "examples of a step"),
    Option("max_length", "integer", .integer(512), "longer examples are cut, and counted"),
    Option("warmup", "integer", .integer(8), "steps over which lr rises"),
    Option(
      "schedule", "string", .string("constant"), "lr after that; linear and cosine end at 0",
      choices: TrainingOptions.Schedule.allCases.map(\.rawValue)),
    Option("weight_decay", "number", .number(0), "AdamW's decoupled decay"),
    Option("clip", "number", .number(1), "longest gradient"),
    Option("seed", "integer", .integer(0), "of the start, the order and dropout"),
    Option("checkpoint", "string", .none, "folder for the state of a training under way, continued if there is one"),
    Option(
      "on_step", "function(progress)", .none,
      "gets { step, steps, epoch, loss, gradient_norm, lr, tokens, seconds } after each step; returning false ends"),
    Option("model", "model", .required, "what is trained"),
    Option(
      "teacher", "model", .none,
      "a model with the same tokens whose next-token distributions are learnt in place of the completions' tokens: the "
        + "loss is KL(teacher || model)"),
    Option("cache", "string", .none, "a name: keeps the result in the store, and takes it from there the next time"),
  ]

  private static let adapterOptions: [Option] = [
    Option("rank", "integer", .integer(16), "rank of the updates"),
    Option("alpha", "number", .number(32), "updates are scaled by alpha / rank"),
    Option("dropout", "number", .number(0), "share of the adapter's inputs dropped in training"),
    Option("targets", "\"all\" or list of names", .string("all"), "linear maps, by PEFT's names: \"q_proj\""),
    Option("layers", "integer, list, { from =, to = } or \"all\"", .string("all"), "blocks that are changed"),
  ]

  private static let example = """
    local m = model.load("smollm2-135m-instruct")
    local examples = { { prompt = "Say hello.", completion = "Ahoy!" }, { prompt = "Greet me.", completion = "Ahoy there!" } }

    """

  private static let loraOptions =
    trainingOptions + adapterOptions + [
      Option("lr", "number", .number(1e-3), "learning rate")
    ]

  private static let loraRow = Function(
    "lora", "train.lora{ model =, examples =, rank = 16, alpha = 32, epochs = 3, lr = 1e-3, ... }",
    "Trains low-rank updates (LoRA, Hu et al. 2022) with AdamW; the model itself stays as it is. See ?training.",
    options: loraOptions, results: "adapter, not attached",
    example: example + """
      local a = train.lora{ model = m, examples = examples, epochs = 1, rank = 4 }
      m:attach(a)
      """
  ) { call in
    let options = try call.options(), plan = try options.loraPlan()
    if plan.isStored, let folder = plan.folder {
      let known = try Adapter(folder: folder, for: plan.model)
      return call.push(AdapterObject(known, history: TrainingHistory(isCached: true, folder: folder)))
    }
    var settings = plan.settings
    settings.checkpoint = settings.checkpoint ?? plan.folder
    let history = try call.train(plan.model, plan.adapter, plan.teacher, plan.examples, settings, options) {
      try plan.folder.map(plan.adapter.save)
      return plan.folder
    }
    return call.push(AdapterObject(plan.adapter, history: history))
  }

  private static let cachedRow = Function(
    "cached", "train.cached{ model =, examples =, cache =, ... as train.lora }",
    "Where the store has the adapter that train.lora with the same options would train.",
    options: loraOptions, results: "folder, or nil where it would have to be trained",
    example: example + "print(train.cached{ model = m, examples = examples, epochs = 1, cache = \"ahoy\" })"
  ) { call in
    let plan = try call.options().loraPlan()
    return call.push(plan.isStored ? plan.folder : nil)
  }

  private static let fullRow = Function(
    "full", "train.full{ model =, examples =, epochs = 3, lr = 2e-5, ... }",
    "Trains a copy of all weights, kept in float32, with AdamW; the model itself stays as it is. dtype = \"bf16\" multiplies "
      + "in bf16 over float32 weights. See ?training.",
    options: trainingOptions + [
      Option("lr", "number", .number(2e-5), "learning rate"),
      Option("dtype", "string", .computed("the model's"), "products of the copy", choices: ["f32", "bf16"]),
    ],
    results: "model, { losses, steps, tokens, seconds, ... }",
    example: example + "print(pcall(train.full, { model = m, examples = {} }))"
  ) { call in
    let options = try call.options()
    let model = try options.required("model").model(), teacher = try options.optional("teacher")?.model()
    guard model.adapters.isEmpty else {
      throw call.error(
        "\(model.name) has \(model.adapters.count) adapters attached, and all weights are trained without them: merge one "
          + "and train what that gives, or detach them", kind: .argument)
    }
    let examples = try options.supervised(model)
    var settings = try options.training()
    settings.learningRate = try options.number("lr")
    let precision = try options.isPresent("dtype") ? WeightPrecision(rawValue: options.choice("dtype")) : nil
    let kept = precision ?? (model.precision == .native ? .f32 : model.precision)
    let folder = try options.cacheFolder(
      Trainer.recipe(model, nil, teacher: teacher, examples.list, settings).prefix(12) + "-" + kept.rawValue)
    func stored() throws -> Model? {
      guard let folder, FileManager.default.fileExists(atPath: folder + "/config.json") else { return nil }
      return try Model.load(path: folder, name: model.name, precision: kept)
    }
    func push(_ result: Model, _ history: TrainingHistory) -> Int {
      LoadedModels.add(result)
      return call.push(ModelObject(result)) + call.push(history.table)
    }
    if let known = try stored() { return push(known, TrainingHistory(isCached: true, folder: folder)) }
    let state = folder.map { $0 + ".training" }
    settings.checkpoint = settings.checkpoint ?? state
    let copy = try model.trainable(precision: kept)
    if folder != nil { try copy.checkSavable() }
    let history = try call.train(copy, nil, teacher, examples, settings, options) {
      copy.settleHash()
      try folder.map { try copy.save($0) }
      return folder
    }
    if !history.isWhole { copy.settleHash() }
    if let state { rmdir(state) }
    return push(try stored() ?? copy, history)
  }

  private static let adapterRow = Function(
    "adapter", "train.adapter{ model =, rank = 16, alpha = 32, targets = }",
    "A fresh adapter that changes nothing until it is trained: A random, B zero.",
    options: [Option("model", "model", .required, "what it is for")] + adapterOptions + [
      Option("seed", "integer", .integer(0), "of A")
    ],
    results: "adapter",
    example:
      "local m = model.load(\"smollm2-135m-instruct\")\nprint(train.adapter{ model = m, rank = 8, targets = { \"q_proj\" } })"
  ) { call in
    let options = try call.options(), model = try options.required("model").model()
    return call.push(AdapterObject(try options.adapter(for: model, seed: try options.integer("seed"))))
  }

  private static let loadRow = Function(
    "load", "train.load(folder, m)", "Reads an adapter's folder, PEFT's or ours, for a model.", results: "adapter",
    example: "local m = model.load(\"smollm2-135m-instruct\")\nprint(pcall(train.load, \"adapters/mine\", m))"
  ) { call in
    let path = try call.argument(1).path()
    return call.push(AdapterObject(try Adapter(folder: path, for: try call.argument(2).model())))
  }

  private static let gradientsRow = Function(
    "gradients", "train.gradients{ model =, tokens | prompts | examples =, parameters =, capture_gradients = }",
    "The loss, the mean negative log-likelihood of all next tokens (of completions, for examples), and its gradients: with "
      + "respect to checkpoint tensors by name, and to activations at sites. Interventions must be off; adapters take part.",
    options: [
      Option("model", "model", .required, "what is differentiated")
    ] + SharedOptions.prompts + [
      Option(
        "examples", "list of { prompt =, completion = }", .none,
        "only completions are scored, and the tokens that end them; chat is true unless given, as in training"),
      SharedOptions.endToken,
      Option("parameters", "list of names", .none, "checkpoint tensors, as \"model.layers.1.mlp.up_proj.weight\""),
      Option(
        "capture_gradients", "{ site = name or list, layers =, pos = }", .none,
        "activations with respect to which the loss is differentiated"),
    ],
    results: "{ loss, tokens, gradients = { [name] = tensor }, acts }; acts as of m:run, a list of them for a batch",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local g = train.gradients{ model = m, tokens = { m:tokens("The sky is blue.") }, parameters = { "model.norm.weight" } }
      print(g.loss, g.gradients["model.norm.weight"]:norm())
      """
  ) { call in
    let options = try call.options()
    let model = try options.required("model").model()
    var set: PromptSet, scoredFrom: [Int]
    if options.isPresent("examples") {
      for name in ["prompt", "prompts", "tokens", "bos", "special"] where options.isPresent(name) {
        throw call.error("option '\(name)' has no meaning beside 'examples'")
      }
      let examples = try options.supervised(model, limit: model.configuration.contextLength)
      call.noteLengths(examples, "the model's context")
      set = PromptSet(prompts: examples.list.map(\.prompt), isSingle: false)
      scoredFrom = examples.list.map(\.scoredFrom)
    } else {
      set = try options.prompts(of: model)
      scoredFrom = set.prompts.map { _ in 0 }
    }
    let names = try options.optional("parameters")?.list { try $0.string() } ?? []
    let (captures, acts) = try options.captures("capture_gradients", of: model, sequences: set.prompts.count)
    let result = try model.gradients(set.prompts, scoredFrom: scoredFrom, parameters: names, captures: captures)
    var gradients = LuaTable()
    for name in names { if let tensor = result.parameters[name] { gradients.set(name, tensor.asLua) } }
    var table: LuaTable = ["loss": result.loss, "tokens": result.tokens, "gradients": gradients]
    if !acts.isEmpty {
      if set.isSingle { table.set("acts", acts[0].asLua) } else { table.set("acts", acts.map(\.asLua)) }
    }
    return call.push(table)
  }
}

extension Call {
  /// Trains under a progress line with loss and tokens per second. `keep` saves the result of a training that went to
  /// its end and says where; the checkpoint goes after that.
  fileprivate func train(
    _ model: Model, _ adapter: Adapter?, _ teacher: Model?, _ examples: SupervisedExamples, _ settings: TrainingOptions,
    _ options: OptionReader, keep: () throws -> String?
  ) throws -> TrainingHistory {
    noteLengths(examples, "max_length")
    guard !examples.list.isEmpty else {
      throw error("option 'examples': every prompt alone reaches max_length; nothing is left to learn from")
    }
    try Interrupt.check()  // one that is still pending is not this call's: it has nothing to hand back yet
    let trainer = try Trainer(model, adapter: adapter, teacher: teacher, examples.list, settings)
    let onStep = try options.optional("on_step")?.function()
    var history = TrainingHistory(truncated: examples.truncated, dropped: examples.dropped)
    let output = state.output, task = output.progressBegin("training", total: trainer.steps)
    var completed = false
    defer { output.progressEnd(task, done: history.steps, completed: completed) }
    func step(_ progress: TrainingProgress) throws -> Bool {
      history.losses.append(progress.loss)
      (history.steps, history.tokens, history.seconds) = (progress.step, progress.tokens, progress.seconds)
      output.progressUpdate(
        task, done: progress.step,
        detail: "loss \(shortText(progress.loss)), \(Int(progress.tokensPerSecond)) tok/s")
      guard let onStep else { return true }
      let table: LuaTable = [
        "step": progress.step, "steps": progress.steps, "epoch": progress.epoch, "loss": progress.loss,
        "gradient_norm": progress.gradientNorm, "lr": progress.learningRate, "tokens": progress.tokens,
        "seconds": progress.seconds,
      ]
      return try onStep.call([table], results: 1) { results in
        results[0].isNil ? true : try results[0].boolean()
      }
    }
    do { try trainer.run(onStep: step) } catch  where error.isCtrlC {
      history.isInterrupted = true
    }
    history.steps = trainer.step
    history.isWhole = trainer.step == trainer.steps
    completed = !history.isInterrupted
    if history.isInterrupted || Interrupt.isRequested { noteInterruption(of: trainer, settings.checkpoint) }
    guard history.isWhole else { return history }
    do { history.folder = try keep() } catch {
      try? trainer.saveCheckpoint()
      guard error.isCtrlC else { throw error }
      history.isInterrupted = true
      output.note("training is complete, and what it gave is handed back; Ctrl-C came before it was kept in the store")
      return history
    }
    trainer.removeCheckpoint()
    return history
  }

  /// Lets the script have what was learnt before Ctrl-C, and says what was kept and how to go on.
  private func noteInterruption(of trainer: Trainer, _ checkpoint: String?) {
    keepResultsOfInterruption(true)
    guard trainer.step < trainer.steps else { return }
    let how =
      trainer.step == 0
      ? "nothing was learnt yet"
      : "what was learnt so far is handed back; "
        + (checkpoint.map { "the same call goes on from \($0)" }
          ?? "its optimiser is not kept: with checkpoint = folder the same call could go on")
    state.output.note("training interrupted after step \(trainer.step) of \(trainer.steps): " + how)
  }

  /// Says how many examples did not fit.
  fileprivate func noteLengths(_ examples: SupervisedExamples, _ limit: String) {
    guard examples.truncated + examples.dropped > 0 else { return }
    state.output.note(
      "\(examples.truncated) examples were cut at \(limit), \(examples.dropped) left out because their prompt alone reaches it"
    )
  }
}

private func shortText(_ value: Double) -> String { String(format: "%.3f", value) }
