/// The command line as stock Lua reads it (lua.c, `collectargs`): options in order, a script, its arguments.
struct LuaArguments: Equatable, Sendable {
  /// `-e` and `-l`, in the order given.
  enum Action: Equatable, Sendable {
    case execute(String)
    case require(module: String, global: String)
  }

  enum Script: Equatable, Sendable {
    case file(String)
    case standardInput
  }

  var actions: [Action] = []
  var isInteractive = false
  var showsVersion = false
  var ignoresEnvironment = false
  var warns = false
  /// Not stock Lua's: models say what memory they hold.
  var isVerbose = false
  var script: Script?
  /// Where the script stands among all words: `arg[0]`. 0, the program, when there is none.
  var scriptIndex = 0
  /// Every word, the program's name first.
  var words: [String]

  /// The words after the script: `...`.
  var scriptArguments: [String] { script == nil ? [] : Array(words.dropFirst(scriptIndex + 1)) }

  /// More than one `-e`: errors say in which they are.
  var hasSeveralPieces: Bool { actions.filter { if case .execute = $0 { true } else { false } }.count > 1 }

  /// Throws `UsageError` for an unknown option or one without its argument.
  init(_ words: [String]) throws {
    self.words = words
    var index = 1
    while index < words.count {
      let word = words[index]
      guard word.hasPrefix("-") else { break }
      if word == "-" {
        script = .standardInput
        scriptIndex = index
        return
      }
      if word == "--" {
        index += 1
        break
      }
      switch word {
      case "-E": ignoresEnvironment = true
      case "-W": warns = true
      case "--verbose": isVerbose = true
      case "-v": showsVersion = true
      case "-i":
        isInteractive = true
        showsVersion = true
      case _ where word.hasPrefix("-e"):
        actions.append(.execute(try LuaArguments.argument(of: "-e", words, &index)))
      case _ where word.hasPrefix("-l"):
        let text = try LuaArguments.argument(of: "-l", words, &index)
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        actions.append(
          parts.count == 2 ? .require(module: parts[1], global: parts[0]) : .require(module: text, global: text))
      default: throw UsageError("unknown option '\(word)'")
      }
      index += 1
    }
    guard index < words.count else { return }
    script = .file(words[index])
    scriptIndex = index
  }

  /// The rest of the word, or the next word.
  private static func argument(of option: String, _ words: [String], _ index: inout Int) throws -> String {
    let rest = words[index].dropFirst(2)
    if !rest.isEmpty { return String(rest) }
    guard index + 1 < words.count, !words[index + 1].hasPrefix("-") else {
      throw UsageError("'\(option)' needs an argument")
    }
    index += 1
    return words[index]
  }
}

/// A command line that makes no sense: exit code 64.
struct UsageError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
