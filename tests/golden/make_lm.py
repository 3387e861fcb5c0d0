#!/usr/bin/env python3
"""Makes tests/golden/lm: a small random model for each decoder architecture, as a GGUF file and as a Hugging Face folder (hf/),
and what Hugging Face transformers computes with the same weights in double precision: the logits of every position of some
sequences, and for folders with a tokenizer the ids and the greedy answer to a prompt (answers.json).

Run once; the outputs are committed. Made with torch 2.5.1 and, from the package index, transformers==4.51.3 gguf==0.19.0
safetensors==0.8.0 tokenizers==0.21.4:
    python3 -m venv v && v/bin/pip install torch==2.5.1 transformers==4.51.3 gguf==0.19.0
    nice v/bin/python tests/golden/make_lm.py

Weights are rounded to what the file's type can say before the reference sees them, so a difference is the computation's.
Names and the order of rows in q and k of Llama follow the GGUF format as convert_hf_to_gguf.py of its project describes it.
"""
import json
import pathlib
import shutil

import gguf
import numpy
import torch
from gguf import GGMLQuantizationType as T
from tokenizers import Tokenizer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

OUT = pathlib.Path(__file__).resolve().parent / "lm"
VOCAB, POSITIONS = 96, 64
LENGTHS = [1, 2, 17, 40]
COMMON = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=POSITIONS, attn_implementation="eager")
KINDS = {
    "llama": (LlamaForCausalLM, LlamaConfig, dict(tie_word_embeddings=True, rms_norm_eps=1e-5, rope_theta=10000.0, head_dim=8)),
    "llama3": (LlamaForCausalLM, LlamaConfig, dict(tie_word_embeddings=False, rms_norm_eps=1e-5, rope_theta=500.0, head_dim=8, rope_scaling=dict(
        rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16))),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(tie_word_embeddings=False, rms_norm_eps=1e-6, rope_theta=1e6)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1e6, head_dim=16)),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, dict(tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1e6, rope_local_base_freq=1e4,
               head_dim=16, query_pre_attn_scalar=16, sliding_window=8, sliding_window_pattern=6, num_hidden_layers=7)),
    "gpt2": (GPT2LMHeadModel, GPT2Config, dict(n_positions=POSITIONS, n_inner=96, tie_word_embeddings=True)),
}
LATER = ("num_key_value_heads", "intermediate_size", "max_position_embeddings")  # fields that GPT-2 does not have
# Folders: the type the weights are stored in, bytes of a shard, whether a tokenizer goes with them.
FOLDERS = {"llama": (torch.float32, "40KB", False), "llama3": (torch.bfloat16, "1GB", False), "qwen2": (torch.float16, "1GB", True),
           "qwen3": (torch.bfloat16, "1GB", False), "gemma3": (torch.bfloat16, "1GB", False), "gpt2": (torch.float32, "1GB", True)}
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["t h", "th e", "\u0120 the", "e r", "o n", "i s", "\u0120 o", "i n", "e s"]
PIECES = MARKS + [chr(c) for c in range(33, 127) if not chr(c).isupper()] + ["\u0120", "\u010a"] + [m.replace(" ", "") for m in MERGES]
assert len(set(PIECES)) == len(PIECES) <= VOCAB
PROMPTS = {"prompt": "the other one, 12 times", "chat": "is the disk full?"}
CHATML = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nhelp the user<|im_end|>\n' }}"
          "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
PARTS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GEMMA = PARTS | {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
                 "post_feedforward_layernorm": "post_ffw_norm"}


GPT2 = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down"}


def name_of(name, parts):
    if parts is GPT2:
        name = name.replace("transformer.h.", "model.layers.")
    flat = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight",
            "transformer.wte.weight": "token_embd.weight", "transformer.wpe.weight": "position_embd.weight",
            "transformer.ln_f.weight": "output_norm.weight", "transformer.ln_f.bias": "output_norm.bias"}
    if name in flat:
        return flat[name]
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{parts[part]}.{kind}"


def neighbours(w, heads):
    """Rows of a head from halves to neighbours in pairs."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write_tokenizer(w):
    """The tokenizer of the folders, and bos before a prompt as the folder of GPT-2 has it."""
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(PIECES)
    w.add_token_types([gguf.TokenType.CONTROL if p in MARKS else gguf.TokenType.NORMAL for p in PIECES])
    w.add_token_merges(MERGES)
    w.add_bos_token_id(0)
    w.add_eos_token_id(2)
    w.add_add_bos_token(True)
    w.add_chat_template(CHATML)


def write(path, arch, config, tensors, kind, factors):
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.n_inner if arch == "gpt2" else config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    if arch == "gpt2":
        w.add_layer_norm_eps(config.layer_norm_epsilon)
        write_tokenizer(w)
    else:
        w.add_head_count_kv(config.num_key_value_heads)
        w.add_layer_norm_rms_eps(config.rms_norm_eps)
        w.add_rope_freq_base(config.rope_theta)
    if arch in ("qwen3", "gemma3"):
        w.add_key_length(config.head_dim)
        w.add_value_length(config.head_dim)
    if arch == "gemma3":
        w.add_sliding_window(config.sliding_window)
    if factors is not None:
        w.add_tensor("rope_freqs.weight", factors)
    for name, value in tensors.items():
        if value.ndim == 1 or kind == T.F32:
            w.add_tensor(name, value)
        else:
            w.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def random_model(name, round_to):
    cls, config_cls, more = KINDS[name]
    torch.manual_seed(11)
    common = COMMON if name != "gpt2" else {k: v for k, v in COMMON.items() if k not in LATER}
    config = config_cls(**(common | more))
    config.bos_token_id, config.eos_token_id = 0, 0
    model = cls(config).eval()
    with torch.no_grad():  # larger than the usual 0.02, so that softmax and gates leave their linear part
        for n, p in model.named_parameters():
            norm = "norm" in n or "ln_" in n and n.endswith("weight")
            p.copy_(round_to(torch.randn_like(p) * (0.2 if norm else 0.25) + (1.0 if norm and name != "gemma3" else 0.0)))
    return model


def logits(model, ids, label):
    model = model.double()
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([seq])).logits[0] for seq in ids]
    (OUT / f"{label}.logits.f32").write_bytes(torch.cat(rows).float().numpy().astype("<f4").tobytes())


def make(name, kind, ids):
    def round_to(p):  # to what the type can say
        plain = p.ndim < 2 or kind == T.F32
        return p if plain else torch.from_numpy(gguf.dequantize(gguf.quantize(p.numpy(), kind), kind))

    arch = "llama" if name.startswith("llama") else name
    model = random_model(name, round_to)
    config = model.config
    tensors = {}
    for n, p in model.named_parameters():
        v, out = p.detach().numpy(), name_of(n, {"gemma3": GEMMA, "gpt2": GPT2}.get(arch, PARTS))
        if arch == "gpt2" and v.ndim == 2 and out.startswith("blk."):
            v = v.T  # Conv1D has a row per input
        if arch == "llama" and "attn_q." in out:
            v = neighbours(v, config.num_attention_heads)
        if arch == "llama" and "attn_k." in out:
            v = neighbours(v, config.num_key_value_heads)
        if arch == "gemma3" and "norm" in out:
            v = v + 1
        tensors[out] = numpy.ascontiguousarray(v, dtype=numpy.float32)
    factors = None
    if name == "llama3":
        plain = 1.0 / config.rope_theta ** (numpy.arange(0, config.head_dim, 2) / config.head_dim)
        factors = (plain / model.model.rotary_emb.inv_freq.double().numpy()).astype(numpy.float32)
    label = name if kind == T.F32 else f"{name}_{kind.name.lower()}"
    write(OUT / f"{label}.gguf", arch, config, tensors, kind, factors)
    logits(model, ids, label)


def tokenizer(folder):
    """Byte-level BPE, split as GPT-2 splits, with the marks of ChatML."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": i, "content": m, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, m in enumerate(MARKS)]
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
             "byte_fallback": False, "vocab": {p: i for i, p in enumerate(PIECES)}, "merges": MERGES}
    text = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None, "pre_tokenizer": byte_level,
            "post_processor": byte_level, "decoder": byte_level, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(text, ensure_ascii=False, separators=(",", ":")) + "\n")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def answer(model, ids, ends):
    """Greedy, to 24 tokens or the end of the context; no choice may be near enough for rounding to decide."""
    out = []
    while len(out) < min(24, POSITIONS - len(ids)) and not (out and out[-1] in ends):
        with torch.no_grad():
            best = model(input_ids=torch.tensor([ids + out])).logits[0, -1].topk(2)
        assert best.values[0] - best.values[1] > 1e-3
        out.append(int(best.indices[0]))
    return out


def make_folder(name, ids, answers):
    kind, shard, texts = FOLDERS[name]
    folder = OUT / "hf" / name
    shutil.rmtree(folder, ignore_errors=True)
    model = random_model(name, lambda p: p.to(kind).float())
    if texts:
        model.generation_config.eos_token_id = [2, 0]
    model.to(kind).save_pretrained(folder, max_shard_size=shard)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    model = KINDS[name][0].from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="eager").eval()
    if kind != torch.float32:  # that has the weights of the GGUF file, and so its logits
        logits(model, ids, f"hf/{name}")
    if not texts:
        return
    t = tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "add_bos_token": name == "gpt2",
         "bos_token": {"__type": "AddedToken", "content": "<|endoftext|>", "lstrip": False, "normalized": False, "rstrip": False}}
        | ({"chat_template": CHATML} if name == "qwen2" else {})) + "\n")
    first = [0] if name == "gpt2" else []
    chat = PreTrainedTokenizerFast.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": PROMPTS["chat"]}], add_generation_prompt=True) if name == "qwen2" else None
    prompts = {"prompt": first + t.encode(PROMPTS["prompt"]).ids} | ({"chat": chat} if chat else {})
    answers[name] = {k: {"text": PROMPTS[k], "ids": v, "answer": (a := answer(model, v, [2, 0])), "says": t.decode(a)} for k, v in prompts.items()}


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    rng = numpy.random.default_rng(3)
    sequences = [[int(i) for i in rng.integers(0, VOCAB, n)] for n in LENGTHS]
    (OUT / "ids.json").write_text(json.dumps(sequences, separators=(",", ":")) + "\n")
    for one in KINDS:
        make(one, T.F32, sequences)
    for kind in (T.Q8_0, T.Q4_1):
        make("llama", kind, sequences)
    said = {}
    for one in FOLDERS:
        make_folder(one, sequences, said)
    (OUT / "hf" / "answers.json").write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n")
