#!/usr/bin/env python3
"""Blocks of every weight format with the values the gguf package gives them: tests/golden/quant/NAME.bin.

A file is an int32 count of elements, the blocks' bytes, then as many f32. Half of the blocks are quantised from normal
deviates where the package can quantise, the others are random bytes under sane scales, so that every bit is seen.

usage: make_quant.py      needs: pip install gguf==0.19.0
"""
import pathlib
import struct

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants

OUT = pathlib.Path(__file__).resolve().parent / "quant"
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
          "F16": [0], "BF16": []}


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(20)
    for name, halves in HALVES.items():
        kind = T[name]
        elems, size = {"F16": (1, 2), "BF16": (1, 2)}.get(name) or __import__("gguf").GGML_QUANT_SIZES[kind]
        blocks = 3 if elems == 256 else 6 if elems == 32 else 96
        raw = rng.integers(0, 256, (blocks, size), dtype=np.uint8)
        for at in halves:
            raw[:, at:at + 2] = (rng.normal(size=(blocks, 1)) * 0.02).astype(np.float16).view(np.uint8)
        if name == "BF16":
            raw = (rng.normal(size=blocks).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(blocks, 2)
        if elems == 32:
            values = rng.normal(size=(blocks // 2, elems)).astype(np.float32)
            raw[:blocks // 2] = quants.quantize(values, kind).reshape(blocks // 2, size)
        values = quants.dequantize(raw.reshape(-1) if elems == 1 else raw, kind).astype(np.float32).reshape(-1)
        (OUT / f"{name}.bin").write_bytes(struct.pack("<i", blocks * elems) + raw.tobytes() + values.tobytes())


if __name__ == "__main__":
    main()
