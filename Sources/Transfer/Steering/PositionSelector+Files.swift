import Engine

extension PositionSelector {
  /// How files write a position: `-1`, `all`, `3,4,5`, `2..`, `match:|prod|`.
  public var fileText: String {
    switch self {
    case .all: "all"
    case .prompt: "prompt"
    case .generated: "generated"
    case .last: "-1"
    case .index(let index): "\(index)"
    case .list(let list): list.map(String.init).joined(separator: ",") + (list.count == 1 ? "," : "")
    case .range(let from, let to): "\(from.map(String.init) ?? "")..\(to.map(String.init) ?? "")"
    case .match(let match): "match:" + match
    case .computed: "function"
    }
  }

  /// Reads what `fileText` writes; nil for anything else.
  public init?(fileText text: String) {
    switch text {
    case "all": self = .all
    case "prompt": self = .prompt
    case "generated": self = .generated
    case "last", "-1": self = .index(-1)
    case _ where text.hasPrefix("match:"): self = .match(String(text.dropFirst(6)))
    case _ where text.contains(".."):
      let ends = text.split(separator: ".", omittingEmptySubsequences: false)
      guard ends.count == 3, ends[1].isEmpty else { return nil }
      let from = Int(ends[0]), to = Int(ends[2])
      guard from != nil || ends[0].isEmpty, to != nil || ends[2].isEmpty else { return nil }
      self = .range(from: from, to: to)
    case _ where text.contains(","):
      let list = text.split(separator: ",").map { Int($0) }
      guard !list.contains(nil) else { return nil }
      self = .list(list.compactMap { $0 })
    default:
      guard let index = Int(text) else { return nil }
      self = .index(index)
    }
  }
}
