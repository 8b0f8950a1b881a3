import CKernels

/// Ctrl-C, seen from inside long work: the signal handler sets a flag, the engine polls it per layer and per token.
public enum Interrupt {
  public static var isRequested: Bool { ck_interrupt_get() != 0 }

  public static func clear() { ck_interrupt_set(0) }

  /// Throws `EngineError.interrupted` when Ctrl-C was pressed. The flag stays set until the host clears it.
  public static func check() throws {
    if isRequested { throw EngineError(.interrupted, "interrupted") }
  }
}
