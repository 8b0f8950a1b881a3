/// One weight of a matrix that several weights form together, one below the other.
struct MatrixPart {
  let role: WeightRole
  /// Outputs.
  let rows: Int
  /// Rows of one head, where the weight has heads.
  var headSize: Int?
}

extension ModelSource {
  /// Several weights as one matrix `[outputs, inputs]`, so that one product serves them all.
  func rows(_ parts: [MatrixPart], layer: Int?, inputs: Int) throws -> MatrixRows {
    var pieces: [MatrixRows.Piece] = [], total = 0
    for part in parts {
      let piece = try piece(part, start: total, layer: layer)
      let stored = part.rows * piece.place.parts
      try check(piece.place.name, shape: piece.place.isTransposed ? [inputs, stored] : [stored, inputs])
      pieces.append(piece)
      total += part.rows
    }
    return MatrixRows(weights: weights, pieces: pieces, outputs: total, inputs: inputs)
  }

  /// The biases of the same weights, `[outputs]`, zero where one has none; nil where none has.
  func biases(_ parts: [MatrixPart], layer: Int) throws -> [Float]? {
    guard parts.contains(where: { configuration.biases.contains($0.role) }) else { return nil }
    return try parts.flatMap { part in
      guard configuration.biases.contains(part.role) else { return [Float](repeating: 0, count: part.rows) }
      let piece = try piece(part, start: 0, layer: layer)
      let stored = try vector(piece.place.name.biasName, width: part.rows * piece.place.parts)
      return (0..<part.rows).map { stored[piece.stored($0)] }
    }
  }

  private func piece(_ part: MatrixPart, start: Int, layer: Int?) throws -> MatrixRows.Piece {
    let isRotated = part.role == .query || part.role == .key
    return MatrixRows.Piece(
      place: try place(part.role, layer: layer), start: start, rows: part.rows, headSize: part.headSize,
      isInterleaved: isGGUF && family.ggufInterleavesRotary && isRotated)
  }
}

/// Rows of a matrix made of several weights, read from the checkpoint on demand.
struct MatrixRows: Sendable {
  struct Piece: Sendable {
    let place: WeightPlace
    /// First row in the matrix.
    let start: Int
    let rows: Int
    let headSize: Int?
    /// The file stores each head's rows as interleaved rotary pairs.
    let isInterleaved: Bool

    /// The tensor's row that holds the weight's row `row`.
    func stored(_ row: Int) -> Int {
      if place.isPerHead, let size = headSize { return (row / size * place.parts + place.part) * size + row % size }
      if isInterleaved, let size = headSize {  // (head, half, pair) stands at (head, pair, half)
        let head = row / size, half = row % size / (size / 2), pair = row % (size / 2)
        return head * size + 2 * pair + half
      }
      return place.part * rows + row
    }

    /// Whether neighbouring rows stay neighbours.
    var isContiguous: Bool { !place.isPerHead && !isInterleaved }
  }

  let weights: any WeightSource
  let pieces: [Piece]
  let outputs: Int
  let inputs: Int

  /// Calls `body` with runs of rows that lie together in one tensor.
  func forEachRun(
    _ range: Range<Int>, _ body: (_ piece: Piece, _ stored: Range<Int>, _ row: Int) throws -> Void
  ) rethrows {
    for piece in pieces {
      let low = max(range.lowerBound, piece.start), high = min(range.upperBound, piece.start + piece.rows)
      guard low < high else { continue }
      if piece.isContiguous {
        let first = piece.stored(low - piece.start)
        try body(piece, first..<first + high - low, low)
      } else {
        for row in low..<high {
          let stored = piece.stored(row - piece.start)
          try body(piece, stored..<stored + 1, row)
        }
      }
    }
  }

  /// Writes rows `range`, `[range.count, inputs]`, at `target`. Safe from several threads at once. Throws `.numeric` for
  /// a weight with values that are no numbers.
  func read(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
    try forEachRun(range) { piece, stored, row in
      let start = target + (row - range.lowerBound) * inputs
      if piece.place.isTransposed {
        try readColumns(piece, stored, into: start)
      } else {
        try weights.read(piece.place.name, rows: stored, into: start)
      }
      try weights.requireFinite(piece.place.name, start, count: stored.count * inputs)
    }
  }

  /// The same by all threads.
  func readOnAllThreads(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
    let failure = FirstError()
    nonisolated(unsafe) let target = target
    parallelRanges(range.count, minimum: max(1, (1 << 16) / inputs)) { part in
      failure.catching {
        let rows = range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound
        try read(rows, into: target + part.lowerBound * inputs)
      }
    }
    try failure.rethrow()
  }

  /// Columns of a tensor `[inputs, columns]` as rows.
  private func readColumns(_ piece: Piece, _ columns: Range<Int>, into target: UnsafeMutablePointer<Float>) throws {
    let width = piece.rows * piece.place.parts, block = max(1, min(inputs, (1 << 18) / max(1, width)))
    let buffer = UnsafeMutablePointer<Float>.allocate(capacity: block * width)
    defer { buffer.deallocate() }
    for first in stride(from: 0, to: inputs, by: block) {
      let rows = first..<min(inputs, first + block)
      try weights.read(piece.place.name, rows: rows, into: buffer)
      for (i, input) in rows.enumerated() {
        let line = buffer + i * width
        for column in columns { target[(column - columns.lowerBound) * inputs + input] = line[column] }
      }
    }
  }
}
