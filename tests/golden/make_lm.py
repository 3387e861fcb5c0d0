#!/usr/bin/env python3
"""Makes tests/golden/lm: a small random model for each decoder architecture, as a GGUF file, and what Hugging Face
transformers computes with the same weights in double precision: the logits of every position of some sequences.

Run once; the outputs are committed. Made with torch 2.5.1 and, from the package index, transformers==4.51.3 gguf==0.19.0:
    python3 -m venv v && v/bin/pip install torch==2.5.1 transformers==4.51.3 gguf==0.19.0
    nice v/bin/python tests/golden/make_lm.py

Weights are rounded to what the file's type can say before the reference sees them, so a difference is the computation's.
Names and the order of rows in q and k of Llama follow the GGUF format as convert_hf_to_gguf.py of its project describes it.
"""
import json
import pathlib

import gguf
import numpy
import torch
from gguf import GGMLQuantizationType as T
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

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
}
PARTS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GEMMA = PARTS | {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
                 "post_feedforward_layernorm": "post_ffw_norm"}


def name_of(name, parts):
    flat = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
    if name in flat:
        return flat[name]
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{parts[part]}.{kind}"


def neighbours(w, heads):
    """Rows of a head from halves to neighbours in pairs."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write(path, arch, config, tensors, kind, factors):
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
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


def make(name, kind, ids):
    cls, config_cls, more = KINDS[name]
    arch = "llama" if name.startswith("llama") else name
    torch.manual_seed(11)
    config = config_cls(**(COMMON | more))
    model = cls(config).eval()
    with torch.no_grad():  # larger than the usual 0.02, so that softmax and gates leave their linear part
        for n, p in model.named_parameters():
            norm = "norm" in n
            p.copy_(torch.randn_like(p) * (0.2 if norm else 0.25) + (1.0 if norm and arch != "gemma3" else 0.0))
            if p.ndim == 2 and kind != T.F32:  # to what the type can say
                p.copy_(torch.from_numpy(gguf.dequantize(gguf.quantize(p.numpy(), kind), kind)))
    tensors = {}
    for n, p in model.named_parameters():
        v, out = p.detach().numpy(), name_of(n, GEMMA if arch == "gemma3" else PARTS)
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
    model = model.double()
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([seq])).logits[0] for seq in ids]
    (OUT / f"{label}.logits.f32").write_bytes(torch.cat(rows).float().numpy().astype("<f4").tobytes())


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    rng = numpy.random.default_rng(3)
    sequences = [[int(i) for i in rng.integers(0, VOCAB, n)] for n in LENGTHS]
    (OUT / "ids.json").write_text(json.dumps(sequences, separators=(",", ":")) + "\n")
    for one in KINDS:
        make(one, T.F32, sequences)
    for kind in (T.Q8_0, T.Q4_1):
        make("llama", kind, sequences)
