"""The lab's CASE writer, its replay, and the committed recordings."""
import gzip
import http.server
import importlib.machinery
import importlib.util
import json
import os
import tarfile
import threading

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
LAB = os.path.join(ROOT, "bench", "lab")
RECORDINGS = os.path.join(LAB, "recordings")


def load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


replay = load("lab_replay", os.path.join(LAB, "replay"))
casefile = __import__("labkit.casefile", fromlist=["casefile"])
playbooks = __import__("labkit.playbooks", fromlist=["playbooks"])


@pytest.mark.parametrize("component,line,at,message", [
    ("shop", "2026-01-02 03:04:05,678 INFO [9] shop: ready", 1767323045.678, "INFO [9] shop: ready"),
    ("postgres", "2026-01-02 03:04:05.678 UTC [1] LOG:  ready", 1767323045.678, "[1] LOG:  ready"),
    ("redis", "7:M 02 Jan 2026 03:04:05.678 * Ready", 1767323045.678, "7:M * Ready"),
    ("proxy", "2026/01/02 03:04:05 [error] 1#1: x", 1767323045, "[error] 1#1: x"),
    ("proxy", '1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200', 1767323045,
     '1.2.3.4 - - "GET / HTTP/1.1" 200'),
])
def test_time_is_cut_from_each_services_own_shape(component, line, at, message):
    got = casefile.parse(component, line)
    assert got[0] == pytest.approx(at, abs=1e-4)
    assert got[1] == message


def test_a_traceback_is_one_record_and_foreign_lines_take_the_last_time():
    lines = ["2026-01-02 03:04:05,000 ERROR [9] shop.db: failed\n", "Traceback (most recent call last):\n",
             "  File \"a.py\", line 1\n", "OSError: no\n", "2026-01-02 03:04:06,000 INFO [9] shop: ok\n"]
    got = casefile.records("shop", lines, 0)
    assert [m.count("\n") for _, m in got] == [3, 0]
    assert got[0][1].endswith("OSError: no")
    assert casefile.records("redis", ["banner\n"], 42.0) == [[42.0, "banner"]]


def test_an_endless_record_is_cut():
    lines = ["2026-01-02 03:04:05,000 ERROR [9] shop: x\n"] + ["  " + "y" * 1000 + "\n"] * 100
    assert len(casefile.records("shop", lines, 0)[0][1]) <= casefile.MESSAGE_MAX + 1003


@pytest.mark.parametrize("name", ["../out", "/etc/out"])
def test_unpack_refuses_paths_that_leave_the_case(tmp_path, name):
    bad = tmp_path / "bad.tar.gz"
    with tarfile.open(bad, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ValueError, match="not a plain file"):
        casefile.unpack(str(bad), str(tmp_path))


@pytest.mark.parametrize("message,number", [
    ("[1] shop@shop FATAL:  sorry, too many clients already", 21), ("INFO [9] shop: GET /ERROR", 9),
    ("WARNING [9] shop: x", 13), ('10.0.0.1 - - "GET /ERROR HTTP/1.1" 200', 0), ("[error] 1#1: x", 17)])
def test_severity_is_read_from_the_head(message, number):
    assert replay.severity(message) == number


class Sink(http.server.BaseHTTPRequestHandler):
    """An OTLP/HTTP port that is busy once, and rejects one record."""
    seen, busy = [], 1

    def do_POST(self):
        body = json.loads(gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))))
        status, reply = 200, {}
        if Sink.busy:
            Sink.busy -= 1
            status = 429
        else:
            Sink.seen.append((self.path, body))
            if len(Sink.seen) == 1:
                reply = {"partialSuccess": {"rejectedLogRecords": "1"}}
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


def test_replay_sends_each_record_once_in_order_with_one_shift(tmp_path):
    case = tmp_path / "case"
    case.mkdir()
    rows = [{"time": 100.0 + i / 4, "component": "ab"[i % 2], "message": f"ERROR m{i}"} for i in range(40)]
    (case / "logs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    Sink.seen, Sink.busy = [], 1
    server = http.server.HTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        port = replay.Port(f"127.0.0.1:{server.server_port}")
        result = replay.replay(str(case), port, 1000.0, 0)
        port.call.close()
    finally:
        server.shutdown()
        server.server_close()
    assert result["sent"] == 40 and result["rejected"] == 1
    got = []
    for path, body in Sink.seen:
        assert path == "/v1/logs"
        for res in body["resourceLogs"]:
            name = res["resource"]["attributes"][0]["value"]["stringValue"]
            for rec in res["scopeLogs"][0]["logRecords"]:
                got.append((int(rec["timeUnixNano"]), name, rec["body"]["stringValue"], rec["severityNumber"]))
    assert got == [(int((r["time"] + 1000) * 1e9), r["component"], r["message"], 17) for r in rows]


def names():
    return sorted(os.listdir(RECORDINGS)) if os.path.isdir(RECORDINGS) else []


@pytest.mark.parametrize("name", [n for n in names() if n.endswith(".tar.gz")])
def test_a_recording_is_whole_and_says_the_truth(name, tmp_path):
    case = casefile.unpack(os.path.join(RECORDINGS, name), str(tmp_path))
    with open(os.path.join(case, "truth.json"), encoding="utf-8") as file:
        truth = json.load(file)
    with open(os.path.join(case, "logs.jsonl"), encoding="utf-8") as file:
        logs = [json.loads(line) for line in file]
    assert len(logs) == truth["records"]["logs"] > 1000
    times = [r["time"] for r in logs]
    assert times == sorted(times)
    extra = {"dns"} if truth["component"] == "dns" else set()
    assert {r["component"] for r in logs} == {"proxy", "shop", "pricing", "postgres", "redis"} | extra
    if "felt" in truth or truth["kind"] == "control" and "playbook" in truth:   # made since folders have no telling names
        assert not any(truth["scenario"] in r["message"] for r in logs)
    assert times[-1] <= truth["stopped"] + 1
    assert times[-1] - times[0] >= 0.9 * truth["seconds"]
    with open(os.path.join(case, "metrics.csv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(",") for line in file]
    assert rows[0] == ["time", "component", "metric", "value"]
    keys = [(r[1], r[2], float(r[0])) for r in rows[1:]]
    assert keys == sorted(keys) and len(keys) == len(set(keys)) == truth["records"]["samples"]
    failed = truth["requests"]["failed"]
    if truth["kind"] == "fault":
        assert truth["started"] < truth["onset"] <= truth["seen"] < truth["end"] < truth["stopped"]
        assert failed > 10 or not truth.get("felt", True), "the fault was never felt"
        assert truth["playbook"] == playbooks.RIGHT[truth["scenario"]]
    else:
        assert not truth.get("playbook")
        assert "onset" not in truth and not os.path.exists(os.path.join(case, "at.txt"))
        assert failed <= 0.02 * truth["requests"]["sent"]
