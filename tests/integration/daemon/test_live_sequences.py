"""Requests of a service learnt by a running daemon: one step left out of some of them is a finding, with their lines."""
import json
import random
import time
import urllib.request

import pytest

from conftest import wait

STEPS = ["order received", "stock of 3 items reserved", "card charged 12 EUR", "parcel handed over", "answered 201 in 30 ms"]
SECOND = 10**9


class Shop:
    """One to three requests a second, each with a trace of its own."""

    def __init__(self, opsd):
        self.opsd, self.rnd = opsd, random.Random(7)
        self.now, self.sent = (int(time.time()) - 4000) * SECOND, 0

    def run(self, seconds, ill=0.0):
        rows = []
        for _ in range(seconds):
            for _ in range(self.rnd.randint(1, 3)):
                trace, skip = self.rnd.randbytes(16).hex(), self.rnd.random() < ill
                at = self.now + self.rnd.randrange(SECOND // 2)
                rows += [{"body": {"stringValue": text}, "severityNumber": 9, "timeUnixNano": str(at + i * 1000), "traceId": trace}
                         for i, text in enumerate(STEPS) if i != 2 or not skip]
            self.now += SECOND
        for i in range(0, len(rows), 500):
            self.send(rows[i:i + 500])
        assert wait(lambda: self.opsd.metric("opsd_records_total", fate="analysed") >= self.sent, 30), self.opsd.text()

    def send(self, rows):
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
        body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": rows}]}]}).encode()
        request = urllib.request.Request(f"http://{self.opsd.at('otlp_http')}/v1/logs", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        self.sent += len(rows)


def findings(opsd):
    return opsd.rows("get", "findings")


def test_requests_that_lack_a_step_are_a_finding_over_a_kill(opsd):
    opsd.start("--analysis-commit-interval", "100ms")
    shop = Shop(opsd)
    shop.run(1500)
    assert opsd.metric("opsd_session_streams") == 1
    assert wait(lambda: all(p["position"] == p["nextOffset"] for p in opsd.rows("get", "partitions")), 20)
    opsd.kill()
    opsd.start()
    shop.sent = 0
    shop.run(300)
    assert findings(opsd) == []
    shop.run(120, ill=0.25)
    assert wait(lambda: findings(opsd), 20), opsd.text()
    (found,) = findings(opsd)
    assert found["kind"] == "FINDING_KIND_SEQUENCE" and found["services"] == ["shop"]
    assert "sessions are unlike those of normal traffic" in found["summary"] and "card charged" in found["summary"]
    assert {e["text"] for e in found["evidence"]} >= {STEPS[1]}


@pytest.mark.parametrize("flags", [("--analysis-session-streams", "0")])
def test_the_switch_turns_it_off(opsd, flags):
    opsd.start(*flags)
    shop = Shop(opsd)
    shop.run(1200)
    shop.run(120, ill=0.25)
    assert opsd.metric("opsd_session_streams") == 0
    assert findings(opsd) == []
