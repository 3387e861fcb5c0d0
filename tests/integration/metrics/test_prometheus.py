"""A real Prometheus that scrapes opsd and writes what it has to opsd, and opsd that scrapes that Prometheus."""
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="the package prometheus is not installed")


def until(what, seconds=40):
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Prometheus:
    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None

    def start(self, config):
        (self.folder / "prometheus.yml").write_text(config)
        self.log = (self.folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}"], stderr=self.log, stdout=self.log)
        assert until(self.ready), self.text()
        return self

    def text(self):
        return (self.folder / "prometheus.log").read_text()

    def ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def value(self, query):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(query)}", timeout=5) as answer:
            result = json.loads(answer.read())["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.log.close()


@pytest.fixture
def prometheus(tmp_path):
    folder = tmp_path / "prometheus"
    folder.mkdir()
    server = Prometheus(folder)
    yield server
    server.stop()


def series(opsd, *args):
    return {r["series"]: r for r in opsd.rows("get", "series", "--limit", "0", *args)}


def test_prometheus_writes_to_opsd(opsd, prometheus):
    opsd.start()
    prometheus.start(f"""
global: {{scrape_interval: 1s, external_labels: {{site: here}}}}
scrape_configs:
  - job_name: opsd
    static_configs: [{{targets: ["{opsd.at('web')}"]}}]
  - job_name: itself
    static_configs: [{{targets: ["127.0.0.1:{prometheus.port}"]}}]
remote_write:
  - url: http://{opsd.at('web')}/api/v1/write
    queue_config: {{batch_send_deadline: 1s}}
""")
    up = f'up{{instance="{opsd.at("web")}",job="opsd",site="here"}}'
    got = until(lambda: (lambda s: s if int(s.get(up, {}).get("samples", 0)) >= 3 else None)(series(opsd, "--service", "opsd")))
    assert got and got[up]["lastValue"] == 1 and got[up]["kind"] == "gauge"
    requests = next(r for k, r in got.items() if k.startswith("opsd_ingest_requests_total{") and "remote-write-1" in k)
    assert requests["kind"] == "counter" and requests["judgedValue"] > 0
    assert any(k.startswith("opsd_ingest_ack_seconds_count{") for k in got)
    # Everything that Prometheus sent was taken, and opsd has as many of its series as it has itself.
    assert prometheus.value("sum(prometheus_remote_storage_samples_failed_total)") == 0
    assert prometheus.value("sum(prometheus_remote_storage_samples_dropped_total)") == 0
    # A quantile of nothing is no number, and has no series here.
    there = prometheus.value('count({job="itself"} > -Inf)')
    assert until(lambda: len(series(opsd, "--service", "itself", "--buckets")) >= there > 100)
    assert opsd.metric("opsd_samples_total", fate="acked") >= opsd.metric("opsd_samples_total", fate="analysed") > 0


def test_opsd_scrapes_prometheus(opsd, prometheus):
    prometheus.start('global: {scrape_interval: 1s}\nscrape_configs: [{job_name: itself, static_configs: [{targets: ["127.0.0.1:%d"]}]}]' % prometheus.port)
    opsd.start("--scrape-targets", f"http://127.0.0.1:{prometheus.port}/metrics job=prom", "--scrape-interval", "500ms")
    tail = f'instance="127.0.0.1:{prometheus.port}",job="prom"'
    got = until(lambda: (lambda s: s if int(s.get(f"up{{{tail}}}", {}).get("samples", 0)) >= 3 else None)(series(opsd, "--service", "prom", "--buckets")))
    assert got and got[f"up{{{tail}}}"]["lastValue"] == 1
    page = urllib.request.urlopen(f"http://127.0.0.1:{prometheus.port}/metrics", timeout=5).read().decode()
    names = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if line and not line.startswith("#") and not line.endswith("NaN")}
    assert len(names) > 100 and names <= {k.split("{")[0] for k in got}
    kinds = {k.split("{")[0]: r["kind"] for k, r in got.items()}
    assert kinds["process_cpu_seconds_total"] == "counter" and kinds["go_goroutines"] == "gauge"
    assert kinds["prometheus_http_request_duration_seconds_bucket"] == "bucket"
    # It goes away: down, and every series of it ends.
    prometheus.stop()
    assert until(lambda: series(opsd, "--service", "prom")[f"up{{{tail}}}"]["lastValue"] == 0)
    assert all(r["stale"] for k, r in series(opsd, "--service", "prom").items() if k.startswith("go_"))
