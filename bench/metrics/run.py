"""Univariate baselines: samples a second on one core, bytes a series, and how the cost grows with the number of series.

Series of a minute with a day in them, scrape by scrape, from a thousand to a million at once; each was warmed with 400 samples, so that all
its questions are asked. CPU time of one thread. The curve's figure is the slowest rate over the fastest. The rival is the least that could
be called a baseline, running mean and deviation and one comparison, over the same samples: what the questions cost.
"""
import json
import subprocess

BARS = {"samples_per_s": (">=", 1_000_000), "flat": (">=", 0.5), "bytes_per_series": ("<=", 7168)}
TARGETS = ["bench_metrics"]


def bench(ctx):
    largest = 100_000 if ctx.quick else 1_000_000
    sizes = [n for n in (1_000, 10_000, 100_000, 1_000_000) if n <= largest]
    budget = 10_000_000 if ctx.long else 2_000_000
    rows = []
    for n in sizes:
        got = subprocess.run([str(ctx.bin / "bench_metrics"), str(n), str(max(4, budget // n))], capture_output=True, text=True, check=True)
        rows.append(json.loads(got.stdout))
    ctx.say(f"{'series':>10} {'samples/s':>12} {'bytes a series':>15} {'mean and deviation':>20}")
    for r in rows:
        ctx.say(f"{r['series']:>10,} {r['samples_per_s']:>12,} {r['bytes_per_series']:>15,} {r['rival_samples_per_s']:>20,}")
    rates = [r["samples_per_s"] for r in rows]
    figures = {"samples_per_s": min(rates), "flat": min(rates) / max(rates), "bytes_per_series": max(r["bytes_per_series"] for r in rows)}
    return figures, {"samples_per_s": min(r["rival_samples_per_s"] for r in rows)} if ctx.rival else {}
