import CShim
import Engine

extension OptionReader {
  /// One curve of `y`, or those of `series`.
  func curves() throws -> [Plot.Series] {
    let shared = try optional("x")?.places()
    let (name, value) = try oneOf(["y", "series"])
    let curves: [Plot.Series]
    if name == "y" {
      curves = [try value.curve("", x: shared)]
    } else if value.listCount > 0 {
      guard try value.fieldNames(allowList: true).isEmpty else {
        throw value.error("give either a list of { label =, x =, y = } or { [label] = list }, not both at once")
      }
      curves = try value.list { entry in
        if entry.isTable { try entry.checkKeys(["label", "x", "y"]) }
        guard let label = entry.field("label"), let y = entry.field("y") else {
          throw entry.error("a curve needs label and y")
        }
        return try y.curve(label.caption, x: entry.field("x")?.places() ?? shared)
      }
    } else {
      curves = try value.fieldNames().map { label in
        guard let y = value.field(label) else { throw value.error("lost '\(label)'") }
        return try y.curve(label, x: shared)
      }
    }
    guard !curves.isEmpty else { throw value.error("there is no curve to draw") }
    return curves
  }

  /// Whether the places of the curves' points are given: by x, or by the keys of y.
  var hasPlaces: Bool {
    if isPresent("x") { return true }
    if let y = optional("y") { return y.isTable && (try? y.looseKeys().isEmpty) == false }
    guard let series = optional("series"), series.listCount > 0 else {
      return optional("series").map { series in
        ((try? series.fieldNames()) ?? []).allSatisfy { (try? series.field($0)?.looseKeys().isEmpty) == false }
      } ?? false
    }
    return (try? series.list { $0.field("x") != nil })?.allSatisfy { $0 } ?? false
  }

  /// The x axis is named where nobody gave x: entries count from 1, layers and heads from 0.
  func xLabel(given hasX: Bool) throws -> String {
    let label = try string("xlabel")
    guard !hasX else { return label }
    let words = label.lowercased().split { !$0.isLetter }
    guard words.allSatisfy({ !["layer", "layers", "head", "heads"].contains($0) }) else {
      throw call.error(
        "xlabel is '\(label)' and x is missing: list entries count from 1, \(label) from 0. Give x, such as "
          + "x = { 0, 1, 2 } or x = m:layers()")
    }
    return label.isEmpty ? "entry, from 1" : label
  }

  func bars() throws -> Plot.Content {
    let labels = try required("labels").list { $0.caption }
    let values = try required("values").plainNumbers()
    guard labels.count == values.count, !labels.isEmpty else {
      throw call.error("\(labels.count) labels do not fit \(values.count) values")
    }
    return .bar(labels: labels, values: values)
  }

  func heatmap() throws -> Plot.Content {
    let reader = try required("values")
    let values: [[Double]]
    if reader.isTensor {
      let tensor = try reader.tensor()
      guard tensor.rank == 2 else { throw reader.mismatch("a tensor [rows, columns]") }
      let flat = tensor.values, width = tensor.shape[1]
      values = (0..<tensor.shape[0]).map { row in flat[row * width..<(row + 1) * width].map(Double.init) }
    } else {
      try reader.refuseLooseKeys()
      values = try reader.list { try $0.plainNumbers() }
    }
    guard let first = values.first, !first.isEmpty else { throw reader.error("there are no values to draw") }
    if let ragged = values.firstIndex(where: { $0.count != first.count }) {
      throw reader.error(
        "row \(ragged + 1) has \(values[ragged].count) values, row 1 has \(first.count): all rows need the same number")
    }
    func labels(_ name: String, _ count: Int) throws -> [String] {
      guard let labels = try optional(name)?.list({ $0.caption }) else { return [] }
      guard labels.count == count else {
        throw call.error("option '\(name)' has \(labels.count) labels, the values have \(count) \(name)")
      }
      return labels
    }
    return .heatmap(
      values: values, rowLabels: try labels("rows", values.count), columnLabels: try labels("columns", first.count))
  }
}

extension ArgumentReader {
  /// Numbers from a list or a tensor of rank 1; NaN and infinities are gaps.
  fileprivate func plainNumbers() throws -> [Double] {
    if isTensor {
      let tensor = try tensor()
      guard tensor.rank == 1 else { throw mismatch("a list of numbers or a tensor of rank 1") }
      return tensor.values.map(Double.init)
    }
    try refuseLooseKeys()
    return try list { try $0.number(finite: false) }
  }

  /// The same, or a model's layers.
  fileprivate func places() throws -> [Double] {
    if isObject(LayersObject.self) { return (0..<(try object(LayersObject.self).count)).map(Double.init) }
    return try plainNumbers()
  }

  /// A curve whose x is `x`, else its own integer keys where it has others than 1 to n, else 1 to n.
  fileprivate func curve(_ label: String, x: [Double]?) throws -> Plot.Series {
    if x == nil, isTable, try !looseKeys().isEmpty {
      let keys = try looseKeys() + Array(1..<(listCount + 1))
      let values = try keys.sorted().compactMap { key -> (Double, Double)? in
        guard let value = entry(key) else { return nil }
        defer { stack.pop() }
        return (Double(key), try value.number(finite: false))
      }
      return Plot.Series(label: label, x: values.map(\.0), y: values.map(\.1))
    }
    let y = try plainNumbers()
    guard !y.isEmpty else { throw error("there are no values to draw") }
    let places = x ?? y.indices.map { Double($0 + 1) }
    guard places.count == y.count else {
      throw error("x has \(places.count) values, y\(label.isEmpty ? "" : " of " + label) has \(y.count)")
    }
    return Plot.Series(label: label, x: places, y: y)
  }

  /// Whether its keys are places of their own (`[0]`).
  fileprivate func refuseLooseKeys() throws {
    guard isTable else { throw mismatch("a list of numbers or a tensor") }
    if let key = try looseKeys().first {
      throw error("entry [\(key)] is outside the list 1 to \(listCount); lists count from 1 without gaps")
    }
    if let name = try fieldNames(allowList: true).first { throw error("expected a list, found the key '\(name)'") }
  }
}

extension Plot.Content {
  var hasValues: Bool {
    switch self {
    case .line(let series): series.contains { $0.y.contains(where: \.isFinite) }
    case .bar(_, let values): values.contains(where: \.isFinite)
    case .heatmap(let values, _, _): values.contains { $0.contains(where: \.isFinite) }
    }
  }
}
