/// A sequence's part in one packed forward pass.
struct BatchSequence {
  /// Place in the request.
  let index: Int
  /// First row in the packed batch.
  let row: Int
  /// Absolute positions of its rows, 0-based.
  let span: Range<Int>
  let cache: KeyValueCache
  /// Caches of sequences that begin with the same tokens and leave these rows to this one: they get its keys and
  /// values, too.
  var followers: [KeyValueCache] = []

  /// How many sequences of the request its rows belong to.
  var standsFor: Int { max(1, followers.count) }
}
