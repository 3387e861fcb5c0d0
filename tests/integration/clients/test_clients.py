"""Other people's clients: what they send comes back as records, with service, severity and text."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))


def wait(what, seconds):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def python_exporter(kind, opsd, compression):
    if kind == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        return OTLPLogExporter(endpoint=opsd.at("otlp_grpc"), insecure=True,
                               compression=grpc.Compression.Gzip if compression else grpc.Compression.NoCompression)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    return OTLPLogExporter(endpoint=f"http://{opsd.at('otlp_http')}/v1/logs", compression=Compression.Gzip if compression else Compression.NoCompression)


@pytest.mark.parametrize("kind,compression", [("grpc", False), ("grpc", True), ("http", False), ("http", True)])
def test_python_sdk(opsd, kind, compression):
    import logging
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    opsd.start()
    provider = LoggerProvider(resource=Resource.create({"service.name": "py-" + kind}))
    provider.add_log_record_processor(BatchLogRecordProcessor(python_exporter(kind, opsd, compression)))
    logger = logging.Logger("test")
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for i in range(300):
        logger.error("basket %d was lost", i, extra={"cart": i})
    provider.shutdown()
    got = opsd.records(300, "--service", "py-" + kind)
    assert sorted(int(re.match(r"basket (\d+) was lost", r["message"]).group(1)) for r in got) == list(range(300))
    assert {r["severityNumber"] for r in got} == {17}
    assert {"key": "cart", "value": "7"} in next(r for r in got if r["message"] == "basket 7 was lost")["attributes"]


def test_python_sdk_metrics_and_traces_are_kept(opsd):
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    opsd.start()
    traces = TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=opsd.at("otlp_grpc"), insecure=True)))
    for i in range(20):
        with traces.get_tracer("test").start_as_current_span(f"step {i}"):
            pass
    traces.shutdown()
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=opsd.at("otlp_grpc"), insecure=True))
    meters = MeterProvider(metric_readers=[reader])
    meters.get_meter("test").create_counter("orders").add(3)
    meters.get_meter("test").create_histogram("latency").record(0.2)
    meters.shutdown()
    assert wait(lambda: opsd.metric("opsd_signals_total", signal="spans") == 20, 10)
    assert wait(lambda: opsd.metric("opsd_signals_total", signal="metric_points") >= 2, 10)


@pytest.fixture(scope="session")
def javascript():
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    home = CACHE / "opsd-tests" / "js"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "send.js"):
        shutil.copy(HERE / "js" / name, home / name)
    got = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=home, capture_output=True, text=True, timeout=300)
    if got.returncode:
        pytest.skip("npm cannot fetch the SDK: " + got.stderr.strip()[-200:])
    return home


@pytest.mark.parametrize("kind", ["grpc", "http", "proto"])
def test_javascript_sdk(opsd, javascript, kind):
    opsd.start()
    endpoint = opsd.at("otlp_grpc" if kind == "grpc" else "otlp_http")
    got = subprocess.run(["node", "send.js", kind, endpoint, "200"], cwd=javascript, capture_output=True, text=True, timeout=60)
    assert got.returncode == 0, got.stderr
    rows = opsd.records(200, "--service", "js-" + kind)
    assert sorted(int(re.match(r"basket (\d+) was lost", r["message"]).group(1)) for r in rows) == list(range(200))
    assert {r["severityNumber"] for r in rows} == {17}


def test_health_and_reflection_from_python(opsd):
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
    opsd.start()
    for port, service in (("api", "ops.v1.FindingService"), ("otlp_grpc", "opentelemetry.proto.collector.logs.v1.LogsService")):
        with grpc.insecure_channel(opsd.at(port)) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", service):
                assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as missing:
                health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
            assert missing.value.code() == grpc.StatusCode.NOT_FOUND
            database = ProtoReflectionDescriptorDatabase(channel)
            assert service in database.get_services()
            if port == "api":
                assert database.FindFileContainingSymbol("ops.v1.Finding").package == "ops.v1"


@pytest.fixture(scope="session")
def grpcurl():
    found = shutil.which("grpcurl") or CACHE / "opsd-tests" / "bin" / "grpcurl"
    if not pathlib.Path(found).exists():
        if not shutil.which("go"):
            pytest.skip("grpcurl is not installed, and go to build it is not either")
        got = subprocess.run(["go", "install", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"], capture_output=True, text=True, timeout=300,
                             env={**os.environ, "GOBIN": str(CACHE / "opsd-tests" / "bin")})
        if got.returncode:
            pytest.skip("go cannot build grpcurl: " + got.stderr.strip()[-200:])
    return str(found)


def test_grpcurl(opsd, grpcurl):
    opsd.start()

    def call(*args):
        got = subprocess.run([grpcurl, "-plaintext", *args], capture_output=True, text=True, timeout=30)
        assert got.returncode == 0, got.stderr
        return got.stdout
    listed = call(opsd.at("api"), "list").split()
    assert {"ops.v1.FindingService", "ops.v1.ClusterService", "ops.v1.WorkerService", "grpc.health.v1.Health"} <= set(listed)
    assert "rpc ListFindings" in call(opsd.at("api"), "describe", "ops.v1.FindingService")
    assert '"ready": true' in call(opsd.at("api"), "ops.v1.ClusterService/GetStatus")
    assert call("-d", '{"page_size": 5}', opsd.at("api"), "ops.v1.FindingService/ListFindings").strip().startswith("{")


def test_rsyslog(opsd, tmp_path):
    if not shutil.which("rsyslogd"):
        pytest.skip("rsyslogd is not installed")
    tcp, udp = free_port(), free_port()
    opsd.start("--syslog-tcp", f"127.0.0.1:{tcp}", "--syslog-udp", f"127.0.0.1:{udp}")
    source, conf = tmp_path / "app.log", tmp_path / "rsyslog.conf"
    source.write_text("".join(f"disk {i} is nearly full\n" for i in range(50)))
    conf.write_text(f"""
global(workDirectory="{tmp_path}")
module(load="imfile")
input(type="imfile" File="{source}" Tag="storage:" Severity="error" Facility="local0")
action(type="omfwd" Target="127.0.0.1" Port="{tcp}" Protocol="tcp" TCP_Framing="octet-counted" Template="RSYSLOG_SyslogProtocol23Format")
action(type="omfwd" Target="127.0.0.1" Port="{udp}" Protocol="udp" Template="RSYSLOG_TraditionalForwardFormat")
""")
    process = subprocess.Popen(["rsyslogd", "-n", "-f", str(conf), "-i", str(tmp_path / "pid")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        rows = opsd.records(100, "--service", "storage")
    finally:
        process.terminate()
        process.wait(10)
    numbers = [int(re.search(r"disk (\d+) is nearly full", r["message"]).group(1)) for r in rows]
    assert sorted(numbers) == sorted(list(range(50)) * 2)
    assert {r["severityNumber"] for r in rows} == {17}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("form", ["rfc5424", "rfc3164"])
def test_logger(opsd, transport, form):
    port = free_port()
    opsd.start(f"--syslog-{transport}", f"127.0.0.1:{port}")
    command = ["logger", f"--{transport}", "--server", "127.0.0.1", "--port", str(port), f"--{form}", "--tag", "billing", "--priority", "user.crit"]
    for i in range(10):
        subprocess.run([*command, f"invoice {i} was not sent"], check=True, timeout=10)
    rows = opsd.records(10, "--service", "billing")
    assert sorted(r["message"] for r in rows) == sorted(f"invoice {i} was not sent" for i in range(10))
    assert {r["severityNumber"] for r in rows} == {18}


def test_collector(opsd, tmp_path):
    binary = shutil.which("otelcol") or CACHE / "opsd-bench" / "otelcol" / "otelcol"
    if not pathlib.Path(binary).exists():
        pytest.skip("no otelcol in PATH; bench/ingest/collector.sh builds one (three minutes, needs go)")
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    import logging
    from opentelemetry.sdk._logs import LoggingHandler
    from opentelemetry.sdk.resources import Resource
    opsd.start()
    port, config = free_port(), tmp_path / "collector.yaml"
    config.write_text(f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{otlp: {{endpoint: "{opsd.at('otlp_grpc')}", tls: {{insecure: true}}}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [otlp]}}}}
""")
    with (tmp_path / "collector.log").open("wb") as log:
        process = subprocess.Popen([str(binary), "--config", str(config)], stdout=log, stderr=log)
    try:
        def listening():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        assert wait(listening, 20), (tmp_path / "collector.log").read_text()
        provider = LoggerProvider(resource=Resource.create({"service.name": "behind-a-collector"}))
        provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"127.0.0.1:{port}", insecure=True)))
        logger = logging.Logger("test")
        logger.addHandler(LoggingHandler(logger_provider=provider))
        for i in range(500):
            logger.warning("queue %d is long", i)
        provider.shutdown()
        rows = opsd.records(500, "--service", "behind-a-collector")
    finally:
        process.terminate()
        process.wait(20)
    assert sorted(int(re.match(r"queue (\d+) is long", r["message"]).group(1)) for r in rows) == list(range(500))
