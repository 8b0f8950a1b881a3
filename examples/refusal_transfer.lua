-- Does a refusal direction found in one model work in another? (E7)
--
-- Claim (Oozeer et al., ICML 2025): a direction found in a source model and carried through a map between the two models'
-- activations steers the target as the target's own direction does. The paper takes Llama 3.2 1B -> 3B and JailbreakBench:
-- judged by a guard model the mapped vector does what the native one does, judged by substrings it does less. Its reviewers
-- asked for the unsteered model, for random vectors, and for what is left of the model, beside every rate.
--
-- Here: Qwen2.5 Coder 0.5B -> 1.5B, one of the paper's own pairs. Both refuse by themselves; nothing is fine-tuned. Each
-- direction is a difference of means at the last position, found on one set of prompts and chosen on a second (Arditi et al.
-- 2024); maps are ridge fits of the target's layer on the source's, on texts that neither the directions nor the tests use;
-- everything is judged on a fourth set. Ablation should let harmful requests through, addition should refuse harmless ones.
-- The main table comes first; random vectors then join it for as long as one cares to watch (Ctrl-C keeps what is there).
--
--   acthost examples/refusal_transfer.lua [--small] [--source NAME --target NAME] [--n 24] [--draws 19] [--dtype bf16]
--       [--harmful FILE --harmless FILE] [--test_harmful FILE --test_harmless FILE]

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/lib/?.lua;" .. package.path
local tuned = require("tuned")
local first = tuned.first

local opt = args.parse{
  source = "qwen2.5-coder-0.5b-instruct", target = "qwen2.5-coder-1.5b-instruct",
  small = false,      -- the two small models, which are taught to refuse first
  dtype = "bf16",
  n = 24,             -- test prompts of each kind
  draws = 19,         -- random vectors of each kind: beyond all of them by luck is 1 in 20
  contrast = 40,      -- prompts of each kind behind a direction
  map_texts = 80,     -- prompts behind a map
  tokens = 24,        -- new tokens of each answer
  harmful = "", harmless = "",           -- prompts of your own: .txt, a line each
  test_harmful = "", test_harmless = "", -- or for testing only
  seed = 0,
}

---------------------------------------------------------------------------------------------------- models and prompts
local small = { "smollm2-135m-instruct", "gemma-3-270m" }
local function load_pair()
  if opt.small then return nil, "--small" end
  local pair = {}
  for i, name in ipairs{ opt.source, opt.target } do
    local ok, m = pcall(model.load, name, { dtype = opt.dtype })
    if not ok then return nil, tostring(m) end
    pair[i] = m
  end
  return pair
end
local models, why = load_pair()
if not models then
  print(("The small pair instead of %s and %s (%s). It does not refuse by itself and is taught to first."):format(opt.source, opt.target, why))
  models = { model.load(small[1]), model.load(small[2]) }
end
local source, target = models[1], models[2]

local prompts = {}
for _, kind in ipairs{ "harmful", "harmless" } do
  local own, test = opt[kind], opt["test_" .. kind]
  local learn = own == "" and tuned.lines(kind .. "_train") or data.lines(own)
  local choose = own == "" and tuned.lines(kind .. "_selection") or {}
  local judge = test ~= "" and data.lines(test) or own == "" and tuned.lines(kind .. "_test") or {}
  if #choose == 0 then learn, choose, judge = data.split(learn, { 0.7, 0.1, 0.2 }, opt.seed) end
  prompts[kind] = {
    contrast = first(learn, opt.contrast), choose = first(choose, 12), test = first(judge, opt.n),
    other = { table.unpack(learn, opt.contrast + 1, opt.contrast + opt.map_texts) },
  }
end
local r = run.start("refusal_transfer", { options = opt })
print(("%s -> %s; run folder %s"):format(source.name, target.name, r.folder))

if not models[1].name:find("qwen") and models[1].name == small[1] then
  local examples = tuned.refusal_examples(source)
  for _, m in ipairs(models) do tuned.refusing(m, examples, opt.seed, prompts.harmful.test, prompts.harmless.test) end
end

---------------------------------------------------------------------------------------------------- directions
-- Arditi's selection at the last position, over all layers but the last fifth. A model in which no direction induces
-- refusal keeps the one whose ablation removes most of it, and that is said.
local function find(m)
  local options = {
    harmful = prompts.harmful.contrast, harmless = prompts.harmless.contrast, filter = false, kl_limit = 0.2,
    harmful_val = prompts.harmful.choose, harmless_val = prompts.harmless.choose, pos = { -1 },
  }
  local ok, found = pcall(steer.refusal_direction, m, options)
  if ok then
    print(("%s: layer %d (of %d), log-odds of refusing %.1f with it ablated, %.1f with it added, KL %.3f"):format(
      m.name, found.layer, m.n_layers, found.refusal, found.steering, found.kl))
    return found.dir
  end
  print(("%s: %s"):format(m.name, tostring(found)))
  local d = steer.mean_difference(m, {
    positive = options.harmful, negative = options.harmless, site = "resid_pre", layers = "all", pos = -1 })
  local best, least
  for layer = m.n_layers // 4, math.floor(0.8 * m.n_layers) - 1 do
    local odds = steer.with(m, function(s)
      s:ablate{ dir = d:at(layer) }
      return tensor.from(steer.refusal_scores(m, { prompts = options.harmful_val })):mean()
    end)
    if not least or odds < least then best, least = layer, odds end
  end
  print(("%s: no direction induces refusal; layer %d, whose ablation leaves the least (log-odds %.1f)"):format(m.name, best, least))
  return d:at(best)
end
local from, own = find(source), find(target)

---------------------------------------------------------------------------------------------------- maps
local other, harmless = {}, first(prompts.harmless.other, opt.map_texts)
for i = 1, opt.map_texts // 2 do
  other[#other + 1], other[#other + 2] = prompts.harmful.other[i], prompts.harmless.other[i]
end
local prose = first(tuned.lines("general_text"), 40)
local vectors, maps = { { name = "native", role = "native", v = own } }, {}
for _, fit in ipairs{
  { "ridge, other prompts", other, true }, { "ridge, harmless only", harmless, true }, { "ridge, prose only", prose, false },
} do
  local map = mapper.fit{
    from = source, to = target, from_layer = from.layer, to_layer = own.layer, site = "resid_pre", method = "ridge",
    texts = fit[2], chat = fit[3], seed = opt.seed }
  maps[#maps + 1] = map
  local v = map:vector(from, { norm = own.norm })
  vectors[#vectors + 1] = { name = fit[1], role = "mapped", v = v, cosine = metrics.cosine(v, own), fvu = map.report.fvu }
end
-- The source's contrast with shuffled labels, through the same map, as long as the native vector.
local permuted = steer.random_like(from, { kind = "permuted", model = source, texts = { prompts.harmful.contrast, prompts.harmless.contrast }, seed = opt.seed })
vectors[#vectors + 1] = { name = "permuted, through the map", role = "other", v = maps[1]:vector(permuted, { norm = own.norm }) }
vectors[#vectors + 1] = { name = "isotropic", role = "other", v = steer.random_like(own, { seed = opt.seed }) }

---------------------------------------------------------------------------------------------------- effects
local answers = {}
for i, c in ipairs(target:generate{ prompts = first(prompts.harmless.test, 8), chat = true, max_tokens = opt.tokens }) do
  if #c.tokens > 1 then answers[#answers + 1] = { prompt = prompts.harmless.test[i], completion = c.text, finish = c.finish } end
end
local kept = target:reference{ examples = answers, chat = true }

-- One row: a vector ablated (harmful prompts) or added (harmless ones); `full` adds answers and KL to the first token.
local function measure(action, entry, full)
  return steer.with(target, function(scope)
    if entry.v and action == "ablate" then scope:ablate{ dir = entry.v } end
    if entry.v and action == "add" then scope:add{ dir = entry.v, site = "resid_pre", layer = own.layer } end
    local list = prompts[action == "ablate" and "harmful" or "harmless"].test
    local row, scores = { action = action, vector = entry.name, n = #list, cosine = entry.cosine }, steer.refusal_scores(target, { prompts = list })
    row.odds, row.outcomes = tensor.from(scores):mean(), {}
    for i, x in ipairs(scores) do row.outcomes[i] = x > 0 end
    if full then
      local texts = tuned.answers(target, list, opt.tokens)
      row.refused, row.interval = metrics.refusal_rate(texts)
      row.kl, row.sample = target:kl{ reference = kept }.mean, texts[1]
    end
    r:row(row)
    return row
  end)
end

local rows, compared = {}, { ablate = {}, add = {} }
local work = {}
for _, action in ipairs{ "ablate", "add" } do
  work[#work + 1] = { action, { name = "unsteered", role = "control" } }
  for _, entry in ipairs(vectors) do work[#work + 1] = { action, entry } end
end
for _, job in progress(work, "rows") do
  local row = measure(job[1], job[2], true)
  rows[#rows + 1] = row
  if job[2].role ~= "other" then -- those are single draws of what follows
    table.insert(compared[job[1]], { name = row.vector, role = job[2].role, outcomes = row.outcomes })
  end
end

local function print_table()
  local out = {}
  for i, row in ipairs(rows) do
    out[i] = {
      action = row.action, vector = row.vector, refused = tuned.percent(row.refused, row.interval),
      odds = ("%.1f"):format(row.odds), cosine = row.cosine and ("%.2f"):format(row.cosine) or "", kl = ("%.3f"):format(row.kl) }
  end
  print(("\nRefused: substring in %d new tokens (n = %d, Wilson 95 %%); ablated on harmful, added on harmless prompts. odds: mean log-odds"):format(opt.tokens, opt.n))
  print("that the first token opens a refusal; cosine with the native vector; KL on the target's own answers to harmless prompts.")
  show(out, { columns = { "action", "vector", "refused", "odds", "cosine", "kl" } })
end
print_table()

---------------------------------------------------------------------------------------------------- controls
local kinds = {
  { "isotropic", function(seed) return steer.random_like(own, { seed = seed }) end },
  { "permuted, mapped", function(seed)
    local draw = steer.random_like(from, { kind = "permuted", balanced = true, model = source, seed = seed,
      texts = { prompts.harmful.contrast, prompts.harmless.contrast } })
    return maps[1]:vector(draw, { norm = own.norm })
  end },
}
print(("\n%d draws of %d kinds of random vector follow, first tokens only; Ctrl-C ends here with what is there."):format(opt.draws, #kinds))
local jobs = {}
for draw = 1, opt.draws do
  for _, kind in ipairs(kinds) do
    for _, action in ipairs{ "ablate", "add" } do jobs[#jobs + 1] = { action, kind, opt.seed + draw } end
  end
end
for _, job in progress(jobs, "draws") do
  local row = measure(job[1], { name = job[2][1], v = job[2][2](job[3]) }, false)
  table.insert(compared[job[1]], { name = ("%s %d"):format(job[2][1], job[3]), role = "random", kind = job[2][1], outcomes = row.outcomes })
end

for _, action in ipairs{ "ablate", "add" } do
  local c = metrics.compare{ rows = compared[action], margin = 0.1 }
  print(("\n%s, first token of %d prompts:"):format(action, opt.n))
  for _, sentence in ipairs(c.sentences) do print("- " .. sentence) end
  r:save("compared-" .. action, c)
end
