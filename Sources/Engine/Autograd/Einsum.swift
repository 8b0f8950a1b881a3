/// Sums of products by Einstein's convention, as NumPy's and PyTorch's `einsum` without `...`.
enum Einsum {
  /// An operand: a value and the letter of each dimension.
  private struct Term {
    var letters: [Character]
    var value: Variable

    /// The value summed over every letter that `keep` refuses.
    func summed(keeping keep: (Character) -> Bool) throws -> Term {
      var result = self
      while let place = result.letters.firstIndex(where: { !keep($0) }) {
        result.value = try result.value.sum(dimension: place)
        result.letters.remove(at: place)
      }
      return result
    }

    /// The dimensions in the order of `target`, a rearrangement of the letters.
    func arranged(_ target: [Character]) throws -> Variable {
      target == letters ? value : try value.permuted(target.map { letters.firstIndex(of: $0)! })
    }

    /// A letter that stands twice means the diagonal.
    func withoutRepeats() throws -> Term {
      var result = self
      while let (first, second) = result.repeated {
        let others = result.letters.indices.filter { $0 != first && $0 != second }
        let letter = result.letters[first]
        result.value = try result.value.permuted(others + [first, second]).diagonal()
        result.letters = others.map { result.letters[$0] } + [letter]
      }
      return result
    }

    private var repeated: (Int, Int)? {
      for (place, letter) in letters.enumerated() {
        if let first = letters[..<place].firstIndex(of: letter) { return (first, place) }
      }
      return nil
    }
  }

  /// `"bhd,mhd->bhm"` on as many operands as there are commas and one. Without `->` the result has the letters that
  /// stand once, in alphabetical order. Throws `.argument` for subscripts that cannot be read and `.shape` where they do
  /// not fit the operands.
  static func evaluate(_ subscripts: String, _ operands: [Variable]) throws -> Variable {
    func failure(_ kind: EngineError.Kind, _ reason: String) -> EngineError {
      EngineError(kind, "einsum \"\(subscripts)\": \(reason)")
    }
    let text = subscripts.filter { $0 != " " }
    guard !text.contains(".") else { throw failure(.argument, "'...' is not read; give each dimension a letter") }
    let sides = text.split(separator: ">", omittingEmptySubsequences: false)
    guard sides.count == 1 || (sides.count == 2 && sides[0].hasSuffix("-")) else {
      throw failure(.argument, "expected operands -> result, such as \"ij,jk->ik\"")
    }
    let inputs = (sides.count == 1 ? sides[0] : sides[0].dropLast())
      .split(separator: ",", omittingEmptySubsequences: false).map(Array.init)
    if let wrong = (inputs.joined() + sides.dropFirst().joined()).first(where: { !($0.isASCII && $0.isLetter) }) {
      throw failure(.argument, "'\(wrong)' is not a letter")
    }
    guard inputs.count == operands.count else {
      throw failure(.argument, "\(inputs.count) operands are described, \(operands.count) given")
    }
    var sizes: [Character: Int] = [:]
    for (number, (letters, operand)) in zip(inputs, operands).enumerated() {
      guard letters.count == operand.shape.count else {
        throw failure(
          .shape,
          "operand \(number + 1) of shape \(shapeText(operand.shape)) does not have the \(letters.count) "
            + "dimensions \"\(String(letters))\"")
      }
      for (letter, size) in zip(letters, operand.shape) {
        guard sizes[letter, default: size] == size else {
          throw failure(
            .shape,
            "'\(letter)' is \(sizes[letter]!) and, in operand \(number + 1) of shape "
              + "\(shapeText(operand.shape)), \(size)")
        }
        sizes[letter] = size
      }
    }
    let all = Array(inputs.joined())
    let result =
      sides.count == 2
      ? Array(sides[1]) : Set(all).filter { letter in all.count(where: { $0 == letter }) == 1 }.sorted()
    if let wrong = result.first(where: { sizes[$0] == nil }) {
      throw failure(.argument, "'\(wrong)' of the result stands in no operand")
    }
    guard Set(result).count == result.count else { throw failure(.argument, "a letter stands twice in the result") }

    let terms = try zip(inputs, operands).map { try Term(letters: $0, value: $1).withoutRepeats() }
    var product = terms[0]
    for (place, next) in terms.enumerated().dropFirst() {
      let later = Set(result).union(terms[(place + 1)...].flatMap(\.letters))
      product = try contract(product, next, later: later)
    }
    return try product.summed { result.contains($0) }.arranged(result)
  }

  /// The product of two terms, summed over what is not needed `later`: one batch of matrix products.
  private static func contract(_ a: Term, _ b: Term, later: Set<Character>) throws -> Term {
    let a = try a.summed { later.contains($0) || b.letters.contains($0) }
    let b = try b.summed { [letters = a.letters] in later.contains($0) || letters.contains($0) }
    let batch = a.letters.filter { b.letters.contains($0) && later.contains($0) }
    let inner = a.letters.filter { b.letters.contains($0) && !later.contains($0) }
    let left = a.letters.filter { !b.letters.contains($0) }, right = b.letters.filter { !a.letters.contains($0) }
    func size(_ letters: [Character], _ term: Term) -> [Int] {
      letters.map { term.value.shape[term.letters.firstIndex(of: $0)!] }
    }
    let (nBatch, nInner) = (size(batch, a).reduce(1, *), size(inner, a).reduce(1, *))
    let (nLeft, nRight) = (size(left, a).reduce(1, *), size(right, b).reduce(1, *))
    let lead = batch.isEmpty ? [] : [nBatch]
    let x = try a.arranged(batch + left + inner).reshaped(lead + [nLeft, nInner])
    let y = try b.arranged(batch + inner + right).reshaped(lead + [nInner, nRight])
    let shape = size(batch, a) + size(left, a) + size(right, b)
    return Term(letters: batch + left + right, value: try x.matmul(y).reshaped(shape))
  }
}

extension Variable {
  /// Sums of products by subscripts such as `"ij,jk->ik"`; see `Einsum`.
  public static func einsum(_ subscripts: String, _ operands: [Variable]) throws -> Variable {
    try Einsum.evaluate(subscripts, operands)
  }
}
