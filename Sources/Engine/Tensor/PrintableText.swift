extension Unicode.Scalar {
  /// Whether it drives a terminal or changes how the text around it reads, instead of being text: control characters of
  /// both sets, and those that turn the direction of writing. Line breaks and tabs are text.
  public var isControl: Bool {
    switch value {
    case 9, 10: false
    case 0..<32, 0x7f...0x9f, 0x202a...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}

extension String {
  /// The text with control characters spelt out (`\x1b`, `\u{202e}`): what a model, a template or a file's metadata say
  /// cannot drive the terminal that shows it.
  public var printable: String {
    guard unicodeScalars.contains(where: \.isControl) else { return self }
    var result = ""
    for scalar in unicodeScalars {
      guard scalar.isControl else {
        result.unicodeScalars.append(scalar)
        continue
      }
      let digits = String(scalar.value, radix: 16)
      if scalar == "\r" {
        result += "\\r"
      } else if scalar.value < 256 {
        result += "\\x" + (digits.count < 2 ? "0" : "") + digits
      } else {
        result += "\\u{\(digits)}"
      }
    }
    return result
  }
}
