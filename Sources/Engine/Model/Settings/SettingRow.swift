/// What is done with a setting of a model's file. The tables (`KnownSettings`) name every setting that the families'
/// files are known to carry; `docs/loading.md` lists them.
struct SettingRow: Sendable {
  enum Treatment: Sendable {
    /// Followed.
    case read
    /// Changes nothing that is computed here, whatever its value; says why.
    case harmless(String)
    /// Would change what is computed unless `isAccepted` says that this value does not. `expected` names such values.
    case limited(
      expected: String, why: String, isAccepted: @Sendable (_ value: JSONValue, _ model: ModelConfiguration) -> Bool)
  }

  /// Names; one that ends or begins with `*` stands for all that begin or end so.
  let keys: [String]
  /// `ModelConfiguration.family`; empty for all. Rows of a family go before rows for all.
  let families: [String]
  let treatment: Treatment

  /// `keys` and `families` are separated by spaces.
  init(_ keys: String, of families: String = "", _ treatment: Treatment) {
    self.keys = keys.split(separator: " ").map(String.init)
    self.families = families.split(separator: " ").map(String.init)
    self.treatment = treatment
  }

  func covers(_ key: String) -> Bool {
    keys.contains { name in
      if name.hasSuffix("*") { return key.hasPrefix(name.dropLast()) }
      return name.hasPrefix("*") ? key.hasSuffix(name.dropFirst()) : key == name
    }
  }
}

extension SettingRow.Treatment {
  /// Only these values are accepted.
  static func only(_ values: JSONValue..., why: String) -> Self {
    .limited(expected: values.map(\.text).joined(separator: " or "), why: why) { value, _ in
      values.contains { $0 == value || ($0.double != nil && $0.double == value.double) }
    }
  }

  /// Only the number that the other settings give is accepted.
  static func equal(
    _ expected: String, why: String, _ number: @escaping @Sendable (ModelConfiguration) -> Double?
  ) -> Self {
    .limited(expected: expected, why: why) { value, model in
      guard let own = value.double, let wanted = number(model) else { return false }
      return abs(own - wanted) <= 1e-6 * abs(wanted)
    }
  }
}

/// A table of settings, and the check of a file's against it.
struct KnownSettings: Sendable {
  let rows: [SettingRow]

  /// The row of a key for a family; nil for a setting that is not known.
  func row(of key: String, family: String) -> SettingRow? {
    rows.first { $0.families.contains(family) && $0.covers(key) }
      ?? rows.first { $0.families.isEmpty && $0.covers(key) }
  }

  /// Refuses settings that are not known, or known to change what is computed here in an unsupported way, but for those
  /// in `ignored`. Throws `.file`, and `.argument` where `ignored` names a setting that is read or not there.
  func check(
    _ settings: [(key: String, value: JSONValue)], source: String, model: ModelConfiguration, ignored: Set<String>
  ) throws {
    var unknown: [(key: String, value: JSONValue)] = []
    for (key, value) in settings {
      let row = row(of: key, family: model.family)
      if ignored.contains(key) {
        if case .read = row?.treatment {
          throw EngineError(
            .argument, "ignore_settings: \(key) is followed, not passed over; to change it, change \(source)")
        }
        continue
      }
      switch row?.treatment {
      case .read, .harmless: break
      case .limited(let expected, let why, let isAccepted):
        guard !isAccepted(value, model) else { break }
        throw EngineError(
          .file,
          "\(source): \(key) is \(value.shortText), and only \(expected) is supported for family \(model.family): \(why)"
            + KnownSettings.remedy([key]))
      case nil: unknown.append((key, value))
      }
    }
    guard !unknown.isEmpty else { return }
    let list = unknown.prefix(8).map { "\($0.key) = \($0.value.shortText)" }.joined(separator: ", ")
    let own = rows.filter { $0.families.isEmpty || $0.families.contains(model.family) }
    let known = Set(own.flatMap(\.keys).filter { !$0.contains("*") }).sorted()
    throw EngineError(
      .file,
      "\(source) has \(unknown.count == 1 ? "a setting that is" : "\(unknown.count) settings that are") not known for family "
        + "\(model.family) and may change what the model computes: \(list)\(unknown.count > 8 ? ", ..." : "")"
        + (unknown.count == 1 ? suggestion(for: unknown[0].key, in: known) : "")
        + KnownSettings.remedy(unknown.map(\.key)))
  }

  /// Refuses names that no part of the file has.
  static func requireIgnored(_ ignored: Set<String>, among keys: [String], source: String) throws {
    guard let name = ignored.sorted().first(where: { !keys.contains($0) }) else { return }
    throw EngineError(
      .argument, "ignore_settings: \(source) has no setting \(name)\(suggestion(for: name, in: keys))")
  }

  private static func remedy(_ keys: [String]) -> String {
    let list = keys.prefix(8).map { jsonQuoted($0) }.joined(separator: ", ")
    return "; if it does not matter, load with ignore_settings = { \(list) }"
  }
}

extension JSONValue {
  /// As JSON, cut where it is long.
  var shortText: String { text.count <= 80 ? text : text.prefix(77) + "..." }
}
