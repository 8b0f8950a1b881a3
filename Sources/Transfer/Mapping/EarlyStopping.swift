import Engine

/// Says when training should go on more slowly, and when it should end: each after `patience` epochs without a fall of
/// the validation loss by a thousandth. Keeps the best parameters.
struct EarlyStopping {
  let patience: Int
  private(set) var bestEpoch = 0
  private(set) var hasStopped = false
  private var best = Double.infinity
  /// The loss that counts as progress is this one less a thousandth.
  private var mark = (loss: Double.infinity, epoch: 0)
  private var isSlow = false
  private var kept: [Tensor] = []

  init(patience: Int) { self.patience = patience }

  enum Step { case goOn, slower, stop }

  mutating func take(_ loss: Double, epoch: Int, _ parameters: [Parameter]) throws -> Step {
    if loss < best {
      (best, bestEpoch) = (loss, epoch)
      kept = try parameters.map { try $0.value.cloned() }
    }
    if loss < mark.loss * (1 - 1e-3) { mark = (loss, epoch) }
    guard epoch - mark.epoch >= patience else { return .goOn }
    mark.epoch = epoch
    if isSlow {
      hasStopped = true
      return .stop
    }
    isSlow = true
    return .slower
  }

  /// Puts the best parameters back.
  func restore(_ parameters: [Parameter]) {
    for (parameter, value) in zip(parameters, kept) {
      parameter.value.mutablePointer.update(from: value.pointer, count: value.count)
    }
  }
}
