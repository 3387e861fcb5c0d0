"""Tokens per second of decoders on two threads, beside llama.cpp on the same GGUF files; perplexity beside its.

Both sides do the same jobs on the same ids in turns (A, B, A, B, ...): a prompt of 512 tokens (pp512), 128 tokens of one
sequence (tg128), 16 sequences side by side (b16). The rival is the prebuilt library of @node-llama-cpp/linux-x64, driven
through its C API. A figure without a suffix is the quickest of the turns on either side, for the machine may have other
users; `_median` is over the same turns. `roof_share`: bytes of weights that a step reads times tg128, over what the
machine reads as fast as it can in turns with it: as many bytes, 128 times over (`roof_pass_gbs`: the quickest single time of
them all, a moment in which nobody else wanted the memory). `ppl_off`: our perplexity of the texts below
over the rival's, less one; `--long` adds, over a tenth of the text, `ppl_exact`, ours by the formula in double with keys and values
in f32, which takes minutes, and what both sides say of as much (`ppl_few`). Models that are not there are left out and named.
"""
import math
import pathlib
import statistics
import subprocess
import sys
import time

import runlib
from embed import run as embed

TARGETS = ["bench_decode"]
MODELS = {"smollm2": "SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf", "gemma3": "tests/gemma-3-270m-q4_k_m.gguf", "made276": None}
JOBS = {"pp512": ("pp 512", 512), "tg128": ("tg 128", 128), "b16": ("many 16 24", 16 * 24)}
WANTED = {"ratio_pp512": (">=", 2), "ratio_tg128": (">=", 1.5), "ratio_b16": (">=", 2), "ppl_off": ("<=", 0.005), "roof_share": (">=", 0.75)}
BARS = {f"{k}_{m}": v for m in MODELS for k, v in WANTED.items() if not (k == "ppl_off" and m == "made276")}
RIVAL_BARS = [b for b in BARS if not b.startswith("roof")]
HERE = pathlib.Path(__file__).resolve().parent
CACHE = runlib.ROOT / "build" / "bench-decode"
# Plain English with tables and code. So much of it, since over the first 2,400 tokens alone two ways of rounding differ by more than they do over ten times as many.
TEXT_FILES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "kernels/README.md", "docs"]
TEXT_BYTES = 100_000
CHUNK, CHUNKS, CHUNKS_EXACT = 400, 60, 6
MIN_TURNS, MAX_TURNS = 3, 15


def options(parser):
    parser.add_argument("--models", help="folder of models; default: where scripts/models.sh puts them")
    parser.add_argument("--threads", type=int, default=2, help="of either side")
    parser.add_argument("--seconds", type=float, default=12, help="of turns for each model and job")
    parser.add_argument("--only", choices=sorted(MODELS), help="one model")
    parser.add_argument("--jobs", default="pp512,tg128,b16,ppl", help="some of these")


class Side(embed.Side):
    def ask(self, job):
        self.process.stdin.write(job if job.endswith("\0") else job + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended")
        return [float(x) for x in line.split()]


def rival_program(*sources, out):
    """Builds one of the rivals over llama.cpp's C API: its .c first, then what else it is made of."""
    libraries = embed.fetch("@node-llama-cpp/linux-x64") / "bins" / "linux-x64"
    source = embed.CACHE / "source"
    if not source.is_dir():
        embed.call("git", "clone", "-q", embed.fetch("node-llama-cpp") / "llama" / "gitRelease.bundle", source)
    made_of = [*sources, HERE.parent / "embed" / "llama_side.h"]
    if not out.exists() or out.stat().st_mtime < max(s.stat().st_mtime for s in made_of):
        embed.call("gcc", "-O2", "-o", out, sources[0], f"-I{runlib.ROOT}", f"-I{source}/include", f"-I{source}/ggml/include", f"-L{libraries}",
                   *(f"-l:{next(libraries.glob(p)).name}" for p in ("libllama.v*.so", "libggml.v*.so", "libggml-base.so")), "-lm",
                   f"-Wl,-rpath,{libraries}", "-Wl,--allow-shlib-undefined")
    return out, libraries


def made_model():
    file, venv = CACHE / "made276.gguf", CACHE / "venv"
    if not file.exists():
        if not (venv / "bin" / "pip").exists():
            embed.call(sys.executable, "-m", "venv", venv)
        embed.call(venv / "bin" / "pip", "install", "-q", *embed.PIP)
        part = file.with_suffix(".part")
        embed.call(venv / "bin" / "python", HERE / "made.py", part)
        part.rename(file)
    return file


def chunks(ours, most):
    """Each behind the token that a text begins with where the model has one: without, Gemma foretells next to nothing."""
    files = [f for name in TEXT_FILES for f in (sorted((runlib.ROOT / name).rglob("*.md")) if (runlib.ROOT / name).is_dir() else [runlib.ROOT / name])]
    text = "\n".join(f.read_text() for f in files)[:TEXT_BYTES]
    first = [int(x) for x in ours.ask("text\n\0")]
    ids = [int(x) for x in ours.ask("text\n" + text + "\0")][len(first):]
    size = CHUNK - len(first)
    return [first + ids[i:i + size] for i in range(0, len(ids) - size, size)][:most]


def perplexity(side, parts):
    total = sum(side.ask("nll " + " ".join(map(str, p)))[0] for p in parts)
    return math.exp(total / sum(len(p) - 1 for p in parts))


def shares(name, speeds, roof, passes):
    """Of tokens/s of each turn, and of each turn's roof: seconds, bytes of one pass, GB/s of the quickest pass."""
    figures = {f"roof_pass_gbs_{name}": max(r[2] for r in roof)}
    for suffix, of in (("", max), ("_median", statistics.median)):
        gbs = of([passes * r[1] / r[0] / 1e9 for r in roof])
        figures[f"roof_gbs_{name}{suffix}"] = round(gbs, 1)
        figures[f"roof_share_{name}{suffix}"] = round(of(speeds) * roof[0][1] / gbs / 1e9, 3)
    return figures


def measure(ctx, name, sides):
    figures, rival = {}, {}
    for job, (line, tokens) in JOBS.items():
        if job not in ctx.args.jobs.split(","):
            continue
        for side in sides.values():
            side.ask(line)
            side.rest()
        got = {side: [] for side in sides}
        roof = []
        begun, turns = time.monotonic(), 0
        while turns < MIN_TURNS or (turns < MAX_TURNS and time.monotonic() - begun < ctx.args.seconds / (3 if ctx.quick else 1)):
            turns += 1
            for which, side in sides.items():
                got[which].append(tokens / side.ask(line)[0])
                side.rest()
            if job == "tg128":
                roof.append(sides["ours"].ask(f"roof {tokens}"))
        for suffix, of in (("", max), ("_median", statistics.median)):
            figures[f"{job}_{name}{suffix}"] = round(of(got["ours"]), 1)
            if "rival" in got:
                rival[f"{job}_{name}{suffix}"] = round(of(got["rival"]), 1)
                figures[f"ratio_{job}_{name}{suffix}"] = round(of(got["ours"]) / of(got["rival"]), 2)
        if job == "tg128":
            figures |= shares(name, got["ours"], roof, tokens)
        ctx.say(f"  {name} {job}: {turns} turns, tokens/s best " + ", ".join(f"{w} {max(v):.1f}" for w, v in got.items()) +
                ", median " + ", ".join(f"{w} {statistics.median(v):.1f}" for w, v in got.items()))
    return figures, rival


def bench(ctx):
    folder = pathlib.Path(ctx.args.models or embed.call("bash", runlib.ROOT / "scripts" / "models.sh", "--where").strip())
    CACHE.mkdir(parents=True, exist_ok=True)
    embed.CACHE.mkdir(parents=True, exist_ok=True)
    program = rival_program(HERE / "rival.c", HERE / "jobs.h", out=CACHE / "rival") if ctx.rival else None
    figures, rival = {}, {}
    for name, path in MODELS.items():
        if ctx.args.only and name != ctx.args.only:
            continue
        file = folder / path if path else made_model()
        if not file.exists():
            ctx.say(f"  {name}: left out, no {file}: scripts/models.sh --tests brings it")
            continue
        sides = {"ours": Side(ctx.bin / "bench_decode", file, ctx.args.threads)}
        if program:
            sides["rival"] = Side(program[0], file, ctx.args.threads, program[1])
        more, theirs = measure(ctx, name, sides)
        figures |= more
        rival |= theirs
        if path and "ppl" in ctx.args.jobs.split(","):
            parts = chunks(sides["ours"], CHUNKS)
            figures[f"ppl_{name}"] = round(perplexity(sides["ours"], parts), 4)
            if program:
                rival[f"ppl_{name}"] = round(perplexity(sides["rival"], parts), 4)
                figures[f"ppl_off_{name}"] = round(abs(figures[f"ppl_{name}"] / rival[f"ppl_{name}"] - 1), 5)
            if ctx.long:
                sides["exact"] = Side(ctx.bin / "bench_decode", file, ctx.args.threads, "exact")
                few = parts[:CHUNKS_EXACT]
                for side, suffix in (("exact", "exact"), ("ours", "few"), ("rival", "few")):
                    if side in sides:
                        (rival if side == "rival" else figures)[f"ppl_{suffix}_{name}"] = round(perplexity(sides[side], few), 4)
        for side in sides.values():
            side.close()
    return figures, rival
