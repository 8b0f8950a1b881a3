import Foundation
import Testing

@testable import Engine

/// Weights read and changed by the checkpoint's names, in every family, from folders and from GGUF files.
@Suite(.serialized) struct WeightEditTests {
  private static let tolerance: Float = 1e-5

  /// Calls `body` with a family's model from its folder and from a GGUF file.
  private func forBothContainers(_ family: String, _ body: (String, Model) throws -> Void) throws {
    guard let folder = Files.fixture("tiny/\(family)") else { return }
    try body("\(family) folder", try Model.load(path: folder))
    guard TinyGGUF.families.contains(family) else { return }
    try TinyGGUF.withFile(family) { try body("\(family) gguf", try Model.load(path: $0)) }
  }

  @Test(arguments: TinyModelTests.families)
  func weightsAreThoseOfTheCheckpoint(family: String) throws {
    guard let path = Files.fixture("tiny/\(family)") else { return }
    let file = try SafetensorsFile(path: path + "/model.safetensors")
    try forBothContainers(family) { what, model in
      let list = try model.weightList()
      #expect(Set(list.map(\.name)) == Set(file.names), "\(what)")
      for info in list {
        #expect(info.shape == file.shape(of: info.name) && info.type == "F32", "\(what) \(info.name)")
        let difference = try model.weight(info.name).maximumDifference(file.tensor(info.name))
        // Gemma's norms: 1 added by the converter and taken off again.
        #expect(
          difference <= (family.hasPrefix("gemma") && info.name.contains("norm") ? 1e-6 : 0), "\(what) \(info.name)")
      }
      let error = try #require(throws: EngineError.self) { try model.weight(list[3].name + "s") }
      #expect(error.kind == .missing && error.message.contains(list[3].name))
    }
  }

  /// Every weight doubled through the edit gives what the same checkpoint, doubled by hand, gives.
  @Test(arguments: TinyModelTests.families)
  func anEditedModelIsTheCheckpointWithThatWeight(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family), let path = Files.fixture("tiny/\(family)") else { return }
    try forBothContainers(family) { what, model in
      var edits: [String: Tensor] = [:]
      for (i, info) in try model.weightList().enumerated() where i % 2 == 0 {
        edits[info.name] = try model.weight(info.name) * Float(1 + 0.05 * Double(i % 7))
      }
      let before = try MergeTests.logits(model, golden.prompts), edited = try model.edited(edits)
      try Files.withFolder { folder in
        try FileManager.default.copyItem(atPath: path, toPath: folder + "/m")
        let file = try SafetensorsFile(path: path + "/model.safetensors")
        try FileManager.default.removeItem(atPath: folder + "/m/model.safetensors")
        let tensors = try file.names.map { (name: $0, tensor: try edits[$0] ?? file.tensor($0)) }
        try TensorFiles.save(folder + "/m/model.safetensors", tensors)
        let byHand = try Model.load(path: folder + "/m")
        let expected = try MergeTests.logits(byHand, golden.prompts)
        let values = try MergeTests.logits(edited, golden.prompts), scale = max(1, MergeTests.scale(expected))
        #expect(maxDifference("\(what) edited", values, expected) < Self.tolerance * scale)
        #expect(zip(values, before).contains { abs($0 - $1) > 1e-3 * scale })
        // It is a model as any: another hash, saved and loaded.
        let again = try model.edited(edits)
        #expect(edited.hash != model.hash && edited.hash == again.hash)
        try edited.save(folder + "/saved")
        let saved = try MergeTests.logits(Model.load(path: folder + "/saved"), golden.prompts)
        #expect(maxDifference("\(what) edited and saved", saved, values) < Self.tolerance * scale)
      }
      #expect(try MergeTests.logits(model, golden.prompts) == before)
    }
  }

  @Test func editsThatDoNotFitAreRefused() throws {
    guard let golden = try TinyModelTests.Golden("llama") else { return }
    let model = golden.model, name = "model.layers.1.mlp.down_proj.weight", weight = try model.weight(name)
    var error = try #require(throws: EngineError.self) { try model.edited(["model.layers.1.mlp.down": weight]) }
    #expect(error.message.contains("did you mean"))
    error = try #require(throws: EngineError.self) { try model.edited([name: try weight.transposed()]) }
    #expect(error.kind == .shape && error.message.contains(name))
    weight.mutablePointer[5] = .nan
    error = try #require(throws: EngineError.self) { try model.edited([name: weight]) }
    #expect(error.kind == .numeric && error.message.contains("1 values"))
  }

  /// A tied unembedding that is given becomes one of its own, and stays so in a saved folder.
  @Test(arguments: ["llama3-rope", "gemma3"]) func aTiedUnembeddingCanBeGiven(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    try forBothContainers(family) { what, model in
      #expect(model.configuration.tiedEmbedding)
      let head = try model.weight("lm_head.weight")
      #expect(try head.maximumDifference(model.weight("model.embed_tokens.weight")) == 0)
      let edited = try model.edited(["lm_head.weight": head * 2])
      let plain = try model.run(golden.prompts, logits: .all, captures: [])[0].logits!
      let doubled = try edited.run(golden.prompts, logits: .all, captures: [])[0].logits!
      if model.configuration.logitSoftCap == nil {
        let expected = try plain * 2
        #expect(
          maxDifference("\(what) doubled", doubled.values, expected.values) < 1e-4 * MergeTests.scale(plain.values))
      }
      try Files.withFolder { folder in
        try edited.save(folder + "/m")
        let copy = try Model.load(path: folder + "/m")
        #expect(!copy.configuration.tiedEmbedding)
        let again = try copy.run(golden.prompts, logits: .all, captures: [])[0].logits!
        #expect(maxDifference("\(what) saved", again.values, doubled.values) < 1e-4 * MergeTests.scale(doubled.values))
      }
    }
  }

  /// The orthogonalised model computes what ablation at block inputs, attention outputs and MLP outputs computes; with
  /// norms behind the outputs it cannot write along the direction.
  @Test(arguments: TinyModelTests.families)
  func orthogonalisedWeightsAblate(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    try forBothContainers(family) { what, model in
      let c = model.configuration, direction = try Tensor.normal([c.dModel], seed: 3)
      let unit = try direction / Float(direction.norm())
      let edited = try model.orthogonalised(to: direction)
      var largest: Float = 0, size: Float = 0
      let captures = [Site.residPost, .attnOut, .mlpOut, .residPre].map { site in
        CaptureRequest(site: site, layers: Array(0..<c.layerCount)) { rows in
          let x = try rows.tensor()
          largest = max(largest, try x.matmul(unit).values.map { abs($0) }.max() ?? 0)
          size = max(size, MergeTests.scale(x.values))
        }
      }
      let results = try edited.run(golden.prompts, logits: .all, captures: captures)
      #expect(largest < 2e-5 * max(1, size), "\(what): \(largest) of \(size) along the direction")
      guard !c.postNorms else { return }
      let places = [Site.residPre, .attnOut, .mlpOut].flatMap { site in
        (0..<c.layerCount).map { Intervention.Place(site: site, layer: $0) }
      }
      let id = try model.interventions.register(
        Intervention(kind: "ablate", places: places, positions: .all, effect: .ablate(direction)))
      let ablated = try MergeTests.logits(model, golden.prompts)
      model.interventions.remove(id)
      let values = results.flatMap { $0.logits!.values }
      #expect(maxDifference("\(what) orthogonalised", values, ablated) < 2e-5 * max(1, MergeTests.scale(ablated)))
    }
  }

  /// Heads by their definition: q of a head is what the site `q` shows for the block's normed input, and the output of
  /// attention is the sum over heads of what each writes.
  @Test(arguments: TinyModelTests.families)
  func headsAreRowsOfTheCheckpoint(family: String) throws {
    guard let path = Files.fixture("tiny/\(family)") else { return }
    let file = try SafetensorsFile(path: path + "/model.safetensors")
    try forBothContainers(family) { what, model in
      let c = model.configuration, size = c.dHead, head = c.headCount - 1
      let found = try model.headWeights(layer: 1, head: head)
      for tensor in [found.q, found.k, found.v, found.o] { #expect(tensor.shape == [size, c.dModel], "\(what)") }
      let error = try #require(throws: EngineError.self) { try model.headWeights(layer: 1, head: c.headCount) }
      #expect(error.message.contains("0 to \(c.headCount - 1)"))
      guard file.shape(of: "model.layers.1.self_attn.q_proj.weight") != nil else { return }
      let shared = head / (c.headCount / c.kvHeadCount), stem = "model.layers.1.self_attn."
      let q = try file.tensor(stem + "q_proj.weight"), k = try file.tensor(stem + "k_proj.weight")
      let v = try file.tensor(stem + "v_proj.weight"), o = try file.tensor(stem + "o_proj.weight").transposed()
      #expect(try found.q.maximumDifference(q.rows(head * size..<(head + 1) * size)) == 0, "\(what)")
      #expect(try found.k.maximumDifference(k.rows(shared * size..<(shared + 1) * size)) == 0, "\(what)")
      #expect(try found.v.maximumDifference(v.rows(shared * size..<(shared + 1) * size)) == 0, "\(what)")
      #expect(try found.o.maximumDifference(o.rows(head * size..<(head + 1) * size)) == 0, "\(what)")
    }
  }

  /// Unembedding the last block's stream gives the logits.
  @Test(arguments: TinyModelTests.families)
  func theLastStreamUnembedsToTheLogits(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let model = golden.model
    var stream: Tensor?, normed: Tensor?
    let captures = [
      CaptureRequest(site: .residPost, layers: [model.configuration.layerCount - 1]) {
        if $0.sequence == 0 { stream = try $0.tensor() }
      },
      CaptureRequest(site: .finalNorm, layers: []) { if $0.sequence == 0 { normed = try $0.tensor() } },
    ]
    let logits = try #require(try model.run(golden.prompts, logits: .all, captures: captures)[0].logits)
    let bar = 1e-5 * Double(MergeTests.scale(logits.values))
    let fromStream = try model.unembed(#require(stream)), fromNormed = try model.unembed(#require(normed), norm: false)
    #expect(try fromStream.maximumDifference(logits) < bar)
    #expect(try fromNormed.maximumDifference(logits) < bar)
    #expect(throws: EngineError.self) { try model.unembed(Tensor.zeros([2, 3])) }
  }
}
