"""kill -9 and power cuts under load: nothing acked is lost, nothing is stored or counted twice.

Producers send numbered records over OTLP/HTTP, and each request again, byte for byte, until it is acked. The daemon is killed at
random moments; for a power cut, what it had not synced is taken from its folder as well (tests/support/powercut).
In the end every record is read back: each acked one must be there once, and the templates' counts and the
ledger of what the state has seen must add up to the records stored.
"""
import http.client
import json
import pathlib
import random
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time

import runlib

TARGETS = ["opsd", "opsctl", "powercut"]
BARS = {"acked_lost": ("==", 0), "doubled": ("==", 0), "count_errors": ("==", 0), "restart_p99_s": ("<=", 2)}
PRODUCERS, BATCH = 4, 40
sys.path.insert(0, str(runlib.ROOT / "tests" / "support" / "powercut"))
from powercut import PowerCut  # noqa: E402


def options(parser):
    parser.add_argument("--kills", type=int, help="instead of 200, 20 with --quick, 1000 with --long")
    parser.add_argument("--cuts", type=int, help="instead of 50, 8 with --quick, 250 with --long")
    parser.add_argument("--seed", type=int, default=1)


class Producer(threading.Thread):
    """Sends its own numbered records in order; `acked` is the highest that is acked."""

    def __init__(self, number, where):
        super().__init__(daemon=True)
        self.number, self.where, self.acked, self.sent, self.over = number, where, -1, 0, threading.Event()

    def body(self):
        records = []
        for i in range(self.sent, self.sent + BATCH):
            text = f"order {self.number}-{i} of customer {i * 7919 % 10007} was shipped from store {i % 13}"
            records.append({"timeUnixNano": str(time.time_ns()), "severityNumber": 9, "body": {"stringValue": text}})
        service = {"key": "service.name", "value": {"stringValue": f"shipping-{self.number}"}}
        return json.dumps({"resourceLogs": [{"resource": {"attributes": [service]}, "scopeLogs": [{"logRecords": records}]}]}).encode()

    def run(self):
        while not self.over.is_set():
            body = self.body()
            done = self.post(body)
            while not done and not self.over.is_set():
                time.sleep(0.01)
                done = self.post(body)
            if done:
                self.acked = self.sent + BATCH - 1
                self.sent += BATCH

    def post(self, body):
        done = False
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.where["port"], timeout=5)
            connection.request("POST", "/v1/logs", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            done = answer.status == 200
            connection.close()
        except (OSError, http.client.HTTPException):
            pass
        return done


def crash_on(ctx, daemon, cut, kills, cuts, chance, say):
    where = {"port": 0}
    restarts, taken = [], {"bytes": 0, "files": 0, "renames": 0, "returned": 0}
    kinds = ["kill"] * kills + ["cut"] * cuts
    chance.shuffle(kinds)
    daemon.env = cut.env()
    daemon.start()
    where["port"] = daemon.ports["otlp_http"]
    producers = [Producer(i, where) for i in range(PRODUCERS)]
    for p in producers:
        p.start()
    for number, kind in enumerate(kinds):
        time.sleep(chance.uniform(0.05, 0.8))
        daemon.stop(9)
        if kind == "cut":
            lost = cut.cut(chance)
            for key in taken:
                taken[key] += lost[key]
        else:
            cut.begin()
        daemon.env = cut.env()
        daemon.start()
        restarts.append(daemon.started_s)
        where["port"] = daemon.ports["otlp_http"]
        if (number + 1) % 25 == 0:
            say(f"  {number + 1} of {len(kinds)}: {sum(p.acked + 1 for p in producers):,} records acked, "
                f"restart median {statistics.median(restarts):.2f} s")
    time.sleep(1)
    for p in producers:
        p.over.set()
    for p in producers:
        p.join(30)
    return producers, restarts, taken


def verify(daemon, producers):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        parts = json.loads("[" + ",".join(daemon.ctl("get", "partitions", "-o", "json").splitlines()) + "]")
        if all(p["position"] == p["nextOffset"] for p in parts):
            break
        time.sleep(0.1)
    seen, stored = {}, 0
    for line in daemon.ctl("logs", "-o", "json").splitlines():
        name = re.match(r"order (\d+-\d+) of", json.loads(line)["message"]).group(1)
        seen[name] = seen.get(name, 0) + 1
        stored += 1
    lost = sum(1 for p in producers for i in range(p.acked + 1) if f"{p.number}-{i}" not in seen)
    doubled = sum(n - 1 for n in seen.values())
    counted = sum(int(json.loads(x)["count"]) for x in daemon.ctl("get", "templates", "--limit", "0", "-o", "json").splitlines())
    streams = sum(int(json.loads(x)["records"]) for x in daemon.ctl("get", "streams", "--limit", "0", "-o", "json").splitlines())
    return lost, doubled, abs(counted - stored) + abs(streams - stored), stored


def bench(ctx):
    kills = ctx.args.kills if ctx.args.kills is not None else 20 if ctx.quick else 1000 if ctx.long else 200
    cuts = ctx.args.cuts if ctx.args.cuts is not None else 8 if ctx.quick else 250 if ctx.long else 50
    chance = random.Random(ctx.args.seed)
    side = pathlib.Path(tempfile.mkdtemp(prefix="opsd-powercut-"))
    try:
        with runlib.Daemon(ctx.bin) as daemon:
            daemon.data = daemon.data.resolve()
            cut = PowerCut(ctx.bin.parent / "lib" / "powercut.so", daemon.data, side / "cut")
            producers, restarts, taken = crash_on(ctx, daemon, cut, kills, cuts, chance, ctx.say)
            lost, doubled, wrong, stored = verify(daemon, producers)
            daemon.stop()
            check = json.loads(daemon.ctl("fsck", "--data", str(daemon.data), "-o", "json", server=False))
    finally:
        shutil.rmtree(side, ignore_errors=True)
    restarts.sort()
    ctx.say(f"  power cuts took {taken['bytes']:,} bytes, {taken['files']} files, {taken['renames']} renames, and gave {taken['returned']} removed files back")
    return {"kills": kills, "power_cuts": cuts, "acked": sum(p.acked + 1 for p in producers), "stored": stored, "acked_lost": lost,
            "doubled": doubled, "count_errors": wrong, "damaged": int(check["damaged"]),
            "restart_p50_s": round(statistics.median(restarts), 3),
            "restart_p99_s": round(restarts[min(len(restarts) - 1, int(len(restarts) * 0.99))], 3)}, {}
