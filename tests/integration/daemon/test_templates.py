"""Templates of a running daemon: lists, one in full, lineage, pins, and what a restart keeps."""
import json
import random
import signal
import subprocess
import time
import urllib.request

from conftest import wait

START = (int(time.time()) - 3600) * 10**9  # what is older than a day is clamped


def send(opsd, service, lines, at=START):
    rows = [{"body": {"stringValue": text}, "severityNumber": 9, "timeUnixNano": str(at + i * 1_000_000)} for i, text in enumerate(lines)]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": rows}]}]}).encode()
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}/v1/logs", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def templates(opsd, *args):
    return {t["typedText"]: t for t in opsd.rows("get", "templates", *args)}


def counted(opsd, lines):
    """Waits until so many lines are in templates."""
    def there():
        return sum(int(t["count"]) for t in opsd.rows("get", "templates")) >= lines
    assert wait(there, 20), opsd.text()


def describe(opsd, ident):
    return json.loads(opsd.ctl("describe", "template", ident, "-o", "json").stdout)


def requests(n, seed=1):
    rng = random.Random(seed)
    return [f"request from 192.0.2.{rng.randint(1, 200)} served in {rng.randint(10, 90)}ms" for _ in range(n)]


def many_services(opsd, flags=()):
    """The same lines from services that fall into several partitions."""
    opsd.start("--analysis-commit-interval", "100ms", *flags)
    for i in range(12):
        send(opsd, f"web-{i}", requests(50, i), START + i * 1_000_000_000)
    send(opsd, "jobs", ["worker started"] * 40)


def test_one_template_over_all_partitions(opsd):
    many_services(opsd)
    counted(opsd, 640)
    assert len({p["number"] for p in opsd.rows("get", "partitions") if p["templates"] > 0}) > 1
    found = templates(opsd)
    assert set(found) == {"request from <ip> served in <duration>", "worker started"}
    row = found["request from <ip> served in <duration>"]
    assert int(row["count"]) == 600 and abs(row["share"] - 600 / 640) < 1e-9
    assert int(row["firstTimeUnixNano"]) == START and int(row["lastTimeUnixNano"]) == START + 11_049_000_000

    full = describe(opsd, row["id"])
    ip, took = full["template"]["slots"]
    assert ip["type"] == "ip" and int(ip["seen"]) == 600 and 150 < int(ip["distinct"]) < 260
    assert took["type"] == "duration" and 0.010 <= took["min"] <= took["p50"] <= took["p99"] <= took["max"] <= 0.090
    assert {s["service"]: int(s["records"]) for s in full["streams"]} == {f"web-{i}": 50 for i in range(12)}
    assert full["template"]["examples"] and full["askedId"] == ""

    words = opsd.ctl("describe", "template", row["id"]).stdout
    assert "<duration>" in words and "web-3" in words and "p99" in words
    assert "模板" in opsd.ctl("describe", "template", row["id"], "--lang", "zh").stdout
    assert opsd.ctl("describe", "template", row["id"], "-o", "yaml").stdout.startswith("---")


def test_order_filter_and_pages(opsd):
    opsd.start("--analysis-commit-interval", "100ms")
    words = ["alpha", "bravo", "delta", "gamma", "kappa"]
    for i, w in enumerate(words):
        send(opsd, "svc", [f"{w} {w}{w} went through the gate of {w}"] * (i + 1), START + (10 - i) * 1_000_000_000)
    counted(opsd, 15)
    ids = [t["id"] for t in opsd.rows("get", "templates")]
    assert [int(t["count"]) for t in opsd.rows("get", "templates")] == [5, 4, 3, 2, 1]
    assert [t["id"] for t in opsd.rows("get", "templates", "--sort", "first")] == ids[::-1]
    assert [t["id"] for t in opsd.rows("get", "templates", "--sort", "id")] == sorted(ids)
    assert [t["id"] for t in opsd.rows("get", "templates", "--filter", "kappa")] == ids[:1]
    assert len(opsd.rows("get", "templates", "--min-count", "3")) == 3
    assert len(opsd.rows("get", "templates", "--limit", "2")) == 2
    table = opsd.ctl("get", "templates").stdout.splitlines()
    assert table[0].split() == ["ID", "COUNT", "SHARE", "FIRST", "LAST", "TEMPLATE"] and len(table) == 6
    assert opsd.ctl("get", "templates", "--sort", "mood", check=False).returncode == 2
    assert opsd.ctl("describe", "template", "0123456789abcdef", check=False).returncode == 5
    assert opsd.ctl("describe", "template", "nonsense", check=False).returncode in (1, 2)


def test_an_old_id_answers_with_what_it_became(opsd):
    opsd.start("--analysis-commit-interval", "100ms")
    line = "the plugin %s was loaded and started without trouble"
    send(opsd, "svc", [line % "alpha"] * 3)
    counted(opsd, 3)
    old = opsd.rows("get", "templates")[0]["id"]
    send(opsd, "svc", [line % w for w in ("bravo", "delta", "gamma", "kappa", "sigma", "omega", "theta", "lambda", "zeta", "iota", "rho", "tau")])
    counted(opsd, 15)
    assert wait(lambda: len(opsd.rows("get", "templates")) == 1, 10), opsd.rows("get", "templates")
    new = opsd.rows("get", "templates")[0]
    full = describe(opsd, old)
    assert full["template"]["id"] == new["id"] and int(full["template"]["count"]) == 15
    assert new["id"] != old
    assert full["askedId"] == old
    fold = next(f for f in full["folds"] if f["oldId"] == old)
    assert fold["why"] == "alike" and "alpha" in fold["oldText"] and int(fold["oldCount"]) == 3
    assert START <= int(fold["timeUnixNano"]) <= START + 10**9
    assert f"{old} was folded into {new['id']}" in opsd.ctl("describe", "template", old).stdout
    assert len(opsd.rows("logs", "--template", old)) == 15


def test_a_restart_keeps_ids_and_statistics(opsd):
    many_services(opsd)
    counted(opsd, 640)
    before = {t["id"]: describe(opsd, t["id"]) for t in opsd.rows("get", "templates")}
    opsd.stop()
    opsd.start()
    counted(opsd, 640)
    assert {t["id"]: describe(opsd, t["id"]) for t in opsd.rows("get", "templates")} == before


def test_pins_are_applied_at_once_and_kept_in_history(opsd):
    pins = opsd.folder / "pins.yaml"
    pins.write_text("one: []\n")
    opsd.start("--analysis-commit-interval", "100ms", "--analysis-template-pins", str(pins))
    send(opsd, "svc", ["session opened for alice"] * 3 + ["login of bob done"] * 2)
    counted(opsd, 5)
    assert len(opsd.rows("get", "templates")) == 2
    old = {t["text"]: t["id"] for t in opsd.rows("get", "templates")}

    pins.write_text('one:\n  - ["session opened for <*>", "login of <*> done"]\nslots:\n  - name: order\n    regex: "ORD-[A-Z]+"\n')
    assert wait(lambda: len(opsd.rows("get", "templates")) == 1, 10), opsd.text()
    one = opsd.rows("get", "templates")[0]
    assert one["text"] == "session opened for <*>" and int(one["count"]) == 5
    for ident in old.values():
        assert describe(opsd, ident)["template"]["id"] == one["id"]
    assert {f["why"] for f in describe(opsd, one["id"])["folds"]} == {"pinned"}
    send(opsd, "svc", ["ticket ORD-AB closed", "ticket ORD-XY closed", "login of carol done"])
    counted(opsd, 8)
    assert {t["text"]: int(t["count"]) for t in opsd.rows("get", "templates")} == {"session opened for <*>": 6, "ticket <*> closed": 2}

    pins.write_text("one:\n  - [just one]\n")
    assert wait(lambda: "event=pins_refused" in opsd.text(), 10)
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: "event=reload_refused" in opsd.text() and "pins.yaml:2" in opsd.text(), 10)
    pins.unlink()
    assert wait(lambda: "event=pins_file_gone" in opsd.text(), 10)

    history = opsd.rows("get", "pins")
    assert [c["outcome"] for c in history] == ["refused", "applied", "applied"]
    assert "pins.yaml:2" in history[0]["summary"] and "+slot order ORD-[A-Z]+" in history[1]["summary"]
    assert history[1]["hash"] != history[2]["hash"] == history[1]["previousHash"] and history[1]["slots"] == 1
    assert "applied" in opsd.ctl("get", "pins").stdout

    opsd.stop()
    pins.write_text("apart: [state=up, state=down]\n")
    opsd.start()
    assert [c["summary"] for c in opsd.rows("get", "pins")][0].startswith("+apart state=up")
    opsd.stop()
    opsd.start()
    assert len(opsd.rows("get", "pins")) == 4  # nothing changed: nothing to note


def test_a_hostile_regex_stalls_nothing_and_shows(opsd):
    pins = opsd.folder / "pins.yaml"
    pins.write_text("slots: ['(a+)+$']\n")
    opsd.start("--analysis-commit-interval", "100ms", "--analysis-template-pins", str(pins))
    send(opsd, "svc", ["a" * 60 + f"b word {i % 7}" for i in range(300)])
    counted(opsd, 300)
    assert opsd.metric("opsd_pins_limited") == 64 and opsd.metric("opsd_pins_regexes_off") == 1


def test_pins_are_checked_like_any_setting(opsd):
    pins = opsd.folder / "pins.yaml"
    pins.write_text("one:\n  - [a b, c d]\napart:\n  - [a b]\nslots:\n  - '(oops'\n")
    got = subprocess.run([opsd.program("opsd"), "--analysis-template-pins", pins, "config", "validate"], capture_output=True, text=True)
    assert got.returncode == 1 and "pins.yaml:6" in got.stderr and "missing closing parenthesis" in got.stderr
    got = subprocess.run([opsd.program("opsctl"), "templates", "pins", "check", pins], capture_output=True, text=True)
    assert got.returncode == 1 and "pins.yaml:6" in got.stderr
    pins.write_text("one:\n  - [a b, c d]\n")
    got = subprocess.run([opsd.program("opsctl"), "templates", "pins", "check", pins], capture_output=True, text=True)
    assert got.returncode == 0 and "1 one" in got.stdout
