"""Metrics and traces of real exporters, in both encodings of OTLP/HTTP, and failed spans as records."""
import base64
import json
import urllib.error
import urllib.request

import pytest


def post(opsd, path, body, content_type):
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}{path}", body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.read()


def hex_ids(value):
    """protobuf's JSON mapping has ids in base64; OTLP's has them in hex."""
    if isinstance(value, list):
        return [hex_ids(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: base64.b64decode(v).hex() if k in ("traceId", "spanId", "parentSpanId") else hex_ids(v) for k, v in value.items()}


def as_json(message):
    from google.protobuf.json_format import MessageToDict
    return json.dumps(hex_ids(MessageToDict(message, use_integers_for_enums=True))).encode()


def traces():
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    request = ExportTraceServiceRequest()
    of = request.resource_spans.add()
    of.resource.attributes.add(key="service.name").value.string_value = "shop"
    spans = of.scope_spans.add().spans
    for number, (name, parent, code) in enumerate((("POST /orders", 0, 2), ("INCR", 1, 2), ("GET /", 0, 1)), 1):
        span = spans.add(name=name, trace_id=bytes(15) + b"\1", span_id=bytes(7) + bytes([number]),
                         start_time_unix_nano=1764000000000000000, end_time_unix_nano=1764000000000000000 + number)
        if parent:
            span.parent_span_id = bytes(7) + bytes([parent])
            span.attributes.add(key="db.system").value.string_value = "redis"
            span.attributes.add(key="server.address").value.string_value = "cache-1"
        span.status.code = code
    return request


def metrics():
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add().scope_metrics.add().metrics
    of.add(name="g").gauge.data_points.add(as_int=-7, time_unix_nano=1764000000000000000)
    histogram = of.add(name="h").histogram.data_points.add(count=3, sum=1.5, time_unix_nano=1764000000000000000)
    histogram.bucket_counts.extend([1, 2])
    histogram.explicit_bounds.extend([0.5])
    point = of.add(name="e").exponential_histogram.data_points.add(count=301, scale=-1)
    point.positive.offset = -3
    point.positive.bucket_counts.extend([300, 1])
    for metric in of[1:]:
        (metric.histogram if metric.name == "h" else metric.exponential_histogram).aggregation_temporality = 2
    return request


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_signals_over_http(opsd, encoding):
    opsd.start("--ingest-past-max", "3650d")
    for path, message in (("/v1/traces", traces()), ("/v1/metrics", metrics())):
        body, kind = (message.SerializeToString(), "application/x-protobuf") if encoding == "protobuf" else (as_json(message), "application/json")
        status, answer = post(opsd, path, body, kind)
        assert status == 200 and (encoding == "protobuf" or json.loads(answer) == {"partialSuccess": {}} or json.loads(answer) == {})
    assert opsd.metric("opsd_signals_total") == 3 + 3
    got = opsd.records(1)
    assert [(r["message"], r["severityNumber"]) for r in got] == [("INCR failed at redis (cache-1)", 17)]
    assert {"key": "event.name", "value": "span.failed"} in got[0]["attributes"]


def test_wrong_json_names_its_place(opsd):
    opsd.start()
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(opsd, "/v1/traces", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"traceId":"?"}]}]}]}', "application/json")
    assert refused.value.code == 400
    assert "resourceSpans[0].scopeSpans[0].spans[1].traceId is not an id in hex" in json.loads(refused.value.read())["message"]


def test_failed_spans_of_the_sdk(opsd):
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    opsd.start()
    provider = TracerProvider(resource=Resource.create({"service.name": "cart"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=opsd.at("otlp_grpc"), insecure=True)))
    tracer = provider.get_tracer("t")
    with pytest.raises(ConnectionError), tracer.start_as_current_span("add item"):
        with tracer.start_as_current_span("GET", attributes={"peer.service": "pricing"}):
            raise ConnectionError("Connection refused")
    with tracer.start_as_current_span("fine"):
        pass
    provider.shutdown()
    got = opsd.records(1, "--service", "cart")
    assert [r["message"] for r in got] == ["GET failed at pricing: ConnectionError: Connection refused"]


def test_failed_spans_can_be_left_alone(opsd):
    opsd.start("--ingest-failed-spans=false")
    post(opsd, "/v1/traces", traces().SerializeToString(), "application/x-protobuf")
    assert opsd.metric("opsd_signals_total") == 3
    assert opsd.metric("opsd_records_total") == 0


def test_dead_letters_survive_a_kill(opsd):
    opsd.start()
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError):
            post(opsd, "/v1/logs", b"\x0a\xff", "application/x-protobuf")
    before = opsd.rows("get", "deadletters")
    assert len(before) == 2
    opsd.kill()
    opsd.start()
    assert opsd.rows("get", "deadletters") == before
