import Engine
import Transfer

/// Random controls.
let randomLikeRow = Function(
  "random_like", "steer.random_like(v, { kind =, activations =, seed = })",
  "A random vector with the same mask, site and layer: what a direction must beat. \"isotropic\": every direction equally "
    + "likely. \"covariance\": a random combination of activations less their class's mean, which may be those of other "
    + "texts than the vector's. \"permuted\": the difference of means with the labels of the contrast's prompts shuffled; it "
    + "carries means, so that map:vector takes it as it takes v, and keeps its own norm: rescaled to v's norm, the part of "
    + "the contrast that chance leaves in it grows too, unless balanced = true leaves none. Isotropic ones of directions are "
    + "drawn layer by layer, with seed, seed + 1, ...",
  options: [
    Option(
      "kind", "string", .string("isotropic"), "how it is drawn", choices: ["isotropic", "covariance", "permuted"]),
    Option(
      "activations", "tensor [rows, d], or a list of them by class", .none,
      "for \"covariance\": rows of the vector's site and layer; for \"permuted\": { positive, negative }, a row a prompt"
    ),
    Option("model", "model", .none, "instead of activations: captures them at the vector's site, layer and position"),
    Option(
      "texts", "list of strings, or list of such lists by class", .none,
      "with model: what it reads; for \"permuted\" { positive, negative }, the contrast's own prompts"),
    SteerOptions.chat(true),
    Option(
      "norm", "string", .computed("own for permuted, else equal"), "equal: as long as v; own: as it comes",
      choices: ["equal", "own"]),
    Option(
      "balanced", "boolean", .boolean(false), "for \"permuted\": each side has half of either label, weighted alike"),
    Option(
      "orthogonal", "boolean", .boolean(false), "for the others: without any part of v itself"),
    Option("seed", "integer", .integer(0), "another seed gives another vector"),
  ],
  results: "vector",
  example: """
    local v = steer.from(tensor.randn(576, { seed = 1 }), { layer = 12 })
    print(steer.random_like(v, { seed = 2 }).norm, v.norm)
    local classes = { tensor.randn(20, 576), tensor.randn(20, 576) }
    print(steer.random_like(v, { kind = "permuted", activations = classes, seed = 3 }))
    """
) { call in
  let options = try call.options(2)
  let seed = try options.integer("seed"), kind = try options.choice("kind")
  func refuse(_ names: [String], _ owner: String) throws {
    for name in names where options.isPresent(name) {
      throw call.error("option '\(name)' belongs to kind = \"\(owner)\"")
    }
  }
  if kind == "isotropic" {
    try refuse(["activations", "model", "texts"], "covariance")
    try refuse(["balanced"], "permuted")
    if call.argument(1).isObject(DirectionsObject.self) {
      let directions = try call.argument(1).object(DirectionsObject.self).directions
      return call.push(try directions.randomLike(seed: seed, orthogonal: try options.boolean("orthogonal")))
    }
  }
  let vector = try call.argument(1).vector()
  var norm: String?
  if options.isPresent("norm") { norm = try options.choice("norm") }
  switch kind {
  case "permuted":
    if options.isPresent("orthogonal") {
      throw call.error("option 'orthogonal' is for the other kinds; balanced = true leaves nothing of the contrast")
    }
    let classes = try call.promptRows(vector, options)
    guard classes.count == 2 else {
      throw call.error(
        "kind = \"permuted\" needs the contrast's two sides, { positive, negative }, found \(classes.count)")
    }
    let permuted = try vector.permutedLike(
      positive: classes[0], negative: classes[1], balanced: try options.boolean("balanced"), seed: seed)
    return call.push(VectorObject(norm == "equal" ? try permuted.rescaled(to: vector.norm) : permuted))
  default:
    try refuse(["balanced"], "permuted")
    if norm == "own" {
      throw call.error("option 'norm': a \(kind) draw has no norm of its own; it is as long as the vector")
    }
    let orthogonal = try options.boolean("orthogonal")
    if kind == "isotropic" {
      return call.push(VectorObject(try vector.randomLike(seed: seed, orthogonal: orthogonal)))
    }
    let classes = try call.promptRows(vector, options).map { try Tensor.concatenated($0) }
    return call.push(
      VectorObject(try vector.randomLike(activations: classes, seed: seed, orthogonal: orthogonal)))
  }
}

extension Directions {
  /// One draw for each, or a vector where there is one.
  fileprivate func randomLike(seed: Int, orthogonal: Bool) throws -> any LuaObject {
    if all.count == 1 { return VectorObject(try all[0].randomLike(seed: seed, orthogonal: orthogonal)) }
    var next = seed - 1
    return DirectionsObject(
      try mapping {
        next += 1
        return try $0.randomLike(seed: next, orthogonal: orthogonal)
      })
  }
}

extension Call {
  /// Activations by class and prompt, `[rows, d]` each: given, one row a prompt, or captured where the vector was read.
  fileprivate func promptRows(_ vector: SteeringVector, _ options: OptionReader) throws -> [[Tensor]] {
    let (name, value) = try options.oneOf(["activations", "model"])
    if name == "activations" {
      for other in ["texts"] where options.isPresent(other) { throw error("option '\(other)' belongs to model =") }
      return try value.oneOrMany { try $0.tensor() }.map { rows in
        guard rows.rank == 2 else {
          throw value.error("activations are [rows, d], found shape \(shapeText(rows.shape))", kind: .shape)
        }
        return try (0..<rows.shape[0]).map { try rows.rows($0..<$0 + 1) }
      }
    }
    let model = try value.model()
    let texts = try options.required("texts")
    guard let layer = vector.layer, let site = vector.site else {
      throw error("the vector has no site and layer to capture activations at; give activations =")
    }
    if let owner = vector.origin.model, !model.identity.isRelated(to: owner) {
      throw error("the vector belongs to \(owner.name), not to \(model.name) (hash \(model.hash.prefix(12)))")
    }
    guard texts.isTable, texts.listCount > 0 else { throw texts.mismatch("a list of strings") }
    let chat = try options.boolean("chat")
    // A list of token lists is one class, too.
    let first = texts.entry(1), isNested = first?.isTable == true && first?.entry(1)?.isNumber != true
    let classes =
      isNested ? try texts.list { try $0.prompts(of: model, chat: chat) } : [try texts.prompts(of: model, chat: chat)]
    return try classes.map { prompts in
      var rows = Array(repeating: Tensor?.none, count: prompts.count)
      let capture = CaptureRequest(site: site, layers: [layer], positions: vector.position ?? .last) { captured in
        rows[captured.sequence] = try Tensor(
          copying: captured.pointer, shape: [captured.positions.count, captured.width])
      }
      try withProgress("activations", prompts: prompts.count) { update in
        _ = try model.run(prompts, logits: .none, captures: [capture], progress: update)
      }
      return rows.compactMap { $0 }.filter { $0.count > 0 }
    }
  }
}
