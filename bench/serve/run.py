"""Many conversations at once with one long shared start, beside llama.cpp's batched decoding of the same prompts.

32 conversations begin alike (a system message of about 1,000 tokens) and ask something of their own; all come at once and get up
to 64 tokens, greedy. Ours goes through worker/engine's generator: nobody tells it that the start is shared. The rival, through
its C API on the same GGUF file, is told: it computes the start once, copies it to every sequence, packs what is left of the
prompts into full batches and then decodes all sequences side by side; each as many tokens as ours wrote, with the same number of
threads. In turns (A, B, A, B, ...). `ratio_total`: the rival's quickest turn over ours. `computed_times`: tokens of prompts that
were computed, by the engine's counter, over those that must be: every block of 32 tokens that differs in itself or before it once, and what
is left of each prompt. 1 says that the start was computed once.
"""
import pathlib
import statistics

import runlib
from decode import run as decode
from embed import run as embed

TARGETS = ["bench_serve"]
BARS = {"ratio_total": (">=", 2), "computed_times": ("==", 1)}
RIVAL_BARS = ["ratio_total"]
HERE = pathlib.Path(__file__).resolve().parent
CACHE = runlib.ROOT / "build" / "bench-serve"
BLOCK = 32  # tokens, of worker/engine/generator_open.c


def options(parser):
    parser.add_argument("--model", help="a GGUF file; default: SmolLM2-135M-Instruct")
    parser.add_argument("--threads", type=int, default=2, help="of either side")
    parser.add_argument("--talks", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64, help="of an answer at most")
    parser.add_argument("--prefix", type=int, default=1000, help="tokens that all begin with")
    parser.add_argument("--turns", type=int, help="default: 5, quick 2")


def answer(side, round_):
    row = side.ask(f"serve {round_}")
    talks = int(row[2])
    first = row[3:3 + talks]
    gaps = row[4 + talks:]
    assert len(gaps) == int(row[3 + talks])
    return {"seconds": row[0], "computed": int(row[1]), "first": sorted(first), "gaps": sorted(gaps)}


def share(values, part):
    return values[min(len(values) - 1, int(part * len(values)))] * 1000


def least_tokens(prompts):
    blocks = {tuple(p[:end]) for p in prompts for end in range(BLOCK, len(p), BLOCK)}  # the last token is always computed
    return len(blocks) * BLOCK + sum(len(p) - (len(p) - 1) // BLOCK * BLOCK for p in prompts)


def told(side, talks):
    side.process.stdin.write("ids\n")
    side.process.stdin.flush()
    return [side.process.stdout.readline() for _ in range(talks)]


def bench(ctx):
    folder = pathlib.Path(embed.call("bash", runlib.ROOT / "scripts" / "models.sh", "--where").strip())
    file = pathlib.Path(ctx.args.model) if ctx.args.model else folder / decode.MODELS["smollm2"]
    CACHE.mkdir(parents=True, exist_ok=True)
    embed.CACHE.mkdir(parents=True, exist_ok=True)
    ours = decode.Side(ctx.bin / "bench_serve", file, ctx.args.threads, ctx.args.talks, ctx.args.tokens, ctx.args.prefix)
    answer(ours, 0)  # writes answers, so that their lengths are known; pages are there
    talks = told(ours, ctx.args.talks)
    ids = [line.split()[1:] for line in talks]
    shared = next(i for i in range(len(ids[0])) if len({p[i] for p in ids}) > 1)
    least = {"ours": least_tokens(ids), "rival": shared + sum(len(p) - shared for p in ids)}
    sides = {"ours": ours}
    if ctx.rival:
        program, libraries = decode.rival_program(HERE / "rival.c", HERE / "jobs.h", out=CACHE / "rival")
        (CACHE / "talks").write_text("".join(talks))
        sides["rival"] = decode.Side(program, file, ctx.args.threads, libraries, CACHE / "talks")
        answer(sides["rival"], 0)
    got = {side: [] for side in sides}
    for turn in range(ctx.args.turns or (2 if ctx.quick else 5)):
        for which, side in sides.items():
            got[which].append(answer(side, turn + 1))
            side.rest()
            ctx.say(f"  turn {turn + 1}, {which}: {got[which][-1]['seconds']:.2f} s")
    for side in sides.values():
        side.close()
    tables = {}
    for which, rounds in got.items():
        best = min(rounds, key=lambda r: r["seconds"])
        tables[which] = {"total_s": round(best["seconds"], 3), "total_median_s": round(statistics.median(r["seconds"] for r in rounds), 3),
                         "ttft_p50_ms": round(share(best["first"], 0.5), 1), "ttft_p99_ms": round(share(best["first"], 0.99), 1),
                         "between_p50_ms": round(share(best["gaps"], 0.5), 1), "between_p99_ms": round(share(best["gaps"], 0.99), 1),
                         "computed_times": round(best["computed"] / least[which], 4)}
    figures = tables["ours"] | {"prefix_tokens": shared, "talks": len(ids), "answer_tokens": sum(int(line.split()[0]) for line in talks)}
    if "rival" in tables:
        figures["ratio_total"] = round(tables["rival"]["total_s"] / figures["total_s"], 2)
        figures["ratio_total_median"] = round(tables["rival"]["total_median_s"] / figures["total_median_s"], 2)
    return figures, tables.get("rival", {})
