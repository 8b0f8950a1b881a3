import CKernels
import Engine
import Foundation

/// Prints one JSON line per case: `case`, `value`, `unit`, and `share`, the fraction of this machine's own peak,
/// measured in the same run. Cases to run are named as arguments; none means all. See `scripts/bench`.
struct Bench {
  let wanted: Set<String>

  func isWanted(_ name: String) -> Bool { wanted.isEmpty || wanted.contains(name) }

  func report(_ name: String, _ value: Double, _ unit: String, share: Double? = nil) {
    var line = "{\"case\": \"\(name)\", \"value\": \(String(format: "%.4g", value)), \"unit\": \"\(unit)\""
    if let share { line += ", \"share\": \(String(format: "%.3f", share))" }
    line += ", \"resident_mb\": \(residentMegabytes())}"
    print(line)
    fflush(nil)
  }

  private func residentMegabytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * 4096 / 1_000_000
  }
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = DispatchTime.now().uptimeNanoseconds
  try body()
  return Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
}

/// The best of several runs: what the machine does when nobody disturbs it.
func best(of count: Int, _ body: () throws -> Void) rethrows -> Double {
  var least = Double.infinity
  for _ in 0..<count { least = min(least, try seconds(body)) }
  return least
}

/// Multiply-adds (counted as 2) per second of all threads together.
func fusedMultiplyAddPeak() -> Double {
  let rates = UnsafeMutablePointer<Double>.allocate(capacity: threadCount)
  defer { rates.deallocate() }
  nonisolated(unsafe) let target = rates
  parallel(threadCount) { target[$0] = ck_fma_peak(0.3) }
  return (0..<threadCount).reduce(0) { $0 + rates[$1] }
}

/// Bytes per second that all threads read together from memory far larger than the caches.
func readPeak() -> Double {
  let bytes = 512 << 20
  let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2 << 20)
  defer { memory.deallocate() }
  madvise(memory, bytes, 14)
  memset(memory, 1, bytes)
  let floats = memory.bindMemory(to: Float.self, capacity: bytes / 4)
  let part = bytes / threadCount / 4096 * 4096
  let time = best(of: 5) {
    parallel(threadCount) { _ = ck_read(floats + $0 * part / 4, part) }
  }
  return Double(part * threadCount) / time
}

/// Matrix arithmetic of one token, without the unembedding: two operations per weight.
func operationsPerToken(_ c: ModelConfiguration) -> Double {
  let attention = c.dModel * (2 * c.headCount + 2 * c.kvHeadCount) * c.dHead
  return 2 * Double(c.layerCount) * Double(attention + 3 * c.dModel * c.dMLP)
}

/// Scores and weighted values of a causal sequence of `length` tokens.
func attentionOperations(_ c: ModelConfiguration, length: Int) -> Double {
  4 * Double(c.layerCount * c.headCount * c.dHead) * Double(length) * Double(length + 1) / 2
}

func text(_ count: Int, _ c: ModelConfiguration, seed: Int) -> Prompt {
  var random = RandomGenerator(seed: seed)
  return Prompt(tokens: (0..<count).map { _ in random.below(min(c.vocabularySize, 40_000)) })
}

func run() throws {
  let bench = Bench(wanted: Set(CommandLine.arguments.dropFirst()))
  let environment = ProcessInfo.processInfo.environment
  if bench.isWanted("start"), let program = environment["ACTHOST_PROGRAM"] {
    let time = try best(of: 10) {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: program)
      process.arguments = ["-e", "os.exit(0)"]
      try process.run()
      process.waitUntilExit()
    }
    bench.report("start", time * 1000, "ms")
  }
  let store = ModelStore()
  let path = store.path(of: "smollm2-135m-instruct")
  guard FileManager.default.fileExists(atPath: path) else {
    throw EngineError(.missing, "smollm2-135m-instruct is not in the store: run `acthost pull smollm2-135m-instruct`")
  }
  if bench.isWanted("load/smollm2") {
    _ = try Model.load(path: path)  // warms the page cache
    bench.report("load/smollm2", try best(of: 3) { _ = try Model.load(path: path) }, "s")
  }
  let rest = ["prefill512/f32", "capture16x128/f32", "decode1/f32", "decode16/f32"]
  guard rest.contains(where: bench.isWanted) else { return }
  let fma = fusedMultiplyAddPeak(), read = readPeak()
  bench.report("peak/fma", fma / 1e9, "GFLOP/s")
  bench.report("peak/read", read / 1e9, "GB/s")
  let model = try Model.load(path: path), c = model.configuration
  let unembedding = 2 * Double(c.vocabularySize * c.dModel)
  if bench.isWanted("prefill512/f32") {
    let prompt = text(512, c, seed: 1)
    _ = try model.run([prompt], logits: .last)
    let time = try best(of: 7) { _ = try model.run([prompt], logits: .last) }
    let work = 512 * operationsPerToken(c) + attentionOperations(c, length: 512) + unembedding
    bench.report("prefill512/f32", 512 / time, "tok/s", share: work / time / fma)
  }
  if bench.isWanted("capture16x128/f32") {
    let prompts = (0..<16).map { text(128, c, seed: $0) }
    var sum: Float = 0
    let capture = CaptureRequest(site: .residPost, layers: Array(0..<c.layerCount)) { rows in
      sum += rows.pointer[0]
      _ = try rows.tensor()
    }
    let time = try best(of: 5) { _ = try model.run(prompts, logits: .none, captures: [capture]) }
    let work = 2048 * operationsPerToken(c) + 16 * attentionOperations(c, length: 128)
    bench.report("capture16x128/f32", 2048 / time, "tok/s", share: work / time / fma)
  }
  for count in [1, 16] where bench.isWanted("decode\(count)/f32") {
    var options = GenerationOptions()
    options.ignoreEnd = true
    let prompts = (0..<count).map { text(16, c, seed: $0) }
    func time(_ tokens: Int) throws -> Double {
      options.maxTokens = tokens
      return try best(of: 3) { _ = try model.generate(prompts, options: options) }
    }
    let steps = 32
    let perStep = (try time(steps + 1) - (try time(1))) / Double(steps)
    // One step reads every packed weight once.
    let bytes = Double(model.memory.packs)
    let work = Double(count) * (operationsPerToken(c) + unembedding)
    bench.report("decode\(count)/f32", Double(count) / perStep, "tok/s", share: max(bytes / read, work / fma) / perStep)
  }
}

do {
  try run()
} catch {
  FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
  exit(1)
}
