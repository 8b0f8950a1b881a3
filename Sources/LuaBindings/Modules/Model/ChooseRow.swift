import Engine
import Foundation

extension ModelObject {
  /// `m:choose`: which of some answers a model finds likeliest.
  static let chooseRow = Function(
    "choose", "m:choose{ prompt | prompts, options =, normalise =, chat = }",
    "Which of some texts is the likeliest to follow each prompt, by the log-probability of all its tokens: multiple choice, "
      + "yes or no, digits. Interventions apply. An option is read as it stands: without chat it usually begins with a space.",
    options: [
      Option("prompt", "string", .none, "one prompt"), Option("prompts", "list of strings", .none, "several"),
      Option(
        "options", "list of strings, or one such list for each prompt", .required, "the texts to choose from"),
      Option(
        "normalise", "string", .string("none"),
        "what is compared: the log-probability, or that over the option's number of tokens",
        choices: ["none", "length"]),
      Option("chat", "boolean", .boolean(false), "wraps prompts as a user turn of the model's template"),
      SharedOptions.template,
      Option(
        "end_token", "boolean", .boolean(false),
        "the token that ends the turn, or without chat the text, counts as well"),
    ],
    results:
      "{ choice = the option, index = its place, logprob = { of each option }, tokens = { of each option } }, or a "
      + "list of them for prompts. logprob is minus the sum of m:nll over the option",
    example: """
      local m = model.load("smollm2-135m-instruct")
      local r = m:choose{ prompt = "The capital of France is", options = { " Paris", " London" } }
      print(r.choice, r.logprob[1], r.logprob[2])
      """
  ) { call in
    let model = try call.model, options = try call.options()
    let (name, value) = try options.oneOf(["prompt", "prompts"])
    let prompts = name == "prompt" ? [try value.bytes()] : try value.list { try $0.bytes() }
    guard !prompts.isEmpty else { throw value.error("the list is empty") }
    let choices = try options.choices(count: prompts.count, isSingle: name == "prompt")
    let chat = try options.boolean("chat"), endToken = try options.boolean("end_token")
    let template = try options.template(of: model), byLength = try options.choice("normalise") == "length"
    var examples: [SupervisedExample] = []
    for (i, prompt) in prompts.enumerated() {
      for option in choices[i] {
        examples.append(
          try SupervisedExample(
            prompt: prompt, completion: option, model: model, chat: chat, template: template, endToken: endToken))
      }
    }
    let parts = try call.withProgress("choose", prompts: examples.count) { update in
      try model.negativeLogLikelihood(
        examples.map(\.prompt), scoredFrom: examples.map(\.scoredFrom), progress: update)
    }
    call.noteWarnings(of: model)
    var start = 0
    let tables = choices.map { list -> LuaTable in
      let own = parts[start..<start + list.count]
      start += list.count
      let scores = own.map { byLength ? -$0.sum / Double(max(1, $0.tokens)) : -$0.sum }
      let best = scores.indices.max { scores[$0] < scores[$1] || (scores[$0] == scores[$1] && $0 > $1) } ?? 0
      return [
        "choice": LuaBytes(list[best]), "index": best + 1, "logprob": own.map { -$0.sum }, "tokens": own.map(\.tokens),
      ]
    }
    return call.push(tables, single: name == "prompt")
  }
}

extension OptionReader {
  /// The options of each prompt: one list for all, or one for each.
  fileprivate func choices(count: Int, isSingle: Bool) throws -> [[[UInt8]]] {
    let reader = try required("options")
    guard reader.isTable, reader.listCount > 0 else { throw reader.mismatch("a list of strings") }
    func list(_ reader: ArgumentReader) throws -> [[UInt8]] {
      let texts = try reader.list { entry in
        let text = try entry.bytes()
        guard !text.isEmpty else { throw entry.error("an empty text cannot be chosen") }
        return text
      }
      guard !texts.isEmpty else { throw reader.error("the list is empty") }
      return texts
    }
    guard reader.entry(1)?.isTable == true else {
      let shared = try list(reader)
      return Array(repeating: shared, count: count)
    }
    guard !isSingle else { throw reader.mismatch("a list of strings for one prompt") }
    guard reader.listCount == count else {
      throw reader.error("\(reader.listCount) lists of options for \(count) prompts")
    }
    return try reader.list { try list($0) }
  }
}
