import Engine
import Foundation
import Testing

/// Tiny random models whose every activation another program wrote down (`fixtures/tiny`).
@Suite(.serialized) struct TinyModelTests {
  /// Rounding differs between float32 implementations by up to 2e-5 here; a wrong formula is off by far more.
  static let tolerance: Float = 2e-4

  static let families = ["llama", "llama3-rope", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "pythia"]

  struct Golden {
    let model: Model
    let file: SafetensorsFile
    /// Both rows' real tokens; the second row is left-padded in the golden.
    let prompts: [Prompt]
    let padding: [Int]

    init?(_ family: String) throws {
      guard let folder = Files.fixture("tiny/\(family)") else { return nil }
      model = try Model.load(path: folder)
      file = try SafetensorsFile(path: folder + "/expected.safetensors")
      let ids = try file.integers("input_ids"), mask = try file.integers("attention_mask")
      let length = ids.count / 2
      var prompts: [Prompt] = [], padding: [Int] = []
      for row in 0..<2 {
        let pad = mask[row * length..<(row + 1) * length].count { $0 == 0 }
        prompts.append(Prompt(tokens: Array(ids[row * length + pad..<(row + 1) * length])))
        padding.append(pad)
      }
      self.prompts = prompts
      self.padding = padding
    }

    /// The golden's rows of one sequence without padding: `[2, rows, ...]` becomes `[real rows, ...]`.
    func rows(_ name: String, sequence: Int) throws -> [Float] {
      let tensor = try file.tensor(name)
      let width = tensor.shape.dropFirst(2).reduce(1, *), length = tensor.shape[1]
      return Array(tensor.values[(sequence * length + padding[sequence]) * width..<(sequence + 1) * length * width])
    }

    /// `[2, heads, rows, rows]` without padding.
    func matrix(_ name: String, sequence: Int) throws -> [Float] {
      let tensor = try file.tensor(name), values = tensor.values
      let heads = tensor.shape[1], length = tensor.shape[2], pad = padding[sequence]
      var out: [Float] = []
      for head in 0..<heads {
        for row in pad..<length {
          let start = ((sequence * heads + head) * length + row) * length
          out += values[start + pad..<start + length]
        }
      }
      return out
    }
  }

  @Test(arguments: TinyModelTests.families)
  func logitsAndEverySiteMatchTransformers(family: String) throws {
    guard let golden = try Golden(family) else { return }
    let model = golden.model, layers = model.configuration.layerCount
    var seen: [String: [Float]] = [:]
    func capture(_ site: Site, _ layers: [Int]) -> CaptureRequest {
      CaptureRequest(site: site, layers: layers) { rows in
        seen["\(rows.site.rawValue).\(rows.layer ?? -1).\(rows.sequence)"] = try rows.tensor().values
      }
    }
    let all = Array(0..<layers)
    let blockSites: [Site] = [.attnOut, .mlpOut, .q, .k, .v, .z, .mlpPre, .mlpUp, .mlpPost, .pattern]
      .filter { $0.exists(in: model.configuration) }
    let results = try model.run(
      golden.prompts, logits: .all,
      captures: [capture(.residPre, all), capture(.residPost, all), capture(.embed, []), capture(.finalNorm, [])]
        + blockSites.map { capture($0, [1]) })
    for sequence in 0..<2 {
      func check(_ name: String, _ values: [Float]?, _ expected: [Float]) throws {
        let values = try #require(values, "\(name) was not captured")
        #expect(maxDifference("\(family) \(sequence) \(name)", values, expected) < TinyModelTests.tolerance)
      }
      try check("logits", results[sequence].logits?.values, golden.rows("logits", sequence: sequence))
      for layer in all {
        let expected = try golden.rows("hidden.\(layer)", sequence: sequence)
        try check("hidden.\(layer)", seen["resid_pre.\(layer).\(sequence)"], expected)
        if layer > 0 { try check("resid_post.\(layer - 1)", seen["resid_post.\(layer - 1).\(sequence)"], expected) }
      }
      try check("embed", seen["embed.-1.\(sequence)"], golden.rows("hidden.0", sequence: sequence))
      try check(
        "resid.\(layers)", seen["resid_post.\(layers - 1).\(sequence)"],
        golden.rows("resid.\(layers)", sequence: sequence))
      try check("final_norm", seen["final_norm.-1.\(sequence)"], golden.rows("hidden.\(layers)", sequence: sequence))
      for site in blockSites {
        let name = "site.\(site.rawValue).1"
        let expected =
          site == .pattern
          ? try golden.matrix(name, sequence: sequence) : try golden.rows(name, sequence: sequence)
        try check(name, seen["\(site.rawValue).1.\(sequence)"], expected)
      }
    }
  }

  @Test(arguments: TinyModelTests.families)
  func greedyTokensMatchTransformers(family: String) throws {
    guard let golden = try Golden(family) else { return }
    let expected = try golden.file.integers("greedy")
    var options = GenerationOptions()
    options.maxTokens = 8
    options.ignoreEnd = true
    let completions = try golden.model.generate(golden.prompts, options: options)
    #expect(completions.flatMap(\.tokens) == expected)
  }

  /// The golden's loss is the mean over all next-token pairs of both rows.
  @Test(arguments: TinyModelTests.families)
  func lossMatchesTransformers(family: String) throws {
    guard let golden = try Golden(family) else { return }
    let parts = try golden.model.negativeLogLikelihood(golden.prompts, scoredFrom: [0, 0])
    let loss = parts.reduce(0) { $0 + $1.sum } / Double(parts.reduce(0) { $0 + $1.tokens })
    let expected = try golden.file.tensor("loss").values[0]
    #expect(maxDifference("\(family) loss", [Float(loss)], [expected]) < 1e-4)
  }
}
