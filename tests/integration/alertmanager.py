"""A real Alertmanager beside the daemon: started where its package is installed, ended with the test."""
import json
import shutil
import socket
import subprocess
import urllib.request

import pytest

from conftest import wait

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needs_alertmanager = pytest.mark.skipif(PROGRAM is None, reason="prometheus-alertmanager is not installed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Alertmanager:
    def __init__(self, folder, webhook):
        self.folder, self.port, self.process = folder, free_port(), None
        (folder / "am.yml").write_text(f"""
route: {{receiver: opsd, group_by: ['...'], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: opsd
  webhook_configs: [{{url: '{webhook}', send_resolved: true}}]
""")

    def start(self):
        with (self.folder / "am.log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, f"--config.file={self.folder / 'am.yml'}", f"--storage.path={self.folder / 'am'}",
                                             f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="], stdout=log, stderr=log)
        assert wait(self.ready, 30), (self.folder / "am.log").read_text()
        return self

    def ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def alerts(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v2/alerts", timeout=5) as answer:
            return json.load(answer)

    def post(self, *alerts):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v2/alerts", json.dumps(alerts).encode(),
                                         {"Content-Type": "application/json"})
        assert urllib.request.urlopen(request, timeout=5).status == 200


@pytest.fixture
def alertmanager(tmp_path):
    made = []

    def make(webhook):
        made.append(Alertmanager(tmp_path, webhook))
        return made[-1]
    yield make
    for one in made:
        one.stop()
