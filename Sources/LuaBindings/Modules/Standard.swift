extension Module {
  /// Every module of the program, in the order of the reference page.
  public static let standard: [Module] = [
    .base, .tensor, .model, .tokenizer, .steer, .mapper, .train, .metrics, .data, .args, .progress, .show, .plot, .run,
    .sweep,
  ]
}
