import Testing

@testable import LuaBindings

extension LuaTests {
  /// Arguments that nobody would read are errors, by one rule for every registered function: what its signature names.
  @Suite struct SurplusArguments {
    private static let rows: [Function] = Module.standard.flatMap { module in
      module.functions + module.globals + module.types.flatMap { $0.luaType.methods }
    }

    @Test func everyFunctionRefusesMoreThanItsSignatureNames() throws {
      // Methods are called as functions here, since the rule stands before the object is looked at.
      let limited = Self.rows.filter { $0.argumentLimit != nil }
      let probes = limited.enumerated().map { number, row in
        Function(
          "f\(number)", row.signature, row.summary, options: row.options, results: row.results, example: row.example,
          body: row.body)
      }
      let (state, output) = try makeState()
      defer { state.close() }
      state.install(Module("probe", "Every function under another name.", functions: probes))
      for (number, row) in limited.enumerated() {
        let zeros = Array(repeating: "0", count: row.argumentLimit! + 1).joined(separator: ", ")
        try state.execute(
          chunk: Array("print(select(2, pcall(probe.f\(number), \(zeros))).message)".utf8), name: "=t")
      }
      let lines = output.text.split(separator: "\n")
      try #require(lines.count == limited.count)
      for (row, line) in zip(limited, lines) {
        #expect(
          line.contains(": takes ") && line.contains(", found \(row.argumentLimit! + 1)"), "\(row.signature): \(line)")
      }
      #expect(limited.count > 120)
    }

    /// Functions of any number of arguments say so with `...`.
    @Test func onlyTheseTakeAnyNumber() {
      let open = Self.rows.filter { $0.argumentLimit == nil }.map(\.name).sorted()
      #expect(
        open == ["einsum", "ones", "permute", "print", "progress", "rand", "randint", "randn", "reshape", "zeros"])
    }

    @Test func signaturesAreRead() {
      func names(_ signature: String) -> [String] {
        Function("f", signature, "", results: "", example: "") { _ in 0 }.parameters
      }
      #expect(names("m:tokens(text [, { bos =, special = }])") == ["text", "{ bos =, special = }"])
      #expect(names("t:transpose([i, j])") == ["i", "j"])
      #expect(names("t:shape()") == [])
      #expect(names("sweep{ run = function(point) end }") == [])
      #expect(names("tensor.arange([from,] to [, step])") == ["from", "to", "step"])
    }

    @Test func callsWithSurplusArgumentsFail() throws {
      for (source, expected) in [
        ("tensor.ones(2, 3):sum(1, 2)", "expected a table of options"),
        ("tensor.ones(2):sum(1, {}, 3)", "at most 2 arguments"),
        ("tensor.ones(2):softmax(1, 9)", "tensor:softmax: takes at most 1 argument (dim), found 2"),
        ("tensor.load('x.npy', { 'name' })", "tensor.load: takes at most 1 argument (path), found 2"),
        ("tensor.ones(2):shape(1)", "takes no arguments, found 1"), ("metrics.wilson(1, 2, 3)", "at most 2"),
        ("show({}, {}, 1)", "at most 2"), ("help('print', 1)", "at most 1"), ("data.csv('x', {}, 1)", "at most 2"),
        ("run.start('x', {}, 1)", "at most 2"), ("sweep({}, 1)", "at most 1"), ("progress({}, 'x', 1)", "at most 2"),
        ("steer.load('x', {}, 1)", "at most 2"), ("mapper.load('x', {}, 1)", "at most 2"),
        ("train.load('x', 1, 2)", "at most 2"),
        ("model.load('x', {}, 1)", "at most 2"), ("tokenizer.load('x', 1)", "at most 1"),
        ("plot.line({}, 1)", "at most 1"),
        ("tensor.eye(2, 3, 4)", "at most 2"), ("tensor.pca(tensor.ones(3, 3), 1, 2)", "at most 2"),
      ] {
        let message = try failure(source).message
        #expect(message.contains(expected), "\(source): \(message)")
      }
      // nil at the end is nothing, and what an iterator comes with is passed over.
      #expect(try printed("print(tensor.ones(2):sum(nil, nil, nil))") == "2.0\n")
      #expect(
        try printed(
          "local function three() local n = 0 return function() n = n + 1 return n < 3 and n or nil end, nil, nil, 7 end "
            + "for i in progress(three()) do print(i) end") == "1\n2\n")
    }
  }
}
