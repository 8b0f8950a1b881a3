import Foundation

/// The date that `strftime_now` prints: now, or what `date_string` names.
struct TemplateDate: Sendable {
  private let components: DateComponents
  /// Stands for every format where it is no date we can read.
  private let fixed: String?

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
  ]
  private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

  /// Now, in the local time zone.
  init() {
    self.init(Date())
  }

  init(_ date: Date, _ zone: TimeZone = .current, fixed: String? = nil) {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = zone
    components = calendar.dateComponents(
      [.year, .month, .day, .hour, .minute, .second, .weekday, .dayOfYear], from: date)
    self.fixed = fixed
  }

  /// `26 Jul 2024`, `26 July 2024` or `2024-07-26`; any other text is printed as it is, whatever the format.
  init(_ text: String) {
    let parts = text.split(whereSeparator: { $0 == " " || $0 == "-" }).map(String.init)
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    if parts.count == 3, let first = Int(parts[0]), let last = Int(parts[2]), (1...9999).contains(max(first, last)) {
      let name = parts[1].lowercased()
      let month =
        Int(name) ?? Self.months.firstIndex { name.count >= 3 && $0.lowercased().hasPrefix(name) }.map { $0 + 1 }
      let isYearFirst = parts[0].count == 4
      let components = DateComponents(
        year: isYearFirst ? first : last, month: month, day: isYearFirst ? last : first)
      if let month, (1...12).contains(month), let date = calendar.date(from: components),
        calendar.component(.month, from: date) == month
      {
        self.init(date, .gmt)
        return
      }
    }
    self.init(Date(timeIntervalSince1970: 0), .gmt, fixed: text)
  }

  /// `format` as C's `strftime` fills it in English; directives it does not know stay as they are.
  func text(_ format: String) -> String {
    if let fixed { return fixed }
    var result = ""
    var isDirective = false
    var isUnpadded = false
    for character in format {
      guard isDirective else {
        if character == "%" { isDirective = true } else { result.append(character) }
        continue
      }
      if character == "-", !isUnpadded {
        isUnpadded = true
        continue
      }
      result += directive(character, isUnpadded: isUnpadded)
      (isDirective, isUnpadded) = (false, false)
    }
    return result + (isDirective ? "%" : "") + (isUnpadded ? "-" : "")
  }

  private func directive(_ letter: Character, isUnpadded: Bool) -> String {
    let year = components.year ?? 0
    let month = components.month ?? 1
    let hour = components.hour ?? 0
    let weekday = ((components.weekday ?? 1) + 6) % 7
    func padded(_ value: Int, _ width: Int = 2, _ fill: String = "0") -> String {
      let digits = String(value)
      return isUnpadded ? digits : String(repeating: fill, count: max(0, width - digits.count)) + digits
    }
    switch letter {
    case "Y": return String(year)
    case "y": return padded(year % 100)
    case "m": return padded(month)
    case "d": return padded(components.day ?? 1)
    case "e": return padded(components.day ?? 1, 2, " ")
    case "H": return padded(hour)
    case "I": return padded((hour + 11) % 12 + 1)
    case "M": return padded(components.minute ?? 0)
    case "S": return padded(components.second ?? 0)
    case "j": return padded(components.dayOfYear ?? 1, 3)
    case "p": return hour < 12 ? "AM" : "PM"
    case "B": return Self.months[(month + 11) % 12]
    case "b", "h": return String(Self.months[(month + 11) % 12].prefix(3))
    case "A": return Self.days[weekday]
    case "a": return String(Self.days[weekday].prefix(3))
    case "w": return String(weekday)
    case "u": return String(weekday == 0 ? 7 : weekday)
    case "F": return text("%Y-%m-%d")
    case "T": return text("%H:%M:%S")
    case "R": return text("%H:%M")
    case "D", "x": return text("%m/%d/%y")
    case "X": return text("%H:%M:%S")
    case "c": return text("%a %b %e %H:%M:%S %Y")
    case "n": return "\n"
    case "t": return "\t"
    case "%": return "%"
    default: return "%\(isUnpadded ? "-" : "")\(letter)"
    }
  }
}
