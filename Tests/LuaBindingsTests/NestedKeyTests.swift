import Testing

@testable import LuaBindings

extension LuaTests {
  /// Tables within tables: what nobody reads is an error that names the nearest key.
  @Suite struct NestedKeys {
    @Test func keysThatNobodyReadsAreErrors() throws {
      try ScriptModels.tiny { models in
        let add = "m:add{ dir = tensor.ones(m.d_model), "
        for (script, part) in [
          (add + "layer = 1, pos = { match = 'in', from = 6 } }", "from and to are not read beside it"),
          (add + "layer = 1, pos = { form = 6 } }", "did you mean from"),
          (add + "layer = 1, pos = { 3, 5, from = 2 } }", "unknown key 'from'"),
          (add + "layer = 1, pos = {} }", "selects nothing"),
          (add + "layers = { from = 1, tu = 2 } }", "did you mean to"),
          (add + "layers = { 1, 2, to = 3 } }", "unknown key 'to'"), (add + "layers = {} }", "selects nothing"),
          (add + "layers = { [1] = 0, [3] = 2 } }", "without gaps"),
          ("m:run{ tokens = { 5, 6 }, capture = { site = 'z', layrs = 1 } }", "did you mean layers"),
          ("m:run{ tokens = { 5, 6 }, capture = { site = 'z', layer = 1, layers = 2 } }", "layer or layers, not both"),
          ("m:run{ tokens = { 5, 6 }, capture = { 'z', layer = 1 } }", "found a list entry"),
          ("m:run{ tokens = { 5, 6 }, capture = { site = { 'z', layer = 1 } } }", "unknown key 'layer'"),
          ("m:run{ tokens = { 5, 6 }, capture = { site = 'embed', layer = 1 } }", "have no layers"),
          (
            "m:run{ tokens = { 5, 6 }, capture = { site = 'blocks.1.hook_resid_post', layer = 2 } }",
            "the site's name says its layer"
          ),
          (add + "layer = 2, site = 'blocks.1.hook_resid_post' }", "says layer 1"),
          (add + "layer = 2, site = 'embed' }", "embed has no layers"),
          ("m:ablate{ dir = tensor.ones(m.d_model), site = 'final_norm', layers = { 1 } }", "final_norm has no layers"),
          ("m:run{ tokens = { 5, 6, bos = false } }", "unknown key 'bos'"),
          ("m:run{ tokens = { { 5, 6 }, chat = true } }", "unknown key 'chat'"),
          ("m:replace{ layer = 1, with = { model = other, layer = 1, mpa = 3 } }", "did you mean map"),
          ("m:replace{ layer = 1, with = { other, 1 } }", "found a list entry"),
          ("m:replace{ layer = 1, with = 3 }", "a tensor or { model ="),
          (
            "m:nll{ examples = { { prompt = 'a', completion = 'b', competion = 'c' } } }", "did you mean completion"
          ),
          ("m:nll{ examples = { { prompt = 'a', completion = 'b' }, limit = 3 } }", "unknown key 'limit'"),
          (
            "train.lora{ model = m, examples = { { prompt = 'a', compltion = 'b' } } }", "did you mean completion"
          ),
          (
            "train.gradients{ model = m, tokens = { 5, 6 }, capture_gradients = { site = 'z', pso = 1 } }",
            "did you mean pos"
          ),
          ("m:chat{ { role = 'user', contnt = 'x' } }", "did you mean content"),
          (
            "model.render_template{ template = '{{ messages[0].content }}', "
              + "messages = { { role = 'user', content = 'x', colour = 'red' } } }", "the template does not read it"
          ),
          (
            "steer.mean_difference(m, { positive = { { 5, 6 }, seed = 1 }, negative = { { 7, 8 } } })",
            "unknown key 'seed'"
          ),
          (
            "steer.mean_difference(m, { positive = { { 5, 6 } }, negative = { { 7, 8 } }, layer = 1, layers = 2 })",
            "layer or layers, not both"
          ),
          (
            "sweep{ name = folder, grid = { layer = { 1, 2, to = 3 } }, run = function() return {} end }",
            "unknown key 'to'"
          ),
          ("plot.line{ series = { { label = 'a', y = { 1, 2 }, xs = { 1, 2 } } } }", "did you mean x"),
        ] { try expectFailure(models + script, names: part) }
      }
    }

    @Test func layerIsReadWhereLayersAre() throws {
      try ScriptModels.tiny { models in
        try printed(
          models + """
            local r = m:run{ tokens = { 5, 6, 7 }, logits = "none", capture = { site = "z", layer = 2 } }
            assert(r.acts:at(2):shape()[1] == 3 and not pcall(r.acts.at, r.acts, 1))
            local both = m:run{ tokens = { 5, 6, 7 }, logits = "none", capture = { site = { "embed", "z" }, layer = 2 } }
            assert(both.acts:get("embed"):shape()[1] == 3 and both.acts:at(2, "z"):allclose(r.acts:at(2)))
            local t = { positive = { { 5, 6 } }, negative = { { 7, 8 } } }
            for _, make in ipairs{ steer.mean_difference, steer.principal_component } do
              t.layer = 2
              local d = make(m, t)
              assert(#d.layers == 1 and d.layers[1] == 2)
            end
            assert(steer.prompt_difference(m, { positive = { 5, 6 }, negative = { 7, 8 }, layer = 2 }).layers[1] == 2)
            local text = model.render_template{ template = "{{ messages[0].colour }}",
              messages = { { role = "user", content = "x", colour = "red" } } }
            assert(text == "red")
            """)
      }
    }
  }
}
