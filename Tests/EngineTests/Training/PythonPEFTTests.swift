import Foundation
import Testing

@testable import Engine

/// What we write, read by Python: adapters by peft, merged and adapted models by transformers. Off unless asked for,
/// since it installs some gigabytes: `ACTHOST_TEST_PEFT=FOLDER scripts/test` makes a Python environment in that folder,
/// or uses the one that is there.
@Suite(.serialized) struct PythonPEFTTests {
  /// A Python that has peft, or nil with a printed reason.
  static func python() throws -> String? {
    guard let folder = ProcessInfo.processInfo.environment["ACTHOST_TEST_PEFT"], !folder.isEmpty else {
      print(
        "skipped: ACTHOST_TEST_PEFT is not set; with a folder's name it installs torch, transformers and peft there (3 GB)"
      )
      return nil
    }
    let python = folder + "/bin/python3"
    if !FileManager.default.fileExists(atPath: python) {
      try run("/usr/bin/env", ["python3", "-m", "venv", folder])
      try run(python, ["-m", "pip", "install", "--quiet", "torch", "transformers", "peft"])
    }
    return python
  }

  static func run(_ program: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(program) \(arguments.first ?? "") failed")
  }

  /// Arguments: a model's folder, an adapter's folder or "", token ids, the file for the logits.
  static let script = """
    import sys, torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    folder, adapter, tokens, out = sys.argv[1:]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    if adapter:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([[int(t) for t in tokens.split(",")]])).logits[0]
    save_file({"logits": logits.contiguous()}, out)
    """

  @Test(arguments: TinyModelTests.families)
  func pythonReadsWhatWeWrite(family: String) throws {
    guard let python = try Self.python(), let golden = try TinyModelTests.Golden(family),
      let path = Files.fixture("tiny/\(family)")
    else { return }
    let model = golden.model, adapter = try MergeTests.adapter(for: model)
    let prompt = golden.prompts[0]
    let plain = try model.run([prompt], logits: .all)[0].logits!
    try Files.withFolder { folder in
      try adapter.save(folder + "/adapter")
      try model.merged(adapter).save(folder + "/merged")
      try model.attach(adapter)
      defer { try? model.detach() }
      let expected = try model.run([prompt], logits: .all)[0].logits!
      // The adapter must matter, or reading nothing at all would pass.
      #expect(try expected.maximumDifference(plain) > 0.01)
      for (name, base, update) in [("adapter", path, folder + "/adapter"), ("merged", folder + "/merged", "")] {
        let out = folder + "/\(name).safetensors"
        try Self.run(
          python, ["-c", Self.script, base, update, prompt.tokens.map(String.init).joined(separator: ","), out])
        let logits = try SafetensorsFile(path: out).tensor("logits").values
        #expect(maxDifference("\(family) \(name) in Python", logits, expected.values) < TinyModelTests.tolerance)
      }
    }
  }
}
