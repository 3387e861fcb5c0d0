"""Prometheus' own PromQL cases: which pass, which are refused by name, which are answered wrongly.

The case files come with the Go module of Prometheus, fetched at one version through the Go module proxy into the Go cache; nothing of it
is kept here. Each file is run by bench_promqltest, which reads their language and asks coordinator/analysis/rules. The engine's switches are those
the module's own test engine has (names dropped late, type and unit as labels). Warnings and infos that a case expects are not compared;
its values are. A case counts as refused only when the error is that something is not taken. The bar: 0.6 of all cases pass, none wrong.
"""
import json
import os
import pathlib
import subprocess
import tempfile

MODULE, VERSION = "github.com/prometheus/prometheus", "v0.305.1"
BARS = {"pass_share": (">=", 0.6), "wrong": ("<=", 0)}
TARGETS = ["bench_promqltest"]


def cases():
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "go.mod").write_text("module cases\ngo 1.21\n")
        got = subprocess.run(["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], cwd=folder, capture_output=True, text=True,
                             env={**os.environ, "GOFLAGS": "-mod=mod"}, check=True)
    return sorted((pathlib.Path(json.loads(got.stdout)["Dir"]) / "promql/promqltest/testdata").glob("*.test"))


def reason(why):
    return why.split(": ", 1)[-1]


def bench(ctx):
    counts, reasons, wrong = {"pass": 0, "refused": 0, "wrong": 0}, {}, []
    ctx.say(f"{'file':<28} {'pass':>6} {'refused':>8} {'wrong':>6}")
    for path in cases():
        got = subprocess.run([str(ctx.bin / "bench_promqltest"), str(path)], capture_output=True, text=True, timeout=120)
        if got.returncode != 0:
            raise RuntimeError(f"{path.name}: {got.stderr}")
        rows = [json.loads(line) for line in got.stdout.splitlines()]
        for r in rows:
            counts[r["verdict"]] += 1
            if r["verdict"] == "refused":
                reasons[reason(r["why"])] = reasons.get(reason(r["why"]), 0) + 1
            if r["verdict"] == "wrong":
                wrong.append(f"{path.name}:{r['line']}: {r['why']}")
        ctx.say(f"{path.name:<28} " + " ".join(f"{sum(r['verdict'] == k for r in rows):>{w}}" for k, w in (("pass", 6), ("refused", 8), ("wrong", 6))))
    for why, n in sorted(reasons.items(), key=lambda x: -x[1]):
        ctx.say(f"refused {n:>5}  {why}")
    for line in wrong:
        ctx.say("wrong   " + line)
    total = sum(counts.values())
    return {"cases": total, "pass": counts["pass"], "refused": counts["refused"], "wrong": counts["wrong"], "pass_share": counts["pass"] / total}, {}
