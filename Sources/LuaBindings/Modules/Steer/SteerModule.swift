import Engine
import Transfer

extension Module {
  /// Steering vectors: making, controls, files.
  static let steer = Module(
    "steer", "Steering vectors: directions of prompts, the refusal direction, random controls, files.",
    functions: differenceRows + [refusalDirectionRow, refusalTokensRow, refusalScoresRow] + vectorRows + [steerWithRow],
    types: [VectorObject.self, DirectionsObject.self])
}

/// Options that the rows of `steer` share.
enum SteerOptions {
  static func chat(_ value: Bool) -> Option {
    Option("chat", "boolean", .boolean(value), "wraps each prompt as one user turn of the model's template")
  }
  static let maskMassive = Option(
    "mask_massive", "boolean", .boolean(true),
    "zeroes the model's massive dimensions in the direction; the means stay whole")
  static let pos = Option(
    "pos", "integer, list of integers, { from =, to = } or word", .integer(-1),
    "where rows are read: a list or a closed range gives a direction for each position in its order, a word such as "
      + "\"all\" one for all its rows", choices: SharedOptions.positionWords)
  static func prompts(_ name: String, _ summary: String) -> Option {
    Option(name, "list of strings (or token lists)", .required, summary)
  }
}

extension OptionReader {
  /// Prompts of an option, which may be lists of token ids.
  func prompts(_ name: String, of model: Model) throws -> [Prompt] {
    let reader = try required(name)
    guard reader.isTable else { throw reader.mismatch("a list of strings") }
    guard reader.listCount > 0 else { throw reader.error("the list is empty") }
    return try reader.prompts(of: model, chat: boolean("chat"))
  }

  /// Massive dimensions to leave out of directions at a site, unless told otherwise.
  func maskedDimensions(of model: Model, _ site: Site) throws -> [Int] {
    try boolean("mask_massive") ? MassiveDimensions.masked(model, site) : []
  }

  /// The place that `site`, `layers` and `pos` name.
  func readingPlace(of model: Model, position: Bool = true) throws -> ReadingPlace {
    let (site, layer) = try site("site")
    let layers = try layers(of: model, at: site, named: layer) ?? Array(0..<model.configuration.layerCount)
    return ReadingPlace(
      site: site, layers: layers, positions: position ? try separatePositions("pos") ?? [.index(-1)] : [.index(-1)])
  }

  /// Positions that are kept apart: entries of a list, or of a range whose ends are both given from the same side.
  func separatePositions(_ name: String) throws -> [PositionSelector]? {
    guard let reader = optional(name) else { return nil }
    switch try reader.positions() {
    case .last: return [.index(-1)]
    case .list(let list):
      return list.map { .index($0) }
    case .range(let from?, let to?) where (from > 0) == (to > 0):
      guard from <= to, to - from < 4096 else {
        throw reader.error("from = \(from) to = \(to) is no range of positions")
      }
      return (from...to).map { .index($0) }
    case .computed: throw reader.error("a function of the tokens is for interventions and captures")
    case let single: return [single]
    }
  }
}

extension Call {
  /// Says which positions not every prompt has.
  func note(gaps: [String], in what: String) {
    guard !gaps.isEmpty else { return }
    let rest = gaps.count > 3 ? "; and \(gaps.count - 3) more" : ""
    state.output.note(
      "\(what): means are over the prompts that have a position. " + gaps.prefix(3).joined(separator: "; ") + rest)
  }

  /// Name of the template when prompts are wrapped.
  func templateName(_ model: Model, _ options: OptionReader) throws -> String? {
    try options.boolean("chat") ? model.template?.name : nil
  }
}
