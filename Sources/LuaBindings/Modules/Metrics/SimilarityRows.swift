import Engine
import Transfer

/// How alike activations and answers are, and what several treatments of the same prompts came to.
let similarityRows: [Function] = [
  Function(
    "cka", "metrics.cka(x, y [, { unbiased = }])",
    "Linear centred kernel alignment (Kornblith et al. 2019) of two models' activations of the same rows, whatever their "
      + "widths: 1 for equal up to rotation and scale.",
    options: [
      Option("unbiased", "boolean", .boolean(false), "the estimator that few rows do not raise; it may fall below 0")
    ],
    results: "number", example: "local x = tensor.randn(50, 8, { seed = 1 })\nprint(metrics.cka(x, 2 * x))"
  ) { call in
    let unbiased = try call.options(3).boolean("unbiased")
    return call.push(
      try Similarity.cka(try call.argument(1).tensor(), try call.argument(2).tensor(), unbiased: unbiased))
  },
  Function(
    "rsa", "metrics.rsa(x, y [, { distance = }])",
    "Representational similarity analysis (Kriegeskorte et al. 2008): Spearman's correlation of the distances between rows.",
    options: [
      Option(
        "distance", "string", .string("correlation"), "between two rows",
        choices: Similarity.Distance.allCases.map(\.rawValue))
    ],
    results: "number", example: "local x = tensor.randn(20, 8, { seed = 1 })\nprint(metrics.rsa(x, 2 * x))"
  ) { call in
    let distance = Similarity.Distance(rawValue: try call.options(3).choice("distance")) ?? .correlation
    return call.push(
      try Similarity.rsa(try call.argument(1).tensor(), try call.argument(2).tensor(), distance: distance))
  },
  Function(
    "svcca", "metrics.svcca(x, y [, { variance = }])",
    "Mean canonical correlation of the leading components of either side (Raghu et al. 2017). Needs more rows than "
      + "components.",
    options: [Option("variance", "number", .number(0.99), "share that the components kept explain")],
    results: "number", example: "local x = tensor.randn(50, 8, { seed = 1 })\nprint(metrics.svcca(x, 2 * x))"
  ) { call in
    let variance = try call.options(3).number("variance")
    return call.push(
      try Similarity.svcca(try call.argument(1).tensor(), try call.argument(2).tensor(), variance: variance))
  },
  Function(
    "token_f1", "metrics.token_f1(prediction, reference)",
    "Overlap of words as SQuAD's evaluation counts it, without case, punctuation and articles; reference may be a list, of "
      + "which the best counts.",
    results: "{ f1, precision, recall, exact }",
    example: "print(metrics.token_f1(\"The cat sat.\", { \"a cat\", \"cat sat\" }).f1)"
  ) { call in
    let reference = call.argument(2)
    let isList = reference.isTable && reference.listCount > 0
    let references = isList ? try reference.list { try $0.completionText() } : [try reference.completionText()]
    let score = TokenF1(prediction: try call.argument(1).completionText(), references: references)
    let table: LuaTable = [
      "f1": score.f1, "precision": score.precision, "recall": score.recall, "exact": score.isExact,
    ]
    return call.push(table)
  },
  Function(
    "compare", "metrics.compare{ rows =, margin =, alpha = }",
    "What several treatments of the same prompts came to: every row's rate with its Wilson interval; native, mapped and "
      + "other rows against the control, and mapped ones against the native one, prompt by prompt (McNemar, Newcombe, "
      + "Holm's p over each family); random draws of each kind as a null, never pooled; and sentences that say what these "
      + "tests allow and no more.",
    options: [
      Option(
        "rows", "list of { name =, role =, outcomes =, kind = }", .required,
        "role: control (one), native (one at most), mapped, random (a row a draw; kind: how drawn), other; outcomes: a "
          + "boolean for each prompt, in the same order"),
      Option("margin", "number", .none, "the largest difference of rates that counts as the same; without, nothing is"),
      Option("alpha", "number", .number(0.05), "of the tests"),
    ],
    results: "{ rows, comparisons, draws, sentences, verdict }",
    example: """
      local function outcomes(n) local t = {} for i = 1, 20 do t[i] = i <= n end return t end
      local c = metrics.compare{ margin = 0.2, rows = {
        { name = "unsteered", role = "control", outcomes = outcomes(18) },
        { name = "native", role = "native", outcomes = outcomes(1) },
        { name = "ridge", role = "mapped", outcomes = outcomes(2) },
        { name = "draw 1", role = "random", kind = "isotropic", outcomes = outcomes(17) },
      } }
      show(c.rows)
      print(c.verdict)
      """
  ) { call in
    let options = try call.options()
    let roles = OutcomeTable.Role.allCases.map(\.rawValue)
    let reader = try options.required("rows")
    guard reader.isTable, reader.listCount > 0 else {
      throw reader.mismatch("a list of { name =, role =, outcomes = }")
    }
    let rows = try reader.list { row -> OutcomeTable.Row in
      let known = ["name", "role", "outcomes", "kind"]
      for key in try row.fieldNames() where !known.contains(key) {
        throw row.error("unknown key '\(key)'; known: \(known.joined(separator: ", "))")
      }
      guard let name = row.field("name"), let role = row.field("role"), let outcomes = row.field("outcomes") else {
        throw row.error("needs name, role and outcomes")
      }
      guard let binary = try outcomes.measurements().binary else {
        throw outcomes.mismatch("booleans, or only 0 and 1")
      }
      return OutcomeTable.Row(
        try name.string(), OutcomeTable.Role(rawValue: try role.choice(roles)) ?? .other, binary,
        kind: try row.field("kind")?.string() ?? "random")
    }
    let table = try OutcomeTable(
      rows, margin: try options.optional("margin")?.number(), alpha: try options.number("alpha", in: 1e-6...0.49))
    return call.push(table.asTable)
  },
]

extension OutcomeTable {
  fileprivate var asTable: LuaTable {
    let rates = rows.map { row -> LuaTable in
      let rate = row.rate
      return [
        "name": row.name, "role": row.role.rawValue, "rate": rate.rate, "low": rate.low, "high": rate.high,
        "n": rate.count,
      ]
    }
    let tests = comparisons.map { comparison -> LuaTable in
      var table: LuaTable = [
        "row": comparison.row, "against": comparison.against, "difference": comparison.paired.difference,
        "low": comparison.paired.low, "high": comparison.paired.high, "p": comparison.paired.p,
        "p_holm": comparison.adjusted,
      ]
      if let equivalence = comparison.equivalence {
        table.set("equivalent", equivalence.isEquivalent)
        table.set("p_equivalence", equivalence.p)
      }
      return table
    }
    let draws = drawTests.map { test -> LuaTable in
      ["row": test.row, "kind": test.kind, "draws": test.draws, "low": test.low, "high": test.high, "p": test.p]
    }
    return [
      "rows": rates, "comparisons": tests, "draws": draws, "sentences": sentences,
      "verdict": sentences.joined(separator: "\n"),
    ]
  }
}
