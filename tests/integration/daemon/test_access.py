"""A token file: who may do what, for which tenant, and what a reload changes."""
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import wait

TOKENS = """# NAME     ROLE      TENANT   TOKEN
writer     ingest    acme     token:write-acme
other      ingest    umbrella token:write-umbrella
reader     viewer    acme     token:read-acme
stranger   viewer    umbrella token:read-umbrella
hand       operator  acme     token:act-acme
root       admin     acme     token:all-acme
"""


@pytest.fixture
def guarded(opsd):
    opsd.tokens = opsd.folder / "tokens"
    opsd.tokens.write_text(TOKENS)
    opsd.tokens.chmod(0o600)
    return opsd.start("--access-tokens", opsd.tokens)


def send(opsd, token, message, service="shop"):
    body = {"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                              "scopeLogs": [{"logRecords": [{"body": {"stringValue": message}, "severityNumber": 9}]}]}]}
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{opsd.at('otlp_http')}/v1/logs", json.dumps(body).encode(), headers),
                                    timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as err:
        return err.code


def export(opsd, token):
    import grpc
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
    with grpc.insecure_channel(opsd.at("otlp_grpc")) as channel:
        try:
            logs_service_pb2_grpc.LogsServiceStub(channel).Export(
                logs_service_pb2.ExportLogsServiceRequest(), timeout=10, metadata=[("authorization", f"Bearer {token}")] if token else None)
            return grpc.StatusCode.OK
        except grpc.RpcError as err:
            return err.code()


def messages(opsd, token):
    return sorted(r["message"] for r in opsd.rows("logs", "--token", token))


def test_roles_and_doors(guarded):
    import grpc
    assert [send(guarded, t, "x") for t in (None, "wrong", "read-acme", "act-acme")] == [401, 401, 403, 403]
    assert [send(guarded, t, "x") for t in ("write-acme", "all-acme")] == [200, 200]
    assert [export(guarded, t) for t in (None, "wrong", "read-acme", "write-acme")] == \
        [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.OK]
    for verb in (("get", "findings"), ("get", "streams"), ("get", "templates"), ("logs",)):
        assert guarded.ctl(*verb, check=False).returncode != 0
        refused = guarded.ctl(*verb, "--token", "write-acme", check=False)
        assert refused.returncode != 0 and "writer" in refused.stderr and "viewer" in refused.stderr
        for token in ("read-acme", "act-acme", "all-acme"):
            guarded.ctl(*verb, "--token", token)


def test_tenants_see_their_own(guarded):
    assert send(guarded, "write-acme", "of acme alone", "shop-a") == 200
    assert send(guarded, "write-umbrella", "of umbrella alone", "shop-u") == 200
    assert wait(lambda: messages(guarded, "read-acme") == ["of acme alone"], 10)
    assert wait(lambda: messages(guarded, "read-umbrella") == ["of umbrella alone"], 10)
    assert wait(lambda: guarded.metric("opsd_records_total", fate="analysed") == 2, 10)
    for what, field in (("streams", "service"), ("templates", "text")):
        ours, theirs = (guarded.ctl("get", what, "-o", "json", "--token", t).stdout for t in ("read-acme", "read-umbrella"))
        assert "umbrella alone" not in ours and "shop-u" not in ours and ours.strip()
        assert "acme alone" not in theirs and "shop-a" not in theirs and theirs.strip()


def test_a_token_file_is_read_again(guarded):
    guarded.tokens.write_text(TOKENS.replace("token:write-acme", "token:new-acme"))
    assert send(guarded, "write-acme", "before the reload") == 200
    guarded.process.send_signal(signal.SIGHUP)
    assert wait(lambda: send(guarded, "new-acme", "after it") == 200, 10)
    assert send(guarded, "write-acme", "too late") == 401

    guarded.tokens.write_text(TOKENS + "half a line\n")
    guarded.process.send_signal(signal.SIGHUP)
    assert wait(lambda: "reload_refused" in guarded.text(), 10)
    assert f"{guarded.tokens}:8" in guarded.text()
    assert send(guarded, "new-acme", "the table in force stays") == 200


def test_a_broken_or_open_file_does_not_start(opsd):
    tokens = opsd.folder / "tokens"
    for text, mode, words in (("nonsense\n", 0o600, f"{tokens}:1"), (TOKENS, 0o666, str(tokens))):
        tokens.write_text(text)
        tokens.chmod(mode)
        got = subprocess.run([opsd.program("opsd"), "--data", opsd.folder / "d", "--access-tokens", tokens, "--worker-model", "off"],
                             capture_output=True, text=True, timeout=30, env={**os.environ, "LC_ALL": "C"})
        assert got.returncode != 0 and words in got.stderr, got.stderr


def alert(opsd, token, name):
    body = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": name}, "startsAt": "2026-01-02T03:04:05Z", "fingerprint": name}]}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{opsd.at('web')}/api/v1/alertmanager/webhook", json.dumps(body).encode(), headers),
                                    timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as err:
        return err.code


def test_alerts_and_silences_are_of_their_tenant(guarded):
    assert [alert(guarded, t, "Disk") for t in (None, "wrong", "read-acme", "act-acme")] == [401, 401, 403, 403]
    assert [alert(guarded, t, "Disk") for t in ("write-acme", "write-umbrella")] == [200, 200]
    make = ("create", "silence", "alertname=Disk", "--for", "1h", "--comment", "x", "-o", "json")
    for token in ("read-acme", "write-acme"):
        assert guarded.ctl(*make, "--token", token, check=False).returncode == 4
    made = json.loads(guarded.ctl(*make, "--token", "act-acme").stdout)
    assert made["creator"] == "hand" and made["tenant"] == "acme"
    assert [r["id"] for r in guarded.rows("get", "silences", "--token", "read-acme")] == [made["id"]]
    assert guarded.rows("get", "silences", "--token", "read-umbrella") == []
    assert guarded.rows("get", "findings", "--token", "read-acme")[0]["silencedBy"] == [made["id"]]
    other = guarded.rows("get", "findings", "--token", "read-umbrella")
    assert len(other) == 1 and not other[0].get("silencedBy")
    assert guarded.ctl("expire", "silence", made["id"], "--token", "read-acme", check=False).returncode == 4
    assert guarded.ctl("expire", "silence", made["id"], "--token", "act-acme").returncode == 0
