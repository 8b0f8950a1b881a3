/// Prompts as the rows of one forward pass that keeps no cache beyond it.
struct PackedPrompts {
  /// Of all rows.
  private(set) var tokens: [Int] = []
  /// One for each prompt, without the rows of the prefix.
  private(set) var sequences: [BatchSequence] = []
  /// What the decoder runs: the prefix, where there is one, then the sequences.
  private(set) var all: [BatchSequence] = []

  /// `prefix`: tokens that all begin with and that are computed once. Throws `.memory`.
  init(_ prompts: [Prompt], _ range: Range<Int>, _ configuration: ModelConfiguration, prefix: Int) throws {
    tokens = Array(prompts[range.lowerBound].tokens[..<prefix])
    for i in range {
      let count = prompts[i].tokens.count
      sequences.append(
        BatchSequence(
          index: i, row: tokens.count, span: prefix..<count,
          cache: try KeyValueCache(configuration, positions: count, layers: 1)))
      tokens += prompts[i].tokens[prefix...]
    }
    all = sequences
    guard prefix > 0 else { return }
    var first = BatchSequence(
      index: range.lowerBound, row: 0, span: 0..<prefix,
      cache: try KeyValueCache(configuration, positions: prefix, layers: 1))
    first.followers = sequences.map(\.cache)
    all.insert(first, at: 0)
  }
}
