"""Incidents through the daemon: findings that belong together, causes, what people do to them, over crashes and apart by tenant."""
import http.server
import json
import threading
import urllib.request

import pytest

from conftest import wait


def alert(opsd, name, service, summary, status="firing", token=None):
    """An alert that comes in is the quickest way to a finding. Its job is taken for the service."""
    body = {"version": "4", "alerts": [{
        "status": status, "labels": {"alertname": name, "job": service, "severity": "error"}, "annotations": {"summary": summary},
        "startsAt": "2026-01-02T03:04:05Z", "endsAt": "2026-01-02T04:04:05Z", "fingerprint": f"{name}-{service}"}]}
    head = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://{opsd.at('web')}/api/v1/alertmanager/webhook", json.dumps(body).encode(), head)
    assert urllib.request.urlopen(request, timeout=10).status == 200


def incidents(opsd, *args):
    return opsd.rows("get", "incidents", *args)


def one(opsd, findings, seconds=20):
    """The single incident, once it has so many findings."""
    assert wait(lambda: [len(i["findings"]) for i in incidents(opsd)] == [findings], seconds), (incidents(opsd), opsd.text())
    return incidents(opsd)[0]


def test_what_belongs_together_is_one_incident_with_a_cause_and_its_terms(opsd):
    opsd.start()
    alert(opsd, "Errors", "shop", "5xx of shop: connection refused by redis")
    alert(opsd, "Latency", "proxy", "proxy waits for shop")
    alert(opsd, "Down", "redis", "redis does not answer")
    got = one(opsd, 3)
    assert got["state"] == "INCIDENT_STATE_OPEN" and got["severity"] == "LEVEL_ERROR" and got["tenant"] == "default"
    assert sorted(got["services"]) == ["proxy", "redis", "shop"]
    terms = {t["name"]: t["text"] for t in got["causes"][0]["terms"]}
    assert got["causes"][0]["component"] == "redis" and "shop names it" in terms["named"] and "answers for" in terms["answers"]
    for cause in got["causes"]:
        assert cause["score"] == pytest.approx(sum(t["bits"] for t in cause["terms"])) and all(t["text"] for t in cause["terms"])
    kinds = [e["kind"] for e in got["timeline"]]
    assert kinds[0] == "INCIDENT_ENTRY_KIND_OPENED" and kinds.count("INCIDENT_ENTRY_KIND_FINDING") == 2
    assert all(f["joined"] for f in got["findings"][1:])  # and why each belongs
    text = opsd.ctl("describe", "incident", got["id"]).stdout
    for word in ("causes", "redis", "named", "timeline", "findings"):
        assert word in text
    assert "原因" in opsd.ctl("describe", "incident", got["id"], "--lang", "zh").stdout
    assert opsd.ctl("get", "incidents", "-o", "name").stdout == f"incident/{got['id']}\n"
    assert opsd.ctl("get", "incidents", "--fail-on", "incidents", check=False).returncode == 3
    assert incidents(opsd, "--filter", "state=resolved") == [] and len(incidents(opsd, "--filter", "service=redis severity>=error")) == 1


def test_a_crash_between_loses_and_doubles_nothing(opsd):
    opsd.start()
    alert(opsd, "Errors", "shop", "connection refused by redis")
    before = one(opsd, 1)
    opsd.kill()
    opsd.start()
    alert(opsd, "Down", "redis", "redis does not answer")
    opsd.kill()  # perhaps before it was grouped
    opsd.start()
    got = one(opsd, 2)
    assert got["id"] == before["id"] and len({f["findingId"] for f in got["findings"]}) == 2
    assert opsd.ctl("ack", "incident", got["id"], "--comment", "I look").stdout.count("acknowledged") == 1
    opsd.kill()
    opsd.start()
    again = one(opsd, 2)
    assert again["state"] == "INCIDENT_STATE_ACKNOWLEDGED" and again["timeline"][-1]["text"] == "I look"
    assert again["timeline"][:-1] == got["timeline"]
    assert [(a["act"], a["who"]) for a in opsd.rows("get", "acts")] == [("acknowledge", "anonymous")]


def test_the_ways_of_an_incident(opsd):
    opsd.start()
    alert(opsd, "Down", "redis", "redis does not answer")
    name = one(opsd, 1)["id"]
    assert "acknowledged" in opsd.ctl("ack", "incident", name).stdout
    assert "resolved" in opsd.ctl("resolve", "incident", f"incident/{name}", "--comment", "restarted").stdout
    got = opsd.ctl("ack", "incident", name, check=False)
    assert got.returncode == 6 and "is resolved, not open" in got.stderr
    alert(opsd, "Errors", "redis", "redis does not answer now either")  # a new one of the same soon after
    assert wait(lambda: incidents(opsd)[0]["state"] == "INCIDENT_STATE_OPEN", 20)
    got = one(opsd, 2)
    assert got["reopened"] == 1 and "reopened" in opsd.ctl("get", "incidents").stdout
    opsd.ctl("resolve", "incident", name, "--request-id", "r1")
    opsd.ctl("reopen", "incident", name, "--request-id", "r2")
    opsd.ctl("resolve", "incident", name, "--request-id", "r1")  # a retry that comes late
    got = one(opsd, 2)
    assert got["state"] == "INCIDENT_STATE_OPEN" and got["reopened"] == 2 and got["reopenedBy"] == "anonymous"
    got = opsd.ctl("resolve", "incident", "i-0000000000000000", check=False)
    assert got.returncode == 5 and "no incident" in got.stderr


def test_it_resolves_with_its_findings(opsd):
    opsd.start("--incidents-resolve-after", "1s")
    alert(opsd, "Down", "redis", "redis does not answer")
    one(opsd, 1)
    alert(opsd, "Down", "redis", "redis does not answer", "resolved")
    assert wait(lambda: incidents(opsd)[0]["state"] == "INCIDENT_STATE_RESOLVED", 20), opsd.text()
    got = incidents(opsd)[0]
    assert not got.get("resolvedBy") and got["timeline"][-1]["kind"] == "INCIDENT_ENTRY_KIND_RESOLVED"


def test_merge_split_and_feedback_are_kept_and_used(opsd):
    opsd.start()
    alert(opsd, "Errors", "shop", "connection refused by redis")
    alert(opsd, "Down", "redis", "redis does not answer")
    alert(opsd, "Disk", "backup", "the tape is full")
    got = one(opsd, 3)
    tape = next(f["findingId"] for f in got["findings"] if f["services"] == ["backup"])
    half = json.loads(opsd.ctl("split", "incident", got["id"], tape, "-o", "json", "--request-id", "s1").stdout)
    assert half["id"] != got["id"] and half["splitFrom"] == got["id"] and [f["findingId"] for f in half["findings"]] == [tape]
    again = json.loads(opsd.ctl("split", "incident", got["id"], tape, "-o", "json", "--request-id", "s1").stdout)
    assert again["id"] == half["id"] and len(incidents(opsd)) == 2
    rest = next(i for i in incidents(opsd) if i["id"] == got["id"])
    assert len(rest["findings"]) == 2 and "backup" not in rest["services"]
    # What was split once counts against joining again.
    alert(opsd, "Tape", "backup", "the robot is stuck")
    assert wait(lambda: any(len(i["findings"]) == 2 and i["id"] == half["id"] for i in incidents(opsd)), 20), incidents(opsd)
    back = json.loads(opsd.ctl("merge", "incident", got["id"], half["id"], "-o", "json").stdout)
    assert len(back["findings"]) == 4
    gone = next(i for i in incidents(opsd) if i["id"] == half["id"])
    assert gone["state"] == "INCIDENT_STATE_MERGED" and gone["mergedInto"] == got["id"]
    got = opsd.ctl("ack", "incident", half["id"], check=False)
    assert got.returncode == 6 and "was merged into" in got.stderr
    said = json.loads(opsd.ctl("feedback", "incident", back["id"], "right-cause", "--cause", "shop", "--comment", "a bad deploy", "-o", "json").stdout)
    assert said["causes"][0]["component"] == "shop"
    term = next(t for t in said["causes"][0]["terms"] if t["name"] == "said")
    assert term["bits"] > 0 and "anonymous said that it was the cause" in term["text"]
    assert said["feedback"][0]["comment"] == "a bad deploy"
    assert [a["act"] for a in opsd.rows("get", "acts")] == ["feedback", "merge", "split"]


def test_what_was_called_noise_opens_nothing_any_more(opsd):
    opsd.start("--incidents-resolve-after", "1s", "--incidents-reopen-within", "1s")
    alert(opsd, "Flap", "cron", "cron flaps")
    name = one(opsd, 1)["id"]
    assert "resolved" in opsd.ctl("feedback", "incident", name, "noise").stdout
    opsd.kill()
    opsd.start()
    alert(opsd, "Flap2", "cron", "cron flaps once more")
    alert(opsd, "Down", "redis", "redis does not answer")
    # Noise may still be part of what others open.
    assert wait(lambda: any("redis" in i["services"] for i in incidents(opsd)), 20)
    assert not any(i["services"] == ["cron"] and i["id"] != name for i in incidents(opsd))


def test_mistakes_are_named(opsd):
    opsd.start()
    alert(opsd, "Down", "redis", "redis does not answer")
    got = one(opsd, 1)
    for words, says, code in (
            (("get", "incidents", "--filter", "state=closed"), "open, acknowledged, resolved or merged", 2),
            (("get", "incidents", "--filter", "kind=silent"), "state, severity, service", 2),
            (("split", "incident", got["id"], "f-1"), "finding_ids: 'f-1' is not of incident", 2),
            (("split", "incident", got["id"], got["findings"][0]["findingId"]), "some must stay", 2),
            (("merge", "incident", got["id"], got["id"]), "into itself", 2),
            (("merge", "incident", got["id"], "i-1"), "no incident 'i-1'", 5),
            (("feedback", "incident", got["id"], "nice"), "right-cause, wrong-cause, noise", 2),
            (("ack", "incident"), "which incident?", 2), (("describe", "incident", "i-1"), "no incident 'i-1'", 5)):
        out = opsd.ctl(*words, check=False)
        assert out.returncode == code and says in out.stderr, (words, out.returncode, out.stderr)
    assert opsd.rows("get", "acts") == []


def test_tenants_are_kept_apart(opsd, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("ann admin acme token:ann-secret\nbob admin beta token:bob-secret\n")
    tokens.chmod(0o600)
    opsd.start("--access-tokens", tokens)
    flag = {}
    for who in ("ann", "bob"):
        path = tmp_path / who
        path.write_text(f"{who}-secret")
        flag[who] = ("--token-file", str(path))
        alert(opsd, "Down", "redis", f"redis of {who}", token=f"{who}-secret")
    assert wait(lambda: all(len(opsd.rows("get", "incidents", *flag[who])) == 1 for who in flag), 20), opsd.text()
    mine, theirs = (opsd.rows("get", "incidents", *flag[who])[0] for who in ("ann", "bob"))
    assert mine["tenant"] == "acme" and "ann" in mine["summary"] and theirs["tenant"] == "beta" and "bob" in theirs["summary"]
    for words in (("describe", "incident", theirs["id"]), ("ack", "incident", theirs["id"]), ("merge", "incident", mine["id"], theirs["id"])):
        got = opsd.ctl(*words, *flag["ann"], check=False)
        assert got.returncode == 5, (words, got.stderr)
    opsd.ctl("ack", "incident", mine["id"], *flag["ann"])
    assert [a["who"] for a in opsd.rows("get", "acts", *flag["ann"])] == ["ann"] and opsd.rows("get", "acts", *flag["bob"]) == []


class Hook(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.got = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append((self.headers.get("X-Opsd-Dedupe"), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hook():
    made = Hook()
    yield made
    made.shutdown()
    made.server_close()


def test_one_fault_is_one_message_and_one_when_it_is_over(opsd, hook):
    url = f"http://127.0.0.1:{hook.server_address[1]}/"
    opsd.start("--notify-receivers", f"pager webhook {url}", "--notify-link", "https://ops.example")
    alert(opsd, "Errors", "shop", "connection refused by redis")
    alert(opsd, "Down", "redis", "redis does not answer")
    name = one(opsd, 2)["id"]
    assert wait(lambda: len(hook.got) == 1, 20), opsd.text()
    key, body = hook.got[0]
    assert body["status"] == "firing" and body["dedupe_key"] == f"default/{name}" and key.startswith(f"default/{name} ")
    assert body["link"] == f"https://ops.example/incidents/{name}" and "finding" not in body
    assert body["incident"]["kind"] == "incident" and body["incident"]["id"] == name and body["incident"]["cause"]
    opsd.ctl("resolve", "incident", name)
    assert wait(lambda: len(hook.got) == 2, 20)
    assert hook.got[1][1]["status"] == "resolved" and hook.got[1][1]["dedupe_key"] == f"default/{name}"
    assert hook.got[1][1]["number"] > body["number"]


def test_both_can_be_told(opsd, hook):
    opsd.start("--notify-receivers", f"chat slack http://127.0.0.1:{hook.server_address[1]}/", "--notify-tell", "both")
    alert(opsd, "Down", "redis", "redis does not answer <!channel>")
    assert wait(lambda: len(hook.got) == 2, 20), opsd.text()
    titles = sorted(b["attachments"][0]["title"] for _, b in hook.got)
    assert titles[0].startswith("a-") and titles[1].startswith("i-")
    assert not any("<!channel>" in json.dumps(b) for _, b in hook.got)
    fields = [f["title"] for b in (b for _, b in hook.got) for f in b["attachments"][0]["fields"]]
    assert "cause" in fields and "kind" in fields


def test_a_silence_of_a_service_holds_for_its_incident(opsd, hook):
    opsd.start("--notify-receivers", f"pager webhook http://127.0.0.1:{hook.server_address[1]}/")
    opsd.ctl("create", "silence", "service=redis", "--for", "1h", "--comment", "new disks")
    alert(opsd, "Down", "redis", "redis does not answer")
    one(opsd, 1)
    assert wait(lambda: opsd.metric("opsd_notify_notices_total", fate="silenced") == 1, 20), opsd.text()
    assert hook.got == []


class Client:
    """A gRPC client of IncidentService whose messages come from the daemon's own reflection."""

    def __init__(self, opsd):
        import grpc
        from google.protobuf import message_factory
        from google.protobuf.descriptor_pool import DescriptorPool
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
        self.channel = grpc.insecure_channel(opsd.at("api"))
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.make = message_factory.GetMessageClass
        self.service = self.pool.FindServiceByName("ops.v1.IncidentService")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def call(self, method, **fields):
        m = self.service.FindMethodByName(method)
        how = self.channel.unary_stream if method.startswith("Watch") else self.channel.unary_unary
        do = how(f"/ops.v1.IncidentService/{method}", request_serializer=lambda x: x.SerializeToString(),
                 response_deserializer=self.make(m.output_type).FromString)
        return do(self.make(m.input_type)(**fields), timeout=20)


def test_a_python_client_lists_watches_acts_and_is_refused_with_details(opsd):
    import grpc
    from google.rpc import error_details_pb2, status_pb2
    opsd.start()
    alert(opsd, "Down", "redis", "redis does not answer")
    name = one(opsd, 1)["id"]
    with Client(opsd) as client:
        listed = client.call("ListIncidents", page_size=10, filter="state=open")
        assert [i.id for i in listed.incidents] == [name] and listed.revision == listed.incidents[0].revision
        watch = client.call("WatchIncidents", from_revision=listed.revision)
        acked = client.call("AcknowledgeIncident", id=name, comment="on it", request_id="r-1")
        seen = next(m for m in watch if m.HasField("incident"))
        assert seen.incident.id == name and seen.incident.acknowledged_by == "anonymous" and seen.revision > listed.revision
        again = client.call("AcknowledgeIncident", id=name, comment="on it", request_id="r-1")
        assert again.version == acked.version  # the same request changed nothing
        watch.cancel()
        with pytest.raises(grpc.RpcError) as conflict:
            client.call("ReopenIncident", id=name)
        assert conflict.value.code() == grpc.StatusCode.ABORTED and "is acknowledged, not resolved" in conflict.value.details()
        with pytest.raises(grpc.RpcError) as wrong:
            client.call("SplitIncident", id=name, finding_ids=["f-1"])
        assert wrong.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        fields, raw = error_details_pb2.BadRequest(), dict(wrong.value.trailing_metadata())["grpc-status-details-bin"]
        assert any(d.Unpack(fields) for d in status_pb2.Status.FromString(raw).details if d.Is(fields.DESCRIPTOR))
        assert fields.field_violations[0].field == "finding_ids"
        with pytest.raises(grpc.RpcError) as absent:
            client.call("GetIncident", id="i-1")
        assert absent.value.code() == grpc.StatusCode.NOT_FOUND
        acts = client.call("ListIncidentActs").acts
        assert [(a.act, a.who, a.incident_id, a.text) for a in acts] == [("acknowledge", "anonymous", name, "on it")]
