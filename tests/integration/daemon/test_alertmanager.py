"""Findings out to a real Alertmanager and to a webhook, alerts in from a real Alertmanager, and what a crash between keeps."""
import hashlib
import hmac
import http.server
import json
import threading
import time
import urllib.error
import urllib.request

import pytest

from alertmanager import alertmanager, free_port, needs_alertmanager  # noqa: F401 (a fixture)
from conftest import wait

START = (int(time.time()) - 3600) * 10**9


class Hook(http.server.ThreadingHTTPServer):
    """A webhook that keeps what it gets; `status` is what it answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got, self.status = [], 200
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body, self.server.status))
        self.send_response(self.server.status)
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


def send(opsd, text, second, severity=9, count=100):
    rows = [{"body": {"stringValue": f"order {i} {text}"}, "severityNumber": severity, "timeUnixNano": str(START + second * 10**9 + i)}
            for i in range(count)]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "pay"}}]}
    body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": rows}]}]}).encode()
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}/v1/logs", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def breaks(opsd):
    """A service that did well for ten minutes fails; returns the finding."""
    for step in range(60):
        send(opsd, "paid", 10 * step)
    for step in range(60, 72):
        send(opsd, "failed: connection to database refused", 10 * step, 17)
    found = []

    def there():
        found[:] = opsd.rows("get", "findings")
        return len(found) > 0
    assert wait(there, 30), opsd.text()
    return found[-1]


def webhook_of(opsd_port):
    return f"http://127.0.0.1:{opsd_port}/api/v1/alertmanager/webhook"


def post(opsd, body, status=200, path="/api/v1/alertmanager/webhook"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{opsd.at('web')}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            got, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        got, text = e.code, e.read().decode()
    assert got == status, text
    return json.loads(text)


def payload(*alerts, version="4"):
    return {"version": version, "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "opsd", "groupLabels": {},
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": list(alerts)}


def alert(status="firing", fingerprint="0123456789abcdef", start="2026-01-02T03:04:05Z", **labels):
    return {"status": status, "labels": {"alertname": "DiskFull", "severity": "critical", "job": "node", **labels},
            "annotations": {"summary": "disk is full", "description": "login with password=hunter2secret"}, "startsAt": start,
            "endsAt": "2026-01-02T04:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint}


@needs_alertmanager
def test_a_finding_reaches_alertmanager_over_a_crash_and_comes_back(opsd, alertmanager):
    web = free_port()
    am = alertmanager(webhook_of(web))
    opsd.start("--notify-tell", "findings", "--web-address", f"127.0.0.1:{web}", "--notify-receivers", f"am alertmanager http://127.0.0.1:{am.port}",
               "--notify-link", "https://ops.example", "--notify-resend", "1s", "--analysis-commit-interval", "100ms")
    found = breaks(opsd)  # nobody listens at the receiver yet
    assert wait(lambda: opsd.metric("opsd_notify_requests_total", outcome="again") > 0, 20), opsd.text()
    opsd.kill()
    am.start()
    opsd.start()
    ours = []

    def arrived():
        ours[:] = [a for a in am.alerts() if a["labels"].get("finding") == found["id"]]
        return len(ours) == 1
    assert wait(arrived, 30), opsd.text()
    assert ours[0]["labels"] == {"alertname": "opsd", "finding": found["id"], "service": "pay", "severity": ours[0]["labels"]["severity"],
                                 "tenant": "default"}
    assert ours[0]["generatorURL"] == f"https://ops.example/findings/{found['id']}"
    assert ours[0]["annotations"]["summary"] and "refused" in ours[0]["annotations"]["evidence"]
    # Alertmanager tells us of it: it is known as ours, and no finding comes of it.
    assert wait(lambda: opsd.metric("opsd_alerts_in_total", fate="own") > 0, 30), (am.folder / "am.log").read_text()
    assert not [f for f in opsd.rows("get", "findings") if f["kind"] == "FINDING_KIND_ALERT"]
    # It fires as long as it is sent again: longer than the four seconds that one request holds.
    resent = opsd.metric("opsd_notify_resent_total")
    assert wait(lambda: opsd.metric("opsd_notify_resent_total") > resent + 5, 30)
    assert arrived()


def test_a_webhook_is_told_each_change_once_signed_over_a_crash(opsd, hook):
    secret = opsd.folder / "hook.key"
    secret.write_text("s3cret\n")
    hook.status = 503
    opsd.start("--notify-tell", "findings", "--notify-receivers", f"pager webhook {hook.url} secret_file={secret}", "--findings-close-after", "5s",
               "--analysis-commit-interval", "100ms")
    found = breaks(opsd)
    assert wait(lambda: hook.got, 20), opsd.text()
    opsd.kill()
    hook.status = 200
    opsd.start()

    def told(status):
        return [x for x in (json.loads(body) for _, body, code in hook.got if code == 200)
                if x["finding"]["id"] == found["id"] and x["status"] == status]
    assert wait(lambda: told("resolved"), 60), opsd.text()
    assert len(told("firing")) >= 1
    kept = [json.loads(body) for _, body, code in hook.got if code == 200]
    numbers = [x["number"] for x in kept]
    assert numbers == sorted(set(numbers)) == list(range(1, len(numbers) + 1))
    assert told("firing")[0]["number"] < told("resolved")[0]["number"]
    for headers, body, _ in hook.got:
        signed = headers["X-Opsd-Timestamp"].encode() + b"." + body
        assert headers["X-Opsd-Signature"] == "sha256=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert opsd.metric("opsd_notify_notices_total", fate="delivered") > 0
    assert opsd.metric("opsd_notify_waiting", receiver="pager") == 0


@needs_alertmanager
def test_alerts_of_an_alertmanager_become_findings_and_close(opsd, alertmanager):
    web = free_port()
    am = alertmanager(webhook_of(web)).start()
    opsd.start("--web-address", f"127.0.0.1:{web}", "--notify-receivers", f"am alertmanager http://127.0.0.1:{am.port}")
    labels = {"alertname": "DiskFull", "severity": "critical", "job": "node", "instance": "db-1"}
    am.post({"labels": labels, "annotations": {"summary": "disk is full", "description": "login with password=hunter2secret"}})

    def findings(state):
        return [f for f in opsd.rows("get", "findings") if f["kind"] == "FINDING_KIND_ALERT" and f["state"] == f"FINDING_STATE_{state}"]
    assert wait(lambda: findings("OPEN"), 30), opsd.text()
    one = findings("OPEN")[0]
    assert {x["name"]: x["value"] for x in one["labels"]} == labels
    assert one["severity"] == "LEVEL_CRITICAL" and one["services"] == ["node"] and one["summary"] == "disk is full"
    assert "hunter2secret" not in json.dumps(one)
    opsd.kill()
    opsd.start()  # known again
    am.post({"labels": labels, "endsAt": "2026-01-01T00:00:00Z", "startsAt": "2025-12-31T00:00:00Z"},
            {"labels": {**labels, "instance": "db-2"}})
    assert wait(lambda: findings("CLOSED") and findings("OPEN"), 30), opsd.text()
    assert findings("CLOSED")[0]["id"] == one["id"]
    assert not [a for a in am.alerts() if a["labels"]["alertname"] == "opsd"]  # not in a circle


def test_an_alert_is_one_finding_however_often_it_comes(opsd):
    opsd.start()
    assert post(opsd, payload(alert(), alert(fingerprint="b"), alert()))["opened"] == 2
    assert post(opsd, payload(alert()))["repeated"] == 1
    assert post(opsd, payload(alert("resolved"), alert("resolved", fingerprint="c"))) == {
        "opened": 0, "repeated": 0, "resolved": 1, "unknown": 1, "own": 0}
    assert post(opsd, payload(alert("resolved")))["repeated"] == 1
    opsd.kill()
    opsd.start()
    assert post(opsd, payload(alert()))["opened"] == 1  # again, with the same start: the same finding
    rows = opsd.rows("get", "findings", "--filter", "kind=alert")
    assert len(rows) == 2 and {r["state"] for r in rows} == {"FINDING_STATE_OPEN"}
    assert len({r["id"] for r in rows}) == 2 and all(r["id"].startswith("a-") for r in rows)


def test_open_alerts_have_a_bound(opsd):
    opsd.start("--alerts-open-max", "3")
    post(opsd, payload(*[alert(fingerprint=f"f{i}") for i in range(3)]))
    assert "3 open alerts" in post(opsd, payload(alert(fingerprint="f9"), alert(fingerprint="f0")), 429)["message"]
    assert post(opsd, payload(alert("resolved", fingerprint="f0")))["resolved"] == 1
    assert post(opsd, payload(alert(fingerprint="f9")))["opened"] == 1
    assert opsd.metric("opsd_alerts_in_total", fate="full") == 1


def test_hostile_bodies_are_refused_by_place(opsd):
    opsd.start()
    bad = [
        (b"{", "JSON: "), (b"[]", "an object is expected"), (payload(version="3"), "version"), (payload() | {"alerts": {}}, "alerts: an array"),
        (payload(alert(), 7), "alerts[1]: an object"), (payload(alert(status="odd")), "alerts[0].status"),
        (payload(alert(fingerprint="")), "alerts[0].fingerprint"), (payload(alert(start="yesterday")), "alerts[0].startsAt"),
        (payload(alert(job=7)), "alerts[0].labels.job: a string"), (payload(alert(job="x" * 3000)), "alerts[0].labels.job: 3000 bytes"),
        (payload(alert(**{f"l{i}": "" for i in range(80)})), "alerts[0].labels: 83 of them"),
        (b"[" * 100000, "byte 16: objects and arrays more than 16 deep"),
        (b'{"version":"4","version":"4","alerts":[]}', "JSON: "), (b'{"version":"4","alerts":["\\u0000"]}', "JSON: "),
    ]
    for body, says in bad:
        assert says in post(opsd, body, 400)["message"], (says, body[:60] if isinstance(body, bytes) else "")
    assert "1001 of them" in post(opsd, payload(*[alert(fingerprint=str(i)) for i in range(1001)]), 413)["message"]
    assert opsd.metric("opsd_alerts_refused_total", reason="malformed") == len(bad)
    assert opsd.metric("opsd_alerts_refused_total", reason="too_large") == 1
    assert not opsd.rows("get", "findings")
    assert post(opsd, payload(alert()))["opened"] == 1
