import Foundation
import LuaBindings
import Testing

@testable import Host

@Suite struct TextTableTests {
  private let plain = Terminal()

  @Test func columnsAlignAndNumbersShareTheirDecimals() {
    let table = DataTable(
      columns: ["layer", "loss", "name", "ok"],
      rows: [
        [.integer(7), .number(0.5), .text("seven"), .boolean(true)],
        [.integer(12), .number(10.25), .text("é"), .empty],
      ])
    #expect(
      TextTable(table).text(terminal: plain) == """
        layer   loss  name   ok
        ─────  ─────  ─────  ────
            7   0.50  seven  true
           12  10.25  é

        """)
  }

  @Test func numbersKeepFourDigitsWhateverTheirSize() {
    #expect(TextTable.format([.number(0.123456), .number(0.5)]) == ["0.1235", "0.5000"])
    #expect(TextTable.format([.number(1234.5678), .number(1)]) == ["1235", "1"])
    #expect(TextTable.format([.number(1e-9), .number(2e-9)]) == ["1e-09", "2e-09"])
    #expect(TextTable.format([.number(1e12), .number(3)]) == ["1e+12", "3"])
    #expect(TextTable.format([.number(.nan), .number(2.5)]) == ["nan", "2.5"])
    #expect(TextTable.format([.number(.infinity), .number(-.infinity)]) == ["inf", "-inf"])
    #expect(TextTable.format([.number(0), .number(0)]) == ["0", "0"])
    #expect(TextTable.format([]) == [])
  }

  @Test func aLimitSaysHowManyRowsAreLeftOut() {
    var table = DataTable(columns: ["n"], rows: (1...5).map { [.integer($0)] }, limit: 2)
    #expect(TextTable(table).text(terminal: plain).hasSuffix("1\n2\n… 3 more rows\n"))
    table.limit = 9
    #expect(!TextTable(table).text(terminal: plain).contains("more"))
  }

  @Test func textOfAModelCannotDriveTheTerminal() {
    let table = DataTable(columns: ["text"], rows: [[.text("a\nb\u{1b}[2Jc\td")]])
    #expect(TextTable(table).text(terminal: plain).contains("a\\nb\\x1b[2Jc\\td\n"))
  }

  @Test func colourOnlyWhereThereIsSome() {
    let table = DataTable(columns: ["n"], rows: [[.integer(1)]])
    #expect(!TextTable(table).text(terminal: plain).contains("\u{1b}"))
    #expect(TextTable(table).text(terminal: Terminal(hasColour: true)).contains("\u{1b}[1m"))
  }
}

@Suite struct TextPlotTests {
  private func text(_ plot: Plot, unicode: Bool = true) -> String {
    TextPlot(terminal: Terminal(hasUnicode: unicode), width: 60, height: 8).text(plot)
  }

  private func widths(_ text: String) -> Int { text.split(separator: "\n").map { displayWidth(String($0)) }.max() ?? 0 }

  @Test func aLineRisesFromLeftToRight() {
    let x = (0..<30).map(Double.init)
    let drawn = text(Plot(title: "loss", xLabel: "layer", content: .line([.init(label: "", x: x, y: x)])))
    let lines = drawn.split(separator: "\n").map(String.init)
    #expect(lines[0] == "loss" && lines.contains { $0.hasSuffix("layer") })
    #expect(widths(drawn) <= 60)
    let top = lines[1].drop { $0 != "│" && $0 != "┤" }, bottom = lines[8].drop { $0 != "│" && $0 != "┤" }
    #expect(top.last != " " && top.dropFirst().first == " ")
    #expect(bottom.dropFirst().first != " ")
    #expect(lines[9].contains("┬"))
  }

  @Test func brokenNumbersAreGapsAndNothingIsNoCrash() {
    _ = text(Plot(content: .line([.init(label: "a", x: [1, 2, 3], y: [.nan, .infinity, 2])])))
    _ = text(Plot(content: .line([.init(label: "a", x: [], y: [])])))
    _ = text(Plot(content: .line([])))
    _ = text(Plot(content: .line([.init(label: "a", x: [-1e308, 1e308], y: [-1.7e308, 1.7e308])])))
    _ = text(Plot(content: .bar(labels: [], values: [])))
    _ = text(Plot(content: .bar(labels: ["a", "b"], values: [.nan, .infinity])))
    _ = text(Plot(content: .heatmap(values: [], rowLabels: [], columnLabels: [])))
    _ = text(Plot(content: .heatmap(values: [[.nan], []], rowLabels: [], columnLabels: [])))
  }

  @Test func severalCurvesWithoutColourHaveMarks() {
    let drawn = text(
      Plot(content: .line([.init(label: "up", x: [0, 1], y: [0, 1]), .init(label: "down", x: [0, 1], y: [1, 0])])))
    #expect(drawn.contains("* up   + down"))
  }

  @Test func barsAreProportionalAndMayBeNegative() {
    let drawn = text(Plot(content: .bar(labels: ["one", "two", "minus"], values: [1, 2, -1])))
    let counts = drawn.split(separator: "\n").map { $0.filter { $0 == "█" }.count }
    #expect(abs(counts[1] - 2 * counts[0]) <= 1 && abs(counts[2] - counts[0]) <= 1)
    #expect(widths(drawn) <= 60)
  }

  @Test func aHeatMapFitsItsWidth() {
    let values = (0..<3).map { row in (0..<200).map { Double(row * $0) } }
    let drawn = text(Plot(content: .heatmap(values: values, rowLabels: ["a", "b", "c"], columnLabels: ["0", "199"])))
    #expect(widths(drawn) <= 60)
    #expect(drawn.contains("█") && drawn.contains("199"))
  }

  @Test func withoutUnicodeEverythingIsASCII() {
    let plots = [
      Plot(content: .line([.init(label: "a", x: [0, 1], y: [0, 1])])), Plot(content: .bar(labels: ["a"], values: [3])),
      Plot(content: .heatmap(values: [[0, 1, 2]], rowLabels: [], columnLabels: [])),
    ]
    for plot in plots { #expect(text(plot, unicode: false).utf8.allSatisfy { $0 < 128 }) }
  }

  @Test func ticksAreRoundNumbersInsideTheRange() {
    #expect(Axis([0, 29]).ticks(5) == [0, 10, 20])
    #expect(Axis([0.1, 0.9]).ticks(4).allSatisfy { (0.1...0.9).contains($0) })
    #expect(Axis([3, 3]).ticks(3).contains(3))
    #expect(Axis([-2, 2]).ticks(4) == [-2, -1, 0, 1, 2])
  }
}

@Suite struct GnuplotTests {
  private let plot = Plot(
    title: "it's `touch x` \"quoted\" \\ {a}_b", xLabel: "layer", yLabel: "loss",
    content: .line([.init(label: "a'b", x: [0, 1, 2], y: [1, .nan, 3])]))

  @Test func textsAreQuotedSoThatNothingRuns() {
    let script = Gnuplot.script(plot)
    #expect(script.contains("set title 'it''s `touch x` \"quoted\" \\ {a}_b'"))
    #expect(script.contains("title 'a''b'"))
    #expect(Gnuplot.script(Plot(title: "a\nquit", content: .line([]))).contains("'a\\nquit'"))
  }

  /// What gnuplot takes for formats, empty strings or commands is drawn as it is.
  @Test(.enabled(if: ChildProcess.find("gnuplot") != nil, "gnuplot is not installed"))
  func labelsAreDrawnAsTheyAre() throws {
    let folder = try TemporaryFolder(), path = folder.path + "/labels.svg"
    let labels = ["50%", "'lead", "%d", "100 %% of", "''two", "it's", "'", "a%"]
    func drawn(_ plot: Plot) throws -> String {
      try Gnuplot.save(plot, to: path)
      let text = try String(contentsOfFile: path, encoding: .utf8)
      return text.replacing("&apos;", with: "'").replacing("&#39;", with: "'")
    }
    let values = labels.indices.map { Double($0 + 1) }
    let bars = try drawn(
      Plot(title: "'5% title", xLabel: "'x%", yLabel: "''y", content: .bar(labels: labels, values: values)))
    for text in labels + ["'5% title", "'x%", "''y"] { #expect(bars.contains(">\(text)<"), "\(text)") }
    let map = try drawn(
      Plot(content: .heatmap(values: [values], rowLabels: ["'r%"], columnLabels: labels)))
    for text in labels + ["'r%"] { #expect(map.contains(">\(text)<"), "\(text)") }
    let lines = try drawn(Plot(content: .line([.init(label: "'5%", x: [0, 1], y: [0, 1])])))
    #expect(lines.contains(">'5%<"))
  }

  @Test(.enabled(if: ChildProcess.find("gnuplot") != nil, "gnuplot is not installed"))
  func everyKindOfPlotBecomesAFile() throws {
    let folder = try TemporaryFolder()
    let plots = [
      plot, Plot(content: .bar(labels: ["a", "b"], values: [1, -2])),
      Plot(content: .heatmap(values: [[1, 2], [3, .nan]], rowLabels: ["x", "y"], columnLabels: ["p", "q"])),
      Plot(content: .line([])), Plot(content: .bar(labels: [], values: [])),
    ]
    for (index, plot) in plots.enumerated() {
      for kind in ["png", "svg"] {
        let path = "\(folder.path)/it's \(index).\(kind)"
        try Gnuplot.save(plot, to: path)
        #expect(fileSize(path) ?? 0 > 500, "\(path)")
      }
    }
    #expect(throws: (any Error).self) { try Gnuplot.save(plot, to: folder.path + "/a.bmp") }
    #expect(throws: (any Error).self) { try Gnuplot.save(plot, to: folder.path + "/none/a.png") }
  }
}

@Suite struct ProgressBarTests {
  @Test func theLineHasBarCountAndTimeLeft() {
    let bar = ProgressBar(label: "layers", total: 4, terminal: Terminal(isTerminal: true))
    #expect(bar.line(width: 70).hasPrefix("layers ") && bar.line(width: 70).contains("0/4"))
    #expect(displayWidth(bar.line(width: 30)) <= 30)
  }

  @Test func timesReadAsClocks() {
    #expect(timeText(7) == "0:07" && timeText(750) == "12:30" && timeText(3723) == "1:02:03")
    #expect(timeText(.infinity) == "99:59:59" && timeText(-1) == "0:00")
  }
}
