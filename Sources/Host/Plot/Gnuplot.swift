import Engine
import Foundation
import LuaBindings

/// Plots as files through gnuplot, which is looked for when a plot is saved. Data go inside the commands; every text is
/// a single-quoted string, which gnuplot takes as it is (double quotes would run what stands between backquotes).
enum Gnuplot {
  /// Writes a .png or .svg file. `width` and `height` in pixels.
  static func save(_ plot: Plot, to path: String, width: Int = 900, height: Int = 560) throws {
    guard ChildProcess.find("gnuplot") != nil else {
      throw EngineError(
        .missing,
        "\(path) cannot be drawn: there is no program 'gnuplot' on the PATH. Install it (`apt-get install gnuplot-nox`, "
          + "or scripts/setup), or leave the file out to draw in the terminal")
    }
    let kind = fileExtension(of: path).lowercased()
    let terminals = ["png": "pngcairo", "svg": "svg"]
    guard let name = terminals[kind] else {
      throw EngineError(.argument, "plots are saved as .png or .svg files, not as '\(path)'")
    }
    let work = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: work) }
    let (input, log, drawn) = (work + "/commands", work + "/log", work + "/plot")
    let commands = """
      set encoding utf8
      set terminal \(name) noenhanced size \(width),\(height) background rgb 'white'
      set output \(quoted(drawn))
      \(script(plot))
      unset output

      """
    try Data(commands.utf8).write(to: URL(fileURLWithPath: input))
    let process = try ChildProcess(
      "gnuplot", ["-d"], environment: ProcessInfo.processInfo.environment, log: log, input: input)
    let code = try process.wait()
    guard code == 0, let image = FileManager.default.contents(atPath: drawn), !image.isEmpty else {
      let said = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
      let lines = said.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
      throw EngineError(.file, "gnuplot could not draw \(path): \(lines.last ?? "it ended with code \(code)")")
    }
    try AtomicFile.write(path) { file in try image.withUnsafeBytes { try file.write($0) } }
  }

  /// The commands that draw the plot, without terminal and output.
  static func script(_ plot: Plot) -> String {
    var lines = [
      "set title \(quoted(plot.title))", "set xlabel \(quoted(plot.xLabel))", "set ylabel \(quoted(plot.yLabel))",
      "set border 3", "set tics nomirror",
    ]
    switch plot.content {
    case .line(let series):
      lines += ["set grid lc rgb '#dddddd'", "set key outside right top"]
      for (index, curve) in series.enumerated() {
        lines.append("$data\(index) << EOD")
        lines += zip(curve.x, curve.y).map { $1.isFinite && $0.isFinite ? "\($0) \($1)" : "" }
        lines.append("EOD")
      }
      let curves = series.enumerated().map { index, curve in
        let title = curve.label.isEmpty ? "notitle" : "title \(quoted(curve.label))"
        return "$data\(index) using 1:2 with linespoints lw 2 pt 7 ps 0.6 \(title)"
      }
      lines.append(curves.isEmpty ? "plot [0:1] [0:1] 1/0 notitle" : "plot " + curves.joined(separator: ", "))
    case .bar(let labels, let values):
      lines += ["set style fill solid 0.8", "set boxwidth 0.8", "set grid ytics lc rgb '#dddddd'", "unset key"]
      lines.append("set xtics rotate by -35 (\(tics(labels)))")
      lines.append("$data << EOD")
      lines += values.enumerated().filter(\.element.isFinite).map { "\($0.offset) \($0.element)" }
      lines += ["EOD", values.contains(where: \.isFinite) ? "plot $data using 1:2 with boxes" : "plot [0:1] [0:1] 1/0"]
    case .heatmap(let values, let rowLabels, let columnLabels):
      lines += [
        "set palette defined (0 '#00204c', 1 '#575d6d', 2 '#a59c74', 3 '#ffe945')", "unset key", "set border 0",
      ]
      if !rowLabels.isEmpty { lines.append("set ytics (\(tics(rowLabels)))") }
      if !columnLabels.isEmpty { lines.append("set xtics rotate by -35 (\(tics(columnLabels)))") }
      lines += ["set yrange [*:*] reverse", "set autoscale fix", "$data << EOD"]
      lines += values.map { $0.map { $0.isFinite ? "\($0)" : "nan" }.joined(separator: " ") }
      lines += ["EOD", "plot $data matrix with image"]
    }
    return lines.joined(separator: "\n")
  }

  /// `'a' 0, 'b' 1`; every nth label where there are many. Labels of tics are formats, in which `%` is written twice.
  private static func tics(_ labels: [String]) -> String {
    let step = max(1, (labels.count + 39) / 40)
    return stride(from: 0, to: labels.count, by: step).map {
      "\(quoted(labels[$0].replacing("%", with: "%%"))) \($0)"
    }.joined(separator: ", ")
  }

  /// The text as an expression: in single quotes, doubled inside. Quotes at its beginning, which gnuplot would take for
  /// an empty string, stand before it in double quotes.
  private static func quoted(_ text: String) -> String {
    let line = oneLine(text), leading = line.prefix { $0 == "'" }
    let rest = line.dropFirst(leading.count).replacing("'", with: "''")
    return leading.isEmpty ? "'\(rest)'" : "\"\(leading)\".'\(rest)'"
  }

  private static func temporaryFolder() throws -> String {
    var template = Array((NSTemporaryDirectory() + "/acthost-plot-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else {
      throw EngineError(.file, "no temporary folder in \(NSTemporaryDirectory()): \(String(cString: strerror(errno)))")
    }
    return template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }
}
