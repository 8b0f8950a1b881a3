-- Does a refusal direction found in one model work in another?
--
-- Claim (Oozeer et al., ICML 2025, section on refusal): a direction found in a source model, carried through a map
-- fitted between the two models' activations, steers the target as its own direction does. The paper transfers
-- Llama 3.2 1B -> 3B and reports that mapped ablation lowers substring refusals as the native vector does.
--
-- Here: difference of means at the last prompt token (Arditi et al. 2024) in the source; autoencoder, affine and ridge
-- maps from source to target; each mapped vector, rescaled to the native one's norm, is added in the target at one layer
-- and ablated at every layer. Beside each effect stand KL and perplexity, because a broken model also stops refusing,
-- and random vectors of the same norm of three kinds.
--
-- Neither packaged model refuses by itself (SmolLM2 complies, Gemma 3 270M is a base model), so the main measure is the
-- log-odds that the answer opens like a refusal (I, Sorry, As, Unfortunately); text is counted too.
--
--   acthost examples/refusal_transfer.lua [--source NAME] [--target NAME] [--n 64] [--harmful FILE --harmless FILE]

local opt = args.parse{
  source = "smollm2-135m-instruct", target = "gemma-3-270m",
  n = 64,             -- test prompts of each kind
  harmful = "", harmless = "", -- files of your own (.txt lines, or .jsonl with instruction, prompt or text)
  draws = 5,          -- random vectors of each kind
  draw_n = 12,        -- test prompts for each random vector
  texts = 12,         -- prompts whose answers are generated
  tokens = 12,        -- new tokens of each answer
  coeff = 1,          -- magnitude of every addition, random ones included
  seed = 0,
}
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local started = os.time()

---------------------------------------------------------------------------------------------------- prompts
local function read(path)
  if not path:match("%.jsonl$") then return data.lines(path) end
  for _, field in ipairs{ "instruction", "prompt", "text" } do
    local ok, rows = pcall(data.jsonl, path, { field = field })
    if ok then return rows end
  end
  error(path .. ": rows need a field instruction, prompt or text")
end

local function first(list, n) return { table.unpack(list, 1, math.min(n, #list)) } end

local prompts = {}
for _, kind in ipairs{ "harmful", "harmless" } do
  if opt[kind] ~= "" then
    local train, selection, test = data.split(read(opt[kind]), { 0.55, 0.15, 0.3 }, opt.seed)
    prompts[kind] = { train = train, selection = selection, test = test }
  else
    prompts[kind] = {}
    for _, part in ipairs{ "train", "selection", "test" } do
      prompts[kind][part] = data.lines(("%s/data/%s_%s.txt"):format(here, kind, part))
    end
  end
  prompts[kind].test = first(prompts[kind].test, opt.n)
end
local general = first(data.lines(here .. "/data/general_text.txt"), 4)
for i, text in ipairs(general) do general[i] = text:match("^.-%. .-%.") or text end -- two sentences of each

---------------------------------------------------------------------------------------------------- models
local source, target = model.load(opt.source), model.load(opt.target)
local r = run.start("refusal_transfer", { options = opt })
print(source)
print(target)
print(("prompts: %d + %d for directions, %d + %d for choosing layers, %d + %d for testing; run folder %s\n"):format(
  #prompts.harmful.train, #prompts.harmless.train, #prompts.harmful.selection, #prompts.harmless.selection,
  #prompts.harmful.test, #prompts.harmless.test, r.folder))

local function mean(list)
  local sum = 0
  for _, x in ipairs(list) do sum = sum + x end
  return sum / #list
end

local function odds(m, list) return mean(steer.refusal_scores(m, { prompts = list, chat = true })) end

for _, m in ipairs{ source, target } do
  local massive = m:massive_dimensions{}
  local share = 0
  for _, x in pairs(massive.share) do share = math.max(share, x) end
  print(("%s: %d massive dimensions, up to %.0f %% of the squared norm; left out of directions"):format(
    m.name, #massive.union, 100 * share))
end

---------------------------------------------------------------------------------------------------- directions
-- The layer is the one whose difference, added to harmless prompts, raises the refusal log-odds most.
local function find(m)
  local from, to = m.n_layers // 4, math.floor(0.8 * m.n_layers)
  local step = math.max(1, (to - from) // 4)
  local d = steer.mean_difference(m, {
    positive = prompts.harmful.train, negative = prompts.harmless.train, layers = { from = from, to = to }, pos = -1,
    chat = true,
  })
  local plain, best, rows = odds(m, prompts.harmless.selection), nil, {}
  for layer = from, to, step do
    local v = d:at(layer)
    local score = steer.with(m, function(s)
      s:add{ dir = v, layer = layer }
      return odds(m, prompts.harmless.selection)
    end)
    rows[#rows + 1] = { layer = layer, norm = v.norm, relative = v.relative_norm, cosine = v.cosine_to_stream, odds = score, rise = score - plain }
    if not best or score > best.score then best = { layer = layer, score = score, vector = v } end
  end
  print(("\n%s: refusal log-odds on harmless prompts %.2f; with the difference of means of each layer added:"):format(m.name, plain))
  show(rows, { columns = { "layer", "norm", "relative", "cosine", "odds", "rise" } })
  print(best.vector)
  return best.vector
end

local from_vector, native = find(source), find(target)

---------------------------------------------------------------------------------------------------- maps
print("\nmaps from " .. source.name .. " layer " .. from_vector.layer .. " to " .. target.name .. " layer " .. native.layer)
local texts = {}
for _, kind in ipairs{ "harmful", "harmless" } do
  for _, text in ipairs(prompts[kind].train) do texts[#texts + 1] = text end
end
local maps, reports = {}, {}
for _, method in ipairs{ "autoencoder", "affine", "ridge" } do
  local map = mapper.fit{
    from = source, to = target, from_layer = from_vector.layer, to_layer = native.layer, texts = texts, chat = true,
    method = method, seed = opt.seed,
  }
  maps[method] = map
  local report = map.report
  local v = map:vector(from_vector, { norm = native.norm })
  reports[#reports + 1] = {
    map = method, mse = report.mse, fvu = report.fvu, fvu_template = report.fvu_template, cosine = report.cosine_centred,
    cosine_last = report.cosine_last, rows = report.rows, seconds = report.seconds, with_native = metrics.cosine(v, native),
  }
end
print("held-out texts; fvu per dimension against predicting the mean; with_native: cosine of mapped and native direction")
show(reports, { columns = { "map", "mse", "fvu", "fvu_template", "cosine", "cosine_last", "rows", "seconds", "with_native" } })
for _, row in ipairs(reports) do r:row(row) end
r:save("native", native.direction)
for method, map in pairs(maps) do map:save(r.folder .. "/map-" .. method) end

---------------------------------------------------------------------------------------------------- measuring
local answers = target:generate{ prompts = first(prompts.harmless.test, 8), chat = true, max_tokens = opt.tokens }
local examples = {}
for i, answer in ipairs(answers) do
  if #answer.tokens > 1 then examples[#examples + 1] = { prompt = prompts.harmless.test[i], completion = answer.text } end
end
local on_harmless = target:reference{ examples = examples, chat = true }
local on_general = target:reference{ texts = general }

-- What one intervention does. Text is generated on harmful prompts for ablation and on harmless ones for addition.
local function measure(action, vector, n, with_text)
  return steer.with(target, function(s)
    if action == "ablate" then s:ablate{ dir = vector } end
    if action == "add" then s:add{ dir = vector, layer = native.layer, coeff = opt.coeff } end
    local row = {}
    if action ~= "add" then row.harmful = odds(target, first(prompts.harmful.test, n)) end
    if action ~= "ablate" then row.harmless = odds(target, first(prompts.harmless.test, n)) end
    local own, other = target:kl{ reference = on_harmless }, target:kl{ reference = on_general }
    row.kl_harmless, row.ppl_harmless, row.kl_general, row.ppl_general = own.mean, own.perplexity, other.mean, other.perplexity
    if with_text then
      local list = first(action == "ablate" and prompts.harmful.test or prompts.harmless.test, opt.texts)
      local texts = {}
      for i, c in ipairs(target:generate{ prompts = list, chat = true, max_tokens = opt.tokens }) do texts[i] = c.text end
      local rate, interval = metrics.refusal_rate(texts)
      row.refusal, row.refusal_n, row.refusal_low, row.refusal_high = rate, interval.n, interval.low, interval.high
      row.distinct = metrics.distinct_words(texts)
      row.sample = texts[1]
    end
    return row
  end)
end

local rows = {}
local function add_row(action, name, row, n)
  row.action, row.vector, row.n = action, name, n
  rows[#rows + 1] = row
  r:row(row)
end

print("\nmeasuring in " .. target.name)
add_row("none", "unsteered", measure("none", nil, opt.n, true), #prompts.harmful.test)

local vectors = { { "native", native } }
for _, method in ipairs{ "autoencoder", "affine", "ridge" } do
  vectors[#vectors + 1] = { method, maps[method]:vector(from_vector, { norm = native.norm }) }
end
local work = {}
for _, action in ipairs{ "ablate", "add" } do
  for _, entry in ipairs(vectors) do work[#work + 1] = { action, entry[1], entry[2] } end
end
for _, job in progress(work, "native and mapped vectors") do
  add_row(job[1], job[2], measure(job[1], job[3], opt.n, true), #prompts.harmful.test)
end

-- Three kinds of random vector of the native one's norm.
local function class(list)
  local parts = {}
  local runs = target:run{
    prompts = list, chat = true, logits = "none", capture = { site = native.site, layers = native.layer, pos = -1 },
  }
  for i, result in ipairs(runs) do parts[i] = result.acts:at(native.layer) end
  return tensor.cat(parts, 1)
end
local classes = { class(prompts.harmful.train), class(prompts.harmless.train) }
local kinds = {
  { "random isotropic", function(seed) return steer.random_like(native, { seed = seed }) end },
  { "random covariance", function(seed)
    return steer.random_like(native, { kind = "covariance", activations = classes, seed = seed })
  end },
  { "random mapped", function(seed) -- a random source vector through the autoencoder
    local v = steer.random_like(from_vector, { seed = seed })
    return maps.autoencoder:vector(v, { mode = "direct", norm = native.norm })
  end },
}
work = {}
for _, action in ipairs{ "ablate", "add" } do
  for _, kind in ipairs(kinds) do
    for draw = 1, opt.draws do work[#work + 1] = { action, kind[1], kind[2], draw } end
  end
end
local random = {}
for _, job in progress(work, "random vectors") do
  local action, name, make, draw = table.unpack(job)
  local row = measure(action, make(opt.seed + draw), opt.draw_n, draw == 1)
  local key = action .. " " .. name
  random[key] = random[key] or {}
  table.insert(random[key], row)
  row.draw = draw
  row.action, row.vector, row.n = action, name, opt.draw_n
  r:row(row)
end

---------------------------------------------------------------------------------------------------- the table
local columns = { "harmful", "harmless", "kl_harmless", "ppl_harmless", "kl_general", "ppl_general" }
local function number(x)
  if not x then return "" end
  if x ~= x then return "nan" end
  return math.abs(x) >= 1e4 and ("%.1e"):format(x) or math.abs(x) >= 100 and ("%.0f"):format(x) or ("%.2f"):format(x)
end

local function rate(row)
  if not row.refusal then return "" end
  return ("%.0f%% [%.0f, %.0f]"):format(100 * row.refusal, 100 * row.refusal_low, 100 * row.refusal_high)
end

local out = {}
for _, row in ipairs(rows) do
  local line = { action = row.action, vector = row.vector, n = row.n, refusal = rate(row), distinct = number(row.distinct) }
  for _, name in ipairs(columns) do line[name] = number(row[name]) end
  out[#out + 1] = line
end
local ranges = {}
for _, action in ipairs{ "ablate", "add" } do
  for _, kind in ipairs(kinds) do
    local draws = random[action .. " " .. kind[1]]
    local line = {
      action = action, vector = kind[1], n = opt.draw_n .. " x " .. #draws, refusal = rate(draws[1]),
      distinct = number(draws[1].distinct),
    }
    for _, name in ipairs(columns) do
      local list = {}
      for _, row in ipairs(draws) do list[#list + 1] = row[name] end
      if #list > 0 then
        local low, high = math.min(table.unpack(list)), math.max(table.unpack(list))
        line[name] = ("%s [%s, %s]"):format(number(mean(list)), number(low), number(high))
        ranges[action .. " " .. kind[1] .. " " .. name] = { low = low, high = high, mean = mean(list) }
      end
    end
    out[#out + 1] = line
  end
end
print("\n" .. source.name .. " -> " .. target.name .. ": refusal log-odds on harmful and harmless test prompts, refusals in "
  .. opt.texts .. " texts (Wilson 95 %),")
print("KL and perplexity on the target's own harmless answers and on general text. Random rows: mean [least, largest] of draws.")
show(out, { columns = { "action", "vector", "n", "harmful", "harmless", "refusal", "kl_harmless", "ppl_harmless", "kl_general", "ppl_general", "distinct" } })
r:save("table", out)

---------------------------------------------------------------------------------------------------- plots
local function effect(action, name)
  for _, row in ipairs(rows) do
    if row.action == action and row.vector == name then return row[action == "add" and "harmless" or "harmful"] end
  end
end
local plain = { add = rows[1].harmless, ablate = rows[1].harmful }
for _, action in ipairs{ "ablate", "add" } do
  local column = action == "add" and "harmless" or "harmful"
  local labels, values = {}, {}
  for _, entry in ipairs(vectors) do
    labels[#labels + 1], values[#values + 1] = entry[1], effect(action, entry[1]) - plain[action]
  end
  for _, kind in ipairs(kinds) do
    labels[#labels + 1], values[#values + 1] = kind[1], ranges[action .. " " .. kind[1] .. " " .. column].mean - plain[action]
  end
  local title = ("change of refusal log-odds on %s prompts: %s"):format(column, action)
  plot.bar{ title = title, labels = labels, values = values }
  r:plot{ name = action, title = title, labels = labels, values = values, ylabel = "log-odds" }
end

---------------------------------------------------------------------------------------------------- what it means
print("\nWhat this says")
for _, action in ipairs{ "ablate", "add" } do
  local column = action == "add" and "harmless" or "harmful"
  local sign = action == "add" and 1 or -1
  local own = effect(action, "native") - plain[action]
  local moves = sign * own > 0.25 -- a quarter of a nat: less is no effect worth comparing
  print(("- %s, native: log-odds %+.2f; %s."):format(
    action, own, moves and "as intended" or sign * own < -0.25 and "against the intended sign" or "no effect to speak of"))
  for _, entry in ipairs(vectors) do
    if entry[1] ~= "native" then
      local value = effect(action, entry[1])
      local beaten = 0
      for _, kind in ipairs(kinds) do
        local range = ranges[action .. " " .. kind[1] .. " " .. column]
        if action == "add" and value > range.high or action == "ablate" and value < range.low then beaten = beaten + 1 end
      end
      local share = moves and (", %.0f %% of native"):format(100 * (value - plain[action]) / own) or ""
      print(("  %s: %+.2f%s; beyond all draws of %d of %d kinds of random vector."):format(
        entry[1], value - plain[action], share, beaten, #kinds))
    end
  end
end
print([[- The log-odds say how an answer would open, not that a model refuses: these models do not (see the refusal column).
- Where KL or perplexity on general text rise far above the native row's, the intervention breaks the model, and
  whatever it does to refusals is no evidence.]])
print(("\nsamples (first test prompt): %s"):format(prompts.harmless.test[1]))
for _, row in ipairs(rows) do
  if row.action ~= "ablate" then print(("  %-12s %q"):format(row.vector, row.sample)) end
end
print(("\n%s after %d s"):format(r.folder, os.time() - started))
