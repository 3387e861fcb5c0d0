"""Prometheus rules in the daemon: samples in, pending, a crash, an Alertmanager told, the end told; reloads that are refused."""
import json
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

from alertmanager import alertmanager, free_port, needs_alertmanager  # noqa: F401 (a fixture)
from conftest import wait

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "metrics"))
import wire  # noqa: E402

RULES = """groups:
- name: pay
  interval: 1s
  rules:
  - record: job:errors:sum
    expr: sum by (job) (errors)
  - alert: Errors
    expr: job:errors:sum > 5
    for: {wait}
    labels: {{severity: critical, team: shop}}
    annotations: {{summary: "{{{{ $labels.job }}}} has {{{{ $value }}}} errors", runbook: "https://ops.example/errors"}}
"""


def rules(opsd, text):
    path = opsd.folder / "pay.yml"
    path.write_text(text)
    return path


def write(opsd, value, job="pay", at=None):
    labels = {"__name__": "errors", "job": job, "instance": "a"}
    status, _, text = wire.write(opsd, wire.series(labels, [(float(value), int((at or time.time()) * 1000))]))
    assert status in (200, 204), text


def findings(opsd, state):
    return [f for f in opsd.rows("get", "findings", "--filter", "kind=rule") if f["state"] == f"FINDING_STATE_{state}"]


def alerting(opsd):
    groups = opsd.rows("get", "rules")
    return next(r for g in groups for r in g["rules"] if r["type"] == "alerting")


def count(rule, state):
    return int(rule.get(state, 0))


def ask(opsd, path):
    with urllib.request.urlopen(f"http://{opsd.at('web')}{path}", timeout=10) as answer:
        got = json.load(answer)
    assert got["status"] == "success"
    return got["data"]


@needs_alertmanager
def test_a_rule_waits_over_a_crash_reaches_alertmanager_and_ends(opsd, alertmanager):  # noqa: F811
    web = free_port()
    am = alertmanager(f"http://127.0.0.1:{web}/api/v1/alertmanager/webhook").start()
    path = rules(opsd, RULES.format(wait="6s"))
    opsd.start("--rules-files", str(path), "--web-address", f"127.0.0.1:{web}", "--notify-receivers",
               f"am alertmanager http://127.0.0.1:{am.port}", "--notify-resend", "1s")
    write(opsd, 9)
    began = time.time()
    assert wait(lambda: count(alerting(opsd), "pending") == 1, 20), opsd.text()
    assert not findings(opsd, "OPEN")
    pending = opsd.metric("opsd_rule_words_total", outcome="ok")
    assert pending >= 1
    time.sleep(2)
    opsd.kill()
    opsd.start()
    # Nothing is written any more: what the rule sees is read back from the log, and its wait goes on where it was.
    restarted = time.time()
    assert wait(lambda: findings(opsd, "OPEN"), 30), opsd.text()
    fired = time.time()
    assert fired - began >= 5.5
    assert fired - restarted < 6 + 1 + 2, "`for` began anew"
    one = findings(opsd, "OPEN")[0]
    assert one["id"].startswith("r-") and one["severity"] == "LEVEL_CRITICAL" and one["services"] == ["pay"]
    assert one["summary"] == "pay has 9 errors"
    assert {x["name"]: x["value"] for x in one["labels"]} == {"alertname": "Errors", "job": "pay", "severity": "critical", "team": "shop"}
    ours = []

    def arrived():
        ours[:] = [a for a in am.alerts() if a["labels"]["alertname"] == "Errors"]
        return len(ours) == 1
    assert wait(arrived, 30), opsd.text()
    assert ours[0]["labels"] == {"alertname": "Errors", "job": "pay", "severity": "critical", "team": "shop", "tenant": "default"}
    assert ours[0]["annotations"] == {"summary": "pay has 9 errors", "runbook": "https://ops.example/errors", "finding": one["id"]}
    # Alertmanager tells us of it: known as ours.
    assert wait(lambda: opsd.metric("opsd_alerts_in_total", fate="own") > 0, 30), (am.folder / "am.log").read_text()
    assert not [f for f in opsd.rows("get", "findings") if f["kind"] == "FINDING_KIND_ALERT"]
    assert opsd.metric("opsd_rule_alerts", state="firing") == 1
    # As a program that knows Prometheus' API asks.
    group = ask(opsd, "/api/v1/rules")["groups"][0]
    assert (group["name"], group["file"], group["interval"]) == ("pay", str(path), 1)
    recording, firing = group["rules"]
    assert (recording["type"], recording["name"], recording["health"]) == ("recording", "job:errors:sum", "ok")
    assert (firing["state"], firing["duration"], firing["alerts"][0]["state"]) == ("firing", 6, "firing")
    alerts = ask(opsd, "/api/v1/alerts")["alerts"]
    assert len(alerts) == 1 and alerts[0]["labels"]["job"] == "pay" and float(alerts[0]["value"]) == 9
    opsd.kill()
    opsd.start()
    assert wait(lambda: count(alerting(opsd), "firing") == 1, 20), opsd.text()
    assert [f["id"] for f in findings(opsd, "OPEN")] == [one["id"]]
    write(opsd, 1)
    assert wait(lambda: findings(opsd, "CLOSED"), 30), opsd.text()
    assert findings(opsd, "CLOSED")[0]["id"] == one["id"] and not findings(opsd, "OPEN")
    assert wait(lambda: not arrived(), 60)


def test_rules_that_do_not_read_are_refused_by_line_and_the_old_ones_stay(opsd):
    path = rules(opsd, RULES.format(wait="0s"))
    opsd.start("--rules-files", str(opsd.folder / "*.yml"))
    write(opsd, 9)
    assert wait(lambda: findings(opsd, "OPEN"), 20), opsd.text()
    path.write_text(RULES.format(wait="0s").replace("> 5", "> >"))
    checked = subprocess.run([opsd.program("opsd"), "config", "validate", "--rules-files", str(path)], capture_output=True, text=True)
    assert checked.returncode == 1 and f"{path}:7: expr: 1:" in checked.stderr, checked.stderr
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: "reload_refused" in opsd.text(), 20), opsd.text()
    assert f"{path}:7: expr" in opsd.text()
    assert count(alerting(opsd), "firing") == 1 and findings(opsd, "OPEN")
    # A rule that goes ends what it had open.
    path.write_text("groups: []\n")
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: findings(opsd, "CLOSED"), 20), opsd.text()
    assert not opsd.rows("get", "rules")
    # And comes again as a finding of its own, on samples from before it was there.
    path.write_text(RULES.format(wait="0s"))
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: findings(opsd, "OPEN"), 20), opsd.text()
    assert findings(opsd, "OPEN")[0]["id"] != findings(opsd, "CLOSED")[0]["id"]
    table = opsd.ctl("get", "rules").stdout
    assert "PENDING/FIRING" in table and "job:errors:sum" in table and "0/1" in table
    assert "待定/触发" in opsd.ctl("get", "rules", "--lang", "zh").stdout


def test_series_of_all_partitions_meet_and_what_is_late_is_counted(opsd):
    text = RULES.format(wait="0s").replace("sum by (job) (errors)", "sum without (job, instance) (errors)").replace("> 5", "> 19")
    opsd.start("--rules-files", str(rules(opsd, text)))
    now = time.time()
    for job in range(20):  # services spread over the partitions: none sees more than a part
        write(opsd, 1, f"job{job}", now)
    assert wait(lambda: findings(opsd, "OPEN"), 20), opsd.text()
    assert findings(opsd, "OPEN")[0]["summary"].endswith("has 20 errors")
    write(opsd, 1, "job0", now - 60)
    write(opsd, 2, "job1", now)
    assert wait(lambda: opsd.metric("opsd_rule_samples_total", fate="late") == 1, 20)
    assert wait(lambda: opsd.metric("opsd_rule_samples_total", fate="duplicate") == 1, 20)
    # Staleness: a series that its sender ended counts no more.
    for job in range(20):
        write(opsd, wire.STALE, f"job{job}", now + 1)
    assert wait(lambda: findings(opsd, "CLOSED"), 20), opsd.text()


def test_a_line_names_its_tenant_and_what_does_not_read_is_refused(opsd):
    path = rules(opsd, "groups:\n- name: g\n  interval: 1s\n  rules:\n  - {alert: Always, expr: vector(1)}\n")
    opsd.start("--rules-files", f"{path} tenant=acme")
    assert wait(lambda: opsd.metric("opsd_rule_alerts", state="firing") == 1, 20), opsd.text()
    assert wait(lambda: opsd.metric("opsd_rule_words_total", outcome="ok") >= 1, 20)
    assert not opsd.rows("get", "rules") and not opsd.rows("get", "findings")  # of the default tenant
    for line, says in ((f"{path} acme", "a path, then tenant=NAME"), ("tenant=acme", "tenant=acme: No such file"),
                       (f"{path}.not", "No such file"), (f"{opsd.folder}", "cannot be read")):
        checked = subprocess.run([opsd.program("opsd"), "config", "validate", "--rules-files", line], capture_output=True, text=True)
        assert checked.returncode == 1 and says in checked.stderr, (line, checked.stderr)
    none = subprocess.run([opsd.program("opsd"), "config", "validate", "--rules-files", f"{opsd.folder}/*.none"], capture_output=True, text=True)
    assert none.returncode == 0, none.stderr
