"""OTLP/gRPC to durable and analysed, beside an OpenTelemetry Collector that only queues to disk.

One opsd, an open-loop load from a process of its own (bench_load) on the same machine, 300-byte records of 200 services and 2,000
templates, fsync before ack, redacted, analysed. `end_lag_s`: from the last ack until every acked record is analysed.
The Collector (otelcol in PATH or built by bench/ingest/collector.sh) takes the same load into its sending queue on
file storage with fsync; what it acks is queued and nothing more.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import runlib

TARGETS = ["opsd", "opsctl", "bench_load", "bench_part_walker", "bench_part_miner", "bench_part_redactor",
           "bench_part_streamlog"]
BARS = {"records_per_s": (">=", 50000), "ack_p99_ms": ("<=", 50), "end_lag_s": ("<=", 2), "rss_mib": ("<=", 1024),
        "lost": ("==", 0)}
HERE = pathlib.Path(__file__).resolve().parent


def options(parser):
    parser.add_argument("--rate", type=int, default=50500, help="records a second offered")
    parser.add_argument("--seconds", type=int, help="instead of 60, 10 with --quick, 600 with --long")


def load(ctx, target, seconds):
    command = [str(ctx.bin / "bench_load"), "--target", target, "--rate", str(ctx.args.rate), "--seconds", str(seconds)]
    got = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 300)
    if got.returncode:
        raise RuntimeError(got.stderr)
    return json.loads(got.stdout)


def collector(ctx, seconds):
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    binary = shutil.which("otelcol") or cache / "opsd-bench" / "otelcol" / "otelcol"
    if not pathlib.Path(binary).exists():
        got = subprocess.run([str(HERE / "collector.sh")], capture_output=True, text=True)
        if got.returncode:
            ctx.say("no rival: " + got.stderr.strip()[-300:])
            return {}
    with tempfile.TemporaryDirectory(prefix="opsd-otelcol-") as folder:
        config = pathlib.Path(folder) / "config.yaml"
        config.write_text((HERE / "collector.yaml").read_text().replace("FOLDER", folder))
        with open(pathlib.Path(folder) / "log", "wb") as log:
            process = subprocess.Popen([str(binary), "--config", str(config)], stdout=log, stderr=log)
        try:
            time.sleep(3)
            begun = cpu_of(process.pid)
            result = load(ctx, "127.0.0.1:14317", seconds)
            cpu = cpu_of(process.pid) - begun
            rss = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{process.pid}/status").read()).group(1)) / 1024
        finally:
            process.terminate()
            process.wait(30)
    return {"records_per_s": round(result["acked"] / result["seconds"]), "ack_p99_ms": result["p99_ms"], "rss_mib": round(rss),
            "cpu_us_per_record": round(cpu / max(1, result["acked"]) * 1e6, 2), "refused": result["refused"], "failed": result["failed"]}


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def parts(ctx):
    """Records per CPU-second of each part alone, as its own program says."""
    figures = {}
    for part, pattern, scale in (("walker", r"to records\s+([\d.]+) M/s", 1e6), ("miner", r'"lines_per_cpu_s": ([\d.]+)', 1),
                                 ("redactor", r'"redactor_records_per_cpu_s": ([\d.]+)', 1),
                                 ("streamlog", r'"append_records_per_cpu_s": ([\d.]+)', 1)):
        got = subprocess.run([str(ctx.bin / f"bench_part_{part}")], capture_output=True, text=True)
        ctx.say(got.stdout.strip())
        found = re.search(pattern, got.stdout)
        figures[f"{part}_per_cpu_s"] = round(float(found.group(1)) * scale) if found else None
    return figures


def bench(ctx):
    seconds = ctx.args.seconds or (10 if ctx.quick else 600 if ctx.long else 60)
    with runlib.Daemon(ctx.bin).start() as opsd:
        before = opsd.cpu_s()
        result = load(ctx, opsd.at("otlp_grpc"), seconds)
        acked_at = time.monotonic()
        while opsd.total("opsd_records_total", fate="analysed") < result["acked"] and time.monotonic() - acked_at < 60:
            time.sleep(0.02)
        lag = time.monotonic() - acked_at
        analysed = opsd.total("opsd_records_total", fate="analysed")
        figures = {
            "records_per_s": round(result["acked"] / result["seconds"]),
            "ack_p50_ms": result["p50_ms"],
            "ack_p99_ms": result["p99_ms"],
            "ack_max_ms": result["max_ms"],
            "end_lag_s": round(lag, 3),
            "rss_mib": round(opsd.memory_mib()),
            "cpu_us_per_record": round((opsd.cpu_s() - before) / max(1, result["acked"]) * 1e6, 2),
            "refused": result["refused"],
            "failed": result["failed"],
            "record_bytes": result["record_bytes"],
            "templates": int(opsd.total("opsd_templates")),
            "streams": int(opsd.total("opsd_streams")),
        }
        opsd.stop()
        check = json.loads(opsd.ctl("fsck", "--data", str(opsd.data), "-o", "json", server=False))
        figures["lost"] = int(result["acked"] - int(check["records"])) + int(result["acked"] - analysed)
        figures["damaged"] = int(check["damaged"])
    figures.update(parts(ctx))
    return figures, collector(ctx, min(seconds, 60)) if ctx.rival else {}
