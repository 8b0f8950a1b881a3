extension TemplateText {
  /// The text with each character mapped; `map` sees the characters in order and may remember.
  private func mapCharacters(_ map: (UInt32, inout [UInt8]) -> Void) -> TemplateText {
    mapped { bytes, output in
      bytes.withUnsafeBufferPointer { bytes in
        var offset = 0
        while offset < bytes.count {
          let next = readCharacter(bytes, at: offset)
          map(next.code, &output)
          offset += next.length
        }
      }
    }
  }

  var uppercased: TemplateText { mapCharacters { $1.append(mapped: $0, .upper) } }

  var lowercased: TemplateText { mapCharacters { $1.append(mapped: $0, .lower) } }

  var swappedCase: TemplateText {
    mapCharacters { code, output in
      let isUpper = Unicode.Scalar(code)?.properties.isUppercase ?? false
      output.append(mapped: code, isUpper ? .lower : .upper)
    }
  }

  /// Python's `str.capitalize`: the first character in title case, the rest lower.
  var capitalized: TemplateText {
    var isFirst = true
    return mapCharacters { code, output in
      output.append(mapped: code, isFirst ? .title : .lower)
      isFirst = false
    }
  }

  /// Python's `str.title`: a letter after anything that has no case starts a word.
  var titled: TemplateText {
    var isInWord = false
    return mapCharacters { code, output in
      output.append(mapped: code, isInWord ? .lower : .title)
      isInWord = isCased(code)
    }
  }

  /// Jinja's `title` filter: words start after white space, hyphens and opening brackets.
  var wordsTitled: TemplateText {
    var isInWord = false
    return mapCharacters { code, output in
      let separates = isWhiteSpace(code) || [0x2D, 0x28, 0x7B, 0x5B, 0x3C].contains(code)
      output.append(mapped: code, isInWord ? .lower : .upper)
      isInWord = !separates
    }
  }

  // MARK: Questions

  /// Whether there are characters and all are such.
  func allCharacters(_ isSuch: (Unicode.Scalar.Properties) -> Bool) -> Bool {
    !isEmpty && codes.allSatisfy { Unicode.Scalar($0).map { isSuch($0.properties) } ?? false }
  }

  var isSpace: Bool { !isEmpty && codes.allSatisfy(isWhiteSpace) }

  /// Cased characters are there, and none is of the other case.
  func isAll(upper: Bool) -> Bool {
    var found = false
    for code in codes {
      guard let properties = Unicode.Scalar(code)?.properties else { continue }
      if upper ? properties.isLowercase || isTitlecase(code) : properties.isUppercase || isTitlecase(code) {
        return false
      }
      if properties.isCased { found = true }
    }
    return found
  }

  /// Words begin with an upper-case letter and go on in lower case.
  var isTitle: Bool {
    var found = false
    var isInWord = false
    for code in codes {
      let properties = Unicode.Scalar(code)?.properties
      if properties?.isUppercase == true || isTitlecase(code) {
        if isInWord { return false }
        (found, isInWord) = (true, true)
      } else if properties?.isLowercase == true {
        guard isInWord else { return false }
      } else {
        isInWord = false
      }
    }
    return found
  }
}

extension Unicode.Scalar.Properties {
  var isLetter: Bool {
    switch generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  var isDecimal: Bool { numericType == .decimal }
  var isDigit: Bool { numericType == .decimal || numericType == .digit }
  var isNumeric: Bool { numericType != nil }
  var isAlphanumeric: Bool { isLetter || isNumeric }
}

private func isCased(_ code: UInt32) -> Bool { Unicode.Scalar(code)?.properties.isCased ?? false }

private func isTitlecase(_ code: UInt32) -> Bool {
  Unicode.Scalar(code)?.properties.generalCategory == .titlecaseLetter
}

private enum LetterCase {
  case upper, lower, title
}

extension [UInt8] {
  fileprivate mutating func append(mapped code: UInt32, _ target: LetterCase) {
    if code < 0x80 {
      let isUpper = (0x41...0x5A).contains(code)
      let isLower = (0x61...0x7A).contains(code)
      append(UInt8(isUpper && target == .lower ? code + 32 : isLower && target != .lower ? code - 32 : code))
    } else if let properties = Unicode.Scalar(code)?.properties {
      switch target {
      case .upper: append(contentsOf: properties.uppercaseMapping.utf8)
      case .lower: append(contentsOf: properties.lowercaseMapping.utf8)
      case .title: append(contentsOf: properties.titlecaseMapping.utf8)
      }
    } else {
      append(code: code)
    }
  }
}
