import Engine
import Foundation

func run() throws {
  let bench = Bench(wanted: Array(CommandLine.arguments.dropFirst()))
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
  let models = [("smollm2", "smollm2-135m-instruct"), ("gemma", "gemma-3-270m")].map { ($0.0, store.path(of: $0.1)) }
  for (name, path) in models where !FileManager.default.fileExists(atPath: path) {
    throw EngineError(.missing, "\(name) is not in the store: run `acthost pull all`")
  }
  for (name, path) in models {
    try TokenizerCases(bench: bench).run(name, path)
    for precision in WeightPrecision.allCases {
      let suffix = precision == .f32 ? "" : "/" + precision.rawValue
      guard bench.isWanted("load/\(name)\(suffix)") else { continue }
      _ = try Model.load(path: path, precision: precision)  // warms the page cache
      let time = try best(of: 3) { _ = try Model.load(path: path, precision: precision) }
      bench.report("load/\(name)\(suffix)", time, "s")
    }
  }
  let peaks = Peaks()
  bench.report("peak/fma", peaks.fma / 1e9, "GFLOP/s")
  bench.report("peak/read", peaks.read / 1e9, "GB/s")
  if let bf16 = peaks.bf16 { bench.report("peak/bf16", bf16 / 1e9, "GFLOP/s") }
  if let int8 = peaks.int8 { bench.report("peak/int8", int8 / 1e9, "GOP/s") }
  for (name, path) in models {
    for precision in WeightPrecision.allCases {
      let prefix = name == "smollm2" ? "" : name + "/"
      try ModelCases(bench: bench, peaks: peaks, prefix: prefix, path: path, precision: precision).run()
    }
  }
  try HookCases(bench: bench, path: models[0].1).run()
  try TrainCases(bench: bench, peaks: peaks, path: models[0].1).run()
}

do {
  try run()
} catch {
  FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
  exit(1)
}
