"""Recorded faults and controls through the daemon's real port: found, how soon, how many, and how quiet otherwise.

Each recording of bench/lab (logs and traces) goes to a daemon of its own over OTLP/HTTP at --speed times its pace, while a watch over gRPC
prints findings as they change. A fault is detected by a finding whose evidence is of the failing component or names it; its
delay is how far the recording had run when the watch printed it, less the onset: so it holds the daemon's own
latency too, multiplied by the speed. What opens before the onset, or over a control, is false.
"""
import pathlib
import re

import runlib

BARS = {"faults_missed": ("==", 0), "delay_p100_s": ("<=", 30), "false_per_hour": ("<=", 1), "findings_per_fault": ("<=", 10)}


def options(parser):
    parser.add_argument("recordings", nargs="*", help="archives or CASE folders; default: all in bench/lab/recordings")
    parser.add_argument("--speed", type=float, help="times real time; default 20, 60 with --quick, 5 with --long")


def names(finding, component):
    # A capital after a small letter begins a word: RedisError names redis.
    forms = "|".join(re.escape(f) for f in {component, component.capitalize(), component.upper()})
    word = re.compile(rf"(?<![A-Za-z0-9])(?:{forms})(?![a-z0-9])")
    return any(e["service"] == component or word.search(e["text"]) for e in finding["evidence"])


def judge(truth, first, seen):
    """(delay or None, findings of the fault, false findings)"""
    opened = {}
    for at, finding in seen:
        opened.setdefault(finding["id"], first + at)
    if "onset" not in truth:
        return None, 0, len(opened)
    onset = truth["onset"]
    early = {i for i, at in opened.items() if at < onset}
    delay = next((first + at - onset for at, f in seen if f["id"] not in early and names(f, truth["component"])), None)
    return delay, len(opened) - len(early), len(early)


def bench(ctx):
    lab = runlib.Lab()
    speed = ctx.args.speed or (60 if ctx.quick else 5 if ctx.long else 20)
    faults = missed = false = most = 0
    worst = hours = 0.0
    ctx.say(f"{'recording':24} {'detected':9} {'delay s':>8} {'findings':>9} {'false':>6}   at {speed:g} times its pace")
    for path in lab.recordings(ctx.args.recordings):
        with lab.case(path) as (case, truth, first), runlib.Daemon(ctx.bin).start() as opsd:
            seen, _ = lab.play(ctx, opsd, "findings", case, truth, speed, ("logs", "traces"))
        delay, count, wrong = judge(truth, first, seen)
        false += wrong
        fault = "onset" in truth
        if fault:
            faults += 1
            missed += delay is None
            worst, most = max(worst, delay or 0), max(most, count)
            hours += (truth["onset"] - truth["started"]) / 3600
        else:
            hours += truth["seconds"] / 3600
        word = "control" if not fault else "NO" if delay is None else "yes"
        ctx.say(f"{pathlib.Path(path).name.removesuffix('.tar.gz'):24.24} {word:9} {'' if delay is None else f'{delay:8.1f}':>8} {count:9} {wrong:6}")
    figures = {"faults": faults, "detected": faults - missed, "faults_missed": missed, "delay_p100_s": round(worst, 1),
               "findings_per_fault": most, "false": false, "quiet_hours": round(hours, 3), "false_per_hour": round(false / hours, 3) if hours else 0.0}
    return figures, {}
