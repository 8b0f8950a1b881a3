/// Prompts of one chat template begin with the same tokens. Their rows are the same in every sequence, as long as the
/// interventions treat them alike, and need be computed once.
extension HookPlan {
  /// Whether positions `0..<length` of all `sequences` can be computed once: nothing reads them, and what edits them
  /// does so by the same vector at the same positions in every sequence.
  func allowsSharedPrefix(_ length: Int, of sequences: Range<Int>) -> Bool {
    let prefix = 0..<length
    return actions.allSatisfy { list in
      list.allSatisfy { action in
        let parts = sequences.map { action.selection.sequences[$0].intersection(prefix) }
        guard parts.allSatisfy({ $0 == parts[0] }) else { return false }
        if parts.isEmpty || parts[0].isEmpty { return true }
        switch action.work {
        case .edit(.add, _), .edit(.ablate, _), .edit(.mean, _): return true
        case .edit, .capture: return false
        }
      }
    }
  }
}

/// Number of tokens that all prompts begin with, at most all but the last of the shortest: the last row is its own.
func sharedPrefixLength(_ prompts: ArraySlice<Prompt>) -> Int {
  guard let first = prompts.first?.tokens else { return 0 }
  return prompts.reduce(first.count - 1) { length, prompt in
    var shared = 0
    while shared < min(length, prompt.tokens.count - 1), prompt.tokens[shared] == first[shared] { shared += 1 }
    return shared
  }
}
