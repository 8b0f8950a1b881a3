/// The longest run of symbols that two sequences share, the first one of that length in `second`; nil where they share
/// nothing. Indices are those of the slices. Time is linear: a suffix automaton of `first` (Blumer et al. 1985) reads
/// `second` once.
func longestCommonRun(
  _ first: ArraySlice<Int32>, _ second: ArraySlice<Int32>
) -> (first: Int, second: Int, count: Int)? {
  let automaton = SuffixAutomaton(first)
  var state = 0, length = 0, best = (end: 0, state: 0, count: 0)
  for place in second.indices {
    let symbol = second[place]
    while state > 0, automaton.next(state, symbol) == nil {
      state = automaton.links[state]
      length = automaton.lengths[state]
    }
    guard let following = automaton.next(state, symbol) else { continue }
    state = following
    length += 1
    if length > best.count { best = (place + 1, state, length) }
  }
  guard best.count > 0 else { return nil }
  return (first.startIndex + automaton.ends[best.state] - best.count, best.end - best.count, best.count)
}

/// All runs of a sequence as the paths of a graph.
private struct SuffixAutomaton {
  private(set) var lengths = [0], links = [-1]
  /// Symbols read when a state's runs first ended.
  private(set) var ends = [0]
  private var edges: [Edge: Int] = [:]
  /// Symbols that leave a state.
  private var symbols: [[Int32]] = [[]]

  private struct Edge: Hashable {
    let state: Int32, symbol: Int32
  }

  init(_ sequence: ArraySlice<Int32>) {
    edges.reserveCapacity(3 * sequence.count)
    var last = 0
    for symbol in sequence { last = extend(last, symbol) }
  }

  func next(_ state: Int, _ symbol: Int32) -> Int? { edges[Edge(state: Int32(state), symbol: symbol)] }

  private mutating func connect(_ state: Int, _ symbol: Int32, to target: Int) {
    if edges.updateValue(target, forKey: Edge(state: Int32(state), symbol: symbol)) == nil {
      symbols[state].append(symbol)
    }
  }

  private mutating func state(length: Int, end: Int, link: Int) -> Int {
    lengths.append(length)
    ends.append(end)
    links.append(link)
    symbols.append([])
    return lengths.count - 1
  }

  private mutating func extend(_ last: Int, _ symbol: Int32) -> Int {
    let new = state(length: lengths[last] + 1, end: lengths[last] + 1, link: 0)
    var at = last
    while at >= 0, next(at, symbol) == nil {
      connect(at, symbol, to: new)
      at = links[at]
    }
    guard at >= 0, let old = next(at, symbol) else { return new }
    if lengths[old] == lengths[at] + 1 {
      links[new] = old
      return new
    }
    let copy = state(length: lengths[at] + 1, end: ends[old], link: links[old])
    for symbol in symbols[old] { if let target = next(old, symbol) { connect(copy, symbol, to: target) } }
    while at >= 0, next(at, symbol) == old {
      connect(at, symbol, to: copy)
      at = links[at]
    }
    links[old] = copy
    links[new] = copy
    return new
  }
}
