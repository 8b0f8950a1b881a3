"""Adapters of PEFT for the tiny models, and the logits that transformers gives with them.

    python3 Tests/Oracles/make_peft.py FIXTURES/tiny Tests/Oracles/peft [NAME...]

Needs torch, transformers 4.57 and peft 0.21. Each folder holds what `save_pretrained` writes and `expected.safetensors`:
`input_ids` and the logits of the last three positions, float32, of the adapter loaded on a fresh base model.
"""

import copy
import os
import shutil
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")

ADAPTERS = {
    "llama-dora": ("llama", dict(target_modules=["q_proj", "down_proj"], use_dora=True)),
    "gpt2-dora": ("gpt2", dict(target_modules=["c_attn", "c_fc"], use_dora=True, fan_in_fan_out=True)),
    "qwen2-dora": ("qwen2", dict(target_modules=["k_proj", "v_proj", "o_proj"], use_dora=True, use_rslora=True)),
    "pythia-dora": ("pythia", dict(target_modules=["query_key_value"], use_dora=True)),
    "llama-patterns": (
        "llama",
        dict(
            target_modules="all-linear",
            rank_pattern={r"layers\.[01]\.self_attn\..*_proj": 3, "down_proj": 1},
            alpha_pattern={r"^model\.layers\.1\.mlp.*": 9, "q_proj|k_proj": 5},
        ),
    ),
    "llama-regex": (
        "llama",
        dict(
            target_modules=r".*\.(0|2)\..*(q_proj|up_proj)", exclude_modules=r".*\.2\..*up_proj", use_rslora=True
        ),
    ),
    "llama-layers": (
        "llama",
        dict(
            target_modules=["v_proj", "gate_proj"],
            layers_to_transform=[1],
            layers_pattern="layers",
            exclude_modules=["gate_proj"],
        ),
    ),
    "llama-ends": ("llama", dict(target_modules=["embed_tokens", "lm_head", "q_proj"])),
    "llama3-rope-head": ("llama3-rope", dict(target_modules=["lm_head", "v_proj"], use_dora=True)),
    "gemma3-ends": ("gemma3", dict(target_modules=["embed_tokens", "q_proj"])),
    "gemma3-dora-ends": ("gemma3", dict(target_modules=["embed_tokens"], use_dora=True)),
    "gpt2-ends": ("gpt2", dict(target_modules=["wte", "c_proj"])),
    "llama-save": ("llama", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
    "gemma2-save": ("gemma2", dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "qwen3-save": ("qwen3", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "gemma3-save-norm": (
        "gemma3",
        dict(target_modules=["v_proj"], modules_to_save=["input_layernorm", "norm", "layers.1.mlp.up_proj"]),
    ),
    "gpt2-bias-all": ("gpt2", dict(target_modules=["c_attn"], bias="all", fan_in_fan_out=True)),
    "qwen2-bias-lora": ("qwen2", dict(target_modules=["q_proj", "o_proj"], bias="lora_only")),
    "llama-lora-bias": ("llama", dict(target_modules=["q_proj", "up_proj"], lora_bias=True)),
    "qwen2-lora-bias": ("qwen2", dict(target_modules=["q_proj", "k_proj"], lora_bias=True)),
    "llama-tokens": ("llama", dict(target_modules=["q_proj"], trainable_token_indices=[3, 7, 50])),
    "gemma3-tokens": ("gemma3", dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [2, 9]})),
    "llama-tokens-two": (
        "llama",
        dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [2, 9], "lm_head": [5]}),
    ),
    "gemma3-tying": (
        "gemma3",
        dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    ),
    "gemma3-tying-lora": ("gemma3", dict(target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True)),
}


def base(folder, family):
    model = AutoModelForCausalLM.from_pretrained(
        os.path.join(folder, family), dtype=torch.float32, attn_implementation="eager"
    ).eval()
    model.name_or_path = model.config._name_or_path = family
    return model


def randomise(model):
    """Moves everything that is trained away from its start, so that each part of an adapter matters."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if not value.requires_grad:
                continue
            if "magnitude" in name:
                value.mul_(1 + 0.3 * torch.rand_like(value))
            elif "lora_" not in name:
                value.add_(0.1 * torch.randn_like(value))
            elif "lora_A" not in name or "embedding" in name:
                value.copy_(0.2 * torch.randn_like(value))


def main(fixtures, target, names):
    tokens = torch.tensor([[1, 3, 7, 2, 50, 9, 5, 11, 3, 60]])
    for name in names or ADAPTERS:
        family, settings = ADAPTERS[name]
        torch.manual_seed(sum(map(ord, name)))
        settings = dict(r=2, lora_alpha=4, task_type="CAUSAL_LM", **copy.deepcopy(settings))
        model = get_peft_model(base(fixtures, family), LoraConfig(**settings)).eval()
        randomise(model)
        folder = os.path.join(target, name)
        shutil.rmtree(folder, ignore_errors=True)
        # The base's own table beside an update of it: once for each kind of model is enough.
        keeps = name in ("llama-ends", "gemma3-tying-lora")
        model.save_pretrained(folder, save_embedding_layers="auto" if keeps else False)
        os.remove(os.path.join(folder, "README.md"))
        loaded = PeftModel.from_pretrained(base(fixtures, family), folder).eval()
        with torch.no_grad():
            logits = loaded(tokens).logits[0]
            effect = (logits - base(fixtures, family)(tokens).logits[0]).abs().max()
        assert effect > 0.1, name
        save_file(
            {"input_ids": tokens[0].to(torch.int32), "logits": logits[-3:].contiguous()},
            os.path.join(folder, "expected.safetensors"),
        )
        print(f"{name}: changes logits by up to {effect:.2f}")


main(sys.argv[1], sys.argv[2], sys.argv[3:])
