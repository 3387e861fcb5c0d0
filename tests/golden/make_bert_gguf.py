#!/usr/bin/env python3
"""Makes tests/golden/bert_gguf: the BERT of tests/golden/bert_tiny as GGUF files in f32 and f16 (what they must say stands in
tests/golden/bert_tiny/expect.json), and a random one with rows of 32, which are whole blocks, in f32 and q8_0.

Run once; the outputs are committed. Made with, from the package index, gguf==0.19.0 numpy==2.4.6:
    python3 -m venv v && v/bin/pip install gguf==0.19.0 numpy==2.4.6
    v/bin/python tests/golden/make_bert_gguf.py
"""
import json
import pathlib
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench" / "embed"))
import to_gguf  # noqa: E402


def wider(out, kind):
    tiny = HERE / "bert_tiny"
    c = json.loads((tiny / "config.json").read_text()) | {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    rng = numpy.random.default_rng(7)

    def weights():
        for name, t in to_gguf.tensors(tiny / "model.safetensors"):
            if not name.startswith("encoder.layer.1."):
                norm = 1.0 if name.endswith("LayerNorm.weight") else 0.0
                shape = [32 if n in (16, 28) else n for n in t.shape]
                yield name, (rng.standard_normal(shape) * 0.3 + norm).astype("<f4")

    to_gguf.write(c, weights(), out, kind, tokenizer=json.loads((tiny / "tokenizer.json").read_text()))


def main():
    out = HERE / "bert_gguf"
    out.mkdir(exist_ok=True)
    for kind in ("f32", "f16"):
        to_gguf.main(HERE / "bert_tiny", out / f"tiny-{kind}.gguf", kind, True)
    for kind in ("f32", "q8_0"):
        wider(out / f"wider-{kind}.gguf", kind)


if __name__ == "__main__":
    main()
