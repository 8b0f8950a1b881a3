import Engine

extension Model {
  public var identity: ModelIdentity {
    ModelIdentity(
      name: name, hash: hash, ancestors: ([baseHash] + ancestors).filter { $0 != hash },
      architecture: architectureNames[0])
  }
}

/// Where in a model activations are read, for the methods that make vectors of them.
public struct ReadingPlace: Sendable {
  public var site: Site
  public var layers: [Int]
  public var positions: [PositionSelector]

  public init(site: Site = .residPost, layers: [Int], positions: [PositionSelector] = [.last]) {
    self.site = site
    self.layers = layers
    self.positions = positions
  }

  /// Values per row. Throws `.site` for attention matrices and sites without layers, `.argument` without layers or
  /// positions.
  func width(in model: Model) throws -> Int {
    guard site.hasLayer, let shape = site.rowShape(model.configuration) else {
      throw EngineError(.site, "no vector can be read at \(site.rawValue): it needs rows and layers, as resid_post has")
    }
    guard !layers.isEmpty, !positions.isEmpty else { throw EngineError(.argument, "no layers or positions were given") }
    return shape.reduce(1, *)
  }
}

extension ActivationSums {
  /// Sums over all prompts in one pass: slot i holds the rows of `place.positions[i]`. Throws what `Model.run` throws.
  public init(_ model: Model, _ prompts: [Prompt], at place: ReadingPlace, progress: ((Int) -> Void)? = nil) throws {
    var sums = ActivationSums(
      layers: place.layers, slots: place.positions.count, width: try place.width(in: model))
    var having = Array(repeating: 0, count: place.positions.count)
    let captures = place.positions.enumerated().map { slot, position in
      CaptureRequest(site: place.site, layers: place.layers, positions: position) { rows in
        if rows.layer == place.layers[0] { having[slot] += 1 }
        for row in rows.positions.indices {
          try sums.add(rows.pointer + row * rows.width, layer: rows.layer ?? 0, slot: slot)
        }
      }
    }
    _ = try model.run(prompts, logits: .none, captures: captures, progress: progress)
    sums.countPrompts(having, of: prompts.count)
    self = sums
  }
}

extension Directions {
  /// Difference of means of two sets of prompts at all layers and positions, in one pass over each prompt; only sums
  /// are held. `masked` dimensions are zero in the directions; the means stay whole.
  /// Throws `.argument` for an empty set, `.position` where one set never has a position.
  public static func meanDifference(
    _ model: Model, positive: [Prompt], negative: [Prompt], at place: ReadingPlace, masked: [Int] = [],
    template: String? = nil, progress: ((Int) -> Void)? = nil
  ) throws -> Directions {
    guard !positive.isEmpty, !negative.isEmpty else {
      throw EngineError(.argument, "mean_difference needs positive and negative prompts")
    }
    let first = try ActivationSums(model, positive, at: place, progress: progress)
    let second = try ActivationSums(model, negative, at: place) { progress?(positive.count + $0) }
    let origin = VectorOrigin(
      method: "mean_difference", model: model.identity, template: template, maskedDimensions: masked)
    return try Directions(
      positive: first, negative: second, site: place.site, positions: place.positions, origin: origin)
  }

  /// Activation addition (Turner et al. 2023): the difference of two prompts, one vector per position, aligned from the
  /// end; positions are -n to -1, n the shorter prompt's length.
  public static func promptDifference(
    _ model: Model, positive: Prompt, negative: Prompt, site: Site = .residPost, layers: [Int], masked: [Int] = [],
    template: String? = nil
  ) throws -> Directions {
    let count = min(positive.tokens.count, negative.tokens.count)
    let positions = (0..<count).map { PositionSelector.index($0 - count) }
    let place = ReadingPlace(site: site, layers: layers, positions: positions)
    func sums(_ prompt: Prompt) throws -> ActivationSums {
      var sums = ActivationSums(layers: layers, slots: count, width: try place.width(in: model))
      let capture = CaptureRequest(site: site, layers: layers) { rows in
        for (row, position) in rows.positions.enumerated() {
          let slot = position - 1 - (prompt.tokens.count - count)
          if slot >= 0 { try sums.add(rows.pointer + row * rows.width, layer: rows.layer ?? 0, slot: slot) }
        }
      }
      _ = try model.run([prompt], logits: .none, captures: [capture])
      return sums
    }
    let origin = VectorOrigin(
      method: "prompt_difference", model: model.identity, template: template, maskedDimensions: masked)
    return try Directions(
      positive: sums(positive), negative: sums(negative), site: site, positions: positions, origin: origin)
  }

  /// First principal component of paired differences (`principalComponent`), with the means of both sides.
  /// Throws `.argument` unless there are as many positive as negative prompts.
  public static func principalComponents(
    _ model: Model, positive: [Prompt], negative: [Prompt], at place: ReadingPlace, masked: [Int] = [],
    template: String? = nil, progress: ((Int) -> Void)? = nil
  ) throws -> Directions {
    guard positive.count == negative.count, !positive.isEmpty else {
      throw EngineError(
        .argument, "principal_component needs pairs: \(positive.count) positive and \(negative.count) negative prompts")
    }
    let first = try SinglePositionRows(model, positive, "positive", at: place, progress: progress)
    let second = try SinglePositionRows(model, negative, "negative", at: place) { progress?(positive.count + $0) }
    let both = first.sums.merged(with: second.sums)
    var vectors: [SteeringVector] = []
    for (row, layer) in place.layers.enumerated() {
      for (slot, position) in place.positions.enumerated() {
        let index = row * place.positions.count + slot
        vectors.append(
          try SteeringVector(
            direction: principalComponent(positive: first.rows[index], negative: second.rows[index], masked: masked),
            site: place.site, layer: layer, position: position,
            stream: both.stream(layer: layer, slot: slot, masked: masked),
            origin: VectorOrigin(
              method: "principal_component", model: model.identity, template: template, positiveCount: positive.count,
              negativeCount: negative.count, maskedDimensions: masked)))
      }
    }
    return Directions(site: place.site, layers: place.layers, positions: place.positions, vectors: vectors)
  }
}

/// One row per prompt at every layer and position: what paired methods need to hold.
private struct SinglePositionRows {
  /// `[prompts, d]`, layer by layer, position by position.
  let rows: [Tensor]
  let sums: ActivationSums

  /// `side`: what the prompts are, for errors.
  init(_ model: Model, _ prompts: [Prompt], _ side: String, at place: ReadingPlace, progress: ((Int) -> Void)?) throws {
    let width = try place.width(in: model), slots = place.positions.count
    let rows = try (0..<place.layers.count * slots).map { _ in try Tensor.zeros([prompts.count, width]) }
    let order = Dictionary(place.layers.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var sums = ActivationSums(layers: place.layers, slots: slots, width: width)
    var isThere = Array(repeating: Array(repeating: false, count: prompts.count), count: slots)
    let captures = place.positions.enumerated().map { slot, position in
      CaptureRequest(site: place.site, layers: place.layers, positions: position) { captured in
        guard captured.positions.count == 1, let layer = captured.layer, let row = order[layer] else {
          throw EngineError(
            .position,
            "principal_component takes one row of each prompt; position \(position.fileText) has "
              + "\(captured.positions.count) in prompt \(captured.sequence + 1)")
        }
        isThere[slot][captured.sequence] = true
        (rows[row * slots + slot].mutablePointer + captured.sequence * width).update(
          from: captured.pointer, count: width)
        try sums.add(captured.pointer, layer: layer, slot: slot)
      }
    }
    _ = try model.run(prompts, logits: .none, captures: captures, progress: progress)
    for slot in 0..<slots {
      guard let lacking = isThere[slot].firstIndex(of: false) else { continue }
      throw EngineError(
        .position,
        "principal_component compares prompts in pairs, so every one must have position "
          + "\(place.positions[slot].fileText): \(side) prompt \(lacking + 1), of \(prompts[lacking].tokens.count) tokens, "
          + "has not")
    }
    self.rows = rows
    self.sums = sums
  }
}
