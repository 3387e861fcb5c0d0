"""sentence-transformers' way of the same model, on torch: padded batches, mean over the tokens, length 1. Same jobs and answers as the
programs beside it (texts.h); here the first number of a job is the texts of a batch.

usage: st.py FOLDER THREADS
"""
import sys
import time

import torch
import transformers

torch.set_num_threads(int(sys.argv[2]))
model = transformers.BertModel.from_pretrained(sys.argv[1]).eval()


def text(i, length):
    return [101] + [1000 + (i * 131 + t * 17) % 20000 for t in range(1, length - 1)] + [102]


@torch.inference_mode()
def embed(batch, lengths):
    out = []
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])  # as encode() does
    for at in range(0, len(order), batch):
        some = [text(i, lengths[i]) for i in order[at:at + batch]]
        longest = max(map(len, some))
        ids = torch.tensor([t + [0] * (longest - len(t)) for t in some])
        mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in some])
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        out.append(torch.nn.functional.normalize(mean, dim=1))
    return torch.cat(out)[order.index(0)].tolist()


for line in sys.stdin:
    job = list(map(int, line.split()))
    begun = time.monotonic()
    vector = embed(job[0], job[1:])
    print(time.monotonic() - begun, *vector, flush=True)
