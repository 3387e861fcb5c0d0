"""Starting, stopping, reloading: what an operator does, and every message that tells of a mistake."""
import json
import os
import signal
import subprocess
import urllib.request

from conftest import wait

ENV = {**os.environ, "LC_ALL": "C"}


def send(opsd, count, start=0):
    rows = [{"body": {"stringValue": f"line {start + i}"}, "severityNumber": 9, "timeUnixNano": str(1)} for i in range(count)]
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": rows}]}]}).encode()
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}/v1/logs", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def run(opsd, *args, **more):
    return subprocess.run([opsd.program("opsd"), *args], capture_output=True, text=True, timeout=30, env=ENV, **more)


def test_two_daemons_on_one_folder(opsd):
    opsd.start()
    second = run(opsd, "--data", opsd.data, "--worker-model", "off", "--worker-generator", "off", "--otlp-grpc", "off", "--otlp-http", "off", "--api-address", "off",
                 "--web-address", "off")
    assert second.returncode == 1
    assert str(opsd.process.pid) in second.stderr and str(opsd.data) in second.stderr
    send(opsd, 1)
    assert len(opsd.records(1)) == 1


def test_a_port_in_use_names_its_holder(opsd):
    opsd.start()
    for flag, port in (("--otlp-http", "otlp_http"), ("--otlp-grpc", "otlp_grpc"), ("--api-address", "api"), ("--web-address", "web")):
        others = [x for f in ("--otlp-http", "--otlp-grpc", "--api-address", "--web-address") if f != flag for x in (f, "off")]
        second = run(opsd, "--data", opsd.folder / "second", "--worker-model", "off", "--worker-generator", "off", *others, flag, opsd.at(port))
        assert second.returncode == 1
        assert str(opsd.process.pid) in second.stderr and str(opsd.ports[port]) in second.stderr, second.stderr


def test_a_typo_is_named_with_its_line_and_the_nearest_key(opsd):
    config = opsd.folder / "opsd.yaml"
    config.write_text("log:\n  level: info\nstorage:\n  keep_agee: 7d\n")
    for words in (("config", "validate"), ()):
        got = run(opsd, "--config", config, *words)
        assert got.returncode == 2
        assert "keep_agee" in got.stderr and f"{config}:4" in got.stderr and "keep_age" in got.stderr.replace("keep_agee", ""), got.stderr
    config.write_text("log:\n  level: loud\n")
    got = run(opsd, "--config", config, "config", "validate")
    assert got.returncode == 2 and "loud" in got.stderr and "debug" in got.stderr
    config.write_text("log: [\n")
    got = run(opsd, "--config", config, "config", "validate")
    assert got.returncode == 2 and str(config) in got.stderr
    got = run(opsd, "--storage-keep-agee", "7d")
    assert got.returncode == 2 and "keep-age" in got.stderr.replace("keep-agee", "")
    config.write_text("log:\n  level: warn\n")
    assert run(opsd, "--config", config, "config", "validate").returncode == 0


def test_help_and_reference_come_from_the_table(opsd):
    usage, sample, reference = run(opsd, "--help"), run(opsd, "config", "sample"), run(opsd, "config", "reference")
    for key in ("storage.keep_age", "ingest.failed_spans", "tls.client_ca"):
        assert key in reference.stdout
        assert "--" + key.replace(".", "-").replace("_", "-") in usage.stdout
        assert key.split(".")[1] in sample.stdout
    config = opsd.folder / "sample.yaml"
    config.write_text(sample.stdout)
    assert run(opsd, "--config", config, "config", "validate").returncode == 0


def test_sighup_changes_what_may_change(opsd):
    config = opsd.folder / "opsd.yaml"
    config.write_text("log:\n  level: info\n")
    opsd.start(env={"OPSD_CONFIG": str(config)})
    config.write_text("log:\n  level: debug\nstorage:\n  partitions: 8\n")
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: "event=reloaded" in opsd.text(), 10)
    assert "setting_changed key=log.level" in opsd.text() and "setting_needs_restart key=storage.partitions" in opsd.text()
    config.write_text("log:\n  levle: debug\n")
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: "reload_refused" in opsd.text(), 10)
    assert "levle" in opsd.text()
    send(opsd, 1)


def test_a_stop_loses_nothing_and_a_kill_neither(opsd):
    opsd.start()
    send(opsd, 50)
    opsd.stop()
    opsd.start()
    send(opsd, 50, 50)
    opsd.kill()
    opsd.start()
    got = opsd.records(100)
    assert sorted(int(r["message"].split()[1]) for r in got) == list(range(100))
    assert wait(lambda: sum(int(t["count"]) for t in opsd.rows("get", "templates")) == 100, 20)
    opsd.stop()
    check = json.loads(subprocess.run([opsd.program("opsctl"), "fsck", "--data", opsd.data, "-o", "json"], capture_output=True, text=True,
                                      check=True).stdout)
    assert (int(check["records"]), int(check["damaged"])) == (100, 0)
    opsd.process = None


def test_a_damaged_database_is_refused_by_name(opsd):
    opsd.start()
    send(opsd, 2000)
    opsd.stop()
    hurt = 0
    for path in sorted((opsd.data / "log").glob("*.sst")) + sorted((opsd.data / "log").glob("*.log")):
        data = bytearray(path.read_bytes())
        if len(data) > 200:
            data[len(data) // 2:len(data) // 2 + 16] = b"\xa5" * 16
            path.write_bytes(data)
            hurt += 1
    assert hurt > 0
    checked = subprocess.run([opsd.program("opsctl"), "fsck", "--data", opsd.data], capture_output=True, text=True, timeout=60, env=ENV)
    assert checked.returncode != 0
    assert "log" in checked.stdout + checked.stderr
    opsd.process = None
