"""What every bench shares: the build, a daemon of its own, the verdict.

A bench is a module with a docstring (its first line is shown by `bench/run`), `BARS` {figure: (op, value)}, and
`bench(ctx)` that returns (figures, rival): two flat dictionaries, the rival's measured in the same run. `RIVAL_BARS` names the
bars that cannot be judged without the rival: --no-rival drops them.
"""
import argparse
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPS = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, "==": lambda a, b: a == b}


class Context:
    def __init__(self, args):
        self.quick, self.long, self.rival, self.args = args.quick, args.long, args.rival, args
        self.bin = ROOT / "build" / "release" / "bin"

    def say(self, text):
        print(text, flush=True)


def build(targets):
    log = ROOT / "build" / "bench-build.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as out:
        for command in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release", "-j", str(os.cpu_count()), "--target", *targets]):
            if subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode:
                sys.exit("bench: the build failed:\n" + log.read_text()[-4000:])


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)) // 1024
    return {"cpu": model, "cores": os.cpu_count(), "memory_mib": memory, "kernel": platform.release(), "load_before": os.getloadavg()[0]}


def commit():
    got = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    dirty = subprocess.run(["git", "-C", str(ROOT), "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout
    return got.stdout.strip() + ("-dirty" if dirty else "")


class Daemon:
    """An opsd of its own: free ports, a folder that is removed, ended by its pid. It loads no model that writes (its start is slow, its
    cache large, and few benches want one): `flags` with --worker-generator name one."""

    def __init__(self, bin_dir, data=None, env=None, flags=()):
        self.own = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="opsd-bench-"))
        self.bin, self.env, self.flags, self.process = bin_dir, env, list(flags), None

    def start(self, timeout_s=60):
        ports = ["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--api-address", "127.0.0.1:0", "--web-address", "127.0.0.1:0",
                 "--worker-generator", "off"]
        self.log = open(self.data.with_suffix(".log"), "wb+")
        begun = time.monotonic()
        self.process = subprocess.Popen([str(self.bin / "opsd"), "--data", str(self.data), *ports, *self.flags],
                                        stderr=self.log, env={**os.environ, **(self.env or {})})
        while time.monotonic() - begun < timeout_s:
            text = pathlib.Path(self.log.name).read_text(errors="replace")
            line = next((x for x in text.splitlines() if "event=ready" in x), None)
            if line:
                self.ports = {k: int(v) for k, v in re.findall(r" (otlp_grpc|otlp_http|api|web)=(\d+)", line)}
                self.started_s = time.monotonic() - begun
                return self
            if self.process.poll() is not None:
                raise RuntimeError(f"opsd ended with {self.process.returncode}:\n{text[-2000:]}")
            time.sleep(0.01)
        raise RuntimeError("opsd did not become ready:\n" + text[-2000:])

    def at(self, port):
        return f"127.0.0.1:{self.ports[port]}"

    def metrics(self):
        """{(name, labels as a sorted tuple): value}"""
        text = urllib.request.urlopen(f"http://{self.at('web')}/metrics", timeout=10).read().decode()
        rows = {}
        for line in text.splitlines():
            m = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
            if m:
                labels = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', m.group(2) or "")))
                rows[m.group(1), labels] = float(m.group(3))
        return rows

    def total(self, name, **labels):
        want = set(labels.items())
        return sum(v for (n, have), v in self.metrics().items() if n == name and want <= set(have))

    def ctl(self, *args, server=True, check=True):
        flags = ["--server", self.at("api")] if server else []
        got = subprocess.run([str(self.bin / "opsctl"), *args, *flags], capture_output=True, text=True, timeout=120)
        if check and got.returncode:
            raise RuntimeError(f"opsctl {' '.join(args)}: {got.stderr}")
        return got.stdout

    def memory_mib(self):
        return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1)) / 1024

    def cpu_s(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def close(self):
        self.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.data.with_suffix(".log"))
        if self.own:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Watch(threading.Thread):
    """What `opsctl watch` prints of findings or incidents, each with how far the recording had run (clock["at"])."""

    def __init__(self, ctx, daemon, what, clock):
        super().__init__(daemon=True)
        self.seen, self.clock = [], clock
        self.process = subprocess.Popen([str(ctx.bin / "opsctl"), "watch", what, "-o", "json", "--server", daemon.at("api")],
                                        stdout=subprocess.PIPE, text=True)

    def run(self):
        for line in self.process.stdout:
            self.seen.append((self.clock["at"], json.loads(line)))

    def end(self):
        self.process.terminate()
        self.process.wait(10)
        self.join(10)


class Lab:
    """bench/lab's recordings, and its replay into a daemon."""

    FOLDER = ROOT / "bench" / "lab"

    def __init__(self):
        sys.path.insert(0, str(self.FOLDER))
        loader = importlib.machinery.SourceFileLoader("lab_replay", str(self.FOLDER / "replay"))
        self.replay = importlib.util.module_from_spec(importlib.util.spec_from_loader("lab_replay", loader))
        loader.exec_module(self.replay)

    def recordings(self, given):
        return given or sorted(str(p) for p in (self.FOLDER / "recordings").glob("*.tar.gz"))

    @contextlib.contextmanager
    def case(self, path):
        """(folder, truth, time of the first line) of an archive or a CASE folder."""
        from labkit.casefile import unpack
        with tempfile.TemporaryDirectory(prefix="opsd-case-") as directory:
            given = pathlib.Path(unpack(path, directory) if path.endswith(".tar.gz") else path)
            # The replay puts the folder's name into every resource, and a scenario's name tells the cause.
            case = pathlib.Path(directory) / "case"
            case.symlink_to(given.resolve())
            with (case / "logs.jsonl").open() as file:
                yield case, json.loads((case / "truth.json").read_text()), json.loads(file.readline())["time"]

    def play(self, ctx, opsd, what, case, truth, speed, signals):
        """Sends it all while a watch looks on; what the watch saw, and the seconds that all times were shifted by."""
        clock, began = {"at": 0.0}, time.monotonic()
        watch = Watch(ctx, opsd, what, clock)
        watch.start()
        shift = time.time() - truth["stopped"]

        def progress(sent, total, at):
            clock["at"] = (time.monotonic() - began) * speed

        self.replay.replay(str(case), self.replay.Port(opsd.at("otlp_http")), shift, speed, signals=signals, progress=progress)
        deadline = time.monotonic() + 30
        while opsd.total("opsd_records_total", fate="analysed") < opsd.total("opsd_records_total", fate="acked") and \
                time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        watch.end()
        return watch.seen, shift


def run(name, module, argv):
    parser = argparse.ArgumentParser(prog=f"bench/run {name}", description=module.__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="smaller, for a look")
    size.add_argument("--long", action="store_true", help="larger, for a claim")
    parser.add_argument("--no-rival", dest="rival", action="store_false", help="leave the rival out")
    getattr(module, "options", lambda p: None)(parser)
    ctx = Context(parser.parse_args(argv))
    before = machine()
    build(getattr(module, "TARGETS", ["opsd", "opsctl"]))
    figures, rival = module.bench(ctx)
    bars = {k: v for k, v in module.BARS.items() if ctx.rival or k not in getattr(module, "RIVAL_BARS", ())}
    missed = []
    print(f"\n{'figure':28} {'ours':>14}  {'bar':>12}  {'rival':>14}")
    for key, value in figures.items():
        bar = bars.get(key)
        good = bar is None or (value is not None and OPS[bar[0]](value, bar[1]))
        if not good:
            missed.append(key)
        shown = "-" if value is None else f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        print(f"{key:28} {shown:>14}  {(bar[0] + ' ' + str(bar[1])) if bar else '':>12}  {str(rival.get(key, '')):>14}  {'' if good else 'MISSED'}")
    for key in rival.keys() - figures.keys():
        print(f"rival {key:22} {'':>14}  {'':>12}  {str(rival[key]):>14}")
    for key in bars.keys() - figures.keys():
        missed.append(key)
        print(f"{key:28} {'not measured':>14}  {bars[key][0]} {bars[key][1]}  MISSED")
    ok = not missed
    print(json.dumps({"bench": name, "figures": figures, "rival": rival, "bars": {k: list(v) for k, v in bars.items()}, "ok": ok,
                      "machine": before, "commit": commit()}))
    return 0 if ok else 1
