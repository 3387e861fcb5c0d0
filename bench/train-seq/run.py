"""Tokens per CPU-second of training the sequence model, and its loss curve, beside the same model in torch from the same weights.

Both train 200 steps over the same batches with the same AdamW; `curve_apart` is the greatest relative difference between the two losses
of a step.
"""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "seq"))
import rival  # noqa: E402

TARGETS = ["bench_seqlm"]
BARS = {"curve_apart": ("<=", 0.01)}


def bench(ctx):
    steps = "20" if ctx.quick else "200"
    with tempfile.TemporaryDirectory(prefix="opsd-bench-train-") as folder:
        ours = rival.figures([str(ctx.bin / "bench_seqlm"), "train", folder, steps])
        script = str(pathlib.Path(rival.__file__).with_name("torch_gpt2.py"))
        torch = rival.figures([str(rival.python()), script, "train", folder]) if ctx.rival else {}
    figures = {"tokens_per_s": ours["tokens_per_s"], "weights": ours["weights"], "first_loss": ours["loss"][0], "last_loss": ours["loss"][-1]}
    if not torch:
        return figures, {}
    for i in range(0, len(ours["loss"]), max(1, len(ours["loss"]) // 10)):
        ctx.say(f"step {i:4}  ours {ours['loss'][i]:.6f}  torch {torch['loss'][i]:.6f}")
    figures["curve_apart"] = max(abs(a - b) / b for a, b in zip(ours["loss"], torch["loss"], strict=True))
    figures["tokens_to_torch"] = ours["tokens_per_s"] / torch["tokens_per_s"]
    return figures, {"tokens_per_s": torch["tokens_per_s"], "first_loss": torch["loss"][0], "last_loss": torch["loss"][-1], "torch": torch["torch"]}
