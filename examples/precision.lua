-- What do bf16 weights and a file's own quantised weights change, against float32?
--
-- Every number is a difference between two runs of the same model on the same texts: nothing is compared across models.
-- `docs/precision.md` holds what this prints for the packaged models.
--
--   acthost examples/precision.lua [--model NAME]
local options = args.parse{ model = "smollm2-135m-instruct,gemma-3-270m" }

local texts = {
  "The capital of France is Paris, and the capital of Italy is Rome. The capital of Spain is",
  "Water boils at a hundred degrees Celsius at sea level, and at less than that on a mountain.",
  "def mean(values):\n    total = 0\n    for v in values:\n        total += v\n    return total /",
  "Once upon a time there was a small fox who lived at the edge of a forest and was afraid of the dark.",
  "In 1905 he published four papers. The first explained the photoelectric effect; the second Brownian motion.",
  "Dear Ms Larsen, thank you for your letter of 3 March. We are sorry to hear that the delivery was late.",
  "To make the dough, mix 500 g of flour with 300 ml of water, a pinch of salt and 10 g of fresh yeast.",
  "Question: If a train leaves at 9:40 and arrives at 11:05, how long does the journey take? Answer:",
}

-- Largest norm of a row's difference over the norm of the row, without token 1, an attention sink.
local function relative(a, b)
  local worst, total, rows = 0, 0, #a
  for i = 2, rows do
    local r = (a[i] - b[i]):norm() / b[i]:norm()
    worst, total = math.max(worst, r), total + r
  end
  return worst, total / (rows - 1)
end

local rows = {}
for name in options.model:gmatch("[^,]+") do
  local exact = model.load(name)
  local capture = { site = "resid_post", layers = "all" }
  local expected = exact:run{ prompts = texts, logits = "all", capture = capture }
  local half, last = exact.n_layers // 2, exact.n_layers - 1
  local plain = exact:nll{ texts = texts }.perplexity
  local dtypes = { "bf16", "native" }
  rows[#rows + 1] = { model = name, dtype = "f32", perplexity = plain, packs_MB = exact:memory().packs / 1e6 }
  for _, dtype in ipairs(dtypes) do
    local m = model.load(name, { dtype = dtype })
    local got = m:run{ prompts = texts, logits = "all", capture = capture }
    local largest, kl, agree, count = 0, 0, 0, 0
    local middle, final, final_worst = 0, 0, 0
    for i = 1, #texts do
      local a, b = got[i].logits, expected[i].logits
      largest = math.max(largest, (a - b):max(), (b - a):max())
      kl = kl + metrics.kl(b, a) * #b
      for row = 1, #b do
        if a[row]:argmax() == b[row]:argmax() then agree = agree + 1 end
      end
      count = count + #b
      local _, at_half = relative(got[i].acts:at(half), expected[i].acts:at(half))
      local worst, at_last = relative(got[i].acts:at(last), expected[i].acts:at(last))
      middle, final, final_worst = middle + at_half, final + at_last, math.max(final_worst, worst)
    end
    rows[#rows + 1] = {
      model = name, dtype = dtype, logits_max = largest, kl = kl / count, same_top = agree / count,
      resid_half = middle / #texts, resid_last = final / #texts, resid_last_max = final_worst,
      perplexity = m:nll{ texts = texts }.perplexity, packs_MB = m:memory().packs / 1e6,
    }
  end
end
show(rows, {
  columns = {
    "model", "dtype", "packs_MB", "perplexity", "logits_max", "kl", "same_top", "resid_half", "resid_last", "resid_last_max",
  },
})
print("logits_max: largest difference of a logit; kl: mean KL(f32 || dtype) per token, in nats; same_top: share of tokens\n"
  .. "with the same likeliest next one; resid_*: norm of the residual stream's difference over its norm, mean over tokens")
