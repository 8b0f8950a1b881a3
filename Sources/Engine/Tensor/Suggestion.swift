/// The entries of `known` nearest to a misspelt `name`, best first: what an error message offers.
public func nearestNames(_ name: String, in known: [String], limit: Int = 3) -> [String] {
  let scored = known.map { (name: $0, distance: editDistance(Array(name.utf8), Array($0.utf8))) }
  let cutoff = min(max(3, name.utf8.count / 2), name.utf8.count - 1)  // something of the name must be left
  return scored.filter { $0.distance <= cutoff || $0.name.hasPrefix(name) }
    .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
    .prefix(limit).map(\.name)
}

/// " (did you mean a, b?)" or nothing: the tail of an unknown-name message.
public func suggestion(for name: String, in known: [String]) -> String {
  let near = nearestNames(name, in: known)
  return near.isEmpty ? "" : " (did you mean \(near.joined(separator: ", "))?)"
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours. Inputs are cut at
/// 64 bytes, so that a hostile name costs little.
func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  let a = Array(left.prefix(64)), b = Array(right.prefix(64))
  var before: [Int] = []
  var previous = Array(0...b.count)
  for i in 0..<a.count {
    var row = [i + 1] + Array(repeating: 0, count: b.count)
    for j in 0..<b.count {
      let substitution = previous[j] + (a[i] == b[j] ? 0 : 1)
      row[j + 1] = min(substitution, previous[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { row[j + 1] = min(row[j + 1], before[j - 1] + 1) }
    }
    before = previous
    previous = row
  }
  return previous[b.count]
}
