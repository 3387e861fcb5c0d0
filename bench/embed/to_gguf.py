#!/usr/bin/env python3
"""Writes a BERT folder (config.json, model.safetensors in f32) as GGUF, for a rival that reads nothing else. With `vocabulary`
the tokenizer goes with it, as convert_hf_to_gguf.py of the format's project has it: "##" gone from pieces that go on with a word,
U+2581 before those that begin one, special tokens bare.

usage: to_gguf.py FOLDER OUT.gguf f32|f16|q8_0 [vocabulary]      (needs numpy and gguf; names and keys as that package documents them)
"""
import json
import pathlib
import struct
import sys

import gguf
import numpy

LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
         "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
         "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
TOP = {"embeddings.word_embeddings.weight": "token_embd.weight", "embeddings.position_embeddings.weight": "position_embd.weight",
       "embeddings.token_type_embeddings.weight": "token_types.weight",
       "embeddings.LayerNorm.weight": "token_embd_norm.weight", "embeddings.LayerNorm.bias": "token_embd_norm.bias"}
TYPES = {k: getattr(gguf.GGMLQuantizationType, k.upper()) for k in ("f32", "f16", "q8_0")}
MARK = "\u2581"


def tensors(path):
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    for name, t in json.loads(data[8:8 + size]).items():
        if name != "__metadata__" and t["dtype"] == "F32":
            begin, end = (8 + size + x for x in t["data_offsets"])
            yield name, numpy.frombuffer(data[begin:end], "<f4").reshape(t["shape"])


def renamed(name):
    if name in TOP:
        return TOP[name]
    parts = name.split(".")
    if parts[:2] != ["encoder", "layer"]:
        return None
    return f"blk.{parts[2]}.{LAYER['.'.join(parts[3:-1])]}.{parts[-1]}"


def write_vocabulary(w, tokenizer):
    vocab, control = tokenizer["model"]["vocab"], gguf.TokenType.CONTROL
    names = {"unknown": "[UNK]", "seperator": "[SEP]", "padding": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    pieces = sorted(vocab, key=vocab.get)
    kinds = [control if p in names.values() else gguf.TokenType.NORMAL for p in pieces]
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("default")
    w.add_token_list([p if k == control else p[2:] if p.startswith("##") else MARK + p for p, k in zip(pieces, kinds)])
    w.add_token_types(kinds)
    for key, piece in names.items():
        w.add_uint32(f"tokenizer.ggml.{key}_token_id", vocab[piece])


def write(c, weights, out, kind, tokens_max=None, tokenizer=None):
    w = gguf.GGUFWriter(out, "bert")
    w.add_context_length(tokens_max or c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_block_count(c["num_hidden_layers"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_layer_norm_eps(c["layer_norm_eps"])
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_token_type_count(c["type_vocab_size"])
    if tokenizer is not None:
        write_vocabulary(w, tokenizer)
    else:
        w.add_vocab_size(c["vocab_size"])
        w.add_tokenizer_model("no_vocab")
    for name, value in weights:
        to = renamed(name)
        if to is None:
            continue
        matrix = value.ndim == 2 and to not in ("position_embd.weight", "token_types.weight")
        if kind != "f32" and matrix:
            w.add_tensor(to, gguf.quants.quantize(value, TYPES[kind]), raw_dtype=TYPES[kind])
        else:
            w.add_tensor(to, value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main(folder, out, kind, vocabulary):
    sentence = folder / "sentence_bert_config.json"
    tokens_max = json.loads(sentence.read_text())["max_seq_length"] if vocabulary and sentence.exists() else None
    write(json.loads((folder / "config.json").read_text()), tensors(folder / "model.safetensors"), out, kind, tokens_max,
          json.loads((folder / "tokenizer.json").read_text()) if vocabulary else None)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[3] not in TYPES or sys.argv[4:] not in ([], ["vocabulary"]):
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], len(sys.argv) == 5)
