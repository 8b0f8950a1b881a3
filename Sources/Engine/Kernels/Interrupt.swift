import CKernels

/// Ctrl-C, seen from inside long work: the signal handler sets a flag, the engine polls it per layer and per token.
public enum Interrupt {
  public static var isRequested: Bool { ck_interrupt_get() != 0 }

  /// How often Ctrl-C was pressed since the process began. Who must know whether a piece of work saw an interruption,
  /// even one that was caught on the way, compares the number before with the number after.
  public static var count: Int { Int(ck_interrupt_requests()) }

  public static func clear() { ck_interrupt_set(0) }

  /// Throws `EngineError.interrupted` when Ctrl-C was pressed. The flag stays set until the host clears it.
  public static func check() throws {
    if isRequested { throw EngineError(.interrupted, "interrupted") }
  }
}

/// An error that can be Ctrl-C on its way up, whoever raised it: the engine, or a function of the host's language that
/// the engine called.
public protocol InterruptionError: Error {
  var isInterruption: Bool { get }
}

extension EngineError: InterruptionError {
  public var isInterruption: Bool { kind == .interrupted }
}

extension Error {
  /// Whether this is Ctrl-C and no failure.
  public var isCtrlC: Bool { (self as? any InterruptionError)?.isInterruption ?? false }
}
