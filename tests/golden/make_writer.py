#!/usr/bin/env python3
"""Makes tests/golden/lm/writer.gguf: a small random Llama with everything that a generation needs: the byte-level vocabulary of
tests/golden/tokenizers/smollm.json, ends, and a ChatML template. What it writes has no meaning, and is always the same.

Run once; the output is committed. Made with gguf==0.19.0 from the package index:
    python3 -m venv v && v/bin/pip install gguf==0.19.0
    v/bin/python tests/golden/make_writer.py
"""
import json
import pathlib

import gguf
import numpy
from gguf import GGMLQuantizationType as T

HERE = pathlib.Path(__file__).resolve().parent
HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 96, 2, 4, 2, 512
TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def vocabulary(w):
    j = json.loads((HERE / "tokenizers/smollm.json").read_text())
    special = {t["id"]: t["content"] for t in j["added_tokens"]}
    pieces = {i: p for p, i in j["model"]["vocab"].items()} | special
    tokens = [pieces[i] for i in range(len(pieces))]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types([3 if i in special else 1 for i in range(len(tokens))])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in j["model"]["merges"]])
    w.add_bos_token_id(tokens.index("<|im_start|>"))
    w.add_eos_token_id(tokens.index("<|im_end|>"))
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE)
    return len(tokens)


def main():
    rng = numpy.random.default_rng(7)
    w = gguf.GGUFWriter(HERE / "lm/writer.gguf", "llama")
    w.add_name("writer")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(HIDDEN)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(INNER)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(10000.0)
    vocab = vocabulary(w)
    width = HIDDEN // HEADS

    def matrix(name, rows, columns, by=0.25):
        v = (rng.standard_normal((rows, columns)) * by).astype(numpy.float32)
        w.add_tensor(name, gguf.quantize(v, T.Q8_0), raw_dtype=T.Q8_0)

    def norm(name):
        w.add_tensor(name, (1 + 0.2 * rng.standard_normal(HIDDEN)).astype(numpy.float32))

    matrix("token_embd.weight", vocab, HIDDEN)
    norm("output_norm.weight")
    for i in range(LAYERS):
        norm(f"blk.{i}.attn_norm.weight")
        matrix(f"blk.{i}.attn_q.weight", HIDDEN, HIDDEN)
        matrix(f"blk.{i}.attn_k.weight", KV_HEADS * width, HIDDEN)
        matrix(f"blk.{i}.attn_v.weight", KV_HEADS * width, HIDDEN)
        matrix(f"blk.{i}.attn_output.weight", HIDDEN, HIDDEN)
        norm(f"blk.{i}.ffn_norm.weight")
        matrix(f"blk.{i}.ffn_gate.weight", INNER, HIDDEN)
        matrix(f"blk.{i}.ffn_up.weight", INNER, HIDDEN)
        matrix(f"blk.{i}.ffn_down.weight", HIDDEN, INNER)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
