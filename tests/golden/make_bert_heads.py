#!/usr/bin/env python3
"""Makes tests/golden/bert_heads: small random BERTs under each head (verdicts on texts, on pairs of texts, on tokens), with the
tokenizer of tests/golden/bert_tiny taught to join pairs, and what the reference implementations say in double precision.

Run once; the outputs are committed. Made with torch 2.5.1 and, from the package index, transformers==4.51.3 tokenizers==0.21.4
safetensors==0.8.0:
    python3 -m venv v && v/bin/pip install torch==2.5.1 transformers==4.51.3
    nice v/bin/python tests/golden/make_bert_heads.py
"""
import json
import pathlib
import shutil

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "bert_heads"
TOKENS_MAX = 24
LONG = " ".join(f"error {i} of memory" for i in range(12))
TEXTS = ["the database connection timed out", "a", "", "out of memory", LONG]
PAIRS = [("the database is full", "out of memory"), ("a", ""), ("", "upstream error"), (LONG, "connection error"), ("time out", LONG),
         (LONG, LONG + " a"), (LONG + " a", LONG), (LONG, LONG)]
HEADS = {"sequence": (BertForSequenceClassification, 3), "pair": (BertForSequenceClassification, 1), "tokens": (BertForTokenClassification, 5)}


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
    cls, labels = HEADS[name]
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


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    words, size = write_tokenizer()
    for head in HEADS:
        make(head, words, size)
