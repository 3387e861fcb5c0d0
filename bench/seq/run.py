"""Windows of events scored per CPU-second by the trained model, batched and one by one, beside the same model in torch.

Also how well it finds faults in sessions of random workflows, beside the statistical detectors at the same share of false alarms.
Then the same as a daemon does it (bench_seq_live): few sessions learnt, normal ones held out, one verdict beside the other.
Options: --no-quality leaves both out (they train a model per workflow).
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import rival  # noqa: E402

TARGETS = ["bench_seqlm", "bench_seq_quality", "bench_seq_live"]
BARS = {"batched_to_torch_batched": (">=", 3)}


def options(parser):
    parser.add_argument("--no-quality", dest="quality", action="store_false", help="leave the search for faults out")


def bench(ctx):
    windows = "1280" if ctx.quick else "12800" if ctx.long else "5120"
    with tempfile.TemporaryDirectory(prefix="opsd-bench-seq-") as folder:
        ours = rival.figures([str(ctx.bin / "bench_seqlm"), "score", folder, windows])
        torch = rival.figures([str(rival.python()), str(HERE / "torch_gpt2.py"), "score", folder]) if ctx.rival else {}
    figures = {"windows_per_s_batched": ours["batched"], "windows_per_s_single": ours["single"], "events_per_window": ours["window_events"],
               "batched_to_single": ours["batched"] / ours["single"], "mean_surprise": ours["mean_surprise"]}
    beside = {}
    if torch:
        figures |= {"batched_to_torch_batched": ours["batched"] / torch["batched"], "batched_to_torch_single": ours["batched"] / torch["single"],
                    "single_to_torch_single": ours["single"] / torch["single"]}
        beside = {"windows_per_s_batched": torch["batched"], "windows_per_s_single": torch["single"], "mean_surprise": torch["mean_surprise"],
                  "torch": torch["torch"]}
    if ctx.args.quality:
        text = subprocess.run([str(ctx.bin / "bench_seq_quality"), "2" if ctx.quick else "6"], capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            cells = line.split("\t")
            ctx.say(f"{cells[0]:26}" + "".join(f"{x:>13}" for x in cells[1:]))
            if cells[0] in ("trained model", "statistical", "joined"):
                figures["found_" + cells[0].replace(" ", "_")] = float(cells[-1])
        for learnt in (["512"] if ctx.quick else ["512", "200"]):
            text = subprocess.run([str(ctx.bin / "bench_seq_live"), "2" if ctx.quick else "12", learnt], capture_output=True, text=True, check=True).stdout
            ctx.say(f"as live, {learnt} sessions learnt")
            for line in text.splitlines():
                cells = line.split("\t")
                ctx.say(f"{cells[0]:26}" + "".join(f"{x:>13}" for x in cells[1:]))
                if cells[0] in ("detectors as live", "detectors or joined", "named"):
                    figures[f"live_{learnt}_" + cells[0].replace(" ", "_")] = float(cells[-1])
    return figures, beside
