#!/usr/bin/env python3
"""Writes the seed corpora of the fuzzers gguf, tokenizer_json, bpe, lm_gguf, lm_folder, shard_index and tokenizer_folder: small
files of every kind, made here. The smallest decoders of every architecture have 8 ids, a stream of 4 and a layer or two."""
import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
MARK = "\u2581"


def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    codes = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    if kind == 8:
        return text(v)
    if kind == 9:
        of, items = v
        return struct.pack("<IQ", of, len(items)) + b"".join(value(of, i) for i in items)
    return struct.pack("<" + codes[kind], v)


def gguf(keys, tensors=(), data=b"", version=3):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    for name, kind, v in keys:
        out += text(name) + struct.pack("<I", kind) + value(kind, v)
    for name, dims, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)
    return out + b"\0" * (-len(out) % 32) + data


def tokenizer(model, tokens, kinds, **more):
    keys = [("tokenizer.ggml.model", 8, model), ("tokenizer.ggml.tokens", 9, (8, tokens)),
            ("tokenizer.ggml.token_type", 9, (5, kinds))]
    if "scores" in more:
        keys.append(("tokenizer.ggml.scores", 9, (6, more["scores"])))
    if "merges" in more:
        keys += [("tokenizer.ggml.merges", 9, (8, more["merges"])), ("tokenizer.ggml.pre", 8, more["pre"])]
    return gguf(keys + [("tokenizer.ggml.eos_token_id", 4, 0)])


GGUF = {
    "kinds": gguf([(f"k{k}", k, 1) for k in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)] +
                  [("t", 8, "llama"), ("a", 9, (9, [(5, [1, 2]), (8, ["x", ""])]))], version=2),
    "tensors": gguf([("general.alignment", 4, 32)], [("w", [4, 2], 0, 0), ("q", [32], 8, 32), ("k", [256], 14, 96)], bytes(320)),
    "bpe": tokenizer("gpt2", ["<s>", "a", "b", "ab", "\u0120", "\u0120ab", "<x>"], [3, 1, 1, 1, 1, 1, 4], merges=["a b", "\u0120 ab"], pre="qwen2"),
    "spm": tokenizer("llama", ["<s>", "<unk>", MARK, "a", "b", "ab", MARK + "ab", "<0x41>", "  "], [3, 2, 1, 1, 1, 1, 1, 6, 4],
                     scores=[0, 0, -1, -2, -3, -1.5, -1.2, 0, 0]),
    "unigram": tokenizer("t5", ["<s>", "<unk>", MARK, "a", "b", "ab", "<x>"], [3, 2, 1, 1, 1, 1, 4], scores=[0, 0, -1, -2, -3, -1.5, 0]),
}

ADDED = [{"id": 4, "content": "<x>", "special": False}, {"id": 5, "content": "</s>", "special": True}]
BPE = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120": 3}, "merges": ["a b"]}
SPACES = {"type": "BPE", "vocab": {"a": 0, "b": 1, MARK: 2, MARK + "a": 3, "<unk>": 6, "<0x0A>": 7}, "merges": [[MARK, "a"]],
          "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False}
JSON = {
    "gpt2": ({"added_tokens": ADDED, "pre_tokenizer": BYTES, "decoder": {"type": "ByteLevel"}, "model": BPE}, "ab a<x>b </s>"),
    "smollm": ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]}, "model": BPE}, "a1 b\n"),
    "gemma": ({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": MARK}, "added_tokens": ADDED, "model": SPACES,
               "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}}, "a b\n <x>\u00e9"),
    "metaspace": ({"pre_tokenizer": {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always"},
                   "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1], [MARK + "a", -1.5], ["ab", -2]]}}, "ab a c"),
    "template": ({"pre_tokenizer": BYTES, "added_tokens": ADDED, "model": BPE, "normalizer": {"type": "NFC"},
                  "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A"}}]}},
                 "e\u0301a"),
}

BPE_TEXTS = {"log": "\0the error 12345 don't they'LL\r\n\t at  x", "marks": "\3e\u0301 \u05d0\u0315\u0300 \U0001f525\u200d", "runs": "\2" + "a" * 70 + " " * 9 + "\n\n\n",
             "broken": b"\1\xff\xf0\x9f\x92x\xed\xa0\x80 \xc3"}


VOCAB, HIDDEN, INNER, HEADS, KV, CONTEXT = 8, 4, 6, 2, 1, 8
WIDTH = HIDDEN // HEADS


def floats(n, kind="f"):
    """n values that are neither equal nor large."""
    if kind == "f":
        return b"".join(struct.pack("<f", (i * 37 % 64 - 32) / 40) for i in range(n))
    return b"".join(struct.pack("<f", (i * 37 % 64 - 32) / 40)[2:] for i in range(n))  # bf16


def packed(keys, shapes):
    tensors, data = [], b""
    for name, dims in shapes.items():
        tensors.append((name, dims, 0, len(data)))
        n = dims[0] * (dims[1] if len(dims) > 1 else 1)
        data += floats(n) + b"\0" * (-4 * n % 32)
    return gguf(keys, tensors, data)


def decoder_gguf(arch, layers, more):
    gpt2, gemma = arch == "gpt2", arch == "gemma3"
    w = {"token_embd.weight": [HIDDEN, VOCAB], "output_norm.weight": [HIDDEN]}
    if gpt2:
        w |= {"position_embd.weight": [HIDDEN, CONTEXT], "output_norm.bias": [HIDDEN]}
    for i in range(layers):
        part = {"attn_norm.weight": [HIDDEN], "attn_output.weight": [HIDDEN, HIDDEN], "ffn_norm.weight": [HIDDEN],
                "ffn_up.weight": [HIDDEN, INNER], "ffn_down.weight": [INNER, HIDDEN]}
        if gpt2:
            part |= {"attn_qkv.weight": [HIDDEN, 3 * HIDDEN], "attn_qkv.bias": [3 * HIDDEN], "attn_norm.bias": [HIDDEN],
                     "attn_output.bias": [HIDDEN], "ffn_norm.bias": [HIDDEN], "ffn_up.bias": [INNER], "ffn_down.bias": [HIDDEN]}
        else:
            part |= {"attn_q.weight": [HIDDEN, HIDDEN], "attn_k.weight": [HIDDEN, KV * WIDTH], "attn_v.weight": [HIDDEN, KV * WIDTH],
                     "ffn_gate.weight": [HIDDEN, INNER]}
        if arch == "qwen2":
            part |= {"attn_q.bias": [HIDDEN], "attn_k.bias": [KV * WIDTH], "attn_v.bias": [KV * WIDTH]}
        if gemma:
            part |= {"post_attention_norm.weight": [HIDDEN], "post_ffw_norm.weight": [HIDDEN]}
        if gemma or arch == "qwen3":
            part |= {"attn_q_norm.weight": [WIDTH], "attn_k_norm.weight": [WIDTH]}
        w |= {f"blk.{i}.{n}": d for n, d in part.items()}
    keys = [("general.architecture", 8, arch)] + [(f"{arch}.{k}", 4, v) for k, v in (
        ("context_length", CONTEXT), ("block_count", layers), ("embedding_length", HIDDEN), ("feed_forward_length", INNER),
        ("attention.head_count", HEADS), *((() if gpt2 else (("attention.head_count_kv", KV),))), *more)]
    keys.append((f"{arch}.attention.layer_norm{'' if gpt2 else '_rms'}_epsilon", 6, 1e-5))
    return packed(keys, w)


def encoder_gguf(layers, pooling):
    w = {"token_embd.weight": [HIDDEN, VOCAB], "position_embd.weight": [HIDDEN, CONTEXT], "token_types.weight": [HIDDEN, 2],
         "token_embd_norm.weight": [HIDDEN], "token_embd_norm.bias": [HIDDEN]}
    for i in range(layers):
        for name, n, k in (("attn_q", HIDDEN, HIDDEN), ("attn_k", HIDDEN, HIDDEN), ("attn_v", HIDDEN, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
                           ("ffn_up", INNER, HIDDEN), ("ffn_down", HIDDEN, INNER)):
            w |= {f"blk.{i}.{name}.weight": [k, n], f"blk.{i}.{name}.bias": [n]}
        for name in ("attn_output_norm", "layer_output_norm"):
            w |= {f"blk.{i}.{name}.weight": [HIDDEN], f"blk.{i}.{name}.bias": [HIDDEN]}
    keys = [("general.architecture", 8, "bert")] + [(f"bert.{k}", 4, v) for k, v in (
        ("context_length", CONTEXT), ("block_count", layers), ("embedding_length", HIDDEN), ("feed_forward_length", INNER),
        ("attention.head_count", HEADS), ("pooling_type", pooling))]
    keys += [("bert.attention.layer_norm_epsilon", 6, 1e-12), ("bert.attention.causal", 7, False), ("tokenizer.ggml.model", 8, "bert"),
             ("tokenizer.ggml.tokens", 9, (8, ["[UNK]", "[CLS]", "[SEP]", MARK + "a", "b", MARK + "ab", MARK + "!", "##"])),
             ("tokenizer.ggml.token_type", 9, (5, [3, 3, 3, 1, 1, 1, 1, 1])), ("tokenizer.ggml.unknown_token_id", 4, 0),
             ("tokenizer.ggml.cls_token_id", 4, 1), ("tokenizer.ggml.seperator_token_id", 4, 2)]
    return packed(keys, w)


def safetensors(tensors, kind):
    header, data = {}, b""
    for name, shape in tensors.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        value = floats(n, kind)
        header[name] = {"dtype": "F32" if kind == "f" else "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(value)]}
        data += value
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def folder(config, tensors, kind="f"):
    text = json.dumps(config, separators=(",", ":")).encode()
    return struct.pack("<H", len(text)) + text + safetensors(tensors, kind)


def llama_like(model_type, layers=1, head=True, **more):
    config = {"model_type": model_type, "vocab_size": VOCAB, "max_position_embeddings": CONTEXT, "num_hidden_layers": layers, "hidden_size": HIDDEN,
              "intermediate_size": INNER, "num_attention_heads": HEADS, "num_key_value_heads": KV, "head_dim": WIDTH,
              "tie_word_embeddings": not head, **more}
    gemma = model_type == "gemma3_text"
    w = {"model.embed_tokens.weight": [VOCAB, HIDDEN], "model.norm.weight": [HIDDEN]} | ({"lm_head.weight": [VOCAB, HIDDEN]} if head else {})
    for i in range(layers):
        part = {"input_layernorm.weight": [HIDDEN], "self_attn.q_proj.weight": [HIDDEN, HIDDEN], "self_attn.k_proj.weight": [KV * WIDTH, HIDDEN],
                "self_attn.v_proj.weight": [KV * WIDTH, HIDDEN], "self_attn.o_proj.weight": [HIDDEN, HIDDEN],
                "post_attention_layernorm.weight": [HIDDEN], "mlp.gate_proj.weight": [INNER, HIDDEN], "mlp.up_proj.weight": [INNER, HIDDEN],
                "mlp.down_proj.weight": [HIDDEN, INNER]}
        if gemma:
            part |= {"pre_feedforward_layernorm.weight": [HIDDEN], "post_feedforward_layernorm.weight": [HIDDEN]}
        if gemma or model_type == "qwen3":
            part |= {"self_attn.q_norm.weight": [WIDTH], "self_attn.k_norm.weight": [WIDTH]}
        if model_type == "qwen2":
            part |= {"self_attn.q_proj.bias": [HIDDEN], "self_attn.k_proj.bias": [KV * WIDTH], "self_attn.v_proj.bias": [KV * WIDTH]}
        w |= {f"model.layers.{i}.{n}": s for n, s in part.items()}
    return config, w


def gpt2(prefix):
    config = {"model_type": "gpt2", "vocab_size": VOCAB, "n_positions": CONTEXT, "n_layer": 1, "n_embd": HIDDEN, "n_head": HEADS, "n_inner": INNER}
    w = {"wte.weight": [VOCAB, HIDDEN], "wpe.weight": [CONTEXT, HIDDEN], "ln_f.weight": [HIDDEN], "ln_f.bias": [HIDDEN]}
    shapes = {"ln_1": None, "attn.c_attn": [HIDDEN, 3 * HIDDEN], "attn.c_proj": [HIDDEN, HIDDEN], "ln_2": None, "mlp.c_fc": [HIDDEN, INNER],
              "mlp.c_proj": [INNER, HIDDEN]}
    for name, shape in shapes.items():
        w |= {f"h.0.{name}.weight": shape or [HIDDEN], f"h.0.{name}.bias": [shape[1]] if shape else [HIDDEN]}
    w["h.0.attn.masked_bias"] = [1]
    return config, {prefix + n: s for n, s in w.items()}


LM_GGUF = {"llama": decoder_gguf("llama", 1, []), "qwen2": decoder_gguf("qwen2", 1, []),
           "qwen3": decoder_gguf("qwen3", 1, [("attention.key_length", WIDTH)]),
           "gemma3": decoder_gguf("gemma3", 2, [("attention.sliding_window", 2)]), "gpt2": decoder_gguf("gpt2", 1, []),
           "bert": encoder_gguf(1, 1), "bert_first": encoder_gguf(2, 2)}
LM_FOLDER = {
    "llama": folder(*llama_like("llama", rope_scaling={"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                       "original_max_position_embeddings": 4})),
    "qwen2": folder(*llama_like("qwen2", head=False), "b"), "qwen3": folder(*llama_like("qwen3", rope_parameters={"rope_theta": 1e4})),
    "gemma3": folder(*llama_like("gemma3_text", 2, head=False, sliding_window=2, query_pre_attn_scalar=2,
                                 layer_types=["sliding_attention", "full_attention"]), "b"),
    "gpt2": folder(*gpt2("transformer.")), "gpt2_bare": folder(*gpt2(""), "b")}
SHARD_INDEX = {"two": json.dumps({"metadata": {"total_size": 8}, "weight_map": {
    "a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}).encode(),
    "outside": b'{"weight_map": {"a": "../model.safetensors"}}'}


def beside(config, generation):
    text = json.dumps(config).encode()
    return struct.pack("<H", len(text)) + text + json.dumps(generation).encode()


TOKENIZER_FOLDER = {
    "names": beside({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True, "add_eos_token": False}, {"eos_token_id": [4, 2]}),
    "one": beside({"bos_token": None}, {"eos_token_id": 3})}


def main():
    seeds = {"lm_gguf": LM_GGUF, "lm_folder": LM_FOLDER, "shard_index": SHARD_INDEX, "tokenizer_folder": TOKENIZER_FOLDER,
             "gguf": GGUF, "bpe": {n: t if isinstance(t, bytes) else t.encode() for n, t in BPE_TEXTS.items()}, "tokenizer_json": {}}
    for name, (j, sample) in JSON.items():
        b = json.dumps(j, ensure_ascii=False, separators=(",", ":")).encode()
        seeds["tokenizer_json"][name] = struct.pack("<H", len(b)) + b + sample.encode()
    for fuzzer, files in seeds.items():
        (CORPUS / fuzzer).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (CORPUS / fuzzer / name).write_bytes(data)


if __name__ == "__main__":
    main()
