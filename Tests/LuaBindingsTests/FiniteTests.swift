import Engine
import Foundation
import Testing

@testable import LuaBindings

extension LuaTests {
  /// NaN and infinity are named where they enter.
  @Suite struct Finite {
    private func tiny() -> String? {
      let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/fixtures/tiny/llama")
        .path
      guard FileManager.default.fileExists(atPath: folder) else {
        print("skipped: \(folder) is absent")
        return nil
      }
      return """
        local m = model.load("\(folder)")
        local nan, inf = 0 / 0, 1 / 0
        local function with(x) local t = {} for i = 1, m.d_model do t[i] = 1 end t[4] = x return tensor.from(t) end
        local ids = { 1, 5, 9, 12, 7 }
        local function run(options) options = options or {} options.tokens = ids return m:run(options) end

        """
    }

    @Test func valuesHandedOverAreChecked() throws {
      guard let head = tiny() else { return }
      for (script, part) in [
        ("m:add{ dir = with(nan), layer = 1 }", "add: the direction has 1 of 64 values that are no finite numbers"),
        ("m:add{ dir = with(-inf), layer = 1, scale = 'unit' }", "-inf at index 4"),
        ("m:add{ dir = with(1), layer = 1, coeff = 1e39 }", "coefficient"),
        ("m:add{ dir = with(1), layer = 1, coeff = nan }", "finite"),
        ("m:ablate{ dir = with(nan) }", "ablate: the direction"),
        ("m:mean_ablate{ layer = 1, mean = with(inf) }", "mean_ablate: the mean"),
        ("m:patch{ layer = 1, pos = 2, value = with(nan) }", "patch: the value"),
        ("m:replace{ layer = 1, with = with(nan):reshape(1, m.d_model) }", "the value"),
        ("steer.from(with(nan), { layer = 1 })", "a steering vector has 1 of 64"),
        ("local v = steer.from(with(1), { layer = 1 }) return v * inf", "finite number"),
        ("local v = steer.from(with(1), { layer = 1 }) return v / 0", "divided by 0"),
        ("local v = steer.from(with(1), { layer = 1 }) return v * 1e39", "no finite numbers"),
        ("metrics.kl(with(1), with(nan))", "value 4 of the logits is nan"),
        ("m:top_tokens(m:run{ tokens = ids }.logits * nan)", "of the logits is"),
      ] {
        let text = try printed(head + "print(select(2, pcall(function() \(script) end)))\nprint(#m:hooks())")
        #expect(text.contains(part), "\(script): \(text)")
        #expect(text.hasSuffix("\n0\n"), "\(script): it was registered")
      }
    }

    @Test func interventionsThatMakeNoNumbersNameThemselves() throws {
      guard let head = tiny() else { return }
      for (script, part) in [
        ("m:hook{ layer = 1, fn = function(x) return x * nan end } run()", "hook at resid_post of layer 1 made"),
        (
          "m:hook{ site = 'z', layer = 1, heads = { 3 }, fn = function(x) return x * nan end } run()",
          "hook at z of layer 1 made"
        ),
        (
          "m:hook{ site = 'q', layer = 0, pos = 3, fn = function(x) return x * inf end } run()",
          "hook at q of layer 0 made"
        ),
        (
          "m:hook{ site = 'q', layer = 0, pos = 3, fn = function(x) return x * inf end } run()",
          "position 3 of sequence 1"
        ),
        (
          "m:add{ dir = with(1), layer = 1, coeff = 3e38 } m:add{ dir = with(1), layer = 1, coeff = 3e38 } run()",
          "add at resid_post of layer 1 made"
        ),
        (
          "m:hook{ site = 'pattern', layer = 1, fn = function(x) return x * nan end } run()",
          "hook at pattern of layer 1 put nan into the row of position 1 of sequence 1 in head 0"
        ),
        ("m:hook{ site = 'attn_scores', layer = 1, fn = function(x) return x * 0 - inf end } run()", "attn_scores"),
        (
          "m:hook{ site = 'attn_scores', layer = 1, pos = 4, fn = function(x) return x:clone() * 0 + inf end } run()",
          "hook at attn_scores of layer 1 put"
        ),
        ("m:hook{ layer = 0, fn = function(x) return x * nan end } m:nll{ examples = {} }", "empty"),
        (
          "m:hook{ site = 'mlp_post', layer = 1, pos = 'generated', fn = function(x) return x * nan end } "
            + "m:generate{ tokens = ids, max_tokens = 4, ignore_eos = true }", "hook at mlp_post of layer 1 made"
        ),
      ] {
        let text = try printed(head + "print(select(2, pcall(function() \(script) end)))")
        #expect(text.contains(part), "\(script): \(text)")
      }
    }

    /// All keys of a token masked, as a causal knockout of the first token does it: the error says whose.
    @Test func aRowOfScoresWithoutAKeyIsNamed() throws {
      guard let head = tiny() else { return }
      let script = """
        local function mask(row, keep)
          return function(x)
            local t = x:to_table()
            for j = 1, #t[1][row] do if j ~= keep then t[1][row][j] = -math.huge end end
            return tensor.from(t)
          end
        end
        local h = m:hook{ site = "attn_scores", layer = 1, fn = mask(3) }
        local ok, e = pcall(run)
        print(ok, e.kind, e.message)
        h:remove()
        local h2 = m:hook{ site = "attn_scores", layer = 1, fn = mask(3, 1) }
        local r = run{ capture = { site = "pattern", layers = 1 } }
        print(r.acts:at(1)[1][3][1], r.logits:norm() > 0)
        h2:remove()
        -- scores as they were captured have -inf above the diagonal, and patch as any value
        local scores = run{ capture = { site = "attn_scores", layers = 1 } }.acts:at(1)
        local h3 = m:patch{ site = "attn_scores", layer = 1, value = scores }
        print(run().logits:allclose(run().logits), pcall(m.patch, m, { site = "attn_scores", layer = 1, value = scores * nan }))
        """
      let text = try printed(head + script)
      #expect(text.contains("false\tnumeric\t"), "\(text)")
      #expect(
        text.contains("hook at attn_scores of layer 1 masked every key of position 3 of sequence 1 in head 0"),
        "\(text)")
      #expect(text.contains("\n1.0\ttrue\ntrue\tfalse\t"), "\(text)")
    }
  }
}
