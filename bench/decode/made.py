"""A Llama of 276 M random weights as a GGUF file: Q4_0, embeddings and head Q8_0. For speed alone. usage: made.py FILE"""
import sys

import gguf
import numpy

HIDDEN, LAYERS, HEADS, KV, INNER, VOCAB = 1024, 16, 16, 4, 4096, 32000


def main(path):
    rng = numpy.random.default_rng(1)
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(4096)
    w.add_embedding_length(HIDDEN)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(INNER)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(HIDDEN // HEADS)
    w.add_vocab_size(VOCAB)
    w.add_string("tokenizer.ggml.model", "no_vocab")

    def matrix(name, rows, columns, kind):
        values = (rng.standard_normal((rows, columns), dtype=numpy.float32) * 0.02)
        w.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    q4, q8, kv = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0, HIDDEN // HEADS * KV
    ones = numpy.ones(HIDDEN, dtype=numpy.float32)
    matrix("token_embd.weight", VOCAB, HIDDEN, q8)
    w.add_tensor("output_norm.weight", ones)
    for i in range(LAYERS):
        for name, rows, columns in (("attn_q", HIDDEN, HIDDEN), ("attn_k", kv, HIDDEN), ("attn_v", kv, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
                                    ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN), ("ffn_down", HIDDEN, INNER)):
            matrix(f"blk.{i}.{name}.weight", rows, columns, q4)
        for name in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{i}.{name}.weight", ones)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main(sys.argv[1])
