"""Incidents found in the lab's recordings by `opsctl offline incident`: detected, how soon, the cause first, and how quiet over controls.

Each recording is read whole, without being told a time. A fault is detected by an incident that starts within a minute of its onset; incidents
that start elsewhere, or over a control, are false.
"""
import json
import os
import pathlib
import subprocess
import tempfile

import runlib

BARS = {"faults_missed": ("==", 0), "cause_first": (">=", 0.8), "incidents_per_fault": ("<=", 2), "false_incidents": ("<=", 1), "false_over_controls": ("<=", 1)}
TARGETS = ["opsctl"]
LAB = pathlib.Path(__file__).resolve().parent.parent / "lab"
SOON_S = 60


def options(parser):
    parser.add_argument("recordings", nargs="*", help="archives; default: all in bench/lab/recordings")


def one(ctx, archive):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "xzf", str(archive), "-C", folder, "--strip-components=1"], check=True)
        truth = json.loads((pathlib.Path(folder) / "truth.json").read_text())
        before = os.times()
        got = subprocess.run([str(ctx.bin / "opsctl"), "offline", "incident", "--dir", folder], capture_output=True, text=True, check=True)
        after = os.times()
    return truth, [json.loads(line) for line in got.stdout.splitlines()], \
        after.children_user + after.children_system - before.children_user - before.children_system


def bench(ctx):
    archives = [pathlib.Path(p) for p in ctx.args.recordings] or sorted((LAB / "recordings").glob("*.tar.gz"))
    faults = controls = missed = first = total = false = over_controls = 0
    off, cpu_max, hours = [], 0.0, 0.0
    ctx.say(f"{'recording':22} {'incidents':>9} {'start - onset':>14} {'severity':>9}  cause first")
    for archive in archives:
        truth, found, cpu = one(ctx, archive)
        cpu_max = max(cpu_max, cpu)
        name = archive.name.replace(".tar.gz", "")
        if not truth["component"]:
            controls += 1
            hours += truth["seconds"] / 3600
            over_controls += len(found)
            ctx.say(f"{name:22} {len(found):9} {'control':>14}")
            continue
        faults += 1
        total += len(found)
        soon = [i for i in found if abs(i["start"] - truth["onset"]) <= SOON_S]
        false += len(found) - len(soon)
        missed += not soon
        if soon:
            off.append(abs(soon[0]["start"] - truth["onset"]))
            first += soon[0]["causes"][0]["component"] == truth["component"]
            ctx.say(f"{name:22} {len(found):9} {soon[0]['start'] - truth['onset']:14.1f} {soon[0]['severity']:>9}  {soon[0]['causes'][0]['component']}")
        else:
            ctx.say(f"{name:22} {len(found):9} {'missed':>14}")
    return {"faults": faults, "faults_missed": missed, "cause_first": round(first / max(faults, 1), 3), "incidents_per_fault": round(total / max(faults, 1), 3),
            "false_incidents": false, "start_off_max_s": round(max(off, default=0), 1), "controls": controls, "control_hours": round(hours, 2),
            "false_over_controls": over_controls, "cpu_s_max": round(cpu_max, 3)}, {}
