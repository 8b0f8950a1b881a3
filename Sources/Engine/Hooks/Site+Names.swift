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

  static let indices: [Site: Int] = Dictionary(uniqueKeysWithValues: allCases.enumerated().map { ($1, $0) })
}
