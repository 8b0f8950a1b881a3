import Engine
import Foundation
import Testing

@testable import LuaBindings

extension LuaTests {
  @Suite struct TensorModule {
    @Test func makingAndReading() throws {
      #expect(
        try printed("local t = tensor.zeros(2, 3) print(#t, t:shape()[2], t[1][3], t[-1]:sum())") == "2\t3\t0.0\t0.0\n")
      #expect(try printed("print(tensor.from({ { 1, 2 }, { 3, 4 } })[2][-2])") == "3.0\n")
      #expect(
        try printed("for i, x in ipairs(tensor.from({ 5, 6.5 }):to_table()) do print(i, x) end") == "1\t5\n2\t6.5\n")
      #expect(try printed("for i, x in ipairs(tensor.from({ 5, 6 })) do print(i, x) end") == "1\t5.0\n2\t6.0\n")
      #expect(
        try printed("print(tensor.ones({ 2, 2 }):sum(), tensor.from(3):item(), #tensor.from({}))") == "4.0\t3.0\t0\n")
      let same = "print(tensor.randn(3, { seed = 4 }):allclose(tensor.randn(3, { seed = 4 })), "
      #expect(
        try printed(same + "tensor.randn(3, { seed = 4 }):allclose(tensor.randn(3, { seed = 5 })))") == "true\tfalse\n")
      #expect(try printed("print(tensor.ones(5):allclose(tensor.ones(5) + 1e-3, { atol = 1e-2 }))") == "true\n")
    }

    @Test func gradientsFollowTheChainRule() throws {
      // d/dw of mean((x w + b - y)^2) is 2 x^T (x w + b - y) / n, worked out by the script itself.
      let script = """
        local x, y = tensor.randn(5, 3, { seed = 1 }), tensor.randn(5, 2, { seed = 2 })
        local w, b = tensor.randn(3, 2, { seed = 3, requires_grad = true }), tensor.zeros(2)
        b.requires_grad = true
        local e = x:matmul(w) + b - y
        local loss = (e * e):mean()
        loss:backward()
        local plain = (x:matmul(w:detach()) + b:detach() - y) * (2 / 10)
        print(w.grad:allclose(x:transpose():matmul(plain), { atol = 1e-6 }), b.grad:allclose(plain:sum(1), { atol = 1e-6 }))
        print(x.grad, loss.requires_grad, x.requires_grad, #loss:shape())
        local again = (w * 1):sum()
        again:backward()
        print(w.grad:allclose(x:transpose():matmul(plain) + 1, { atol = 1e-6 }))
        w.grad = nil
        print(w.grad)
        """
      #expect(try printed(script) == "true\ttrue\nnil\ttrue\tfalse\t0\ntrue\nnil\n")
    }

    @Test func gradientsAgreeWithFiniteDifferences() throws {
      let script = """
        local c = tensor.randn(4, 3, { seed = 9 })
        for name, f in pairs{
          divide = function(t) return (c / (t * t + 1)):sum() end,
          softmax = function(t) return (t:softmax(2) * c):sum() end,
          first = function(t) return (t:softmax(1) * c):sum() end,
          row = function(t) return (t[2] * c[1] - t:rows(3, 4):mean(1)):sum() end,
          turned = function(t) return (t:transpose():reshape(4, 3) * c):mean(2):matmul(c:sum(2)) end,
          minus = function(t) return (-t - 3 / (t + 9)):clone():mean() end,
        } do
          local t = tensor.randn(4, 3, { seed = 5, requires_grad = true })
          f(t):backward()
          local d, step = tensor.randn(4, 3, { seed = 6 }), 1e-2
          local plain = t:detach()
          local function value(x) return type(x) == "number" and x or x:item() end
          local measured = (value(f(plain + d * step)) - value(f(plain - d * step))) / (2 * step)
          local predicted = (t.grad * d):sum()
          assert(math.abs(measured - predicted) < 2e-3 * math.max(1, math.abs(measured)), name .. measured .. " " .. predicted)
        end
        print("ok")
        """
      #expect(try printed(script) == "ok\n")
    }

    @Test func lostGradientsAreErrors() throws {
      let head = "local t = tensor.ones(3, 3) t.requires_grad = true\n"
      for (line, word) in [
        ("t:svd()", "detach"), ("(t * 2):eigh()", "detach"), ("tensor.eye(3):solve(t)", "detach"),
        ("tensor.pca(t, 1)", "detach"), ("local u = tensor.zeros(3) u[1] = t[1]:sum()", "detach"),
        ("tensor.ones(2):backward()", "requires_grad"),
        ("(t * 2):backward()", "one number"), ("t.rank = 2", "requires_grad"), ("t.grad = 3", "nil"),
        ("(t * 2).requires_grad = false", "detach"),
      ] {
        #expect(
          try printed(
            head + "local ok, e = pcall(function() \(line) end) print(ok, tostring(e):find('\(word)', 1, true) ~= nil)")
            == "false\ttrue\n", "\(line)")
      }
    }

    @Test func arithmeticBroadcasts() throws {
      let head = "local a, b = tensor.from({ { 1, 2 }, { 3, 4 } }), tensor.from({ 10, 20 })\n"
      for (expression, expected) in [
        ("a + b", "{11,22},{13,24}"), ("b - a", "{9,18},{7,16}"), ("2 * a", "{2,4},{6,8}"), ("12 / a", "{12,6},{4,3}"),
        ("a / 2", "{0.5,1},{1.5,2}"), ("-a", "{-1,-2},{-3,-4}"), ("1 - a", "{0,-1},{-2,-3}"),
        ("a:matmul(a)", "{7,10},{15,22}"), ("a:transpose()", "{1,3},{2,4}"), ("a:reshape(-1, 1)", "{1},{2},{3},{4}"),
        ("a:rows(2)", "{3,4}"), ("a:rows(1, 1) * 0", "{0,0}"), ("tensor.cat({ a, a }, 2)", "{1,2,1,2},{3,4,3,4}"),
        ("tensor.stack({ b, b })", "{10,20},{10,20}"),
      ] {
        let print = """
          local rows = {}
          for i, row in ipairs((\(expression)):to_table()) do rows[i] = "{" .. table.concat(row, ",") .. "}" end
          print(table.concat(rows, ","))
          """
        #expect(try printed(head + print) == expected + "\n", "\(expression)")
      }
    }

    @Test func reductionsAndAlgebra() throws {
      #expect(
        try printed(
          """
          local t = tensor.from({ { 3, 4 }, { 0, 12 } })
          print(t:sum(), t:mean(), t:max(), t:min(), t:sum(1)[2], t:norm(2)[1], t:max(-1)[2], t[2]:argmax())
          """) == "19.0\t4.75\t12.0\t0.0\t16.0\t5.0\t12.0\t2\n")
      #expect(
        try printed(
          """
          local values, places = tensor.from({ 3, 9, 4 }):topk(2)
          local rows, lists = tensor.from({ { 1, 2 }, { 4, 3 } }):topk(1)
          print(values[1], places[1], places[2], rows:shape()[2], lists[2][1], tensor.zeros(4):softmax(1)[3])
          """) == "9.0\t2\t3\t1\t1\t0.25\n")
      #expect(
        try printed(
          """
          local a = tensor.randn(5, 3, { seed = 1 })
          local u, s, vt = a:svd()
          print(((u * s):matmul(vt)):allclose(a, { atol = 1e-5 }))
          local g = a:transpose():matmul(a)
          local l = g:cholesky()
          print(l:matmul(l:transpose()):allclose(g, { atol = 1e-5 }))
          local values, vectors = g:eigh()
          print((vectors * values):matmul(vectors:transpose()):allclose(g, { atol = 1e-4 }))
          local b = tensor.ones(3)
          print(g:matmul(g:solve(b)):allclose(b, { atol = 1e-4 }))
          """) == "true\ntrue\ntrue\ntrue\n")
    }

    @Test func mistakesNameTheCure() throws {
      for (source, expected) in [
        ("tensor.zeros(-1)", "tensor.zeros: argument 1 (n): expected an integer"),
        ("tensor.zeros(2, 'x')", "found string \"x\""),
        ("tensor.zeros(1e6, 1e6)", "needs 4.0 TB"),
        ("tensor.zeros(1 << 39, 1 << 39)", "cannot have shape"),
        ("tensor.from({ { 1, 2 }, { 3 } })", "entry [2]: a list of 1 beside lists of 2"),
        ("tensor.from({ { 1, 2 }, 3 })", "entry [2]: expected a list of 2, found number 3"),
        ("tensor.from({ 1, 'x' })", "entry [2]: expected a number, found string \"x\""),
        ("local t = {} t[1] = t tensor.from(t)", "nested more than 16 deep"),
        ("print(tensor.zeros(2)[0])", "indices count from 1"), ("print(tensor.zeros(2)[4])", "index 4 is outside"),
        ("tensor.zeros(2):sum(2)", "dimensions count from 1"), ("tensor.zeros(2):sum(0)", "dimension 0 does not exist"),
        ("print(tensor.zeros(2, 3) + tensor.zeros(2))", "[2, 3]"),
        ("print(tensor.zeros(2) + 'x')", "a tensor or a number"),
        ("tensor.zeros(2):shpe()", "did you mean shape"), ("tensor.zeross(2)", "did you mean zeros"),
        ("print(tensor.zeros(2)[1.5])", "cannot be indexed by number 1.5"),
        ("local t = tensor.zeros(2) t.rank = 3", "read-only"),
        ("tensor.randn(2, { sed = 1 })", "did you mean seed"), ("tensor.zeros(2, 3):matmul(tensor.zeros(2))", "matmul"),
        ("tensor.zeros(3):topk(4)", "from 1 to 3"),
        ("local t = tensor.zeros(2) t:free() t:free() print(t:sum())", "freed"),
        ("tensor.load('/no/such.safetensors')", "/no/such.safetensors"), ("tensor.load('x.txt')", ".safetensors"),
        ("tensor.save('/tmp/x.safetensors', {})", "at least one entry"), ("tensor.zeros(2):item()", "holds 2 values"),
      ] {
        let message = try failure(source).message
        #expect(message.contains(expected), "\(source): \(message)")
      }
    }

    @Test func filesKeepTheirTensors() throws {
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      for name in ["t.safetensors", "t.npz"] {
        #expect(
          try printed(
            """
            local path = "\(folder.path)/\(name)"
            tensor.save(path, { a = tensor.randn(3, 4, { seed = 0 }), b = tensor.ones(2) })
            local t = tensor.load(path)
            print(t.a:allclose(tensor.randn(3, 4, { seed = 0 }), { atol = 0, rtol = 0 }), t.b:sum())
            """) == "true\t2.0\n")
      }
      #expect(
        try printed(
          """
          tensor.save("\(folder.path)/t.npy", tensor.from({ 1, 2 }))
          print(tensor.load("\(folder.path)/t.npy")[2])
          """) == "2.0\n")
    }

    @Test func printingIsAHeaderAndEdges() throws {
      let text = try printed("print(tensor.zeros(1000, 1000))")
      #expect(text.hasPrefix("f32 [1000, 1000]  mean 0  sd 0  norm 0\n"))
      #expect(text.count < 400)
      let (state, _) = try makeState()
      defer { state.close() }
      #expect(
        try state.evaluate("{ tensor.ones(2) }").map { state.describe($0) } == ["{ f32 [2]  mean 1  sd 0  norm 1.414 }"]
      )
    }

    @Test func aHundredThousandTensorsStayBounded() throws {
      let before = TensorMemory.live
      let (state, _) = try makeState()
      state.tensorLimit.bytes = 8 << 20
      let watch = Module(
        "watch", "Tensor memory.",
        functions: [
          Function("live", "watch.live()", "Bytes.", results: "integer", example: "") { call in
            call.push(TensorMemory.live)
          }
        ])
      state.install(watch)
      let result = try state.evaluate(
        """
        (function()
          local most, kept, base = 0, {}, watch.live()
          for i = 1, 100000 do
            kept[i % 50 + 1] = tensor.zeros(4096)  -- 16 kB each, 1.6 GB in all, 0.8 MB alive
            if i % 64 == 0 then most = math.max(most, watch.live() - base) end
          end
          return most
        end)()
        """)
      let most = try #require(Int(state.describe(result[0])))
      #expect(most < 10 << 20, "\(most) bytes at most")
      #expect(state.heapBytes < 16 << 20)
      state.close()
      #expect(TensorMemory.live == before)
    }

    @Test func theBudgetCollectsBeforeItRefuses() throws {
      let budget = TensorMemory.budget
      defer { TensorMemory.budget = budget }
      let (state, output) = try makeState()
      defer { state.close() }
      TensorMemory.budget = TensorMemory.live + (64 << 20)
      try state.execute(
        chunk: Array("for i = 1, 50 do local t = tensor.zeros(4 << 20) end print('garbage made room')".utf8), name: "=t"
      )
      #expect(output.text == "garbage made room\n")
      let error = try #require(throws: LuaError.self) {
        try state.execute(
          chunk: Array("kept = {} for i = 1, 50 do kept[i] = tensor.zeros(1 << 20) end".utf8), name: "=t")
      }
      #expect(error.kind == "memory" && error.message.contains("budget of"))
      #expect(try state.evaluate("#kept > 5").map { state.describe($0) } == ["true"])
    }
  }
}
