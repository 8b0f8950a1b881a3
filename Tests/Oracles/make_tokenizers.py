"""Small tokenizer folders, and what `AutoTokenizer` makes of them.

    python3 Tests/Oracles/make_tokenizers.py Tests/Oracles/tokenizers.json

Needs transformers 4.57, tokenizers 0.22, sentencepiece and protobuf (the last two for the Llama class with `add_prefix_space`). Each
case is a folder's files (`tokenizer.json` by the name of one of `bases`), and ids of the texts, or an error.
"""

import json
import os
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"

import sentencepiece
from transformers import AutoTokenizer, LlamaTokenizer, LlamaTokenizerFast
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

TEXTS = [
    "hello world", " hello  world", "a<tok>b", "a <tok> b <tok>", "x<t2>y <t2> z", "<eos>hello<eos> <pad>x", "ab <s>ab</s>",
    "the thethe <unk> ab", "<|endoftext|>ab<|endoftext|>", "HE <TOK> é e\u0301 日本", "a\n<tok>\n b", "", " ",
]


def byte_level(prefix=False, added=(), post=None, normalizer=None):
    letters = bytes_to_unicode()
    vocabulary = {letters[byte]: byte for byte in range(256)}
    merges = [("a", "b"), ("t", "h"), ("th", "e"), ("h", "e"), ("Ġ", "the"), ("l", "l"), ("he", "ll"), ("hell", "o")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    tokens = [dict(id=len(vocabulary) + i, **token) for i, token in enumerate(added)]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True},
        "post_processor": post, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocabulary, "merges": [list(merge) for merge in merges],
        },
    }


def token(content, special=True, **flags):
    base = dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=not special, special=special)
    return dict(base, **flags)


def spelled(folder):
    """A SentencePiece model of the Llama class, as `tokenizer.json` and `tokenizer.model`."""
    with open(os.path.join(folder, "text.txt"), "w") as file:
        file.write("hello world the ab a b\nthe world hello there\nab the hello x y z HE\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=os.path.join(folder, "text.txt"), model_prefix=os.path.join(folder, "m"), vocab_size=310, model_type="bpe",
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2, unk_id=0, bos_id=1, eos_id=2,
    )
    path = os.path.join(folder, "m.model")
    LlamaTokenizerFast(vocab_file=path).backend_tokenizer.save(os.path.join(folder, "t.json"))
    with open(os.path.join(folder, "t.json"), encoding="utf-8") as file:
        return json.load(file), path


def main(path):
    end = token("<|endoftext|>")
    around = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [264], "tokens": ["<|endoftext|>"]}},
    }
    work = tempfile.mkdtemp()
    llama, model = spelled(work)
    bases = {
        "bytes": byte_level(added=[end]),
        "prefixed": byte_level(prefix=True, added=[end]),
        "around": byte_level(added=[end], post=around),
        "flagged": byte_level(added=[end, token("<tok>", lstrip=True, rstrip=True), token("<t2>", special=False)]),
        "lower": byte_level(added=[end], normalizer={"type": "Lowercase"}),
        "llama": llama,
    }
    plain = {"tokenizer_class": "PreTrainedTokenizerFast"}
    cases = []

    def case(base, settings=None, **files):
        """`settings`: tokenizer_config.json."""
        contents = {name.replace("__", ".") + ".json": value for name, value in files.items()}
        if settings is not None:
            contents["tokenizer_config.json"] = settings
        folder = tempfile.mkdtemp()
        for name, value in dict(contents, **{"tokenizer.json": bases[base]}).items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                json.dump(value, file)
        if base == "llama" and isinstance((settings or {}).get("add_prefix_space"), bool):
            os.link(model, os.path.join(folder, "tokenizer.model"))
        row = {"base": base, "files": contents}
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            row["class"] = type(tokenizer).__name__
            row["ids"] = [tokenizer(text)["input_ids"] for text in TEXTS]
            row["plain"] = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
            row["size"] = len(tokenizer)
            row["bos"] = tokenizer.bos_token_id
            row["eos"] = tokenizer.eos_token_id
            row["special"] = tokenizer.special_tokens_map
        except Exception as error:
            row["error"] = str(error)[:200]
        cases.append(row)

    # Tokens that stand in the settings only, with their flags.
    case("bytes", dict(plain, added_tokens_decoder={"264": end, "265": token("<tok>"), "266": token("<t2>", special=False)}))
    for flags in [dict(lstrip=True), dict(rstrip=True), dict(lstrip=True, rstrip=True), dict(single_word=True), dict(normalized=True)]:
        case("bytes", dict(plain, added_tokens_decoder={"265": token("<tok>", **flags), "266": token("the", **flags)}))
        case("lower", dict(plain, added_tokens_decoder={"265": token("<TOK>", **flags), "266": token("HE", special=False, **flags)}))
    case("bytes", dict(plain, added_tokens_decoder={"400": token("<tok>"), "300": token("<t2>"), "264": end}))
    case("flagged", dict(plain, added_tokens_decoder={"265": token("<tok>"), "266": token("<t2>", rstrip=True)}))
    case("flagged", dict(plain))
    case("flagged", dict(plain, eos_token="<tok>", pad_token="<t2>"))
    case("bytes", dict(plain, added_tokens_decoder={}))
    case("bytes", dict(plain, eos_token="<eos>", pad_token="<pad>", bos_token="<s>", unk_token="<unk>"))
    case("bytes", dict(plain, eos_token="<|endoftext|>", additional_special_tokens=["<tok>", "<t2>"]))
    case("bytes", dict(plain, eos_token="ab", pad_token="the", mask_token="zz"))
    case("bytes", dict(plain, eos_token={"__type": "AddedToken", **token("<eos>", rstrip=True)}))
    case("bytes", dict(plain, eos_token={"__type": "AddedToken", **token("<|endoftext|>", rstrip=True)}))
    case("bytes", dict(plain, extra_special_tokens={"image_token": "<tok>"}, eos_token="<eos>"))
    case("bytes", dict(plain, pad_token="<pad>", cls_token="<t2>", sep_token="<tok>", added_tokens_decoder={"270": token("<pad>", lstrip=True)}))
    # Older files beside it.
    case("bytes", dict(plain), added_tokens={"<tok>": 265, "<t2>": 266})
    case("bytes", dict(plain, eos_token="<t2>"), added_tokens={"<t2>": 266, "<tok>": 265})
    case("bytes", dict(plain, eos_token="<|endoftext|>"), special_tokens_map={"eos_token": "<eos>", "pad_token": token("<pad>", lstrip=True)})
    case("bytes", dict(plain, added_tokens_decoder={"264": end}), special_tokens_map={"eos_token": "<eos>"})
    case("bytes", dict(plain), special_tokens_map={"additional_special_tokens": ["<tok>", token("<t2>", rstrip=True)]})
    case("flagged", dict(plain), special_tokens_map={"eos_token": token("<tok>")}, added_tokens={"<eos>": 267})
    # A space in front of the text.
    for base in ["bytes", "prefixed"]:
        for name in ["PreTrainedTokenizerFast", "GPT2Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizerFast"]:
            for value in [True, False]:
                case(base, {"tokenizer_class": name, "add_prefix_space": value, "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})
    case("prefixed", dict(plain))
    case("prefixed", dict(plain, add_prefix_space=None))
    case("prefixed", {"tokenizer_class": "LlamaTokenizerFast", "legacy": False})
    # BOS and EOS by class.
    for base in ["bytes", "around"]:
        for name in ["PreTrainedTokenizerFast", "LlamaTokenizer", "GemmaTokenizerFast", "GPTNeoXTokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer", "CohereTokenizerFast", "CodeLlamaTokenizer", "BloomTokenizerFast"]:
            config = {"tokenizer_class": name, "bos_token": "<s>", "eos_token": "<eos>"}
            case(base, config)
            case(base, dict(config, add_bos_token=True, add_eos_token=True))
            case(base, dict(config, add_bos_token=False))
    case("bytes", {"tokenizer_class": "LlamaTokenizerFast", "bos_token": None})
    case("bytes", {"tokenizer_class": "LlamaTokenizerFast", "bos_token": None, "add_bos_token": False})
    case("bytes", {"tokenizer_class": "GPTNeoXTokenizerFast", "bos_token": None, "add_bos_token": True})
    case("bytes", {"tokenizer_class": "Qwen2Tokenizer"})
    case("flagged", {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<tok>", "pad_token": "<t2>"})
    # The class by the model's type.
    for kind in ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "gpt2", "gpt_neox"]:
        case("bytes", {}, config={"model_type": kind})
        case("around", None, config={"model_type": kind})
    case("bytes", {"bos_token": "<s>"}, config={"model_type": "gpt2", "tokenizer_class": "GPTNeoXTokenizer"})
    # Special tokens as text.
    case("flagged", dict(plain, split_special_tokens=True))
    case("around", dict(plain, split_special_tokens=True, additional_special_tokens=["<tok>"]))
    # SentencePiece of the Llama class.
    case("llama", {"tokenizer_class": "LlamaTokenizer"})
    case("llama", {"tokenizer_class": "LlamaTokenizerFast", "legacy": False, "add_eos_token": True})
    for legacy in [True, False, None]:
        for prefix in [True, False]:
            case("llama", {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_prefix_space": prefix})
    case("llama", dict(plain, add_prefix_space=False))
    case("llama", dict(plain, pad_token="<pad>"), added_tokens={"<tok>": 600})
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"texts": TEXTS, "bases": bases, "cases": cases}, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")
    for row in cases:
        print(row["base"], row.get("class"), json.dumps(row["files"])[:110], row.get("error", ""))


main(sys.argv[1])
