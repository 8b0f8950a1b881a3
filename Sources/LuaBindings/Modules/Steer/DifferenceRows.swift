import Engine
import Transfer

private let placeOptions = [
  SharedOptions.site(), SharedOptions.layer, SharedOptions.layers(.string("all")), SteerOptions.pos,
]

/// Directions from positive and negative prompts.
let differenceRows: [Function] = [
  Function(
    "mean_difference", "steer.mean_difference(m, { positive =, negative =, site =, layers =, pos =, chat = })",
    "The mean activation of some prompts minus that of others, at all layers and positions asked for, in one pass.",
    options: [
      SteerOptions.prompts("positive", "prompts that show it"),
      SteerOptions.prompts("negative", "prompts that do not"),
    ] + placeOptions + [SteerOptions.chat(true), SteerOptions.maskMassive],
    results: "directions; d:at(layer [, pos]) is a vector that carries both means, and in v.n the rows of each side: a "
      + "position that some prompts lack is said aloud",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local d = steer.mean_difference(m, { positive = { "What a lovely day" }, negative = { "What a dreadful day" } })
      print(d:at(15))
      """
  ) { call in
    let model = try call.argument(1).model()
    let options = try call.options(2)
    let place = try options.readingPlace(of: model)
    let positive = try options.prompts("positive", of: model)
    let negative = try options.prompts("negative", of: model)
    let masked = try options.maskedDimensions(of: model, place.site)
    let template = try call.templateName(model, options)
    let directions = try call.withProgress("mean difference", prompts: positive.count + negative.count) { update in
      try Directions.meanDifference(
        model, positive: positive, negative: negative, at: place, masked: masked, template: template, progress: update)
    }
    call.note(gaps: directions.gaps, in: "mean_difference")
    return call.push(DirectionsObject(directions))
  },
  Function(
    "prompt_difference", "steer.prompt_difference(m, { positive = text, negative = text, layers =, chat = })",
    "Activation addition (Turner et al. 2023): one prompt minus another, a vector for each position, aligned from the end.",
    options: [
      Option("positive", "string or token list", .required, "the prompt that is added"),
      Option("negative", "string or token list", .required, "the prompt that is subtracted"), SharedOptions.site(),
      SharedOptions.layer, SharedOptions.layers(.string("all")), SteerOptions.chat(false), SteerOptions.maskMassive,
    ],
    results: "directions; d:at(layer, pos), pos from -n to -1",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local d = steer.prompt_difference(m, { positive = "Love", negative = "Hate", layers = 6 })
      print(d:at(6, -1))
      """
  ) { call in
    let model = try call.argument(1).model()
    let options = try call.options(2)
    let place = try options.readingPlace(of: model, position: false)
    func prompt(_ name: String) throws -> Prompt {
      let reader = try options.required(name)
      if reader.isTable { return Prompt(tokens: try reader.tokenIDs(of: model)) }
      return try reader.prompt(of: model, TextRule(chat: options.boolean("chat")))
    }
    return call.push(
      DirectionsObject(
        try Directions.promptDifference(
          model, positive: prompt("positive"), negative: prompt("negative"), site: place.site, layers: place.layers,
          masked: options.maskedDimensions(of: model, place.site), template: call.templateName(model, options))))
  },
  Function(
    "principal_component", "steer.principal_component(m, { positive =, negative =, site =, layers =, pos =, chat = })",
    "The first principal component of paired differences, uncentred, with the sign of the mean difference and unit norm.",
    options: [
      SteerOptions.prompts("positive", "prompts that show it, in pairs with the negative ones"),
      SteerOptions.prompts("negative", "as many prompts that do not"),
    ] + placeOptions + [SteerOptions.chat(true), SteerOptions.maskMassive],
    results: "directions",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local d = steer.principal_component(m, {
        positive = { "A lovely day", "A kind man" }, negative = { "A dreadful day", "A cruel man" }, layers = { 10, 15 },
      })
      print(d:at(15))
      """
  ) { call in
    let model = try call.argument(1).model()
    let options = try call.options(2)
    let place = try options.readingPlace(of: model)
    let positive = try options.prompts("positive", of: model)
    let negative = try options.prompts("negative", of: model)
    let masked = try options.maskedDimensions(of: model, place.site)
    let template = try call.templateName(model, options)
    let directions = try call.withProgress("principal component", prompts: positive.count + negative.count) { update in
      try Directions.principalComponents(
        model, positive: positive, negative: negative, at: place, masked: masked, template: template, progress: update)
    }
    return call.push(DirectionsObject(directions))
  },
]
