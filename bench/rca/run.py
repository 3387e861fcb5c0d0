"""Root causes of the lab's recorded faults and of made-up systems: the cause ranked first, and among the first three.

Each recording of a fault is unpacked as a CASE and ranked by `opsctl offline rca`: with all that was recorded, and with its metrics, logs
or traces alone. Beside it, from the same metrics: the largest deviation of any series of a component in robust units (median, inter-quartile range)
and in standard deviations. The made-up systems (tests/unit/coordinator/analysis/incident/world.c) are broken in seven ways, 40 of each; there the rival is
chance.
"""
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import runlib

BARS = {"lab_ac1": (">=", 0.9), "lab_ac3": (">=", 1.0), "worlds_all_ac1": (">=", 0.95), "cpu_s_case_max": ("<=", 2)}
TARGETS = ["opsctl", "incident_rank_test"]
LAB = pathlib.Path(__file__).resolve().parent.parent / "lab"
VIEWS = {"": ("metrics.csv", "logs.jsonl", "traces.jsonl"), "metrics_": ("metrics.csv",), "logs_": ("logs.jsonl",), "traces_": ("traces.jsonl",)}


def options(parser):
    parser.add_argument("recordings", nargs="*", help="archives; default: all in bench/lab/recordings")
    parser.add_argument("--worlds", type=int, help="made-up systems of each kind; default 40, 8 with --quick")


def unpack(archive, folder):
    subprocess.run(["tar", "xzf", str(archive), "-C", folder, "--strip-components=1"], check=True)
    return json.loads((pathlib.Path(folder) / "truth.json").read_text())


def ranked(ctx, folder, files):
    """The order, and the CPU seconds it took."""
    with tempfile.TemporaryDirectory() as view:
        for name in (*files, "at.txt"):
            os.symlink(pathlib.Path(folder) / name, pathlib.Path(view) / name)
        before = os.times()
        got = subprocess.run([str(ctx.bin / "opsctl"), "offline", "rca", "--dir", view], capture_output=True, text=True, check=True)
        after = os.times()
    return [line.split("\t")[0] for line in got.stdout.splitlines()], \
        after.children_user + after.children_system - before.children_user - before.children_system


def series(folder):
    found, at = {}, float((pathlib.Path(folder) / "at.txt").read_text())
    with (pathlib.Path(folder) / "metrics.csv").open() as file:
        next(file)
        for line in file:
            when, component, metric, value = line.rstrip("\n").split(",")
            found.setdefault((component, metric), ([], []))[float(when) >= at].append(float(value))
    return found


def robust(before, after):
    quarters = statistics.quantiles(before, n=4)
    width = quarters[2] - quarters[0]
    return max(abs(v - statistics.median(before)) for v in after) / (width or 1)


def deviation(before, after):
    return max(abs(v - statistics.fmean(before)) for v in after) / (statistics.pstdev(before) or 1)


def baseline(found, measure):
    best = {}
    for (component, _), (before, after) in found.items():
        size = measure(before, after) if len(before) > 2 and after else 0
        best[component] = max(best.get(component, 0), size)
    return sorted(best, key=lambda c: (-best[c], c))


class Places:
    def __init__(self):
        self.all = []

    def add(self, order, truth):
        self.all.append(order.index(truth) + 1 if truth in order else len(order) + 1)
        return self.all[-1]

    def at(self, k):
        return sum(p <= k for p in self.all) / len(self.all)


def lab(ctx, figures, rival):
    archives = [pathlib.Path(p) for p in ctx.args.recordings] or sorted((LAB / "recordings").glob("*.tar.gz"))
    ours, plain, slowest = {v: Places() for v in VIEWS}, {"iqr_": Places(), "z_": Places()}, 0.0
    ctx.say(f"{'recording':22} {'cause':10} {'all':>4} {'metrics':>8} {'logs':>5} {'traces':>7} | {'iqr':>4} {'z':>3}   reached place")
    for archive in archives:
        with tempfile.TemporaryDirectory() as folder:
            truth = unpack(archive, folder)
            if not truth["component"]:
                continue
            places = []
            for view, files in VIEWS.items():
                order, cpu = ranked(ctx, folder, files)
                slowest = max(slowest, cpu)
                places.append(ours[view].add(order, truth["component"]))
            found = series(folder)
            places += [plain["iqr_"].add(baseline(found, robust), truth["component"]),
                       plain["z_"].add(baseline(found, deviation), truth["component"])]
        ctx.say("{:22} {:10} {:4} {:8} {:5} {:7} | {:4} {:3}".format(archive.name.replace(".tar.gz", ""), truth["component"], *places))
    for view, places in ours.items():
        figures[f"lab_{view}ac1"], figures[f"lab_{view}ac3"] = round(places.at(1), 3), round(places.at(3), 3)
    for name, places in plain.items():
        rival[f"lab_{name}ac1"], rival[f"lab_{name}ac3"] = round(places.at(1), 3), round(places.at(3), 3)
    rival["lab_ac1"], rival["lab_ac3"] = (max(p.at(k) for p in plain.values()) for k in (1, 3))
    figures["lab_cases"], figures["cpu_s_case_max"] = len(ours[""].all), round(slowest, 3)


def worlds(ctx, figures, rival):
    count = ctx.args.worlds or (8 if ctx.quick else 40)
    began = time.monotonic()
    got = subprocess.run([str(ctx.bin.parent / "tests" / "incident_rank_test")], capture_output=True, text=True, env={**os.environ, "OPS_WORLDS": str(count)})
    rows = re.findall(r"^(\S.*?)  +(\S.*?)  +first (\S+)  first three (\S+)  chance (\S+)$", got.stdout, re.M)
    if not rows:
        raise RuntimeError("incident_rank_test printed no figures:\n" + got.stdout[-2000:] + got.stderr[-2000:])
    ctx.say(f"\n{count} made-up systems of each kind, {time.monotonic() - began:.0f} s\n{'seen':30} {'fault':14} {'first':>7} {'three':>7} {'chance':>7}")
    by_view = {}
    for view, fault, first, three, chance in rows:
        ctx.say(f"{view:30} {fault:14} {first:>7} {three:>7} {chance:>7}")
        by_view.setdefault(view.split(",")[0].replace(" ", "_"), []).append((float(first), float(three), float(chance)))
    for view, scores in by_view.items():
        for i, k in enumerate(("ac1", "ac3")):
            figures[f"worlds_{view}_{k}"] = round(statistics.fmean(s[i] for s in scores), 3)
        rival[f"worlds_{view}_ac1"] = round(statistics.fmean(s[2] for s in scores), 3)


def bench(ctx):
    figures, rival = {}, {}
    lab(ctx, figures, rival)
    worlds(ctx, figures, rival)
    return figures, rival
