#!/usr/bin/env python3
"""Writes the seed corpora of the fuzzers gguf, tokenizer_json and bpe: small files of every kind, made here."""
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


def main():
    seeds = {"gguf": GGUF, "bpe": {n: t if isinstance(t, bytes) else t.encode() for n, t in BPE_TEXTS.items()}, "tokenizer_json": {}}
    for name, (j, sample) in JSON.items():
        b = json.dumps(j, ensure_ascii=False, separators=(",", ":")).encode()
        seeds["tokenizer_json"][name] = struct.pack("<H", len(b)) + b + sample.encode()
    for fuzzer, files in seeds.items():
        (CORPUS / fuzzer).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (CORPUS / fuzzer / name).write_bytes(data)


if __name__ == "__main__":
    main()
