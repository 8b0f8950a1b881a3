/// How to choose tokens and when to stop.
public struct GenerationOptions: Sendable {
  public var maxTokens = 64
  /// 0 takes the likeliest token.
  public var temperature: Double = 0
  public var topK: Int?
  public var topP: Double?
  /// Strings that end a sequence; neither they nor what follows is returned.
  public var stopStrings: [String] = []
  /// Ids that end a sequence besides the model's own.
  public var stopTokens: [Int] = []
  /// Goes on after the model's own stop tokens.
  public var ignoreEnd = false
  /// Row i of a batch draws as seed + i, so that a batch equals single runs.
  public var seed = 0
  /// Keeps the logits that each sequence's first new token is drawn from.
  public var keepsFirstLogits = false

  public init() {}

  func checked() throws -> GenerationOptions {
    guard maxTokens >= 1 else { throw EngineError(.argument, "max_tokens is \(maxTokens); it must be at least 1") }
    guard temperature >= 0, temperature.isFinite else {
      throw EngineError(.argument, "temperature is \(temperature); it must be 0 or more")
    }
    if let topK, topK < 1 { throw EngineError(.argument, "top_k is \(topK); it must be at least 1") }
    if let topP, !(topP > 0 && topP <= 1) { throw EngineError(.argument, "top_p is \(topP); it must be in (0, 1]") }
    if stopStrings.contains("") { throw EngineError(.argument, "stop: an empty string would stop everything") }
    return self
  }
}

/// Why a sequence ended: a stop token, a stop string or `onToken`; `maxTokens`; the end of what the model was made for;
/// Ctrl-C.
public enum FinishReason: String, Sendable { case stop, length, context, interrupted }

/// What a generation returns for one sequence.
public struct Completion: Sendable {
  /// New text, bytes as the tokens spell them, up to a stop string.
  public var text: [UInt8] = []
  /// New tokens whose bytes lie within `text`: the one that stopped the sequence is left out, and of a stop string every
  /// token that has a byte of it. `text` may go on with the first bytes of such a token.
  public var tokens: [Int] = []
  public var finish: FinishReason
  /// `[vocab]`, where they were asked for and the prompt was run.
  public var firstLogits: Tensor?
  /// What has to be said: a prompt that is longer than the model's context.
  public var note: String?
}
