import CKernels

/// Runs `body(0) ... body(count - 1)` on the engine's thread pool and returns when all are done.
/// Nested calls run serially. `body` must not throw and must write to places of its own.
public func parallel(_ count: Int, _ body: (Int) -> Void) {
  guard count > 0 else { return }
  withoutActuallyEscaping(body) { escaping in
    var box = escaping
    withUnsafeMutablePointer(to: &box) { pointer in
      ck_parallel(
        count,
        { context, index in
          context!.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
        }, pointer)
    }
  }
}

/// Splits `0 ..< count` into ranges of at least `minimum` for the pool's threads and runs `body` on each.
public func parallelRanges(_ count: Int, minimum: Int, _ body: (Range<Int>) -> Void) {
  guard count > 0 else { return }
  let parts = max(1, min(threadCount * 4, count / max(1, minimum)))
  parallel(parts) { part in
    let low = count * part / parts, high = count * (part + 1) / parts
    if low < high { body(low..<high) }
  }
}

/// Threads of the pool, the caller included.
public let threadCount = Int(ck_threads())
