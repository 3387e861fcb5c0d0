"""The same model in torch, from the same weights, over the same batches. usage: torch_gpt2.py train|score DIR

One thread, as ours. Sequences of a batch are padded to the longest, which is how torch batches; scoring is timed in batches and one by
one, training with AdamW and the norm clipped as ours. Prints what bench_seqlm prints.
"""
import json
import pathlib
import struct
import sys
import time

import torch
from torch.nn import functional as F

torch.set_num_threads(1)
MODE, DIR = sys.argv[1], pathlib.Path(sys.argv[2])


def weights(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    found = {}
    for name, t in json.loads(raw[8 : 8 + size]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            found[name.removeprefix("transformer.")] = torch.frombuffer(bytearray(raw[8 + size + a : 8 + size + b]), dtype=torch.float32).reshape(t["shape"]).clone().requires_grad_()
    return found


def batches(path):
    raw = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.int32).tolist()
    at = 0
    while at < len(raw):
        seqs = raw[at]
        ends = raw[at + 1 : at + 1 + seqs]
        at += 1 + seqs
        ids, target = raw[at : at + ends[-1]], raw[at + ends[-1] : at + 2 * ends[-1]]
        at += 2 * ends[-1]
        starts = [0, *ends[:-1]]
        yield [(ids[a:b], target[a:b]) for a, b in zip(starts, ends)]


def pad(rows):
    longest = max(len(r[0]) for r in rows)
    ids = torch.tensor([r[0] + [0] * (longest - len(r[0])) for r in rows])
    target = torch.tensor([r[1] + [-100] * (longest - len(r[1])) for r in rows])
    return ids, target


def forward(w, config, ids):
    batch, n = ids.shape
    dim, heads = config["n_embd"], config["n_head"]
    x = w["wte.weight"][ids] + w["wpe.weight"][:n]
    for i in range(config["n_layer"]):
        p = f"h.{i}."
        y = F.layer_norm(x, (dim,), w[p + "ln_1.weight"], w[p + "ln_1.bias"])
        y = torch.addmm(w[p + "attn.c_attn.bias"], y.reshape(-1, dim), w[p + "attn.c_attn.weight"])
        q, k, v = (t.reshape(batch, n, heads, dim // heads).transpose(1, 2) for t in y.split(dim, 1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(-1, dim)
        x = x + torch.addmm(w[p + "attn.c_proj.bias"], y, w[p + "attn.c_proj.weight"]).reshape(batch, n, dim)
        y = F.layer_norm(x, (dim,), w[p + "ln_2.weight"], w[p + "ln_2.bias"]).reshape(-1, dim)
        y = F.gelu(torch.addmm(w[p + "mlp.c_fc.bias"], y, w[p + "mlp.c_fc.weight"]), approximate="tanh")
        x = x + torch.addmm(w[p + "mlp.c_proj.bias"], y, w[p + "mlp.c_proj.weight"]).reshape(batch, n, dim)
    x = F.layer_norm(x, (dim,), w["ln_f.weight"], w["ln_f.bias"])
    return x @ w["wte.weight"].T


def surprise(w, config, ids, target, how):
    return F.cross_entropy(forward(w, config, ids).flatten(0, 1), target.flatten(), ignore_index=-100, reduction=how)


def train(w, config, rows):
    flat, matrix = [t for t in w.values() if t.dim() == 1], [t for t in w.values() if t.dim() == 2]
    adam = torch.optim.AdamW([{"params": matrix, "weight_decay": 0.01}, {"params": flat, "weight_decay": 0.0}], lr=1e-3)
    spent = tokens = 0
    for i, group in enumerate(rows):
        ids, target = pad(group)
        begun = time.process_time()
        loss = surprise(w, config, ids, target, "mean")
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        adam.step()
        spent += time.process_time() - begun
        tokens += sum(len(r[0]) for r in group)
        print(f"loss {i} {loss.item():.7f}")
    print(f"tokens_per_s {tokens / spent:.1f}")


def score(w, config, rows):
    batched = single = total = 0.0
    windows = tokens = 0
    with torch.inference_mode():
        for group in rows:
            begun = time.process_time()
            ids, target = pad(group)
            total += surprise(w, config, ids, target, "none").sum().item()
            middle = time.process_time()
            for row in group:
                ids, target = pad([row])
                surprise(w, config, ids, target, "none").tolist()
            batched += middle - begun
            single += time.process_time() - middle
            windows += len(group)
            tokens += sum(len(r[0]) for r in group)
    print(f"batched {windows / batched:.1f}\nsingle {windows / single:.1f}\nmean_surprise {total / tokens:.6f}")


w, config = weights(DIR / "weights.safetensors"), json.loads((DIR / "config.json").read_text())
(train if MODE == "train" else score)(w, config, batches(DIR / "batches.bin"))
print("torch", torch.__version__)
