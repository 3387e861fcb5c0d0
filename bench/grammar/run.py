"""Answers under JSON Schemas made by chance, from a real model: are they valid, and what do the masks cost a step?

1,000 schemas (200 in the quick form) out of everything that worker/grammar builds, by tests/unit/worker/grammar/test_grammar.py's maker; SmolLM2 writes one answer
under each, drawn at temperature 1, 16 side by side, of at most 256 tokens. Python's json reads it and jsonschema judges it: `valid_share`. Schemas that
the compiler refuses (by name) are drawn again and counted. `overhead_1`, `overhead_16`: the median time that the engine's thread computes in a step in which
1 or 16 sequences get one token each, under a form over without, less one; forms and none in turns, the least of the turns' medians
on either side, the worst of the forms; with seeds whose answers without a form do not end before, so that steps of both are at the same places.
(Time of the thread, not of the clock: others may use the machine. A form of which nearly every step brings tokens that had to come, several at
once, has no such steps and is left out.)
"""
import importlib.util
import json
import pathlib

import runlib
from decode import run as decode
from embed import run as embed

TARGETS = ["bench_grammar"]
BARS = {"valid_share": ("==", 1), "overhead_1": ("<=", 0.05), "overhead_16": ("<=", 0.05)}
FORMS = {
    "strings": {"type": "array", "items": {"type": "string"}, "minItems": 200},
    "objects": {"type": "array", "minItems": 200, "items": {"type": "object", "properties": {
        "id": {"type": "integer"}, "name": {"type": "string"}, "up": {"type": "boolean"}}, "required": ["id", "name", "up"]}},
    "names": {"type": "array", "minItems": 200, "items": {"enum": [f"service-{i:04x}-{i * 7919 % 997}" for i in range(2000)]}},
    "any": {"type": "array", "minItems": 200},
}


def options(parser):
    parser.add_argument("--model", help="a GGUF file; default: SmolLM2-135M-Instruct")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)


def maker():
    path = runlib.ROOT / "tests/unit/worker/grammar/test_grammar.py"
    spec = importlib.util.spec_from_file_location("schemas_by_chance", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(side, schemas, tokens, seed):
    side.process.stdin.write(f"write {len(schemas)} {tokens} {seed}\n" + "".join(json.dumps(s) + "\n" for s in schemas))
    side.process.stdin.flush()
    return [json.loads(side.process.stdout.readline()) for _ in schemas]


def judge(ctx, side, count):
    chance = maker()
    valid, written, refused, cut, at, tokens = 0, 0, 0, 0, 0, 0
    while written < count:
        schemas = [chance.Maker(10**6 * ctx.args.seed + at + i).schema() for i in range(min(200, count - written))]
        at += len(schemas)
        for schema, got in zip(schemas, answers(side, schemas, 256, at)):
            if "refused" in got:
                refused += 1
                continue
            written += 1
            tokens += got["tokens"]
            cut += got["end"] == "length"
            try:
                chance.judge(schema, [got["text"]])
                valid += 1
            except (AssertionError, ValueError) as e:
                ctx.say(f"  not valid: {str(e)[:300]}\n  {got}")
        ctx.say(f"  {written} answers, {valid} valid")
    return {"answers": written, "valid_share": valid / written, "schemas_refused": refused, "ended_short": cut, "answer_tokens": tokens}


def overhead(ctx, side, seqs):
    turns = 3 if ctx.quick else 7
    got = {name: [] for name in ["-", *FORMS]}
    for _ in range(turns):
        for name in got:
            form = "-" if name == "-" else json.dumps(FORMS[name])
            median, steps = side.ask(f"speed {seqs} {100 if seqs == 1 else 60}\n{form}")
            if steps >= 10:
                got[name].append(median)
    best = {name: min(v) for name, v in got.items() if v}
    ctx.say(f"  {seqs} at once: " + ", ".join(f"{n} {v * 1000:.2f} ms" for n, v in best.items()))
    return {f"overhead_{seqs}": round(max(v for n, v in best.items() if n != "-") / best["-"] - 1, 4), f"step_ms_{seqs}": round(best["-"] * 1000, 3)}


def bench(ctx):
    folder = pathlib.Path(embed.call("bash", runlib.ROOT / "scripts" / "models.sh", "--where").strip())
    file = pathlib.Path(ctx.args.model) if ctx.args.model else folder / decode.MODELS["smollm2"]
    side = decode.Side(ctx.bin / "bench_grammar", file, ctx.args.threads)
    figures = overhead(ctx, side, 1) | overhead(ctx, side, 16)
    figures |= judge(ctx, side, 200 if ctx.quick else 1000)
    side.close()
    return figures, {}
