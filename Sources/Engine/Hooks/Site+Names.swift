/// Sites by name: ours, and TransformerLens's long form.
extension Site {
  /// A site and, from names like `blocks.7.hook_resid_post`, its layer. Throws `.site` with the nearest names.
  public static func parse(_ name: String) throws -> (site: Site, layer: Int?) {
    if let site = Site(rawValue: name) { return (site, nil) }
    var rest = Substring(name), layer: Int?
    if rest.hasPrefix("blocks.") {
      let parts = rest.split(separator: ".", maxSplits: 2)
      guard parts.count == 3, let number = Int(parts[1]), number >= 0 else { throw unknown(name) }
      layer = number
      rest = parts[2]
    }
    for prefix in ["attn.", "mlp.", "ln_final."] where rest.hasPrefix(prefix) {
      if prefix == "ln_final.", rest == "ln_final.hook_normalized" { return (.finalNorm, nil) }
      rest = rest.dropFirst(prefix.count)
    }
    guard rest.hasPrefix("hook_") else { throw unknown(name) }
    let short = String(rest.dropFirst("hook_".count))
    let aliases = ["pre": "mlp_pre", "pre_linear": "mlp_up", "post": "mlp_post"]
    guard let site = Site(rawValue: aliases[short] ?? short), site.hasLayer == (layer != nil) else {
      throw unknown(name)
    }
    return (site, layer)
  }

  private static func unknown(_ name: String) -> EngineError {
    let known = Site.allCases.map(\.rawValue)
    let bare =
      name.split(separator: ".").last.map { $0.hasPrefix("hook_") ? String($0.dropFirst(5)) : String($0) } ?? name
    let near = suggestion(for: bare, in: known)
    return EngineError(
      .site, "no site named \(name)\(near.isEmpty ? "; sites are \(known.joined(separator: ", "))" : near)")
  }

  /// Values per row, for one row of this site. Attention matrices have as many columns as there are positions: nil.
  public func rowShape(_ c: ModelConfiguration) -> [Int]? {
    switch self {
    case .residPre, .residMid, .residPost, .attnOut, .mlpOut, .embed, .finalNorm: [c.dModel]
    case .q, .z: [c.headCount, c.dHead]
    case .k, .v: [c.kvHeadCount, c.dHead]
    case .mlpPre, .mlpUp, .mlpPost: [c.dMLP]
    case .attnScores, .pattern: nil
    }
  }

  /// Heads at this site: key-value heads at k and v; nil where there are none.
  public func heads(_ c: ModelConfiguration) -> Int? {
    switch self {
    case .q, .z, .attnScores, .pattern: c.headCount
    case .k, .v: c.kvHeadCount
    default: nil
    }
  }

  /// Refuses heads at a site without, and heads out of range or listed twice. Throws `.site` or `.argument`.
  func check(heads: [Int]?, _ c: ModelConfiguration) throws {
    guard let heads else { return }
    guard let count = self.heads(c) else {
      throw EngineError(.site, "\(rawValue) has no heads; q, k, v, z, attn_scores and pattern have")
    }
    guard !heads.isEmpty else { throw EngineError(.argument, "heads: the list is empty") }
    for head in heads where !(0..<count).contains(head) {
      let isShared = count < c.headCount
      throw EngineError(
        .argument,
        "head \(head) is out of range: \(rawValue) has \(isShared ? "key-value " : "")heads 0 to \(count - 1)"
          + (isShared ? ", each for \(c.headCount / count) query heads" : ""))
    }
    guard Set(heads).count == heads.count else { throw EngineError(.argument, "heads: a head is listed twice") }
  }

  static let indices: [Site: Int] = Dictionary(uniqueKeysWithValues: allCases.enumerated().map { ($1, $0) })
}
