/// Filters for pages and addresses: `urlencode`, `striptags`, `xmlattr`, `filesizeformat`.
extension TemplateRun {
  static let webFilters: [String: Filter] = [
    "urlencode": { run, value, arguments in
      _ = try arguments.bound("urlencode", [])
      switch value {
      case .list, .tuple, .mapping, .view, .range, .iterator:
        var items = try run.items(of: value)
        if case .mapping(let mapping) = value { items = mapping.items }
        let parts = try items.map { item -> TemplateText in
          let pair: [TemplateValue]
          do { pair = try run.items(of: item) } catch is TemplateFailure {
            throw TemplateFailure("cannot unpack non-iterable \(item.typeName) object")
          }
          guard pair.count == 2 else {
            throw TemplateFailure(
              pair.count < 2
                ? "not enough values to unpack (expected 2, got \(pair.count))"
                : "too many values to unpack (expected 2)")
          }
          var part = try run.percentEncoded(run.string(pair[0]), isQuery: true)
          part.append("=")
          part.append(try run.percentEncoded(run.string(pair[1]), isQuery: true))
          return part
        }
        return try run.joined(parts, TemplateText("&"))
      default: return try run.text(run.percentEncoded(run.string(value), isQuery: false))
      }
    },
    "striptags": { run, value, arguments in
      _ = try arguments.bound("striptags", [])
      let text = try run.string(value)
      try run.stepOver(text)
      return try run.text(run.withoutTags(text))
    },
    "xmlattr": { run, value, arguments in
      let bound = try arguments.bound("xmlattr", ["autospace"])
      if case .undefined(let message) = value { throw TemplateFailure(message) }
      guard case .mapping(let mapping) = value else {
        throw TemplateFailure("'\(value.typeName)' object has no attribute 'items'")
      }
      var result = TemplateText()
      for entry in mapping.entries.values where !entry.value.isNone && !entry.value.isUndefined {
        let key = try run.string(entry.key)
        let isBad = key.codes.contains { isWhiteSpace($0) || [0x2F, 0x3E, 0x3D].contains($0) }
        guard entry.key.isText, !isBad else {
          throw TemplateFailure("Invalid character in attribute name: \(try run.representation(entry.key).string)")
        }
        if !result.isEmpty { result.append(" ") }
        result.append(key.escapedForHTML)
        result.append("=\"")
        result.append(try run.string(entry.value).escapedForHTML)
        result.append("\"")
        try run.checkLength(result.bytes.count)
      }
      guard try bound[0].map(run.isTrue) ?? true, !result.isEmpty else { return try run.text(result) }
      var spaced = TemplateText(" ")
      spaced.append(result)
      return try run.text(spaced)
    },
    "filesizeformat": { run, value, arguments in
      let isBinary = try run.flag(arguments.bound("filesizeformat", ["binary"])[0])
      if case .undefined(let message) = value { throw TemplateFailure(message) }
      guard let bytes = try run.parsedFloat(value) else {
        if value.isText {
          throw TemplateFailure("could not convert string to float: \(try run.representation(value).string)")
        }
        throw TemplateFailure("float() argument must be a string or a real number, not '\(value.typeName)'")
      }
      let base: Double = isBinary ? 1024 : 1000
      if bytes == 1 { return .text("1 Byte") }
      if bytes < base { return .text("\(numberText(bytes.rounded(.towardZero) + 0, "f", precision: 0)) Bytes") }
      var unit = base, name = ""
      for letter in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
        unit *= base
        name = isBinary ? letter.uppercased() + "iB" : letter + "B"
        if bytes < unit { break }
      }
      return .text("\(numberText(base * bytes / unit, "f", precision: 1)) \(name)")
    },
  ]

  /// As Python's `urllib.parse.quote` has it: letters, digits and `_.-~` stay, `/` too outside queries, where a space is
  /// a plus sign.
  fileprivate func percentEncoded(_ text: TemplateText, isQuery: Bool) throws -> TemplateText {
    try stepOver(text)
    try checkLength(text.bytes.count * 3)
    return text.mapped { bytes, output in
      for byte in bytes {
        let isPlain =
          (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
          || [0x5F, 0x2E, 0x2D, 0x7E].contains(byte) || (!isQuery && byte == 0x2F)
        if isPlain {
          output.append(byte)
        } else if isQuery, byte == 0x20 {
          output.append(0x2B)
        } else {
          let digits = String(byte, radix: 16, uppercase: true)
          output += Array("%\(byte < 16 ? "0" : "")\(digits)".utf8)
        }
      }
    }
  }

  /// Text without tags and comments, white space as single spaces, character references read.
  fileprivate func withoutTags(_ text: TemplateText) throws -> TemplateText {
    let bytes = text.bytes
    func find(_ mark: String, from start: Int) -> Int? {
      start <= bytes.count ? TextSearch(Array(mark.utf8)).first(in: bytes, start..<bytes.count) : nil
    }
    var kept = TemplateText(), place = 0
    while let start = find("<", from: place) {
      let isComment = bytes[start...].starts(with: "<!--".utf8)
      guard let end = isComment ? find("-->", from: start + 4).map({ $0 + 3 }) : find(">", from: start).map({ $0 + 1 })
      else { break }
      kept.append(text.slice(place..<start))
      place = end
      try step()
    }
    kept.append(text.slice(place..<bytes.count))
    var words: [TemplateText] = [], word: Int?, offset = 0
    while offset < kept.bytes.count {
      let next = kept.character(at: offset)
      if isWhiteSpace(next.code) {
        if let start = word { words.append(kept.slice(start..<offset)) }
        word = nil
      } else if word == nil {
        word = offset
      }
      offset += next.length
    }
    if let start = word { words.append(kept.slice(start..<offset)) }
    guard case .text(let joined) = try joined(words, TemplateText(" ")) else { return TemplateText() }
    guard joined.bytes.contains(UInt8(ascii: "&")) else { return joined }
    var failure: TemplateFailure?
    let read = joined.mapped { bytes, output in
      do { try CharacterReferences.read(bytes, into: &output) } catch { failure = error as? TemplateFailure }
    }
    if let failure { throw failure }
    return read
  }
}

/// `&amp;`, `&#38;` and `&#x26;` (HTML 5.2, section 8.1.4; names of HTML 4.01).
enum CharacterReferences {
  /// Throws a `TemplateFailure` for names that only HTML 5 has.
  static func read(_ bytes: ArraySlice<UInt8>, into output: inout [UInt8]) throws {
    var place = bytes.startIndex
    while place < bytes.endIndex {
      guard bytes[place] == UInt8(ascii: "&"), let (text, end) = try reference(bytes, place) else {
        output.append(bytes[place])
        place += 1
        continue
      }
      output += text
      place = end
    }
  }

  private static func reference(_ bytes: ArraySlice<UInt8>, _ start: Int) throws -> ([UInt8], Int)? {
    var end = start + 1
    guard end < bytes.endIndex else { return nil }
    if bytes[end] == UInt8(ascii: "#") { return number(bytes, end + 1) }
    let stops = Array("\t\n\u{0C} <&#;".utf8)
    while end < bytes.endIndex, end - start <= 32, !stops.contains(bytes[end]) { end += 1 }
    let name = String(decoding: bytes[start + 1..<end], as: UTF8.self)
    let isClosed = end < bytes.endIndex && bytes[end] == UInt8(ascii: ";")
    if isClosed, !name.isEmpty {
      if let code = named[name] { return (Array(String(code).utf8), end + 1) }
    }
    // The oldest names need no semicolon, and more may follow.
    for length in stride(from: min(name.utf8.count, 6), to: 1, by: -1) {
      let front = String(decoding: bytes[start + 1..<start + 1 + length], as: UTF8.self)
      if let code = named[front] ?? named[front.lowercased()], isOpen(front, code) {
        return (Array(String(code).utf8), start + 1 + length)
      }
    }
    if isClosed, !name.isEmpty, name.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isLetter || ($0 & 0xF0) == 0x30 })
    {
      throw TemplateFailure("striptags: the character reference &\(name.prefix(40)); is not known")
    }
    return nil
  }

  private static func isOpen(_ name: String, _ code: Unicode.Scalar) -> Bool {
    if ["AMP", "COPY", "GT", "LT", "QUOT", "REG"].contains(name) { return true }
    return named[name] != nil && ((0xA0...0xFF).contains(code.value) || ["amp", "lt", "gt", "quot"].contains(name))
  }

  private static func number(_ bytes: ArraySlice<UInt8>, _ start: Int) -> ([UInt8], Int)? {
    var end = start
    let isHexadecimal = end < bytes.endIndex && bytes[end] | 0x20 == UInt8(ascii: "x")
    if isHexadecimal { end += 1 }
    let first = end
    while end < bytes.endIndex, let digit = Character(Unicode.Scalar(bytes[end])).hexDigitValue, bytes[end] < 0x80,
      digit < (isHexadecimal ? 16 : 10)
    {
      end += 1
    }
    guard end > first else { return nil }
    let value = UInt32(String(decoding: bytes[first..<end], as: UTF8.self), radix: isHexadecimal ? 16 : 10) ?? .max
    if end < bytes.endIndex, bytes[end] == UInt8(ascii: ";") { end += 1 }
    // References to the C1 controls mean Windows' characters.
    let windows: [UInt32] = [
      0x20AC, 0x81, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039, 0x152, 0x8D, 0x17D,
      0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x2DC, 0x2122, 0x161, 0x203A, 0x153, 0x9D,
      0x17E, 0x178,
    ]
    let code: UInt32
    switch value {
    case 0, 0xD800...0xDFFF, 0x110000...: code = 0xFFFD
    case 0x80...0x9F: code = windows[Int(value) - 0x80]
    case 1...8, 0x0B, 0x0E...0x1F, 0x7F, 0xFDD0...0xFDEF: return ([], end)
    case _ where value & 0xFFFE == 0xFFFE: return ([], end)
    default: code = value
    }
    return (Array(String(Unicode.Scalar(code) ?? "\u{FFFD}").utf8), end)
  }

  private static let named: [String: Unicode.Scalar] = {
    let words = table.split(separator: " ")
    var result: [String: Unicode.Scalar] = ["apos": "'", "AMP": "&", "COPY": "©", "GT": ">", "LT": "<", "QUOT": "\""]
    result["REG"] = "®"
    for place in stride(from: 0, to: words.count - 1, by: 2) {
      result[String(words[place])] = UInt32(words[place + 1]).flatMap(Unicode.Scalar.init)
    }
    return result
  }()

  private static let table = """
    quot 34 amp 38 lt 60 gt 62 nbsp 160 iexcl 161 cent 162 pound 163 curren 164 yen 165 brvbar 166 sect 167 uml 168 \
    copy 169 ordf 170 laquo 171 not 172 shy 173 reg 174 macr 175 deg 176 plusmn 177 sup2 178 sup3 179 acute 180 \
    micro 181 para 182 middot 183 cedil 184 sup1 185 ordm 186 raquo 187 frac14 188 frac12 189 frac34 190 iquest 191 \
    Agrave 192 Aacute 193 Acirc 194 Atilde 195 Auml 196 Aring 197 AElig 198 Ccedil 199 Egrave 200 Eacute 201 \
    Ecirc 202 Euml 203 Igrave 204 Iacute 205 Icirc 206 Iuml 207 ETH 208 Ntilde 209 Ograve 210 Oacute 211 Ocirc 212 \
    Otilde 213 Ouml 214 times 215 Oslash 216 Ugrave 217 Uacute 218 Ucirc 219 Uuml 220 Yacute 221 THORN 222 szlig 223 \
    agrave 224 aacute 225 acirc 226 atilde 227 auml 228 aring 229 aelig 230 ccedil 231 egrave 232 eacute 233 \
    ecirc 234 euml 235 igrave 236 iacute 237 icirc 238 iuml 239 eth 240 ntilde 241 ograve 242 oacute 243 ocirc 244 \
    otilde 245 ouml 246 divide 247 oslash 248 ugrave 249 uacute 250 ucirc 251 uuml 252 yacute 253 thorn 254 yuml 255 \
    OElig 338 oelig 339 Scaron 352 scaron 353 Yuml 376 fnof 402 circ 710 tilde 732 Alpha 913 Beta 914 Gamma 915 \
    Delta 916 Epsilon 917 Zeta 918 Eta 919 Theta 920 Iota 921 Kappa 922 Lambda 923 Mu 924 Nu 925 Xi 926 Omicron 927 \
    Pi 928 Rho 929 Sigma 931 Tau 932 Upsilon 933 Phi 934 Chi 935 Psi 936 Omega 937 alpha 945 beta 946 gamma 947 \
    delta 948 epsilon 949 zeta 950 eta 951 theta 952 iota 953 kappa 954 lambda 955 mu 956 nu 957 xi 958 omicron 959 \
    pi 960 rho 961 sigmaf 962 sigma 963 tau 964 upsilon 965 phi 966 chi 967 psi 968 omega 969 thetasym 977 upsih 978 \
    piv 982 ensp 8194 emsp 8195 thinsp 8201 zwnj 8204 zwj 8205 lrm 8206 rlm 8207 ndash 8211 mdash 8212 lsquo 8216 \
    rsquo 8217 sbquo 8218 ldquo 8220 rdquo 8221 bdquo 8222 dagger 8224 Dagger 8225 bull 8226 hellip 8230 permil 8240 \
    prime 8242 Prime 8243 lsaquo 8249 rsaquo 8250 oline 8254 frasl 8260 euro 8364 image 8465 weierp 8472 real 8476 \
    trade 8482 alefsym 8501 larr 8592 uarr 8593 rarr 8594 darr 8595 harr 8596 crarr 8629 lArr 8656 uArr 8657 \
    rArr 8658 dArr 8659 hArr 8660 forall 8704 part 8706 exist 8707 empty 8709 nabla 8711 isin 8712 notin 8713 \
    ni 8715 prod 8719 sum 8721 minus 8722 lowast 8727 radic 8730 prop 8733 infin 8734 ang 8736 and 8743 or 8744 \
    cap 8745 cup 8746 int 8747 there4 8756 sim 8764 cong 8773 asymp 8776 ne 8800 equiv 8801 le 8804 ge 8805 sub 8834 \
    sup 8835 nsub 8836 sube 8838 supe 8839 oplus 8853 otimes 8855 perp 8869 sdot 8901 lceil 8968 rceil 8969 \
    lfloor 8970 rfloor 8971 lang 9001 rang 9002 loz 9674 spades 9824 clubs 9827 hearts 9829 diams 9830
    """
}
