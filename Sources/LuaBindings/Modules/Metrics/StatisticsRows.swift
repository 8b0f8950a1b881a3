import Engine
import Transfer

/// Intervals and tests.
let statisticsRows: [Function] = [
  Function(
    "bootstrap", "metrics.bootstrap{ values =, factors =, statistic =, level =, draws =, seed = }",
    "An estimate with its percentile bootstrap interval. With factors, which name each value's prompt, seed, draw of map "
      + "texts, ..., levels of every factor are drawn with replacement on their own and a value counts as often as its "
      + "levels came together (Owen 2007), so that the interval covers all that varied. A factor with one level tells "
      + "nothing of its own spread: look at levels.",
    options: [
      Option("values", "list of numbers or booleans, or tensor [n]", .none, "what was measured"),
      Option("rows", "list of tables", .none, "instead: rows of a sweep, with value ="),
      Option("value", "string", .string("value"), "with rows: the key of what was measured"),
      Option(
        "factors", "{ name = list of levels }, or with rows a list of keys", .none,
        "what values have in common; without any, each value is drawn on its own"),
      Option(
        "statistic", "string or function(list)", .string("mean"), "what is estimated", choices: ["mean", "median"]),
      Option("level", "number", .number(0.95), "of the interval"),
      Option("draws", "integer", .integer(10_000), "how often"), Option("seed", "integer", .integer(0), "of the draws"),
    ],
    results: "{ estimate, low, high, error, n, draws, levels = { factor = n } }",
    example: """
      local rows = {}
      for prompt = 1, 8 do
        for seed = 1, 3 do rows[#rows + 1] = { prompt = prompt, seed = seed, kl = prompt % 3 + 0.1 * seed } end
      end
      show({ metrics.bootstrap{ rows = rows, value = "kl", factors = { "prompt", "seed" } } })
      """
  ) { call in
    let options = try call.options()
    let (values, factors) = try call.sample(options)
    let level = try options.level("level")
    let statistic = try options.statistic()
    let result = try Bootstrap(
      Bootstrap.Sample(values, factors: factors.map(\.levels)),
      draws: try options.integer("draws", in: 100...10_000_000),
      level: level, seed: try options.integer("seed"), statistic: statistic)
    var levels = LuaTable()
    for (factor, count) in zip(factors, result.levels) { levels.set(factor.name, count) }
    let table: LuaTable = [
      "estimate": result.estimate, "low": result.low, "high": result.high, "error": result.error, "n": values.count,
      "draws": result.draws, "levels": levels,
    ]
    return call.push(table)
  },
  Function(
    "paired", "metrics.paired{ a =, b =, level = }",
    "The difference a - b of two measurements of the same prompts, in order, with its interval and a two-sided p. Yes or no "
      + "(booleans, or only 0 and 1): McNemar's exact test and Newcombe's interval for paired rates; else Student's t.",
    options: [
      Option("a", "list of booleans or numbers, or tensor [n]", .required, "one value for each prompt"),
      Option("b", "list of booleans or numbers, or tensor [n]", .required, "the other's, in the same order"),
      Option("level", "number", .number(0.95), "of the interval"),
    ],
    results: "{ a, b, difference, low, high, p, n, test, only_a, only_b }",
    example: """
      local native, mapped = { true, true, false, true }, { true, false, false, true }
      print(metrics.paired{ a = mapped, b = native }.p)
      """
  ) { call in
    let options = try call.options()
    let (a, b) = (try options.measurements("a"), try options.measurements("b"))
    let level = try options.level("level")
    let result: PairedComparison
    if let a = a.binary, let b = b.binary {
      result = try PairedComparison(a, b, level: level)
    } else {
      result = try PairedComparison(a.values, b.values, level: level)
    }
    return call.push(result.asTable)
  },
  Function(
    "permutation", "metrics.permutation{ a =, b =, paired =, statistic =, draws =, seed = }",
    "How likely a difference is when labels mean nothing: values change sides, or with paired = true those of one prompt "
      + "do; all ways where there are no more than draws, else at random, the data itself counted.",
    options: [
      Option("a", "list of booleans or numbers, or tensor [n]", .required, "one side's values"),
      Option("b", "list of booleans or numbers, or tensor [n]", .required, "the other's"),
      Option("paired", "boolean", .boolean(false), "a and b are of the same prompts, in order"),
      Option(
        "statistic", "function(a, b)", .computed("mean of a less mean of b"), "gets two lists and returns a number"),
      Option(
        "alternative", "string", .string("two-sided"), "what counts as extreme",
        choices: PermutationTest.Alternative.allCases.map(\.rawValue)),
      Option("draws", "integer", .integer(10_000), "how often"), Option("seed", "integer", .integer(0), "of the draws"),
    ],
    results: "{ statistic, p, draws, exact }",
    example: "print(metrics.permutation{ a = { 1, 2, 3 }, b = { 4, 5, 6 } }.p)"
  ) { call in
    let options = try call.options()
    let (a, b) = (try options.measurements("a").values, try options.measurements("b").values)
    let measure = try options.optional("statistic")?.function()
    let result = try PermutationTest(
      a, b, paired: try options.boolean("paired"),
      alternative: PermutationTest.Alternative(rawValue: try options.choice("alternative")) ?? .twoSided,
      draws: try options.integer("draws", in: 100...10_000_000), seed: try options.integer("seed"),
      statistic: measure.map { measure in
        { x, y in try measure.call([x, y], results: 1) { try $0[0].number(finite: false) } }
      })
    let table: LuaTable = [
      "statistic": result.statistic, "p": result.p, "draws": result.draws, "exact": result.isExact,
    ]
    return call.push(table)
  },
  Function(
    "equivalence", "metrics.equivalence{ a =, b =, margin =, paired = }",
    "Whether a and b are the same but for a margin: two one-sided tests (Schuirmann 1987). equivalent is true where the "
      + "interval of level 1 - 2 alpha lies within the margin; false does not say that they differ. Yes or no (booleans, or "
      + "only 0 and 1): Newcombe's intervals; else Student's t, Welch's where not paired.",
    options: [
      Option("a", "list of booleans or numbers, or tensor [n]", .required, "one side's values"),
      Option("b", "list of booleans or numbers, or tensor [n]", .required, "the other's"),
      Option("margin", "number", .required, "the largest difference that counts as none; .1 is 10 points of a rate"),
      Option("paired", "boolean", .boolean(false), "a and b are of the same prompts, in order"),
      Option("alpha", "number", .number(0.05), "of either test"),
    ],
    results: "{ difference, low, high, p, equivalent, margin }",
    example: """
      local a, b = {}, {}
      for i = 1, 60 do a[i], b[i] = i % 5 == 0, i % 6 == 0 end
      print(metrics.equivalence{ a = a, b = b, margin = 0.15, paired = true }.equivalent)
      """
  ) { call in
    let options = try call.options()
    let (a, b) = (try options.measurements("a"), try options.measurements("b"))
    let margin = try options.number("margin"), isPaired = try options.boolean("paired")
    let alpha = try options.number("alpha")
    let result: Equivalence
    if let a = a.binary, let b = b.binary {
      result = try Equivalence(a, b, margin: margin, paired: isPaired, alpha: alpha)
    } else {
      result = try Equivalence(a.values, b.values, margin: margin, paired: isPaired, alpha: alpha)
    }
    return call.push(result.asTable)
  },
  Function(
    "auroc", "metrics.auroc{ scores =, labels =, level = }",
    "Area under the ROC curve, ties counted half, with Newcombe's score interval, which keeps a width at 0 and 1.",
    options: [
      Option("scores", "list of numbers, or tensor [n]", .required, "larger for positives"),
      Option("labels", "list of booleans, or of 0 and 1", .required, "which are positive"),
      Option("level", "number", .number(0.95), "of the interval"),
    ],
    results: "area, { low, high, positives, negatives }",
    example: "print(metrics.auroc{ scores = { .1, .4, .8, .9 }, labels = { false, true, false, true } })"
  ) { call in
    let options = try call.options()
    guard let labels = try options.measurements("labels").binary else {
      throw call.error("option 'labels': expected booleans, or only 0 and 1")
    }
    let result = try AUROC(
      scores: try options.measurements("scores").values, labels: labels, level: try options.level("level"))
    let interval: LuaTable = [
      "low": result.low, "high": result.high, "positives": result.positives, "negatives": result.negatives,
    ]
    return call.push(result.area, interval)
  },
]

/// Values of one side: numbers, and yes or no where they are that.
struct Measurements {
  let values: [Double]
  let binary: [Bool]?
}

extension ArgumentReader {
  /// Booleans, numbers, or a tensor of one dimension.
  func measurements() throws -> Measurements {
    if isTensor {
      let tensor = try tensor()
      guard tensor.rank == 1, tensor.count > 0 else {
        throw error("expected a tensor [n], found shape \(shapeText(tensor.shape))", kind: .shape)
      }
      return Measurements(tensor.values.map(Double.init))
    }
    guard isTable else { throw mismatch("a list of booleans or numbers") }
    guard listCount > 0 else { throw error("the list is empty") }
    let isBoolean = entry(1)?.isBoolean == true
    if isBoolean {
      let binary = try list { try $0.boolean() }
      return Measurements(values: binary.map { $0 ? 1 : 0 }, binary: binary)
    }
    return Measurements(try list { try $0.number() })
  }
}

extension Measurements {
  /// Numbers; only 0 and 1 are yes or no.
  fileprivate init(_ values: [Double]) {
    self.init(values: values, binary: values.allSatisfy { $0 == 0 || $0 == 1 } ? values.map { $0 == 1 } : nil)
  }
}

extension OptionReader {
  func measurements(_ name: String) throws -> Measurements { try required(name).measurements() }

  /// A level of an interval, above 0 and below 1.
  fileprivate func level(_ name: String) throws -> Double {
    let level = try number(name)
    guard level > 0, level < 1 else { throw call.error("option '\(name)': \(level) is not between 0 and 1") }
    return level
  }

  fileprivate func statistic() throws -> (([Double]) throws -> Double)? {
    guard let reader = optional("statistic") else { return nil }
    if reader.isFunction {
      let function = try reader.function()
      return { values in try function.call([values], results: 1) { try $0[0].number(finite: false) } }
    }
    return try choice("statistic") == "median" ? { median($0) } : nil
  }
}

private func median(_ values: [Double]) -> Double {
  let sorted = values.sorted(), middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

extension Call {
  /// Values and the levels of their factors, numbered from 0 as they come.
  fileprivate func sample(_ options: OptionReader) throws -> (
    values: [Double], factors: [(name: String, levels: [Int])]
  ) {
    let (name, reader) = try options.oneOf(["values", "rows"])
    let factors = options.optional("factors")
    func numbered(_ reader: ArgumentReader) throws -> String {
      if reader.isString { return "s" + (try reader.string()) }
      if reader.isBoolean { return try reader.boolean() ? "true" : "false" }
      return "n\(try reader.number())"
    }
    func levels(_ labels: [String]) -> [Int] {
      var known: [String: Int] = [:]
      return labels.map { label in
        let number = known[label] ?? known.count
        known[label] = number
        return number
      }
    }
    if name == "values" {
      let values = try reader.measurements().values
      guard let factors else { return (values, []) }
      let names = try factors.fieldNames()
      return (
        values,
        try names.map { name in
          guard let list = factors.field(name), list.isTable else {
            throw factors.mismatch("{ name = list of levels }")
          }
          return (name, levels(try list.list(numbered)))
        }
      )
    }
    guard reader.isTable, reader.listCount > 0 else { throw reader.mismatch("a list of rows") }
    let key = try options.string("value")
    let names = try factors?.list { try $0.string() } ?? []
    var values: [Double] = [], labels = names.map { _ in [String]() }
    _ = try reader.list { row in
      guard let value = row.field(key) else { throw row.error("has no '\(key)'; name what was measured with value =") }
      values.append(value.isBoolean ? (try value.boolean() ? 1 : 0) : try value.number())
      for (place, name) in names.enumerated() {
        guard let label = row.field(name) else { throw row.error("has no '\(name)', which is a factor") }
        labels[place].append(try numbered(label))
      }
    }
    return (values, zip(names, labels).map { ($0, levels($1)) })
  }
}

extension PairedComparison {
  var asTable: LuaTable {
    var table: LuaTable = [
      "a": a, "b": b, "difference": difference, "low": low, "high": high, "p": p, "n": count, "test": test,
    ]
    if let onlyA, let onlyB {
      table.set("only_a", onlyA)
      table.set("only_b", onlyB)
    }
    return table
  }
}

extension Equivalence {
  var asTable: LuaTable {
    [
      "difference": difference, "low": low, "high": high, "p": p, "equivalent": isEquivalent, "margin": margin,
    ]
  }
}
