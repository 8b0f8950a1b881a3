import Testing

@testable import LuaBindings

extension LuaTests {
  /// The gradient of every differentiable operation, along a random direction, against a central difference in the
  /// values, on random shapes.
  @Suite struct FiniteDifferences {
    /// `check(name, shapes, f, shift)`: f of tensors of those shapes (normals, plus `shift`), any shape of result. The
    /// step of 1e-2 in float32 leaves an error of about 1e-3 of the values that are summed.
    private static let harness = """
      tensor.seed(11)
      local function sizes(pattern, letters)
        local list = {}
        for letter in pattern:gmatch(".") do list[#list + 1] = letters[letter] end
        return list
      end
      local checked = 0
      local function check(name, patterns, f, positive)
        for round = 1, 3 do
          local letters = {}
          for letter in ("abcdn"):gmatch(".") do letters[letter] = tensor.randint(1, 6, 1)[1] // 1 end
          letters.n = letters.n + 3
          local inputs, plain, moved = {}, {}, {}
          local step = 1e-2
          for i, pattern in ipairs(patterns) do
            local t = tensor.randn(sizes(pattern, letters))
            if positive then t = t:abs() + 0.5 end
            plain[i], moved[i] = t, tensor.randn(sizes(pattern, letters))
            inputs[i] = t:clone()
            inputs[i].requires_grad = true
          end
          local out = f(table.unpack(inputs))
          local weights = tensor.randn(out:shape())
          ;(out * weights):sum():backward()
          local predicted, scale = 0, 1
          for i, t in ipairs(inputs) do
            assert(t.grad, name .. ": no gradient of input " .. i)
            predicted = predicted + (t.grad * moved[i]):sum()
            scale = scale + (t.grad * moved[i]):abs():sum()
          end
          local function value(sign)
            local at = {}
            for i, t in ipairs(plain) do at[i] = t + moved[i] * (sign * step) end
            local y = f(table.unpack(at))
            return type(y) == "number" and y * weights:item() or (y * weights):sum()
          end
          local measured = (value(1) - value(-1)) / (2 * step)
          if math.abs(measured - predicted) > 4e-3 * scale then
            error(("%s round %d: measured %g, predicted %g, scale %g"):format(name, round, measured, predicted, scale), 0)
          end
          checked = checked + 1
        end
      end

      """

    private func run(_ checks: String, count: Int) throws {
      #expect(try printed(Self.harness + checks + "\nprint(checked)") == "\(count * 3)\n")
    }

    @Test func elementwise() throws {
      try run(
        """
        -- Kinks are moved away from: shifted squares where a slope jumps.
        check("relu", { "ab" }, function(x) return (x * x + 0.1):relu() - (-(x * x) - 0.1):relu() end)
        check("gelu", { "abc" }, function(x) return x:gelu() end)
        check("gelu tanh", { "abc" }, function(x) return x:gelu{ approximate = "tanh" } end)
        check("exp", { "ab" }, function(x) return (x * 0.5):exp() end)
        check("log", { "ab" }, function(x) return x:log() end, true)
        check("sqrt", { "ab" }, function(x) return x:sqrt() end, true)
        check("abs", { "ab" }, function(x) return (-x):abs() end, true)
        check("sigmoid", { "ab" }, function(x) return x:sigmoid() end)
        check("tanh", { "abc" }, function(x) return x:tanh() end)
        check("clamp", { "ab" }, function(x) return x:clamp{ min = 0.2 } + (x - 9):clamp{ max = 0 } end, true)
        check("pow number", { "ab" }, function(x) return x:pow(1.5) + x ^ -1 + x ^ 3 + x ^ 2 end, true)
        check("base", { "ab" }, function(x) return 1.7 ^ x end)
        check("pow", { "ab", "b" }, function(x, p) return x ^ p end, true)
        check("where", { "ab", "b" }, function(x, y) return tensor.where(tensor.from{ 1 }, x, y) + tensor.where(0, x, y) end)
        check("where c", { "bc", "abc" }, function(x, y)
          return tensor.where(tensor.arange(x:shape()[2]):gt(1), x * 2, y * y)
        end)
        check("divide", { "ab", "b" }, function(x, y) return x / y - 2 / y end, true)
        """, count: 16)
    }

    @Test func reductions() throws {
      try run(
        """
        for _, name in ipairs{ "sum", "mean", "norm", "std", "var", "logsumexp" } do
          check(name .. " all", { "an" }, function(x) return x[name](x) end)
          check(name .. " 1", { "nab" }, function(x) return x[name](x, 1) end)
          check(name .. " 2 keep", { "anb" }, function(x) return x[name](x, 2, { keep = true }) * x end)
          check(name .. " -1", { "an" }, function(x) return x[name](x, -1) end)
        end
        -- Distinct values far enough apart that a step does not change their order.
        local function apart(x) return x * 0.1 + tensor.arange(x:shape()[#x:shape()]) * 3 end
        for _, name in ipairs{ "max", "min" } do
          check(name .. " all", { "n" }, function(x) return apart(x)[name](apart(x)) end)
          check(name .. " last", { "an" }, function(x) return apart(x)[name](apart(x), 2, { keep = true }) * x end)
          check(name .. " first", { "na" }, function(x) local y = apart(x:transpose()):transpose() return y[name](y, 1) end)
        end
        check("quantile", { "an" }, function(x) return apart(x):quantile(0.4, 2) end)
        check("quantile all", { "n" }, function(x) return apart(x):quantile(0.25) end)
        check("quantile 1", { "nab" }, function(x) return apart(x:permute(3, 2, 1)):permute(3, 2, 1):quantile(0.7, 1) end)
        check("sort", { "an" }, function(x) return (apart(x):sort(2, { descending = true })) end)
        check("topk", { "an" }, function(x) return (apart(x):topk(2)) end)
        check("keep_topk", { "an" }, function(x) return apart(x):keep_topk(2) end)
        for dim = 1, 3 do
          check("softmax " .. dim, { "abn" }, function(x) return x:softmax(dim) end)
          check("log_softmax " .. dim, { "abn" }, function(x) return x:log_softmax(dim) end)
          check("cumsum " .. dim, { "abn" }, function(x) return x:cumsum(dim) end)
        end
        """, count: 24 + 6 + 6 + 9)
    }

    @Test func shapes() throws {
      try run(
        """
        check("permute", { "abc" }, function(x) return x:permute(3, 1, 2) * 2 end)
        check("transpose", { "abc" }, function(x) return x:transpose(1, -1):transpose() end)
        check("reshape", { "abc" }, function(x) return x:reshape(-1):clone() end)
        check("select", { "anc" }, function(x) return x:select(2, -2) + x:select(2, 1) end)
        check("slice", { "anc" }, function(x) return x:slice(2, 2, 4):slice(1, 1) end)
        check("rows", { "nb" }, function(x) return x:rows{ 3, 1, 3 } + x:rows(2, 4) end)
        check("pick", { "nb" }, function(x) return x:rows(1, 3):pick{ 1, 1, -1 } end)
        check("diagonal", { "ann" }, function(x) return x:diagonal() end)
        check("diagonal 2", { "ann" }, function(x) return x:diagonal(2) end)
        check("diagonal -1", { "nn" }, function(x) return x:diagonal(-1) end)
        check("index", { "nb" }, function(x) return x[2] * x[-1] + x[{ 3, 1 }] end)
        check("stack", { "ab", "ab" }, function(x, y) return tensor.stack({ x, y, x }, 2) end)
        check("cat", { "ab", "cb" }, function(x, y) return tensor.cat({ x, y, x }) end)
        check("cat 2", { "ba", "bc" }, function(x, y) return tensor.cat({ x, y, x * y:sum(2, { keep = true }) }, -1) end)
        check("from", { "ab" }, function(x) return tensor.from(x) end)
        check("outer", { "a", "b" }, function(x, y) return tensor.outer(x, y) end)
        """, count: 16)
    }

    @Test func products() throws {
      try run(
        """
        check("matrices", { "ab", "bc" }, function(x, y) return x:matmul(y) end)
        check("vectors", { "a", "a" }, function(x, y) return x:matmul(y) end)
        check("row", { "a", "ab" }, function(x, y) return x:matmul(y) end)
        check("column", { "ab", "b" }, function(x, y) return x:matmul(y) end)
        check("batched", { "nab", "nbc" }, function(x, y) return x:matmul(y) end)
        check("one matrix", { "nab", "bc" }, function(x, y) return x:matmul(y) end)
        check("broadcast left", { "ab", "nbc" }, function(x, y) return x:matmul(y) end)
        check("broadcast both", { "nab", "dnbc" }, function(x, y) return x:matmul(y) end)
        check("batched vector", { "b", "nbc" }, function(x, y) return x:matmul(y) end)
        check("same twice", { "nn" }, function(x) return x:matmul(x) end)
        for _, subscripts in ipairs{ "ab,bc->ac", "ab,cb->ca", "nab,nbc->n", "ab,ab->", "a,b->ba", "nab,nb->na", "ab,bc,cd->ad" } do
          local patterns = {}
          for pattern in subscripts:match("^[%a,]+"):gmatch("%a+") do patterns[#patterns + 1] = pattern end
          check(subscripts, patterns, function(...) return tensor.einsum(subscripts, ...) end)
        end
        check("trace", { "nn" }, function(x) return tensor.einsum("ii", x) end)
        check("diagonal", { "nna" }, function(x) return tensor.einsum("iij->ij", x) end)
        """, count: 10 + 7 + 2)
    }
  }
}
