"""TLS and mTLS on every port with real clients, and certificates that change while the daemon runs."""
import http.client
import json
import os
import signal
import ssl
import subprocess

import pytest

from conftest import ROOT, wait

BODY = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "over TLS"}}]}]}]}).encode()


class Authority:
    def __init__(self, folder, name):
        self.folder, self.name = folder / name, name
        self.folder.mkdir()
        self.ca, self.ca_key = self.folder / "ca.pem", self.folder / "ca.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                     f"/CN={name}", "-keyout", self.ca_key, "-out", self.ca)

    def openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    def sign(self, who):
        """(certificate, key) of `who` at 127.0.0.1."""
        key, request, cert, names = (self.folder / f"{who}.{x}" for x in ("key", "csr", "pem", "ext"))
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={who}", "-keyout", key,
                     "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days", "2", "-extfile",
                     names, "-out", cert)
        return cert, key


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    return Authority(folder, "one"), Authority(folder, "two")


def post(opsd, ca, pair=None):
    context = ssl.create_default_context(cafile=ca)
    if pair:
        context.load_cert_chain(*pair)
    call = http.client.HTTPSConnection("127.0.0.1", opsd.ports["otlp_http"], context=context, timeout=10)
    try:
        call.request("POST", "/v1/logs", BODY, {"Content-Type": "application/json"})
        return call.getresponse().status
    finally:
        call.close()


def export_over_grpc(opsd, ca, pair=None):
    import grpc
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
    cert, key = (p.read_bytes() for p in pair) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), key, cert)
    with grpc.secure_channel(opsd.at("otlp_grpc"), credentials) as channel:
        request = logs_service_pb2.ExportLogsServiceRequest()
        request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "over gRPC and TLS"
        try:
            logs_service_pb2_grpc.LogsServiceStub(channel).Export(request, timeout=10)
            return grpc.StatusCode.OK
        except grpc.RpcError as err:
            return err.code()


def start(opsd, pair, *flags):
    opsd.folder.joinpath("cert.pem").write_bytes(pair[0].read_bytes())
    opsd.folder.joinpath("key.pem").write_bytes(pair[1].read_bytes())
    return opsd.start("--tls-cert", opsd.folder / "cert.pem", "--tls-key", opsd.folder / "key.pem", *flags)


def shown(opsd, port):
    return ssl.get_server_certificate(("127.0.0.1", opsd.ports[port])).strip()


def test_every_port_speaks_tls(opsd, authorities):
    import grpc
    one, two = authorities
    start(opsd, one.sign("server"))
    assert post(opsd, one.ca) == 200
    assert export_over_grpc(opsd, one.ca) == grpc.StatusCode.OK
    assert export_over_grpc(opsd, two.ca) == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(ssl.SSLError):
        post(opsd, two.ca)
    assert sorted(r["message"] for r in opsd.rows("logs", "--ca", str(one.ca))) == ["over TLS", "over gRPC and TLS"]
    refused = opsd.ctl("get", "streams", check=False)
    assert refused.returncode != 0 and opsd.at("api") in refused.stderr
    sent = subprocess.run([opsd.program("opsctl"), "ingest", "-", "--endpoint", opsd.at("otlp_grpc"), "--ca", str(one.ca)], input="a line\n",
                          text=True, capture_output=True, timeout=30)
    assert sent.returncode == 0, sent.stderr


def test_clients_show_certificates(opsd, authorities):
    import grpc
    one, two = authorities
    ours, theirs = two.sign("client"), one.sign("stranger")
    start(opsd, one.sign("server"), "--tls-client-ca", two.ca)
    assert post(opsd, one.ca, ours) == 200
    assert post(opsd, one.ca) == 401
    assert post(opsd, one.ca, theirs) == 401
    assert export_over_grpc(opsd, one.ca, ours) == grpc.StatusCode.OK
    assert export_over_grpc(opsd, one.ca) == grpc.StatusCode.UNAVAILABLE
    assert export_over_grpc(opsd, one.ca, theirs) == grpc.StatusCode.UNAVAILABLE
    assert opsd.ctl("get", "streams", "--ca", str(one.ca), check=False).returncode != 0
    opsd.ctl("get", "streams", "--ca", str(one.ca), "--cert", str(ours[0]), "--key", str(ours[1]))


def test_certificates_change_on_sighup(opsd, authorities):
    one, two = authorities
    before, after = one.sign("before"), two.sign("after")
    start(opsd, before)
    ports = ("otlp_http", "otlp_grpc", "api", "web")
    assert {shown(opsd, p) for p in ports} == {before[0].read_text().strip()}
    context = ssl.create_default_context(cafile=one.ca)
    standing = http.client.HTTPSConnection("127.0.0.1", opsd.ports["otlp_http"], context=context, timeout=10)
    standing.request("POST", "/v1/logs", BODY, {"Content-Type": "application/json"})
    assert standing.getresponse().read() is not None

    opsd.folder.joinpath("key.pem").write_bytes(after[1].read_bytes())
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: "reload_refused" in opsd.text(), 10)
    assert "the private key is not the certificate's" in opsd.text()
    assert {shown(opsd, p) for p in ports} == {before[0].read_text().strip()}

    opsd.folder.joinpath("cert.pem").write_bytes(after[0].read_bytes())
    opsd.process.send_signal(signal.SIGHUP)
    assert wait(lambda: {shown(opsd, p) for p in ports} == {after[0].read_text().strip()}, 10)
    standing.request("POST", "/v1/logs", BODY, {"Content-Type": "application/json"})
    assert standing.getresponse().status == 200
    standing.close()
    assert post(opsd, two.ca) == 200
    with pytest.raises(ssl.SSLError):
        post(opsd, one.ca)


def test_a_worker_attaches_over_tls(opsd, authorities):
    models = subprocess.run([ROOT / "scripts/models.sh", "--where"], capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isdir(os.path.join(models, "all-MiniLM-L6-v2")):
        pytest.skip(f"no model in {models}: scripts/models.sh puts it there")
    one, two = authorities
    client = two.sign("worker")
    start(opsd, one.sign("server"), "--tls-client-ca", two.ca)
    me = ["--ca", str(one.ca), "--cert", str(client[0]), "--key", str(client[1])]
    with (opsd.folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen([opsd.program("opsd"), "--role", "worker", "--worker-coordinators", opsd.at("api"), "--worker-ca", one.ca,
                                   "--worker-cert", client[0], "--worker-key", client[1]], stderr=log)
    try:
        assert wait(lambda: opsd.rows("get", "workers", *me), 30), (opsd.folder / "worker.log").read_text()
    finally:
        worker.terminate()
        worker.wait(30)
