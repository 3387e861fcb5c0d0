#!/usr/bin/env python3
"""Shows which log templates are new since a fault, found by `opsctl offline templates` over a recorded case.

usage: demo_templates.py OPSCTL CASE
"""
import collections
import datetime
import json
import pathlib
import subprocess
import sys

SHOWN_MAX = 12


def main():
    opsctl, case = sys.argv[1], pathlib.Path(sys.argv[2])
    truth = json.loads((case / "truth.json").read_text())
    records = [json.loads(line) for line in (case / "logs.jsonl").open(encoding="utf-8")]
    records.sort(key=lambda r: r["time"])
    lines = "".join(r["message"].replace("\n", " ") + "\n" for r in records)
    rows = subprocess.run([opsctl, "offline", "templates", "-"], input=lines.encode(), capture_output=True, check=True)
    rows = [row.split("\t", 1) for row in rows.stdout.decode(errors="replace").split("\n")[:-1]]

    onset = truth.get("onset") or float("inf")
    groups = {}
    for record, (group, text) in zip(records, rows):
        g = groups.setdefault(group, {"text": text, "before": 0, "since": 0, "first": record["time"], "services": collections.Counter()})
        g["before" if record["time"] < onset else "since"] += 1
        g["services"][record["component"]] += 1
    print(f"\n== {case.name}: {len(records)} lines of {len({r['component'] for r in records})} services, {len(groups)} templates")
    if onset == float("inf"):
        print("   a control: nothing was broken")
        shown = sorted(groups.values(), key=lambda g: -g["before"])
        head = "the most frequent templates"
    else:
        at = datetime.datetime.fromtimestamp(onset, datetime.timezone.utc)
        print(f"   what was done: {truth['component']} {truth['fault']}, at {at:%H:%M:%S} UTC")
        shown = sorted((g for g in groups.values() if not g["before"]), key=lambda g: g["first"])
        head = f"{len(shown)} templates never seen before the fault, in order of appearance"
    print(f"\n   {head}:")
    for g in shown[:SHOWN_MAX]:
        delay = f"{g['first'] - onset:+6.1f} s" if onset != float("inf") else ""
        print(f"   {delay} {g['before'] + g['since']:6d} x  {'/'.join(g['services'])}: {g['text'][:100]}")
    if len(shown) > SHOWN_MAX:
        print(f"   and {len(shown) - SHOWN_MAX} more")


main()
