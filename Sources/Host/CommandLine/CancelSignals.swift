import CKernels
import Foundation

/// Ctrl-C, a closed terminal and `kill` for work outside Lua: they set the flag that long work polls, so that it can
/// end its children and leave nothing half done.
enum CancelSignals {
  static func install() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in ck_interrupt_request() }
    sigemptyset(&action.sa_mask)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaction(signal, &action, nil) }
  }

  /// Lets signals through that whoever started us had blocked.
  static func unblock() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
    sigprocmask(SIG_UNBLOCK, &signals, nil)
  }
}
