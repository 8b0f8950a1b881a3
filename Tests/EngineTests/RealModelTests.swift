import Foundation
import Testing

@testable import Engine

/// The packaged models against transformers running on the same dequantised weights (`fixtures/real/expected.json`).
@Suite(.serialized) struct RealModelTests {
  struct Text: Decodable {
    let text: String
    let ids: [Int]
    let top5: [Int]
    let top5_logits: [Float]
    let mean_nll: Double
    let resid_post: [String: Residual]
    let greedy: [Int]?
  }

  struct Residual: Decodable {
    let norm_last: Float
    let head_last: [Float]
    let norm_mid: Float
  }

  static let names = ["smollm2": "smollm2-135m-instruct", "gemma": "gemma-3-270m"]

  static func texts(_ key: String) throws -> [Text]? {
    guard let path = Files.fixture("real/expected.json") else { return nil }
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try JSONDecoder().decode([String: [Text]].self, from: data)[key]
  }

  /// Within 1e-3 of the golden's scale, as `fixtures/README.md` asks.
  @Test(arguments: ["smollm2", "gemma"])
  func logitsAndResidualsMatchTransformers(key: String) throws {
    guard let name = RealModelTests.names[key], let texts = try RealModelTests.texts(key),
      let model = try Models.shared(name)
    else { return }
    var rows: [String: [Float]] = [:]
    let layers = texts[0].resid_post.keys.compactMap(Int.init)
    let capture = CaptureRequest(site: .residPost, layers: layers) {
      rows["\($0.layer ?? -1).\($0.sequence)"] = try $0.tensor().values
    }
    let results = try model.run(texts.map { Prompt(tokens: $0.ids) }, logits: .last, captures: [capture])
    var worst: (logit: Float, residual: Float) = (0, 0)
    for (i, text) in texts.enumerated() {
      let logits = try #require(results[i].logits).values
      let scale = text.top5_logits.map(abs).max() ?? 1
      for (id, expected) in zip(text.top5, text.top5_logits) {
        worst.logit = max(worst.logit, abs(logits[id] - expected) / scale)
      }
      for (layer, expected) in text.resid_post {
        let values = try #require(rows["\(layer).\(i)"]), d = model.configuration.dModel
        func norm(_ row: Int) -> Float {
          Float(values[row * d..<(row + 1) * d].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
        }
        let last = text.ids.count - 1
        worst.residual = max(worst.residual, abs(norm(last) - expected.norm_last) / expected.norm_last)
        worst.residual = max(worst.residual, abs(norm(text.ids.count / 2) - expected.norm_mid) / expected.norm_mid)
        for (a, b) in zip(values[last * d..<last * d + 6], expected.head_last) {
          worst.residual = max(worst.residual, abs(a - b) / expected.norm_last)
        }
      }
    }
    print("\(key)  logits max|diff|/scale \(worst.logit), residuals \(worst.residual)")
    #expect(worst.logit < 1e-3)
    #expect(worst.residual < 1e-3)
  }

  @Test(arguments: ["smollm2", "gemma"])
  func nextTokenLossMatchesTransformers(key: String) throws {
    guard let name = RealModelTests.names[key], let texts = try RealModelTests.texts(key),
      let model = try Models.shared(name)
    else { return }
    let parts = try model.negativeLogLikelihood(
      texts.map { Prompt(tokens: $0.ids) }, scoredFrom: Array(repeating: 0, count: texts.count))
    for (part, text) in zip(parts, texts) {
      #expect(abs(part.sum / Double(part.tokens) - text.mean_nll) < 1e-3 * max(1, text.mean_nll))
    }
  }

  /// Goldens are cut before the first step whose two best logits are nearly equal.
  @Test(arguments: ["smollm2", "gemma"])
  func greedyTextMatchesTransformers(key: String) throws {
    guard let name = RealModelTests.names[key], let texts = try RealModelTests.texts(key),
      let model = try Models.shared(name)
    else { return }
    let wanted = texts.filter { $0.greedy != nil }
    var options = GenerationOptions()
    options.maxTokens = 16
    options.ignoreEnd = true
    let completions = try model.generate(wanted.map { Prompt(tokens: $0.ids) }, options: options)
    for (completion, text) in zip(completions, wanted) {
      let golden = try #require(text.greedy)
      #expect(Array(completion.tokens.prefix(golden.count)) == golden)
    }
  }
}

/// Packaged models, loaded once for all tests.
enum Models {
  nonisolated(unsafe) private static var loaded: [String: Model] = [:]

  static func shared(_ name: String) throws -> Model? {
    if let model = loaded[name] { return model }
    guard let path = Files.model(name) else { return nil }
    let start = Date()
    let model = try Model.load(path: path, name: name)
    print("loaded \(name) in \(Int(Date().timeIntervalSince(start) * 1000)) ms")
    loaded[name] = model
    return model
  }
}
