"""Embeddings per second of MiniLM on two threads, beside llama.cpp on the same weights.

Both sides compute the same token ids in turns (A, B, A, B, ...), f32 beside its f32 and our int8 beside its q8_0. The
rival is the prebuilt library of @node-llama-cpp/linux-x64, driven through its C API with the batch size, among some, that
suits it best for each length. A figure without a suffix is the quickest of the turns on either side: on a machine that
others use too, a turn that was disturbed says nothing, and the rival's spinning threads suffer more than ours. Figures
in `_median` are the medians of the same turns. `cosine_*` compares vectors of ours in f32 with ours in int8 and with the
rival's.
"""
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import time

import runlib

TARGETS = ["bench_embed"]
BARS = {"ratio_f32": (">=", 3), "ratio_int8": (">=", 4.5), "cosine_int8": (">=", 0.995), "cosine_rival": (">=", 0.999)}
HERE = pathlib.Path(__file__).resolve().parent
CACHE = runlib.ROOT / "build" / "bench-embed"
NPM = "3.22.1"  # both packages; release v0.5.0 of the library inside
PIP = ["gguf==0.19.0", "numpy==2.4.6"]
MIN_TURNS, MAX_TURNS = 3, 41
LENGTHS = {"32": [32], "8": [8], "128": [128], "512": [512], "mixed": None}
HEADLINE = "32"
RIVAL_BATCHES = {"8": [64, 128, 256], "32": [128, 256, 512], "128": [128, 256, 512], "512": [512, 1024], "mixed": [256, 512]}
OUR_BATCH = 256  # the engine's


def options(parser):
    parser.add_argument("--model", help="folder of all-MiniLM-L6-v2; default: where scripts/models.sh puts it")
    parser.add_argument("--st", metavar="PYTHON", help="a Python that has torch and transformers: measured beside, f32")
    parser.add_argument("--threads", type=int, default=2, help="of either side")
    parser.add_argument("--seconds", type=float, default=15, help="of turns for each kind of texts")
    parser.add_argument("--only", choices=sorted(LENGTHS), help="one kind of texts")


def call(*command, cwd=None):
    got = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    if got.returncode:
        sys.exit(f"bench embed: {' '.join(map(str, command))}:\n{got.stdout[-1000:]}{got.stderr[-3000:]}")
    return got.stdout


def fetch(package):
    folder = CACHE / package.replace("/", "_").replace("@", "")
    if not (folder / "package").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        call("npm", "pack", "--silent", f"{package}@{NPM}", cwd=folder)
        with tarfile.open(next(folder.glob("*.tgz"))) as tar:
            tar.extractall(folder, filter="data")
    return folder / "package"


def rival_program():
    """Built anew when its source is newer."""
    libraries = fetch("@node-llama-cpp/linux-x64") / "bins" / "linux-x64"
    source = CACHE / "source"
    if not source.is_dir():
        call("git", "clone", "-q", fetch("node-llama-cpp") / "llama" / "gitRelease.bundle", source)
    out = CACHE / "rival"
    sources = [HERE / "rival.c", HERE / "texts.h", HERE / "llama_side.h"]
    if not out.exists() or out.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        call("gcc", "-O2", "-o", out, sources[0], f"-I{runlib.ROOT}", f"-I{source}/include", f"-I{source}/ggml/include",
             f"-L{libraries}", *(f"-l:{next(libraries.glob(p)).name}" for p in ("libllama.v*.so", "libggml.v*.so", "libggml-base.so")),
             f"-Wl,-rpath,{libraries}", "-Wl,--allow-shlib-undefined")
    return out, libraries


def gguf_files(model):
    files = {kind: CACHE / f"minilm-{kind}.gguf" for kind in ("f32", "q8_0")}
    if not all(f.exists() for f in files.values()):
        venv = CACHE / "venv"
        if not (venv / "bin" / "pip").exists():
            call(sys.executable, "-m", "venv", venv)
        call(venv / "bin" / "pip", "install", "-q", *PIP)
        for kind, file in files.items():
            part = file.with_suffix(".part")
            call(venv / "bin" / "python", HERE / "to_gguf.py", model, part, kind)
            part.rename(file)
    return files


class Side:
    def __init__(self, *command):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, batch, lengths):
        """Seconds, and the vector of the first text."""
        self.process.stdin.write(" ".join(map(str, [batch, *lengths])) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().split()
        if not line:
            raise RuntimeError(f"{self.process.args} ended")
        values = [float(x) for x in line]
        return values[0], values[1:]

    def rest(self):
        """Until its threads have gone to sleep: the rival's spin for a while after a turn, on a processor the next one needs."""
        def ticks():
            return pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11]
        until = time.monotonic() + 3
        before, now = None, ticks()
        while before != now and time.monotonic() < until:
            time.sleep(0.04)
            before, now = now, ticks()

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def lengths_of(kind, tokens):
    if LENGTHS[kind]:
        return LENGTHS[kind] * max(1, tokens // LENGTHS[kind][0])
    out, seed = [], 7  # mixed: as many short texts as long ones, from 6 to 256 tokens
    while sum(out) < tokens:
        seed = (seed * 1103515245 + 12345) % 2**31
        out.append(round(6 * (256 / 6) ** (seed / 2**31)))
    return out


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def best_batch(side, kind):
    """Tokens of a batch that suit the rival, tried on a job of one large batch."""
    lengths = lengths_of(kind, max(RIVAL_BATCHES[kind]))
    return min(RIVAL_BATCHES[kind], key=lambda b: min(side.run(b, lengths)[0] for _ in range(2)))


def measure(ctx, kind, pairs, st):
    """{side: [texts per second]} in turns, and the vectors."""
    tokens = 1024 if ctx.quick else 4096 if ctx.long else 2048
    lengths = lengths_of(kind, tokens)
    batches = {name: OUR_BATCH if name.startswith("ours") else best_batch(side, kind) for name, side in pairs.items()}
    vectors = {name: side.run(batches[name], lengths)[1] for name, side in pairs.items()}
    for side in pairs.values():
        side.rest()
    speeds = {name: [] for name in pairs}
    begun, turns = time.monotonic(), 0
    while turns < MIN_TURNS or (turns < MAX_TURNS and time.monotonic() - begun < ctx.args.seconds):
        turns += 1
        for name, side in pairs.items():
            speeds[name].append(len(lengths) / side.run(batches[name], lengths)[0])
            side.rest()
    if st:
        speeds["st_f32"] = [len(lengths) / st.run(32, lengths)[0] for _ in range(3)]
    ctx.say(f"  {kind}: {len(lengths)} texts, {turns} turns, rival's batch " + ", ".join(f"{n} {batches[n]}" for n in pairs if n.startswith("rival")))
    return speeds, vectors


def bench(ctx):
    model = pathlib.Path(ctx.args.model or call("bash", runlib.ROOT / "scripts" / "models.sh", "--where").strip() + "/all-MiniLM-L6-v2")
    if not (model / "model.safetensors").exists():
        sys.exit(f"bench embed: no model in {model}: run scripts/models.sh or name one with --model")
    CACHE.mkdir(parents=True, exist_ok=True)
    ours = ctx.bin / "bench_embed"
    pairs = {"ours_f32": Side(ours, model, "f32", ctx.args.threads)}
    if ctx.rival:
        program, libraries = rival_program()
        files = gguf_files(model)
        pairs["rival_f32"] = Side(program, files["f32"], ctx.args.threads, libraries)
    pairs["ours_int8"] = Side(ours, model, "int8", ctx.args.threads)
    if ctx.rival:
        pairs["rival_int8"] = Side(program, files["q8_0"], ctx.args.threads, libraries)
    st = Side(ctx.args.st, HERE / "st.py", model, ctx.args.threads) if ctx.args.st else None
    figures, rival = {}, {}
    for kind in [ctx.args.only] if ctx.args.only else LENGTHS:
        speeds, vectors = measure(ctx, kind, pairs, st)
        end = "" if kind == HEADLINE else f"_{kind}"
        for p in ("f32", "int8"):
            for suffix, of in (("", max), ("_median", statistics.median)):
                figures[f"texts_per_s_{p}{end}{suffix}"] = round(of(speeds["ours_" + p]), 1)
                if ctx.rival:
                    rival[f"texts_per_s_{p}{end}{suffix}"] = round(of(speeds["rival_" + p]), 1)
                    figures[f"ratio_{p}{end}{suffix}"] = round(of(speeds["ours_" + p]) / of(speeds["rival_" + p]), 2)
        if st:
            rival[f"st_texts_per_s_f32{end}"] = round(max(speeds["st_f32"]), 1)
            figures[f"ratio_st_f32{end}"] = round(max(speeds["ours_f32"]) / max(speeds["st_f32"]), 2)
        if kind == HEADLINE:
            figures["cosine_int8"] = round(cosine(vectors["ours_f32"], vectors["ours_int8"]), 5)
            if ctx.rival:
                figures["cosine_rival"] = round(cosine(vectors["ours_f32"], vectors["rival_f32"]), 6)
    for side in [*pairs.values(), *([st] if st else [])]:
        side.close()
    return figures, rival
