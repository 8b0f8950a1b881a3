import Engine
import OrderedCollections

/// What the rows of a sweep follow from, besides the point: digests by name (`function run`, `threshold of run`,
/// `arg[1]`, `version`), and what could not be compared.
public struct Dependencies: Sendable, Equatable {
  /// Digests of content, hexadecimal, by the name that messages use.
  public var digests: OrderedDictionary<String, String> = [:]
  /// In words: what is reached but has no content that could be compared.
  public var unknown: [String] = []

  public init() {}

  /// Takes a digest under a name, or the name with a number where it is taken.
  public mutating func add(_ name: String, _ digest: String) {
    var free = name, number = 1
    while digests[free] != nil {
      number += 1
      free = "\(name) (\(number))"
    }
    digests[free] = digest
  }

  public mutating func addUnknown(_ what: String) {
    if !unknown.contains(what) { unknown.append(what) }
  }

  /// Identifies the definition: equal exactly when all names and digests are, whatever their order.
  public var hash: String {
    let text = digests.sorted { $0.key < $1.key }.map { "\($0.key)\u{0}\($0.value)\n" }.joined()
    return String(SHA256.hex(of: Array(text.utf8)).prefix(16))
  }

  /// Names whose digests differ between the two, or that only one has.
  public func differences(from other: [String: String]) -> [String] {
    let changed = digests.filter { other[$0.key] != $0.value }.map(\.key)
    return changed + other.keys.filter { digests[$0] == nil }.sorted()
  }

  /// The same with everything as it was before a run that itself changed it (a counter, a cache): where a digest is
  /// what that run left, it becomes what the run began with.
  public func undoing(_ run: (before: Dependencies, after: Dependencies)) -> Dependencies {
    var result = self
    for (name, digest) in digests where run.after.digests[name] == digest {
      result.digests[name] = run.before.digests[name]
    }
    for (name, digest) in run.before.digests where digests[name] == nil && run.after.digests[name] == nil {
      result.digests[name] = digest
    }
    return result
  }
}
