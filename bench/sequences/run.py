"""Faults in sessions of random workflows: share found and false alarms, beside count vector and new event.

`bench_sequences` makes workflows of steps, branches, loops and threads, learns normal sessions of each and judges fresh ones,
sound and broken in six ways. It prints the model, each of its detectors alone, other ways to combine them, and two simple
detectors as rivals. The figures are those after 1,000 learnt sessions; the table shows 100 as well.
"""
import subprocess

TARGETS = ["bench_sequences"]
BARS = {"false_alarms": ("<=", 0.004), "found_mean": (">=", 0.85)}


def bench(ctx):
    flows = "5" if ctx.quick else "60" if ctx.long else "20"
    text = subprocess.run([str(ctx.bin / "bench_sequences"), flows], capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in text.splitlines()]
    for row in rows:
        mean = "mean" if row is rows[0] else f"{mean_of(row):.3f}"
        ctx.say(f"{row[0]:>6}  {row[1]:15}" + "".join(f"{x:>13}" for x in [*row[2:], mean]))
    best = {row[1]: row for row in rows[1:] if row[0] == "1000"}
    figures = {"found_mean": mean_of(best["ours"]), "false_alarms": float(best["ours"][2])}
    rival = {"found_mean": f"{mean_of(best['count vector']):.3f} count vector", "false_alarms": f"{best['count vector'][2]} count vector",
             "new event": f"{mean_of(best['new event']):.3f} at {best['new event'][2]}"}
    return figures, rival


def mean_of(row):
    return sum(map(float, row[3:])) / len(row[3:])
