"""Logits of tiny random models under one changed setting each, as transformers computes them.

Writes Tests/EngineTests/Goldens/configurations.safetensors (weights by family, rounded to bf16, and logits of
every third row in float32) and configurations.json (the config.json of each case as text, names of its tensors). transformers 4.57, torch, CPU:
    python Tests/Oracles/configurations.py
Absent keys are absent from the file that transformers reads, so that its own defaults count.
"""
import hashlib, json, os, tempfile
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

OUT = os.path.join(os.path.dirname(__file__), "..", "EngineTests", "Goldens")
ABSENT = object()
COMMON = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
              num_key_value_heads=1, head_dim=16, max_position_embeddings=32, rms_norm_eps=1e-5, rope_theta=500.0,
              tie_word_embeddings=False)
BASES = {
    "llama": dict(COMMON, hidden_act="silu"),
    "mistral": dict(COMMON, hidden_act="silu", sliding_window=None),
    "qwen2": {k: v for k, v in dict(COMMON, hidden_act="silu", hidden_size=32).items() if k != "head_dim"},
    "qwen3": dict(COMMON, hidden_act="silu"),
    "gemma2": dict(COMMON, num_hidden_layers=2, sliding_window=6, query_pre_attn_scalar=16, tie_word_embeddings=True),
    "gemma3_text": dict(COMMON, num_hidden_layers=3, sliding_window=6, query_pre_attn_scalar=16,
                        sliding_window_pattern=3, rope_local_base_freq=100.0, tie_word_embeddings=True),
    "gpt2": dict(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=32, n_inner=24),
    "gpt_neox": dict(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                     max_position_embeddings=32, rotary_pct=0.5, rotary_emb_base=500.0, layer_norm_eps=1e-5),
}
SHORT, LONG = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0], [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0]
yarn = lambda **more: dict(rope_scaling=dict(rope_type="yarn", factor=4.0, **more))
longrope = lambda **more: dict(rope_type="longrope", short_factor=SHORT, long_factor=LONG, **more)
# name: (family, changes, tokens, greedy tokens to add)
CASES = {
    "llama": ("llama", {}, 24, 0),
    "llama-linear": ("llama", dict(rope_scaling=dict(type="linear", factor=4.0)), 40, 0),
    "llama-dynamic": ("llama", dict(rope_scaling=dict(rope_type="dynamic", factor=3.0)), 48, 0),
    "llama-dynamic-within": ("llama", dict(rope_scaling=dict(rope_type="dynamic", factor=3.0)), 26, 12),
    "llama-yarn": ("llama", yarn(), 40, 0),
    "llama-yarn-original": ("llama", yarn(original_max_position_embeddings=8), 24, 0),
    "llama-yarn-attention": ("llama", yarn(original_max_position_embeddings=8, attention_factor=1.4), 24, 0),
    "llama-yarn-mscale": ("llama", yarn(original_max_position_embeddings=8, mscale=0.7, mscale_all_dim=1.3), 24, 0),
    "llama-yarn-mscale-alone": ("llama", yarn(original_max_position_embeddings=8, mscale=3.0), 24, 0),
    "llama-yarn-betas": ("llama", yarn(original_max_position_embeddings=16, beta_fast=4.0, beta_slow=0.5), 24, 0),
    "llama-yarn-untruncated": ("llama", yarn(original_max_position_embeddings=8, truncate=False), 24, 0),
    "llama-longrope": ("llama", dict(rope_scaling=longrope(factor=2.0)), 24, 0),
    "llama-longrope-long": ("llama", dict(rope_scaling=longrope(), original_max_position_embeddings=8), 24, 0),
    "llama-longrope-crossing": ("llama", dict(rope_scaling=longrope(), original_max_position_embeddings=16), 12, 8),
    "llama-longrope-attention": ("llama", dict(rope_scaling=longrope(attention_factor=1.5, factor=2.0)), 40, 0),
    "llama-llama3": ("llama", dict(rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                                     high_freq_factor=4.0, original_max_position_embeddings=16)), 24, 0),
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True), 24, 0),
    "llama-gelu": ("llama", dict(hidden_act="gelu"), 24, 0),
    "llama-gelu_python_tanh": ("llama", dict(hidden_act="gelu_python_tanh"), 24, 0),
    "llama-absent": ("llama", dict(rms_norm_eps=ABSENT, rope_theta=ABSENT, tie_word_embeddings=ABSENT, hidden_act=ABSENT,
                                   max_position_embeddings=ABSENT), 24, 0),
    "llama-null": ("llama", dict(num_attention_heads=1, num_key_value_heads=None, head_dim=None, rope_scaling=None), 24, 0),
    "mistral": ("mistral", {}, 24, 0),
    "mistral-window": ("mistral", dict(sliding_window=5), 24, 0),
    "mistral-absent": ("mistral", dict(sliding_window=ABSENT, max_position_embeddings=ABSENT, num_attention_heads=8,
                                       num_key_value_heads=ABSENT, head_dim=ABSENT, rope_theta=ABSENT), 24, 0),
    "mistral-yarn": ("mistral", yarn(original_max_position_embeddings=8), 24, 0),
    "qwen2": ("qwen2", {}, 24, 0),
    "qwen2-window-off": ("qwen2", dict(sliding_window=5, use_sliding_window=False, max_window_layers=1), 24, 0),
    "qwen2-window": ("qwen2", dict(sliding_window=5, use_sliding_window=True, max_window_layers=1), 24, 0),
    "qwen2-layer-types": ("qwen2", dict(sliding_window=5, use_sliding_window=True,
                                        layer_types=["sliding_attention", "full_attention"]), 24, 0),
    "qwen2-window-null": ("qwen2", dict(sliding_window=None, use_sliding_window=True, max_window_layers=0), 24, 0),
    "qwen2-yarn": ("qwen2", yarn(original_max_position_embeddings=8), 24, 0),
    "qwen3": ("qwen3", {}, 24, 0),
    "qwen3-bias": ("qwen3", dict(attention_bias=True), 24, 0),
    "qwen3-absent": ("qwen3", dict(num_attention_heads=1, head_dim=ABSENT, rope_theta=ABSENT), 24, 0),
    "gemma2": ("gemma2", {}, 24, 0),
    "gemma2-scalar-absent": ("gemma2", dict(query_pre_attn_scalar=ABSENT), 24, 0),
    "gemma2-logits-null": ("gemma2", dict(final_logit_softcapping=None), 24, 0),
    "gemma2-scores-null": ("gemma2", dict(attn_logit_softcapping=None), 24, 0),
    "gemma2-caps": ("gemma2", dict(attn_logit_softcapping=2.0, final_logit_softcapping=3.0), 24, 0),
    "gemma2-bias": ("gemma2", dict(attention_bias=True), 24, 0),
    "gemma2-layer-types": ("gemma2", dict(layer_types=["full_attention", "sliding_attention"]), 24, 0),
    "gemma2-act": ("gemma2", dict(hidden_activation="silu", hidden_act="gelu"), 24, 0),
    "gemma2-absent": ("gemma2", dict(tie_word_embeddings=ABSENT, sliding_window=ABSENT, rope_theta=ABSENT,
                                     max_position_embeddings=ABSENT, rms_norm_eps=ABSENT), 24, 0),
    "gemma2-dynamic": ("gemma2", dict(rope_scaling=dict(rope_type="dynamic", factor=3.0)), 48, 0),
    "gemma3": ("gemma3_text", {}, 24, 0),
    "gemma3-scalar-absent": ("gemma3_text", dict(query_pre_attn_scalar=ABSENT), 24, 0),
    "gemma3-caps": ("gemma3_text", dict(attn_logit_softcapping=2.0, final_logit_softcapping=3.0), 24, 0),
    "gemma3-null": ("gemma3_text", dict(attn_logit_softcapping=None, final_logit_softcapping=None,
                                        use_bidirectional_attention=False), 24, 0),
    "gemma3-linear": ("gemma3_text", dict(rope_scaling=dict(rope_type="linear", factor=8.0)), 24, 0),
    "gemma3-yarn": ("gemma3_text", yarn(original_max_position_embeddings=8), 24, 0),
    "gemma3-pattern": ("gemma3_text", dict(sliding_window_pattern=2), 24, 0),
    "gemma3-layer-types": ("gemma3_text", dict(sliding_window_pattern=ABSENT, _sliding_window_pattern=2, layer_types=[
        "full_attention", "sliding_attention", "full_attention"]), 24, 0),
    "gemma3-absent": ("gemma3_text", dict(tie_word_embeddings=ABSENT, rope_theta=ABSENT, rope_local_base_freq=ABSENT,
                                          sliding_window_pattern=ABSENT, max_position_embeddings=ABSENT), 24, 0),
    "gemma3-bias": ("gemma3_text", dict(attention_bias=True), 24, 0),
    "gpt2": ("gpt2", {}, 24, 0),
    "gpt2-unscaled": ("gpt2", dict(scale_attn_weights=False), 24, 0),
    "gpt2-relu": ("gpt2", dict(activation_function="relu"), 24, 0),
    "gpt2-upcast": ("gpt2", dict(reorder_and_upcast_attn=True), 24, 0),
    "gpt2-untied": ("gpt2", dict(tie_word_embeddings=False), 24, 0),
    "gpt2-absent": ("gpt2", dict(n_inner=None, n_positions=32), 24, 0),
    "neox": ("gpt_neox", {}, 24, 0),
    "neox-serial": ("gpt_neox", dict(use_parallel_residual=False), 24, 0),
    "neox-nobias": ("gpt_neox", dict(attention_bias=False), 24, 0),
    "neox-absent": ("gpt_neox", dict(rotary_pct=ABSENT, rotary_emb_base=ABSENT, layer_norm_eps=ABSENT), 24, 0),
    "neox-gelu_new": ("gpt_neox", dict(hidden_act="gelu_new"), 24, 0),
    "neox-tied": ("gpt_neox", dict(tie_word_embeddings=True), 24, 0),
    "neox-yarn": ("gpt_neox", yarn(original_max_position_embeddings=8), 24, 0),
    "neox-dynamic": ("gpt_neox", dict(rope_scaling=dict(rope_type="dynamic", factor=3.0)), 48, 0),
}


def values(family, name, shape):
    """The same tensor for the same name and shape, whatever the case."""
    seed = int.from_bytes(hashlib.sha256(f"{family} {name} {shape}".encode()).digest()[:4], "little")
    generator = torch.Generator().manual_seed(seed)
    is_norm = len(shape) == 1 and "bias" not in name
    centre = 0.0 if not is_norm or family.startswith("gemma") else 1.0
    x = centre + torch.randn(shape, generator=generator) * (0.2 if is_norm else 0.35 if len(shape) > 1 else 0.3)
    return x.to(torch.bfloat16)


def main():
    tensors, cases, groups = {}, [], []
    for name, (family, changes, count, more) in CASES.items():
        config = {"model_type": family, **BASES[family], **changes}
        config = {k: v for k, v in config.items() if v is not ABSENT}
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "config.json"), "w") as file:
                json.dump(config, file)
            read = AutoConfig.from_pretrained(folder)
        read._attn_implementation = "eager"
        model = AutoModelForCausalLM.from_config(read, attn_implementation="eager").float().eval()
        used = []
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                stored = values(family, key, tuple(parameter.shape))
                parameter.copy_(stored.float())
                used.append(f"{key}/{'x'.join(map(str, parameter.shape))}")
                tensors[f"{family}/{used[-1]}"] = stored.clone()
        if used not in groups:
            groups.append(used)
        ids = torch.tensor([[(7 * i * i + 3 * i + 1) % 40 for i in range(count)]])
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0].float()
            rows = sorted(range(count - 1, -1, -3))
            tensors[f"logits/{name}"] = logits[rows].contiguous()
            greedy = []
            if more:
                out = model.generate(ids, max_new_tokens=more, do_sample=False, eos_token_id=None, pad_token_id=0)
                greedy = out[0, count:].tolist()
        base = {"gemma3_text": "gemma3", "gpt_neox": "neox"}.get(family, family)
        if name == base:
            reference = logits
        shared = min(len(reference), len(logits))
        change = (reference[:shared] - logits[:shared]).abs().max().item()
        print(f"{name:28s} differs from {base} by {change:.4f}")
        cases.append(dict(name=name, family=family, config=json.dumps(config), tensors=groups.index(used), ids=ids[0].tolist(), rows=rows,
                          greedy=greedy, change=round(change, 4)))
    os.makedirs(OUT, exist_ok=True)
    save_file(tensors, os.path.join(OUT, "configurations.safetensors"))
    with open(os.path.join(OUT, "configurations.json"), "w") as file:
        json.dump(dict(groups=groups, cases=cases), file)
        file.write("\n")


main()
