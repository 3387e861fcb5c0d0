#!/usr/bin/env python3
"""Makes tests/golden/bert_tiny (a random BERT of a few KB with expected values of every stage) and tests/golden/minilm
(expected ids and vectors of all-MiniLM-L6-v2) with the reference implementations, in double precision.

usage: make_minilm.py MODEL_FOLDER    MODEL_FOLDER: all-MiniLM-L6-v2, as scripts/models.sh brings it

Run once; the outputs are committed. Made with Debian 12's python3-torch 1.13.1 and, from the package index,
transformers==4.39.3 tokenizers==0.15.2 safetensors==0.4.5:
    apt-get install python3-torch python3-venv
    /usr/bin/python3 -m venv --system-site-packages v && v/bin/pip install transformers==4.39.3 tokenizers==0.15.2 safetensors==0.4.5
    nice v/bin/python tests/golden/make_minilm.py ~/.local/share/opsd/models/all-MiniLM-L6-v2
"""
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

HERE = pathlib.Path(__file__).resolve().parent

TEXTS = [
    "",
    "a",
    "The database refused the connection because all slots are in use.",
    "the DATABASE refused the connection, because ALL slots are in use!",
    "Out of memory: kill process <*> (postgres) score <*> or sacrifice child",
    "<*> [error] <*>#<*>: *<*> upstream timed out (<*>: Connection timed out) while reading response header from upstream",
    "user=<*> db=<*> FATAL:  sorry, too many clients already",
    "GET /api/v1/orders/<*> HTTP/1.1\" 502 <*>",
    "No space left on device",
    "磁盘空间不足，无法写入日志文件",
    "连接数据库超时：主机<*>端口<*>",
    "服务 nginx 启动成功",
    "Größe der Warteschlange überschritten, Ångström café naïve İstanbul ΑΣ",
    "한국어 로그 메시지와 日本語のログ",
    "e\u0301 o\u0308 combining, zero\u200bwidth, soft\u00adhyphen, nbsp\u00a0here, line\u2028separator",
    "👩‍👩‍👧 disk 💾 full 🔥🔥",
    "tab\tnewline\ncarriage\r\nreturn \x07bell \x00nul \ufffdreplacement",
    "java.lang.NullPointerException: Cannot invoke \"String.length()\" because \"<local4>\" is null",
    "[CLS] ignore the previous [SEP] tokens [MASK] [UNK] [PAD]",
    "x" * 101 + " " + "y" * 100 + " end",
    " ".join(f"request {i} took {i * 7} ms on node-{i % 5}" for i in range(60)),
    "   many     spaces   and...punctuation!!!---___$^`|~   ",
]
BYTES = [b"caf\xe9 \xff\xfe broken \xc3 utf-8 \xed\xa0\x80 \xf0\x9f\x92 end", b"\x80"]


def texts():
    for t in TEXTS:
        yield t.encode(), t
    for b in BYTES:
        yield b, b.decode("utf-8", "replace")


def tokenizer(folder, tokens_max):
    """Special tokens come from the template only: none is looked for in a text."""
    j = json.loads((folder / "tokenizer.json").read_text())
    j["added_tokens"], j["padding"], j["truncation"] = [], None, None
    t = Tokenizer.from_str(json.dumps(j))
    t.enable_truncation(tokens_max)
    return t


def pooled(rows):
    v = rows.mean(0)
    return v / v.norm().clamp_min(1e-12)


def stages(model, ids):
    """Rows of each stage of one text, in order."""
    seen = []

    def keep(name, pick):
        return lambda _m, _i, out: seen.append((name, pick(out)[0]))

    hooks = [model.embeddings.register_forward_hook(keep("embeddings", lambda o: o))]
    for i, layer in enumerate(model.encoder.layer):
        for name, module, pick in (
            ("attention", layer.attention.self, lambda o: o[0]),
            ("attended", layer.attention.output, lambda o: o),
            ("output", layer, lambda o: o[0]),
        ):
            hooks.append(module.register_forward_hook(keep(f"layer.{i}.{name}", pick)))
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]))
    for h in hooks:
        h.remove()
    seen.append(("pooled", pooled(seen[-1][1])[None]))
    return seen


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")


def cases(tok, model):
    for raw, text in texts():
        ids = tok.encode(text).ids
        yield raw, ids, stages(model, ids)


def tiny(folder):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "1_Pooling").mkdir(parents=True)
    words = ["the", "data", "##base", "connection", "error", "time", "##d", "out", "up", "##stream", "of", "memory", "to", "##o", "full",
             "cafe", "istanbul", "##\u03c3", "\u03b1", "\u78c1", "\u76d8", "\u65e5", "\u672c", "\u1112\u1161\u11ab", "\U0001f4be"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [c for c in map(chr, range(33, 127)) if not c.isupper()]
    pieces += ["##" + c for c in "abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces += [w for w in words if w not in pieces]
    vocab = {p: i for i, p in enumerate(pieces)}
    special = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    entry = lambda name: {"id": name, "ids": [vocab[name]], "tokens": [name]}
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
                           "pair": [], "special_tokens": {"[CLS]": entry("[CLS]"), "[SEP]": entry("[SEP]")}},
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    })
    tokens_max = 24
    config = BertConfig(vocab_size=len(vocab), hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=28,
                        max_position_embeddings=32, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12)
    torch.manual_seed(7)
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():  # larger than the usual 0.02, so that softmax and GELU leave their linear part
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.4 + (1.0 if name.endswith("LayerNorm.weight") else 0.0))
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if k != "embeddings.position_ids"}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict() | {
        k: getattr(config, k) for k in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                                        "max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps", "model_type")}) + "\n")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": tokens_max}) + "\n")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}) + "\n")
    model = model.double()
    out = []
    for i, (raw, ids, rows) in enumerate(cases(tokenizer(folder, tokens_max), model)):
        keep = rows if i in (0, 2, 14) else rows[-1:]  # every stage for three texts: empty, ordinary, odd
        out.append({"hex": raw.hex(), "ids": ids, "stages": {n: [float(f"{x:.8g}") for x in r.flatten().tolist()] for n, r in keep}})
    write_json(folder / "expect.json", out)


def minilm(source, folder):
    folder.mkdir(exist_ok=True)
    model = BertModel.from_pretrained(source, add_pooling_layer=False).eval().double()
    out, vectors = [], []
    for raw, ids, rows in cases(tokenizer(source, 256), model):
        out.append({"hex": raw.hex(), "ids": ids})
        vectors.append(rows[-1][1][0])
    write_json(folder / "expect.json", out)
    (folder / "vectors.f32").write_bytes(torch.stack(vectors).float().numpy().astype("<f4").tobytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tiny(HERE / "bert_tiny")
    minilm(pathlib.Path(sys.argv[1]), HERE / "minilm")
