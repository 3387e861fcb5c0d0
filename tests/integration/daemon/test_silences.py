"""Silences and maintenance windows: made with opsctl, shown at findings, kept over a crash, applied where findings are told."""
import datetime
import http.server
import json
import subprocess
import threading
import urllib.request

import pytest

from conftest import wait


class Hook(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hook():
    one = Hook()
    yield one
    one.shutdown()
    one.server_close()


def alert(opsd, name, status="firing"):
    """An alert that comes in is the quickest way to a finding."""
    body = {"version": "4", "alerts": [{
        "status": status, "labels": {"alertname": name, "job": "db", "severity": "error"}, "annotations": {"summary": f"{name} it is"},
        "startsAt": "2026-01-02T03:04:05Z", "endsAt": "2026-01-02T04:04:05Z", "fingerprint": name}]}
    request = urllib.request.Request(f"http://{opsd.at('web')}/api/v1/alertmanager/webhook", json.dumps(body).encode())
    assert urllib.request.urlopen(request, timeout=10).status == 200


def told(hook):
    return [(x["finding"]["summary"], x["status"]) for x in hook.got]


def test_a_silence_is_kept_shown_and_applied(opsd, hook):
    opsd.start("--notify-tell", "findings", "--notify-receivers", f"h webhook http://127.0.0.1:{hook.server_address[1]}/")
    made = json.loads(opsd.ctl("create", "silence", "alertname=Disk", 'service=~"d."', "--for", "1h", "--comment", "new disks", "-o", "json").stdout)
    assert made["state"] == "SILENCE_STATE_ACTIVE" and made["creator"] == "anonymous" and made["tenant"] == "default"
    opsd.kill()
    opsd.start()
    alert(opsd, "Disk")
    alert(opsd, "Load")
    assert wait(lambda: ("Load it is", "firing") in told(hook), 20), opsd.text()
    assert wait(lambda: opsd.metric("opsd_notify_notices_total", fate="silenced") == 1, 10)
    assert ("Disk it is", "firing") not in told(hook)
    rows = {r["summary"]: r for r in opsd.rows("get", "findings")}
    assert rows["Disk it is"]["silencedBy"] == [made["id"]] and not rows["Load it is"].get("silencedBy")
    assert made["id"] in opsd.ctl("describe", "finding", rows["Disk it is"]["id"]).stdout
    assert "silenced" in opsd.ctl("get", "findings").stdout
    assert made["id"] in opsd.ctl("get", "silences").stdout
    assert opsd.ctl("expire", "silence", made["id"], "-o", "name").stdout == f"silence/{made['id']}\n"
    assert made["id"] not in opsd.ctl("get", "silences").stdout
    assert [r["state"] for r in opsd.rows("get", "silences", "--expired")] == ["SILENCE_STATE_EXPIRED"]
    assert all(not r.get("silencedBy") for r in opsd.rows("get", "findings"))
    assert wait(lambda: ("Disk it is", "firing") in told(hook), 20), opsd.text()  # it goes on, so it is told now
    alert(opsd, "Disk", "resolved")
    assert wait(lambda: ("Disk it is", "resolved") in told(hook), 20), opsd.text()
    assert told(hook).count(("Disk it is", "firing")) == 1


def test_what_is_wrong_with_a_silence_is_named(opsd):
    opsd.start()
    for words, says, code in (
            (("service", "--for", "1h", "--comment", "x"), "matcher 'service'", 2), (("a=~.*", "--for", "1h", "--comment", "x"), "take whatever", 2),
            (("a=b", "--for", "1h"), "comment: 1 to 1024", 2), (("a=b", "--comment", "x"), "one of --for and --until", 2),
            (("a=b", "--until", "soon", "--comment", "x"), "--until", 2), (("--for", "1h", "--comment", "x"), "matchers", 2),
            (("a=b", "--until", "2020-01-01T00:00:00Z", "--comment", "x"), "end_time_unix_nano", 2)):
        got = opsd.ctl("create", "silence", *words, check=False)
        assert got.returncode == code and says in got.stderr, got.stderr
    got = opsd.ctl("expire", "silence", "s-0000000000000000", check=False)
    assert got.returncode == 5 and "no silence" in got.stderr


def test_a_window_of_the_configuration_silences_now(opsd, hook):
    now = datetime.datetime.now(datetime.timezone.utc)
    day = now.strftime("%a").lower()
    opsd.start("--notify-tell", "findings", "--notify-receivers", f"h webhook http://127.0.0.1:{hook.server_address[1]}/",
               "--notify-windows", f"works {day} 00:00-24:00 UTC alertname=Disk")
    alert(opsd, "Disk")
    alert(opsd, "Load")
    assert wait(lambda: ("Load it is", "firing") in told(hook), 20), opsd.text()
    if datetime.datetime.now(datetime.timezone.utc).date() != now.date():
        pytest.skip("midnight came in between")
    row = opsd.rows("get", "silences")[0]
    assert row["id"] == "w-works" and row["state"] == "SILENCE_STATE_ACTIVE" and row["schedule"].startswith("works ")
    assert ("Disk it is", "firing") not in told(hook)
    assert next(r for r in opsd.rows("get", "findings") if r["summary"] == "Disk it is")["silencedBy"] == ["w-works"]
    got = opsd.ctl("expire", "silence", "w-works", check=False)
    assert got.returncode == 2 and "configuration" in got.stderr


def test_mistakes_in_receivers_and_windows_are_named_with_their_place(opsd):
    config = opsd.folder / "opsd.yaml"
    for text, says in (
            ("notify:\n  receivers:\n    - pager mail http://h\n", "notify.receivers: receiver pager: 'mail'"),
            ("notify:\n  receivers:\n    - a slack http://h\n    - a slack http://k\n", "two receivers are called a"),
            ("notify:\n  windows:\n    - w sat 01:00-02:00 Mars/Olympus a=b\n", "notify.windows: window w: zone")):
        config.write_text(text)
        got = subprocess.run([opsd.program("opsd"), "--config", config, "config", "validate"], capture_output=True, text=True, timeout=30)
        assert got.returncode == 1 and says in got.stderr and str(config) in got.stderr, got.stderr
