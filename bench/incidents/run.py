"""Incidents found in the lab's recordings: detected, how soon, the cause first, and how quiet over controls; from the files, and live.

From the files: `opsctl offline incident` reads each recording whole, without being told a time. Live (--live): each recording goes through a
daemon of its own (OTLP/HTTP: logs, traces and metrics) at --speed times its pace while a watch over gRPC looks on, and what IncidentService says at
the end is scored in the same way; the delay is how far the recording had run, less the onset, when the watch first showed the incident. Both
are printed side by side; with --live the bars are on the live figures.

A fault is detected by an incident that starts within a minute of its onset; incidents that start elsewhere, or over a control, are false.
"""
import json
import os
import pathlib
import subprocess
import time

import runlib

BARS = {"faults_missed": ("==", 0), "cause_first": (">=", 0.8), "incidents_per_fault": ("<=", 2), "false_incidents": ("<=", 1), "false_over_controls": ("<=", 1)}
TARGETS = ["opsd", "opsctl"]
SOON_S = 60


def options(parser):
    parser.add_argument("recordings", nargs="*", help="archives; default: all in bench/lab/recordings")
    parser.add_argument("--live", action="store_true", help="through a daemon too")
    parser.add_argument("--speed", type=float, help="live: times real time; default 20, 60 with --quick, 5 with --long")


def offline(ctx, case):
    before = os.times()
    got = subprocess.run([str(ctx.bin / "opsctl"), "offline", "incident", "--dir", str(case)], capture_output=True, text=True, check=True)
    after = os.times()
    found = [{"start": i["start"], "severity": i["severity"], "causes": [c["component"] for c in i["causes"]]}
             for i in map(json.loads, got.stdout.splitlines())]
    return found, after.children_user + after.children_system - before.children_user - before.children_system


def live(ctx, lab, case, truth, first, speed):
    with runlib.Daemon(ctx.bin).start() as opsd:
        seen, shift = lab.play(ctx, opsd, "incidents", case, truth, speed, ("logs", "traces", "metrics"))
        deadline = time.monotonic() + 30
        while opsd.total("opsd_incidents_position") < opsd.total("opsd_findings_revision") and time.monotonic() < deadline:
            time.sleep(0.05)
        rows = [json.loads(line) for line in opsd.ctl("get", "incidents", "-o", "json").splitlines()]
    at = {}
    for moment, incident in seen:
        at.setdefault(incident["id"], first + moment)
    return sorted(({"start": int(i["startTimeUnixNano"]) / 1e9 - shift, "seen": at.get(i["id"]), "findings": len(i["findings"]),
                    "severity": i["severity"].removeprefix("LEVEL_").lower(), "causes": [c["component"] for c in i["causes"]]}
                   for i in rows if i["state"] != "INCIDENT_STATE_MERGED"), key=lambda i: i["start"])


class Score:
    def __init__(self):
        self.faults = self.controls = self.missed = self.first = self.three = self.total = self.false = self.over_controls = 0
        self.off, self.delays = [], []

    def take(self, truth, found):
        """A row's words."""
        if not truth["component"]:
            self.controls += 1
            self.over_controls += len(found)
            return f"{len(found):9} {'control':>9} {'':9}"
        self.faults += 1
        self.total += len(found)
        soon = [i for i in found if abs(i["start"] - truth["onset"]) <= SOON_S]
        self.false += len(found) - len(soon)
        self.missed += not soon
        if not soon:
            return f"{len(found):9} {'missed':>9} {'':9}"
        best = soon[0]
        self.off.append(abs(best["start"] - truth["onset"]))
        if best.get("seen"):
            self.delays.append(best["seen"] - truth["onset"])
        self.first += best["causes"][:1] == [truth["component"]]
        self.three += truth["component"] in best["causes"][:3]
        return f"{len(found):9} {best['start'] - truth['onset']:9.1f} {(best['causes'] or ['-'])[0]:9.9}"

    def figures(self):
        faults = max(self.faults, 1)
        return {"faults": self.faults, "faults_missed": self.missed, "cause_first": round(self.first / faults, 3),
                "cause_in_three": round(self.three / faults, 3), "incidents_per_fault": round(self.total / faults, 3), "false_incidents": self.false,
                "start_off_max_s": round(max(self.off, default=0), 1), "controls": self.controls, "false_over_controls": self.over_controls}


def bench(ctx):
    lab = runlib.Lab()
    speed = ctx.args.speed or (60 if ctx.quick else 5 if ctx.long else 20)
    files, daemon = Score(), Score()
    cpu_max = hours = 0.0
    head = f"{'incidents':>9} {'off by s':>9} {'cause':9}"
    ctx.say(f"{'recording':22} {head}" + (f"  live: {head} {'delay s':>8}   at {speed:g} times its pace" if ctx.args.live else ""))
    for path in lab.recordings(ctx.args.recordings):
        with lab.case(path) as (case, truth, first):
            found, cpu = offline(ctx, case)
            cpu_max = max(cpu_max, cpu)
            hours += 0 if truth["component"] else truth["seconds"] / 3600
            row = f"{pathlib.Path(path).name.removesuffix('.tar.gz'):22.22} {files.take(truth, found)}"
            if ctx.args.live:
                before = len(daemon.delays)
                row += f"        {daemon.take(truth, live(ctx, lab, case, truth, first, speed))}"
                row += f" {daemon.delays[-1]:8.1f}" if len(daemon.delays) > before else ""
        ctx.say(row)
    extra = {"control_hours": round(hours, 2), "cpu_s_max": round(cpu_max, 3)}
    if not ctx.args.live:
        return {**files.figures(), **extra}, {}
    late = sum(d > SOON_S for d in daemon.delays)
    return {**daemon.figures(), "delay_p100_s": round(max(daemon.delays, default=0), 1), "seen_after_60_s": late, **extra,
            **{f"offline_{k}": v for k, v in files.figures().items() if k in BARS}}, {}
