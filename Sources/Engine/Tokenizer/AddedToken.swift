import OrderedCollections

/// A token that is found in the text before it is split, with what finding it takes along: an entry of `added_tokens`
/// in `tokenizer.json`, or of `added_tokens_decoder` in `tokenizer_config.json`.
struct AddedToken: Hashable {
  let content: String
  /// Its place in the vocabulary; -1 until that is known.
  var id = -1
  /// A control token, matched where special tokens are read; others are matched always.
  var isSpecial: Bool
  /// Takes white space in front, or behind, with it.
  var takesSpaceBefore = false
  var takesSpaceAfter = false
  /// Matches only where no letter, digit or underscore is beside it.
  var isSingleWord = false
  /// Matched in the normalized text, not in the text as it is.
  var isNormalized: Bool

  init(_ content: String, isSpecial: Bool, isNormalized: Bool) {
    (self.content, self.isSpecial, self.isNormalized) = (content, isSpecial, isNormalized)
  }

  /// Throws `.file` where a key is missing or has the wrong type. `isSpecial`: whatever the entry says.
  init(_ value: JSONValue, source: String, isSpecial: Bool? = nil) throws {
    let keys = try ConfigurationFile(value, source: source)
    content = try keys.string("content")
    self.isSpecial = try isSpecial ?? keys.bool(ifPresent: "special") ?? false
    takesSpaceBefore = try keys.bool(ifPresent: "lstrip") ?? false
    takesSpaceAfter = try keys.bool(ifPresent: "rstrip") ?? false
    isSingleWord = try keys.bool(ifPresent: "single_word") ?? false
    isNormalized = try keys.bool(ifPresent: "normalized") ?? !self.isSpecial
  }

  var entry: SpecialTokens.Entry {
    SpecialTokens.Entry(
      token: id, isUserDefined: !isSpecial, takesSpaceBefore: takesSpaceBefore, takesSpaceAfter: takesSpaceAfter,
      isSingleWord: isSingleWord)
  }

  /// The same with the id 0, to compare what two say of one content.
  var withoutID: AddedToken {
    var copy = self
    copy.id = 0
    return copy
  }
}

extension [AddedToken] {
  /// Adds tokens as `add_tokens` of Hugging Face's tokenizers does: one whose content is there already takes its id and
  /// replaces what is said of it, others get the ids behind the highest. `vocabulary`: ids of the model's own tokens.
  mutating func add(_ tokens: [AddedToken], vocabularySize: Int, vocabulary: (String) -> Int?) {
    var next = Swift.max(vocabularySize, (self.map(\.id).max() ?? -1) + 1)
    var places: [String: Int] = [:]
    for (place, token) in enumerated() { places[token.content] = place }
    for var token in tokens where !token.content.isEmpty {
      if let place = places[token.content] {
        token.id = self[place].id
        self[place] = token
        continue
      }
      if let known = vocabulary(token.content) {
        token.id = known
      } else {
        token.id = next
        next += 1
      }
      places[token.content] = count
      append(token)
    }
  }
}
