"""A daemon of its own for each test that asks: free ports, a folder that goes, ended by its pid."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("OPS_BUILD", ROOT / "build" / "dev")) / "bin"


MODELS = pathlib.Path(os.environ.get("OPSD_MODELS") or os.path.expanduser(os.environ.get("XDG_DATA_HOME") or "~/.local/share") + "/opsd/models")
MODEL = "all-MiniLM-L6-v2"


def need_model():
    if not (MODELS / MODEL / "model.safetensors").exists():
        pytest.skip("no model in " + str(MODELS) + ": scripts/models.sh fetches it")


WRITER = "SmolLM2-135M-Instruct"


def need_writer():
    if not list((MODELS / WRITER).glob("*.gguf")):
        pytest.skip("no model that writes in " + str(MODELS) + ": scripts/models.sh fetches it")


class Opsd:
    def __init__(self, folder):
        self.folder, self.data, self.flags, self.process = folder, folder / "data", [], None

    def start(self, *flags, env=None):
        self.flags = list(flags) or self.flags
        ports = ["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--api-address", "127.0.0.1:0", "--web-address", "127.0.0.1:0"]
        self.log = self.folder / f"opsd-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([BIN / "opsd", "--data", self.data, "--worker-model", "off", "--worker-generator", "off", *ports, *self.flags],
                                            stderr=log, env={**os.environ, **(env or {})})
        wait(lambda: "event=ready" in self.text() or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.text()
        line = next(x for x in self.text().splitlines() if "event=ready" in x)
        self.ports = {k: int(v) for k, v in re.findall(r" (otlp_grpc|otlp_http|api|web)=(\d+)", line)}
        return self

    def text(self):
        return self.log.read_text(errors="replace")

    @staticmethod
    def program(name):
        return BIN / name

    def at(self, port):
        return f"127.0.0.1:{self.ports[port]}"

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.text()

    def ctl(self, *args, check=True):
        got = subprocess.run([BIN / "opsctl", *args, "--server", self.at("api")], capture_output=True, text=True, timeout=60,
                             env={**os.environ, "LC_ALL": "C"})
        assert not check or got.returncode == 0, got.stderr
        return got

    def rows(self, *args):
        return [json.loads(line) for line in self.ctl(*args, "-o", "json").stdout.splitlines()]

    def records(self, count, *args, timeout=20):
        """At least `count` stored records, as `opsctl logs` reads them back."""
        found = []

        def there():
            found[:] = self.rows("logs", *args)
            return len(found) >= count
        wait(there, timeout)
        return found

    def metric(self, name, **labels):
        text = urllib.request.urlopen(f"http://{self.at('web')}/metrics", timeout=10).read().decode()
        total = 0.0
        for line in text.splitlines():
            m = re.match(re.escape(name) + r"(?:\{(.*)\})? (\S+)$", line)
            if m and set(labels.items()) <= set(re.findall(r'(\w+)="([^"]*)"', m.group(1) or "")):
                total += float(m.group(2))
        return total


def wait(what, seconds):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def opsd(tmp_path):
    daemon = Opsd(tmp_path)
    yield daemon
    daemon.stop()
