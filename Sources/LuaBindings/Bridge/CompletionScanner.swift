/// Reads the line up to the cursor and says what kind of thing stands there.
struct CompletionScanner {
  /// An open bracket.
  struct Frame {
    let opener: UInt8
    /// `m:generate` in `m:generate{`, or empty.
    let callee: String
    /// `site` after `site =`.
    var key: String?
    /// Keys given before.
    var keys: [String] = []
    /// Commas passed.
    var commas = 0
  }

  enum Context {
    /// A comment, or nothing sensible.
    case none
    /// Inside a string that began at byte `start` (its first character).
    case string(start: Int, callee: String)
    /// A name, perhaps empty, beginning at `start`; `path` is what precedes it (`m`, `tensor`), `separator` `.` or `:`.
    case name(start: Int, path: String, separator: UInt8?)
  }

  private(set) var frames: [Frame] = []
  private(set) var context = Context.none
  private var path = ""
  /// Where the last name of `path` begins.
  private var nameStart = 0
  private var separator: UInt8?
  /// The separator before the last name of `path`.
  private var nameSeparator: UInt8?
  /// What precedes the last name of `path`.
  private var parent = ""

  init(_ line: [UInt8]) {
    var place = 0
    var isUnknown = false  // after `)` or `]`: a value nobody can see without running the line
    while place < line.count {
      let byte = line[place]
      let next = place + 1 < line.count ? line[place + 1] : 0
      if byte == UInt8(ascii: "-"), next == UInt8(ascii: "-") { return }
      if isNameByte(byte) {
        let start = place
        while place < line.count, isNameByte(line[place]) { place += 1 }
        take(String(decoding: line[start..<place], as: UTF8.self), start: start, isUnknown: &isUnknown)
        continue
      }
      place += 1
      switch byte {
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"): continue
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        let start = place
        while place < line.count, line[place] != byte { place += line[place] == UInt8(ascii: "\\") ? 2 : 1 }
        if place >= line.count {
          context = .string(start: start, callee: separator == nil ? path : "")
          return
        }
        place += 1
        (path, isUnknown) = ("", true)
      case UInt8(ascii: "[") where next == UInt8(ascii: "["):
        place += 1
        let start = place
        while place + 1 < line.count, !(line[place] == UInt8(ascii: "]") && line[place + 1] == UInt8(ascii: "]")) {
          place += 1
        }
        if place + 1 >= line.count {
          context = .string(start: start, callee: path)
          return
        }
        place += 2
        (path, isUnknown) = ("", true)
      case UInt8(ascii: "."), UInt8(ascii: ":"):
        if next == byte {  // `..` or `::`
          place += 1
          path = ""
          isUnknown = false
        } else {
          separator = byte
          continue
        }
      case UInt8(ascii: "("), UInt8(ascii: "{"), UInt8(ascii: "["):
        frames.append(Frame(opener: byte, callee: path))
        (path, isUnknown) = ("", false)
      case UInt8(ascii: ")"), UInt8(ascii: "}"), UInt8(ascii: "]"):
        if !frames.isEmpty { frames.removeLast() }
        (path, isUnknown) = ("", true)
      case UInt8(ascii: "=") where next != UInt8(ascii: "="):
        if !frames.isEmpty, frames[frames.count - 1].opener == UInt8(ascii: "{") {
          frames[frames.count - 1].key = path
          frames[frames.count - 1].keys.append(path)
        }
        (path, isUnknown) = ("", false)
      case UInt8(ascii: ","), UInt8(ascii: ";"):
        if !frames.isEmpty {
          frames[frames.count - 1].key = nil
          frames[frames.count - 1].commas += 1
        }
        (path, isUnknown) = ("", false)
      default:
        if byte == UInt8(ascii: "="), next == byte { place += 1 }
        (path, isUnknown) = ("", false)
      }
      separator = nil
    }
    if let last = line.last, isNameByte(last) {
      context = isUnknown ? .none : .name(start: nameStart, path: parent, separator: nameSeparator)
    } else if let separator {
      context = isUnknown ? .none : .name(start: line.count, path: path, separator: separator)
    } else if path.isEmpty, !isUnknown {
      context = .name(start: line.count, path: "", separator: nil)
    }
  }

  private mutating func take(_ name: String, start: Int, isUnknown: inout Bool) {
    nameStart = start
    if separator != nil, !path.isEmpty {
      parent = path
      path += (separator == UInt8(ascii: ":") ? ":" : ".") + name
      nameSeparator = separator
    } else if separator != nil {  // after a value nobody can see
      parent = ""
      nameSeparator = separator
    } else {
      path = luaKeywords.contains(name) || (0x30...0x39).contains(name.utf8.first ?? 0) ? "" : name
      parent = ""
      nameSeparator = nil
      isUnknown = false
    }
    separator = nil
  }
}
