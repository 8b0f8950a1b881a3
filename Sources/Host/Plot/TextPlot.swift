import Foundation
import LuaBindings

/// Plots as text, for the terminal and for logs.
struct TextPlot {
  let terminal: Terminal
  /// Columns and rows of the whole drawing.
  let width: Int
  let height: Int

  init(terminal: Terminal, width: Int? = nil, height: Int? = nil) {
    self.terminal = terminal
    self.width = max(30, width ?? min(terminal.width, 100))
    self.height = max(5, height ?? 16)
  }

  /// The drawing as lines that end in a line break.
  func text(_ plot: Plot) -> String {
    var lines = plot.title.isEmpty ? [] : [terminal.styled(oneLine(plot.title), .bold)]
    switch plot.content {
    case .line(let series): lines += lineChart(series, xLabel: plot.xLabel, yLabel: plot.yLabel)
    case .bar(let labels, let values): lines += barChart(labels, values, label: plot.yLabel)
    case .heatmap(let values, let rowLabels, let columnLabels):
      if !plot.yLabel.isEmpty { lines.append(oneLine(plot.yLabel)) }
      lines += heatmap(values, rowLabels, columnLabels)
      if !plot.xLabel.isEmpty { lines.append(oneLine(plot.xLabel)) }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private let colours: [Terminal.Style] = [.cyan, .yellow, .magenta, .green, .red, .blue]
  private let marks = ["*", "+", "o", "x", "#", "@", "%", "&"]

  // MARK: lines

  private func lineChart(_ series: [Plot.Series], xLabel: String, yLabel: String) -> [String] {
    let (x, y) = (Axis(series.flatMap(\.x)), Axis(series.flatMap(\.y)))
    let ticks = y.ticks(max(2, height / 4))
    let margin = ticks.map { displayWidth(shortNumber($0)) }.max() ?? 0
    var canvas = TextCanvas(columns: max(10, width - margin - 2), rows: height)
    func place(_ px: Double, _ py: Double) -> (x: Int, y: Int)? {
      guard px.isFinite, py.isFinite else { return nil }
      return (
        Int((x.fraction(px) * Double(canvas.width - 1)).rounded()),
        Int(((1 - y.fraction(py)) * Double(canvas.height - 1)).rounded())
      )
    }
    for (owner, curve) in series.enumerated() {
      var previous: (x: Int, y: Int)?
      for (px, py) in zip(curve.x, curve.y) {
        let point = place(px, py)
        if let point { canvas.line(from: previous ?? point, to: point, owner: owner) }
        previous = point
      }
    }
    let usesMarks = !terminal.hasUnicode || (series.count > 1 && !terminal.hasColour)
    func mark(_ owner: Int) -> String? { usesMarks ? marks[owner % marks.count] : nil }
    var labels: [Int: String] = [:]
    for tick in ticks { labels[Int(((1 - y.fraction(tick)) * Double(height - 1)).rounded())] = shortNumber(tick) }
    var lines = yLabel.isEmpty ? [] : [oneLine(yLabel)]
    for row in 0..<height {
      let body = canvas.text(row: row, mark: mark) { terminal.styled($0, colours[$1 % colours.count]) }
      lines.append(padded(labels[row] ?? "", to: margin, right: true) + (labels[row] == nil ? " │" : " ┤") + body)
    }
    lines += xAxis(x, margin: margin, columns: canvas.columns)
    if !xLabel.isEmpty { lines.append(String(repeating: " ", count: margin + 2) + oneLine(xLabel)) }
    if series.count > 1 || series.contains(where: { !$0.label.isEmpty }) {
      let keys = series.enumerated().map { owner, curve in
        terminal.styled(mark(owner) ?? "━━", colours[owner % colours.count]) + " " + oneLine(curve.label)
      }
      lines.append(String(repeating: " ", count: margin + 2) + keys.joined(separator: "   "))
    }
    return terminal.hasUnicode ? lines : lines.map(ascii)
  }

  private func xAxis(_ axis: Axis, margin: Int, columns: Int) -> [String] {
    var rule = Array(repeating: "─", count: columns),
      labels = Array(repeating: Character(" "), count: columns + margin + 10)
    var end = 0
    for tick in axis.ticks(max(2, columns / 12)) {
      let column = min(columns - 1, Int((axis.fraction(tick) * Double(columns - 1)).rounded()))
      let text = Array(shortNumber(tick))
      let start = max(0, margin + 2 + column - text.count / 2)
      guard start >= end, start + text.count <= labels.count else { continue }
      rule[column] = "┬"
      labels.replaceSubrange(start..<(start + text.count), with: text)
      end = start + text.count + 1
    }
    let line = String(repeating: " ", count: margin + 1) + "└" + rule.joined()
    return [line, String(String(labels).reversed().drop { $0 == " " }.reversed())]
  }

  // MARK: bars

  private func barChart(_ labels: [String], _ values: [Double], label: String) -> [String] {
    let texts = TextTable.format(values.map { .number($0) })
    let names = labels.map { truncated(oneLine($0), to: width / 3) }
    let margin = names.map(displayWidth).max() ?? 0, numbers = texts.map(\.count).max() ?? 0
    let room = max(10, width - margin - numbers - 4)
    let axis = Axis(values + [0])
    let zero = Int((axis.fraction(0) * Double(room)).rounded())
    var lines = label.isEmpty ? [] : [oneLine(label)]
    for index in values.indices where index < names.count {
      let value = values[index]
      let end = value.isFinite ? axis.fraction(value) * Double(room) : Double(zero)
      let body =
        value < 0
        ? String(repeating: " ", count: Int(end.rounded())) + String(repeating: "█", count: zero - Int(end.rounded()))
        : String(repeating: " ", count: zero) + bar(max(0, end - Double(zero)))
      lines.append(
        padded(names[index], to: margin) + " │" + terminal.styled(padded(body, to: room), .cyan) + " "
          + padded(texts[index], to: numbers, right: true))
    }
    return terminal.hasUnicode ? lines : lines.map(ascii)
  }

  /// A bar of eighths of a column.
  private func bar(_ length: Double) -> String {
    let eighths = Int((length * 8).rounded())
    let tails = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    return String(repeating: "█", count: eighths / 8) + tails[eighths % 8]
  }

  // MARK: heat map

  private func heatmap(_ values: [[Double]], _ rowLabels: [String], _ columnLabels: [String]) -> [String] {
    let names = rowLabels.map { truncated(oneLine($0), to: width / 4) }
    let margin = names.map(displayWidth).max() ?? 0
    let columns = values.map(\.count).max() ?? 0
    guard columns > 0 else { return ["(no values)"] }
    let perCell = max(1, min(4, (width - margin - 1) / columns))
    let merge = max(1, Int((Double(columns * perCell) / Double(max(1, width - margin - 1))).rounded(.up)))
    let axis = Axis(values.flatMap { $0 })
    var lines: [String] = []
    for (row, cells) in values.enumerated() {
      var body = ""
      for start in stride(from: 0, to: cells.count, by: merge) {
        let part = cells[start..<min(cells.count, start + merge)].filter(\.isFinite)
        let fraction = part.isEmpty ? nil : axis.fraction(part.reduce(0, +) / Double(part.count))
        body += shade(fraction, width: perCell)
      }
      lines.append(padded(row < names.count ? names[row] : "", to: margin) + " " + body)
    }
    if let first = columnLabels.first, let last = columnLabels.last, columnLabels.count > 1 {
      let drawn = (columns + merge - 1) / merge * perCell
      let gap = max(1, drawn - displayWidth(oneLine(first)) - displayWidth(oneLine(last)))
      lines.append(
        String(repeating: " ", count: margin + 1) + oneLine(first) + String(repeating: " ", count: gap) + oneLine(last))
    }
    let scale = (0...8).map { shade(Double($0) / 8, width: 2) }.joined()
    lines.append(
      String(repeating: " ", count: margin + 1) + "\(shortNumber(axis.low)) \(scale) \(shortNumber(axis.high))")
    return terminal.hasUnicode ? lines : lines.map(ascii)
  }

  /// A cell of the map: a background from the 256-colour palette, or a shade. Nothing finite is a dot.
  private func shade(_ fraction: Double?, width: Int) -> String {
    guard let fraction else { return padded("·", to: width) }
    let clamped = max(0, min(1, fraction))
    if terminal.hasColour {
      let palette = [17, 18, 19, 25, 31, 37, 43, 79, 115, 151, 187, 223, 229]
      let colour = palette[Int((clamped * Double(palette.count - 1)).rounded())]
      return "\u{1b}[48;5;\(colour)m" + String(repeating: " ", count: width) + "\u{1b}[0m"
    }
    let shades = [" ", "░", "▒", "▓", "█"]
    return String(repeating: shades[Int((clamped * 4).rounded())], count: width)
  }

  /// The drawing for terminals without Unicode.
  private func ascii(_ line: String) -> String {
    let replacements: [Character: Character] = [
      "│": "|", "┤": "+", "└": "+", "─": "-", "┬": "+", "█": "#", "░": ".", "▒": ":", "▓": "*", "━": "-", "·": ".",
      "…": "~",
      "▏": "#", "▎": "#", "▍": "#", "▌": "#", "▋": "#", "▊": "#", "▉": "#",
    ]
    return String(line.map { replacements[$0] ?? $0 })
  }
}
