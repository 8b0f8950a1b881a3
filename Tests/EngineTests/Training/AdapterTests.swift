import Foundation
import Testing

@testable import Engine

/// Low-rank updates: against PEFT's own, and what must hold whatever their values are.
@Suite(.serialized) struct AdapterTests {
  private func expected() throws -> (Model, SafetensorsFile)? {
    guard let folder = Files.fixture("peft/llama"), let golden = try TinyModelTests.Golden("llama") else { return nil }
    return (golden.model, try SafetensorsFile(path: folder + "/expected.safetensors"))
  }

  @Test func anAdapterOfPEFTGivesItsLogits() throws {
    guard let (model, file) = try expected(), let folder = Files.fixture("peft/llama") else { return }
    let adapter = try Adapter(folder: folder, for: model)
    #expect(adapter.rank == 4 && adapter.alpha == 8 && Set(adapter.targets) == ["q_proj", "v_proj", "down_proj"])
    let prompts = [Prompt(tokens: try file.integers("input_ids"))]
    let plain = try model.run(prompts, logits: .all), hash = model.hash
    try model.attach(adapter)
    #expect(model.hash != hash)
    var hidden: [Float] = []
    let capture = CaptureRequest(site: .residPost, layers: [1]) { hidden = try $0.tensor().values }
    let result = try model.run(prompts, logits: .all, captures: [capture])[0].logits!
    for (name, values) in [("logits", result.values), ("hidden.2", hidden)] {
      #expect(maxDifference("peft \(name)", values, try file.tensor(name).values) < TinyModelTests.tolerance)
    }
    try model.detach(adapter)
    #expect(model.hash == hash)
    #expect(try model.run(prompts, logits: .all)[0].logits!.values == plain[0].logits!.values)
  }

  /// What is written is what PEFT writes: the same tensors, and settings that it reads.
  @Test func anAdapterOfPEFTIsWrittenAsItWasRead() throws {
    guard let fixture = Files.fixture("peft/llama"), let golden = try TinyModelTests.Golden("llama") else { return }
    try Files.withFolder { folder in
      try Adapter(folder: fixture, for: golden.model).save(folder)
      let (theirs, ours) = (
        try SafetensorsFile(path: fixture + "/adapter_model.safetensors"),
        try SafetensorsFile(path: folder + "/adapter_model.safetensors")
      )
      #expect(Set(ours.names) == Set(theirs.names))
      for name in theirs.names { #expect(try ours.tensor(name).values == theirs.tensor(name).values) }
      let (a, b) = (
        try ConfigurationFile(path: fixture + "/adapter_config.json"),
        try ConfigurationFile(path: folder + "/adapter_config.json")
      )
      for key in [
        "peft_type", "task_type", "r", "lora_alpha", "bias", "use_dora", "use_rslora", "fan_in_fan_out",
        "layers_to_transform",
      ] {
        #expect(a[key] == b[key], "\(key)")
      }
      #expect(
        Set(a["target_modules"]?.array?.compactMap(\.string) ?? [])
          == Set(b["target_modules"]?.array?.compactMap(\.string) ?? []))
      for key in b.keyNames { #expect(a.keyNames.contains(key), "PEFT has no setting \(key)") }
    }
  }

  /// Scales of their own come back, whatever gave them.
  @Test func scalesOfSingleModulesAreKept() throws {
    guard let fixture = Files.fixture("peft/llama"), let golden = try TinyModelTests.Golden("llama") else { return }
    let plain = try Adapter(folder: fixture, for: golden.model)
    let settings = try String(contentsOfFile: fixture + "/adapter_config.json", encoding: .utf8)
    try Files.withFolder { folder in
      try FileManager.default.copyItem(
        atPath: fixture + "/adapter_model.safetensors", toPath: folder + "/adapter_model.safetensors")
      for (from, to) in [
        ("\"use_rslora\": false", "\"use_rslora\": true"),
        ("\"alpha_pattern\": {}", "\"alpha_pattern\": {\"layers.1.self_attn.q_proj\": 3, \"q_proj\": 5}"),
      ] {
        try settings.replacing(from, with: to).write(
          toFile: folder + "/adapter_config.json", atomically: true, encoding: .utf8)
        let adapter = try Adapter(folder: folder, for: golden.model)
        #expect(adapter.hash != plain.hash, "\(to)")
        try adapter.save(folder + "/copy")
        #expect(try Adapter(folder: folder + "/copy", for: golden.model).hash == adapter.hash, "\(to)")
      }
      // The first pattern that fits counts, as in PEFT.
      let updates = try Adapter(folder: folder, for: golden.model).updates
      let scales: [Float] = updates.filter { $0.module.target == "q_proj" }.map(\.scale)
      #expect(scales == [1.25, 0.75, 1.25, 1.25])
    }
  }

  @Test(arguments: TinyModelTests.families)
  func aFreshAdapterChangesNothingAndSurvivesItsFolder(family: String) throws {
    guard let golden = try TinyModelTests.Golden(family) else { return }
    let model = golden.model, plain = try model.run(golden.prompts, logits: .all)
    let adapter = try Adapter(for: model, rank: 3, alpha: 6, seed: 4)
    try model.attach(adapter)
    #expect(try model.run(golden.prompts, logits: .all)[1].logits!.values == plain[1].logits!.values)
    // With values in B it does change them, and its copy from disk does the same.
    for (i, update) in adapter.updates.enumerated() {
      update.setUp(try Tensor.normal(update.up.value.shape, seed: i))
    }
    let tuned = try model.run(golden.prompts, logits: .all)[1].logits!
    #expect(try tuned.maximumDifference(plain[1].logits!) > 0.01)
    try Files.withFolder { folder in
      try adapter.save(folder + "/a")
      let copy = try Adapter(folder: folder + "/a", for: model)
      #expect(copy.hash == adapter.hash)
      try model.detach()
      try model.attach(copy)
      #expect(try model.run(golden.prompts, logits: .all)[1].logits!.values == tuned.values)
    }
    try model.detach()
  }

  @Test func anAdapterOfAnotherModelIsRefused() throws {
    guard let folder = Files.fixture("peft/llama"), let other = try TinyModelTests.Golden("qwen3"),
      let golden = try TinyModelTests.Golden("llama")
    else { return }
    #expect(throws: EngineError.self) { try Adapter(folder: folder, for: other.model) }
    let own = try Adapter(for: golden.model, rank: 2)
    #expect(throws: EngineError.self) { try other.model.attach(own) }
    try golden.model.attach(own)
    #expect(throws: EngineError.self) { try golden.model.attach(own) }
    #expect(throws: EngineError.self) { try golden.model.detach(try Adapter(for: golden.model, rank: 2)) }
  }

  @Test func damagedAdaptersAreErrors() throws {
    guard let fixture = Files.fixture("peft/llama"), let golden = try TinyModelTests.Golden("llama") else { return }
    try Files.withFolder { folder in
      let settings = try String(contentsOfFile: fixture + "/adapter_config.json", encoding: .utf8)
      let weights = try Data(contentsOf: URL(fileURLWithPath: fixture + "/adapter_model.safetensors"))
      for (from, to) in [
        ("\"LORA\"", "\"IA3\""), ("\"r\": 4", "\"r\": -4"), ("\"use_dora\": false", "\"use_dora\": true"),
        ("\"bias\": \"none\"", "\"bias\": \"some\""),
        ("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa_niter_4\""),
        ("\"alpha_pattern\": {}", "\"alpha_pattern\": {\"layers\\\\.([01].*q_proj\": 3}"),
        ("\"alpha_pattern\": {}", "\"alpha_pattern\": {\"q_proj\": \"x\"}"),
        ("\"lora_alpha\": 8", "\"lora_alpha\": \"x\""), ("{", "["),
      ] {
        try settings.replacing(from, with: to).write(
          toFile: folder + "/adapter_config.json", atomically: true, encoding: .utf8)
        try weights.write(to: URL(fileURLWithPath: folder + "/adapter_model.safetensors"))
        #expect(throws: EngineError.self, "\(from) -> \(to)") { try Adapter(folder: folder, for: golden.model) }
      }
      try settings.write(toFile: folder + "/adapter_config.json", atomically: true, encoding: .utf8)
      var generator = RandomGenerator(seed: 1)
      var refused = 0
      for _ in 0..<200 {
        var damaged = weights
        for _ in 0..<3 { damaged[generator.below(min(damaged.count, 3000))] = UInt8(generator.below(256)) }
        try damaged.write(to: URL(fileURLWithPath: folder + "/adapter_model.safetensors"))
        do { _ = try Adapter(folder: folder, for: golden.model) } catch is EngineError { refused += 1 }
      }
      print("damaged adapters refused:", refused, "of 200")
      #expect(refused > 50)
    }
  }
}
