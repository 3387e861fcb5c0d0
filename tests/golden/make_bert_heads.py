#!/usr/bin/env python3
"""Makes tests/golden/bert_heads: small random BERTs under each head (verdicts on texts, on pairs of texts, on tokens), with the
tokenizer of tests/golden/bert_tiny taught to join pairs, and what the reference implementations say in double precision.

Run once; the outputs are committed. Made with torch 2.5.1 and, from the package index, transformers==4.51.3 tokenizers==0.21.4
safetensors==0.8.0:
    python3 -m venv v && v/bin/pip install torch==2.5.1 transformers==4.51.3
    nice v/bin/python tests/golden/make_bert_heads.py

usage: make_bert_heads.py [spans]        spans: only tests/golden/bert_heads/tokens/spans.json, from the logits that are there (needs
no torch)

spans.json is what transformers' token classification says of the same logits with aggregation_strategy="first".
"""
import json
import pathlib
import shutil
import sys
import types

import numpy
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.pipelines.token_classification import AggregationStrategy, TokenClassificationPipeline

if sys.argv[1:] != ["spans"]:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "bert_heads"
TOKENS_MAX = 24
LONG = " ".join(f"error {i} of memory" for i in range(12))
TEXTS = ["the database connection timed out", "a", "", "out of memory", LONG]
PAIRS = [("the database is full", "out of memory"), ("a", ""), ("", "upstream error"), (LONG, "connection error"), ("time out", LONG),
         (LONG, LONG + " a"), (LONG + " a", LONG), (LONG, LONG)]
HEADS = {"sequence": ("BertForSequenceClassification", 3), "pair": ("BertForSequenceClassification", 1), "tokens": ("BertForTokenClassification", 5)}
TAGS = ["O", "B-DB", "I-DB", "I-NET", "B-NET"]


def write_tokenizer():
    j = json.loads((HERE / "bert_tiny" / "tokenizer.json").read_text())
    special = lambda name, kind: {"SpecialToken": {"id": name, "type_id": kind}}
    sequence = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
    j["post_processor"]["pair"] = [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0), sequence("B", 1), special("[SEP]", 1)]
    (OUT / "tokenizer.json").write_text(json.dumps(j, ensure_ascii=True, separators=(",", ":")) + "\n")
    t = Tokenizer.from_file(str(OUT / "tokenizer.json"))
    t.enable_truncation(TOKENS_MAX, strategy="longest_first")
    return t, len(j["model"]["vocab"])


def make(name, tokenizer, vocab):
    cls, labels = globals()[HEADS[name][0]], HEADS[name][1]
    torch.manual_seed(5)
    config = BertConfig(vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=28,
                        max_position_embeddings=32, type_vocab_size=2, num_labels=labels)
    model = cls(config).eval()
    with torch.no_grad():  # larger than the usual 0.02, so that softmax and tanh leave their linear part
        for n, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.4 + (1.0 if n.endswith("LayerNorm.weight") else 0.0))
    model.save_pretrained(OUT / name)
    (OUT / name / "model.safetensors").chmod(0o644)
    model, out = model.double(), []
    for case in PAIRS if name == "pair" else TEXTS:
        e = tokenizer.encode(*case) if name == "pair" else tokenizer.encode(case)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([e.ids]), token_type_ids=torch.tensor([e.type_ids])).logits.flatten().tolist()
        out.append({"texts": case if name == "pair" else [case], "ids": e.ids, "types": e.type_ids, "logits": [float(f"{x:.8g}") for x in logits]})
    (OUT / name / "expect.json").write_text(json.dumps(out, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")


def write_spans():
    """With the labels TAGS, which the fixture's config does not name."""
    fast = PreTrainedTokenizerFast(tokenizer_file=str(OUT / "tokenizer.json"), unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    names = types.SimpleNamespace(config=types.SimpleNamespace(id2label=dict(enumerate(TAGS))))
    pipe = TokenClassificationPipeline.__new__(TokenClassificationPipeline)
    pipe.tokenizer, pipe.model, pipe.framework = fast, names, "np"
    out = []
    for case in json.loads((OUT / "tokens" / "expect.json").read_text()):
        text, n = case["texts"][0], len(case["ids"])
        e = fast(text, return_offsets_mapping=True, return_special_tokens_mask=True, truncation=True, max_length=TOKENS_MAX)
        assert e["input_ids"] == case["ids"]
        logits = numpy.array(case["logits"]).reshape(n, len(TAGS))
        p = numpy.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        mask = [i in (2, 3) for i in case["ids"]]
        pre = pipe.gather_pre_entities(text, e["input_ids"], p, e["offset_mapping"], mask, AggregationStrategy.FIRST)
        groups = pipe.aggregate(pre, AggregationStrategy.FIRST) if pre else []
        out.append([[g["entity_group"], g["start"], g["end"], round(float(g["score"]), 7)] for g in groups if g["entity_group"] != "O"])
    (OUT / "tokens" / "spans.json").write_text(json.dumps({"labels": TAGS, "spans": out}, separators=(",", ":")) + "\n")


if __name__ == "__main__" and sys.argv[1:] == ["spans"]:
    write_spans()
elif __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    words, size = write_tokenizer()
    for head in HEADS:
        make(head, words, size)
    write_spans()
