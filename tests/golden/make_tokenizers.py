#!/usr/bin/env python3
"""Makes tests/golden/tokenizers: small trained tokenizers of every kind, committed whole, and what the reference
implementations (Hugging Face tokenizers, SentencePiece) make of the corpus of corpus.py, with them and with the
vocabularies of SmolLM2 and Gemma 3. Special tokens are taken away from the references: they come from templates only.

usage: make_tokenizers.py SMOLLM2.gguf GEMMA3.gguf     as scripts/models.sh --tests brings them

Run once; the outputs are committed, all of them together: what is trained here is not the same from run to run. Made with
    python3 -m venv v && v/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0 protobuf
"""
import copy
import io
import json
import pathlib
import sys

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import corpus

OUT = corpus.HERE / "tokenizers"
TEXTS = [corpus.lossy(t) for t in corpus.texts()]
CODES = [corpus.lossy(t) for t in corpus.code_points()]
TRAIN = [t for t in TEXTS if len(t) < 4000][:3000]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
MARK = "\u2581"


def isolated(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


PRE = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False)]),
    "llama-bpe": isolated(LLAMA3),
    "qwen2": isolated(QWEN2),
}


def byte_level(name, vocab_size=620):
    t = Tokenizer(models.BPE(ignore_merges=name == "llama-bpe"))
    t.pre_tokenizer = PRE[name]
    t.decoder = decoders.ByteLevel()
    if name == "qwen2":
        t.normalizer = normalizers.NFC()
    t.train_from_iterator(TRAIN, trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    if name == "qwen2":
        from tokenizers import AddedToken
        t.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    j = json.loads(t.to_str())
    if name == "llama-bpe":
        # pieces that merges alone do not reach, so that ignore_merges shows
        for word in ["\u0120connection", "Exception", "don", "ERROR"]:
            j["model"]["vocab"].setdefault(word, max(max(j["model"]["vocab"].values()),
                                                    max(a["id"] for a in j["added_tokens"])) + 1)
    return j


def spaces_bpe():
    """As Gemma's and Llama 2's: code points, spaces as U+2581, bytes for what is no piece."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Replace(" ", MARK)
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(TRAIN, trainers.BpeTrainer(vocab_size=820, show_progress=False, special_tokens=special,
                                                     limit_alphabet=150, max_token_length=12))
    t.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()])
    j = json.loads(t.to_str())
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
    for text in ["\n\n\n", "\t\t", "<table>"]:
        user = max(j["model"]["vocab"].values()) + 1
        j["added_tokens"].append({"id": j["model"]["vocab"].setdefault(text, user), "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                                  "normalized": False, "special": False})
    return j


def as_prepend(j):
    j = copy.deepcopy(j)
    j["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, j["normalizer"]]}
    j["pre_tokenizer"] = None
    j["decoder"]["decoders"].append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return j


def as_metaspace(j):
    j = copy.deepcopy(j)
    j["normalizer"] = None
    j["pre_tokenizer"] = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first", "split": False}
    return j


def unigram():
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme="always", split=True)
    special = ["<unk>", "<s>", "</s>"]
    few = ["".join(c for c in s if ord(c) < 0x250) for s in TRAIN]  # every code point seen becomes a piece
    few = [s for s in few if not any(x in s for x in ("<unk>", "<s>", "</s>", "<0x"))]
    t.train_from_iterator(few, trainers.UnigramTrainer(vocab_size=900, show_progress=False, unk_token="<unk>",
                                                         special_tokens=special))
    j = json.loads(t.to_str())
    for row in j["model"]["vocab"]:  # exact sums: a reader of decimals that is off by one unit decides between equal ways
        row[1] = round(row[1] * 1024) / 1024
    for a in j["added_tokens"]:  # the trainer counts them apart from the vocabulary
        a["id"] = special.index(a["content"])
    return j


def reference(j):
    """The same tokenizer without its special tokens: no text may become one."""
    j = copy.deepcopy(j)
    special = {a["content"] for a in j["added_tokens"] if a["special"]}
    if j["model"]["type"] == "BPE":  # or the ids of the added tokens that stay would move up
        j["model"]["vocab"].update({a["content"]: a["id"] for a in j["added_tokens"] if a["special"]})
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["special"]]
    j["post_processor"] = None
    if j["model"]["type"] == "Unigram":  # its trie would find them in a text: names that the corpus lacks
        for k, row in enumerate(j["model"]["vocab"]):
            if row[0] in special:
                row[0] = chr(0xF0000 + k)
    return Tokenizer.from_str(json.dumps(j))


def sequences(encode):
    return [encode(t) for t in TEXTS]


def write(name, ids, decoded=None):
    fixture = {"group": corpus.GROUP, "digests": corpus.digests(ids, corpus.GROUP),
               "full": [ids[i] for i in range(corpus.FULL)]}
    if decoded is not None:
        fixture["decoded"] = [decoded(ids[i]).encode().hex() for i in range(corpus.FULL)]
    (OUT / f"{name}.ids.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(name, sum(map(len, ids)), "ids")


def write_json(name, j):
    (OUT / f"{name}.json").write_text(json.dumps(j, ensure_ascii=False, separators=(",", ":")) + "\n")
    t = reference(j)
    write(name, sequences(lambda s: t.encode(s, add_special_tokens=False).ids))


def write_splits(name):
    """Byte ends of the words: what no vocabulary of a few hundred pieces shows."""
    steps = {"gpt-2": pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), "isolated"),
             "llama-bpe": pre_tokenizers.Split(Regex(LLAMA3), "isolated"), "qwen2": pre_tokenizers.Split(Regex(QWEN2), "isolated")}
    steps["smollm"] = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), steps["gpt-2"]])

    def ends(s):
        at, out = 0, []
        for word, _ in steps[name].pre_tokenize_str(s):
            at += len(word.encode())
            out.append(at)
        assert at == len(s.encode())
        return out
    words, codes = [ends(s) for s in TEXTS], [ends(s) for s in CODES]
    fixture = {"group": 128, "digests": corpus.digests(words, 128), "code_group": 64, "codes": corpus.digests(codes, 64)}
    (OUT / f"{name}.splits.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(name, sum(map(len, words)) + sum(map(len, codes)), "words")


def write_gguf(name, model, tokens, kinds, scores=None, merges=None, pre=None, flags=()):
    w = gguf.GGUFWriter(str(OUT / f"{name}.gguf"), "llama")
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    if scores:
        w.add_token_scores(scores)
    if merges:
        w.add_token_merges(merges)
    for key, value in flags:
        w.add_bool(key, value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def gguf_of_json(name, j, pre):
    vocab = {i: t for t, i in j["model"]["vocab"].items()}
    kinds = {i: 1 for i in vocab}
    for a in j["added_tokens"]:
        vocab[a["id"]], kinds[a["id"]] = a["content"], 3 if a["special"] else 4
    write_gguf(name, "gpt2", [vocab[i] for i in range(len(vocab))], [kinds[i] for i in range(len(vocab))],
               merges=[" ".join(m) for m in j["model"]["merges"]], pre=pre)


def sentencepiece_gguf(name, kind, prefix):
    buffer = io.BytesIO()
    lines = [s.replace("\n", " ").replace("\r", " ").replace("\0", "") for s in TRAIN]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([s for s in lines if 0 < len(s.encode()) < 4000]), model_writer=buffer, vocab_size=760,
        model_type=kind, byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity",
        add_dummy_prefix=prefix, remove_extra_whitespaces=False, user_defined_symbols=["<table>", "\t\t"] if kind == "bpe" else ["<table>"], num_threads=1,
        minloglevel=2)
    p = pb.ModelProto()
    p.ParseFromString(buffer.getvalue())
    for x in p.pieces:
        x.score = round(x.score * 256) / 256
    tokens = [x.piece.replace(MARK, " ") if x.type == 4 else x.piece for x in p.pieces]
    write_gguf(name, "llama" if kind == "bpe" else "t5", tokens, [x.type for x in p.pieces], [x.score for x in p.pieces],
               flags=[("tokenizer.ggml.add_space_prefix", prefix)])
    s = sentencepiece.SentencePieceProcessor(model_proto=p.SerializeToString())
    write(name, sequences(lambda t: s.encode(t)), lambda ids: s.decode(ids))


def fields(path):
    r = gguf.GGUFReader(path)
    return {k.removeprefix("tokenizer.ggml."): f.contents() for k, f in r.fields.items() if k.startswith("tokenizer.ggml.")}


def smollm2(path):
    f = fields(path)
    t = Tokenizer(models.BPE({x: i for i, x in enumerate(f["tokens"])}, [tuple(m.split(" ")) for m in f["merges"]]))
    t.pre_tokenizer = PRE["smollm"]
    t.decoder = decoders.ByteLevel()
    write("smollm2", sequences(lambda s: t.encode(s).ids), lambda ids: t.decode(ids, skip_special_tokens=False))


def gemma3(path):
    f = fields(path)
    p = pb.ModelProto()
    for i, (x, score, kind) in enumerate(zip(f["tokens"], f["scores"], f["token_type"])):
        p.pieces.add(piece=x.replace(" ", MARK) if kind == 4 else x, score=score, type=2 if i == f["unknown_token_id"] else kind)
    p.trainer_spec.model_type = 2  # BPE
    p.trainer_spec.byte_fallback = True
    p.normalizer_spec.name = "identity"
    p.normalizer_spec.add_dummy_prefix = p.normalizer_spec.remove_extra_whitespaces = False
    p.normalizer_spec.escape_whitespaces = True
    s = sentencepiece.SentencePieceProcessor(model_proto=p.SerializeToString())
    write("gemma3", sequences(lambda t: s.encode(t)), lambda ids: s.decode(ids))


def main():
    OUT.mkdir(exist_ok=True)
    corpus.write_fragments()
    for name in PRE:
        write_splits(name)
        j = byte_level(name)
        write_json(name, j)
        if name != "smollm":
            gguf_of_json(name, j, name)
    j = spaces_bpe()
    write_json("spaces", j)
    write_json("spaces-prepend", as_prepend(j))
    write_json("spaces-metaspace", as_metaspace(j))
    write_json("unigram", unigram())
    sentencepiece_gguf("spm", "bpe", True)
    sentencepiece_gguf("spm-unigram", "unigram", True)
    smollm2(sys.argv[1])
    gemma3(sys.argv[2])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
