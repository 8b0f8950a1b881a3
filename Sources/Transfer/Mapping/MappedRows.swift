import Engine

/// Another model's activations of the same text as `target`, mapped, at the target's tokens they stand for: what
/// replaces a layer of the target.
///
/// The source reads the prompt's text with its own tokenizer; a chat prompt's message, with the answer that is scored
/// if there is one, is put into the source's template instead. Token 1 never gets a row. Without a map, rows are taken
/// as they are, so widths must agree. `sourceLayer`: the map's own unless given. A prompt of bare tokens is given to
/// the source as it is, paired index by index.
///
/// Throws `.argument` where the map belongs to other models, another site or layer, `.shape` for widths that differ,
/// `.position` where no token has a counterpart, `.missing` where text is needed and there is none.
public func mappedRows(
  for target: Prompt, targetModel: Model, source: Model, sourceLayer: Int? = nil, map: TransferMap? = nil,
  site: Site = .residPost, alignment: TokenAlignment? = nil
) throws -> ReplacementRows {
  try map?.requireModels(source: source.identity, target: targetModel.identity)
  guard let layer = sourceLayer ?? map?.card.source.layer else {
    throw EngineError(
      .layer, "replace: which layer of \(source.name)? It has 0 to \(source.configuration.layerCount - 1)")
  }
  if let card = map?.card, card.source.layer != layer || card.site != site.rawValue {
    throw EngineError(
      .layer,
      "replace: the map takes \(card.site) of layer \(card.source.layer) of \(card.source.model.name), not "
        + "\(site.rawValue) of layer \(layer)")
  }
  let prompt = try sourcePrompt(for: target, targetModel: targetModel, source: source)
  let isText = prompt.text != nil && target.text != nil
  let aligner = TextAligner(
    source, targetModel, isText ? alignment ?? map?.card.options.alignment ?? .offset : .index)
  let pairs = try aligner.rows(prompt, target)
  guard !pairs.isEmpty else {
    throw EngineError(
      .position,
      "replace: none of the \(target.tokens.count) tokens has a counterpart in \(source.name); token 1 is never "
        + "replaced")
  }
  let width = try ReadingPlace(site: site, layers: [layer]).width(in: source)
  let rows = try Tensor(uninitialized: [pairs.count, width])
  let capture = CaptureRequest(site: site, layers: [layer]) { captured in
    for (row, pair) in pairs.enumerated() {
      (rows.mutablePointer + row * width).update(from: captured.pointer + pair.source * width, count: width)
    }
  }
  _ = try source.run([prompt], logits: .none, captures: [capture], intervening: source !== targetModel)
  let values = try map.map { try $0(rows) } ?? rows
  let wanted = try ReadingPlace(site: site, layers: [0]).width(in: targetModel)
  guard values.shape[1] == wanted else {
    throw EngineError(
      .shape,
      "replace: rows of \(source.name) have \(values.shape[1]) values, \(targetModel.name) needs \(wanted); give a "
        + "map = mapper.fit{ from =, to =, ... }")
  }
  return ReplacementRows(positions: pairs.map { $0.target + 1 }, values: values)
}

/// The same text as the source model reads it.
private func sourcePrompt(for target: Prompt, targetModel: Model, source: Model) throws -> Prompt {
  if source === targetModel || source.hash == targetModel.hash { return target }
  guard let text = target.text else { return Prompt(tokens: target.tokens) }
  switch target.contentSpans.count {
  case 0: return try source.prompt(text: text)
  case 1: return try source.prompt(text: Array(text[target.contentSpans[0]]), chat: true)
  case 2 where isAnswered(target, text):  // a user turn and what is scored of its answer
    let message = ChatMessage(role: "user", content: Array(text[target.contentSpans[0]]))
    let turn = try source.renderChat([message], generationPrompt: true)
    let answered = turn.answered(Array(text[target.contentSpans[1]]))
    guard target.contentSpans[1].upperBound < text.count, let tokenizer = source.tokenizer,
      let end = source.template?.endOfTurn(tokenizer)
    else { return try source.prompt(rendered: answered) }
    return try source.prompt(
      rendered: RenderedChat(
        text: answered.text + tokenizer.tokenBytes(end), contentSpans: answered.contentSpans))
  default:
    throw EngineError(
      .argument,
      "replace: a conversation of \(target.contentSpans.count) messages cannot be told to \(source.name); "
        + "give prompts of one user turn")
  }
}

/// Whether the second content, an answer, ends the text, but for one token that ends the turn.
private func isAnswered(_ prompt: Prompt, _ text: [UInt8]) -> Bool {
  let end = prompt.contentSpans[1].upperBound
  return end == text.count || prompt.spans?.last == end..<text.count
}
