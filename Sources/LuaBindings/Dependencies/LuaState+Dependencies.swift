import CShim
import Engine
import Transfer

/// What a state remembers for the rows of its sweeps.
final class ExperimentRecord {
  /// Digests of files, each computed once.
  let files = InputFiles()
  /// Files that `data` read, outside of the functions of sweeps.
  var dataFiles: [String] = []
  /// Sweeps of this state by name: what each depended on before it ran and after.
  var sweeps: [String: (before: Dependencies, after: Dependencies)] = [:]
  /// Functions of sweeps under way: what is read inside them belongs to their rows.
  var running = 0
}

extension Call {
  /// What the results of a function follow from: all that it reaches, the arguments of the script, the files that
  /// `data` has read, the version.
  func dependencies(of function: LuaFunction) throws -> Dependencies {
    let record = state.experiments
    var walk = DependencyWalk(stack: stack, files: record.files)
    try walk.add(functionAt: function.index, name: "run")
    try walk.addStringMethods()
    var found = walk.found
    for (place, text) in state.scriptArguments.enumerated() {
      found.add("arg[\(place + 1)]", SHA256.hex(of: Array(text.utf8)))
    }
    for path in record.dataFiles { found.digests["file \(path)"] = try record.files.digest(path) }
    found.add("version", Module.programVersion)
    found.add("tensor.seed", String(state.randomSeed))
    return found
  }

  /// `data` has read a file.
  func noteDataFile(_ path: String) {
    let record = state.experiments
    if record.running == 0, !record.dataFiles.contains(path) { record.dataFiles.append(path) }
  }
}
