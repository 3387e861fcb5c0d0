"""Metrics through the whole daemon: real exporters and requests written by hand in, series and findings out."""
import json
import pathlib
import random
import sys
import time
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import wire  # noqa: E402


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.05)


def series(opsd, *args):
    return {r["series"]: r for r in opsd.rows("get", "series", *args)}


def now_ms():
    return int(time.time() * 1000)


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_the_sdk_of_opentelemetry(opsd, door):
    from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
    from opentelemetry.sdk.resources import Resource
    opsd.start()
    if door == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        exporter = OTLPMetricExporter(endpoint=opsd.at("otlp_grpc"), insecure=True, preferred_temporality={Counter: AggregationTemporality.DELTA})
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        exporter = OTLPMetricExporter(endpoint=f"http://{opsd.at('otlp_http')}/v1/metrics", preferred_temporality={Histogram: AggregationTemporality.CUMULATIVE})
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=600_000)
    provider = MeterProvider(metric_readers=[reader], resource=Resource.create({"service.name": "cart", "service.instance.id": "h1", "process.pid": 7}),
                             views=[View(instrument_name="wait", aggregation=ExponentialBucketHistogramAggregation())])
    meter = provider.get_meter("t")
    meter.create_counter("orders").add(3, {"shop": "a"})
    meter.create_up_down_counter("open").add(5)
    latency, waiting = meter.create_histogram("latency", explicit_bucket_boundaries_advisory=[0.1, 1.0]), meter.create_histogram("wait")
    for v in (0.05, 0.5, 0.7, 4.0):
        latency.record(v)
    for v in (0.75, 3.0, 3.5):
        waiting.record(v)
    assert provider.force_flush(10_000)
    provider.shutdown()
    got = until(lambda: (lambda s: s if any(k.startswith("wait_bucket") for k in s) else None)(series(opsd, "--service", "cart", "--buckets")))
    values = {k.replace('service.instance.id="h1"', "").replace("{,", "{").replace(",}", "}").replace("{}", ""): r for k, r in got.items()}
    assert not any("process.pid" in k for k in got)

    def value(name):
        assert name in values, sorted(values)
        return values[name]["lastValue"]
    assert value('orders{shop="a"}') == 3 and values['orders{shop="a"}']["kind"] == ("delta" if door == "grpc" else "counter")
    assert value("open") == 5 and values["open"]["kind"] == "gauge"
    assert value("latency_count") == 4 and value("latency_sum") == 5.25
    assert [value(f'latency_bucket{{le="{le}"}}') for le in ("0.1", "1", "+Inf")] == [1, 3, 4]
    # 0.75 is in (0.5, 1], 3 and 3.5 are in (2, 4]: the bounds are powers of two whatever scale the SDK chose.
    assert {k: r["lastValue"] for k, r in values.items() if k.startswith("wait_bucket")} == {
        'wait_bucket{le="1"}': 1, 'wait_bucket{le="4"}': 3, 'wait_bucket{le="+Inf"}': 3}


def test_remote_write_of_both_versions(opsd):
    opsd.start()
    t = now_ms()
    body = wire.series({"__name__": "http_requests_total", "job": "web", "code": "200"}, [(5.0, t - 15_000), (11.0, t)])
    assert wire.write(opsd, body)[0] == 204
    symbols = [""]
    span = wire.field(11, wire.varint(1 << 3) + wire.zigzag(1) + wire.field(2, 2))
    native = wire.field(3, wire.field(1, 5) + wire.field(3, 9.5) + wire.varint(4 << 3) + wire.zigzag(0) + span
                        + wire.field(12, wire.zigzag(2) + wire.zigzag(1)) + wire.field(15, t))
    rows = [wire.series2(symbols, {"__name__": "queue", "job": "web"}, [(7.0, t)], kind=2),
            wire.series2(symbols, {"__name__": "started", "job": "web"}, [(7.0, t)], kind=1),
            wire.series2(symbols, {"__name__": "size", "job": "web"}, [], kind=3, more=native)]
    status, headers, _ = wire.write(opsd, wire.request2(symbols, *rows), wire.V2, port="web")
    assert status == 204
    assert [headers[f"X-Prometheus-Remote-Write-{x}-Written"] for x in ("Samples", "Histograms", "Exemplars")] == ["2", "1", "0"]
    got = until(lambda: (lambda s: s if len(s) == 8 else None)(series(opsd, "--service", "web", "--buckets")))
    assert got['http_requests_total{code="200",job="web"}']["judgedValue"] == pytest.approx(6 / 15)
    assert (got['queue{job="web"}']["kind"], got['started{job="web"}']["kind"]) == ("gauge", "counter")
    # Native bucket 1 ends at 2 and bucket 2 at 4: two values, then three more.
    assert {k: r["lastValue"] for k, r in got.items() if k.startswith("size")} == {
        'size_count{job="web"}': 5, 'size_sum{job="web"}': 9.5, 'size_bucket{job="web",le="2"}': 2,
        'size_bucket{job="web",le="4"}': 5, 'size_bucket{job="web",le="+Inf"}': 5}


def judged(opsd, result):
    return opsd.metric("opsd_samples_judged_total", result=result)


def test_a_jump_becomes_a_finding_and_survives_a_kill(opsd):
    opsd.start("--ingest-past-max", "30d")
    rnd = random.Random(5)
    start = now_ms() - 2_000 * 15_000
    calm = [(50 + rnd.gauss(0, 1), start + i * 15_000) for i in range(1500)]
    name = {"__name__": "connections", "job": "db", "instance": "db-1"}
    assert wire.write(opsd, wire.series(name, calm))[0] == 204
    assert until(lambda: judged(opsd, "judged") == 1500)
    assert until(lambda: all(p["position"] == p["nextOffset"] for p in opsd.rows("get", "partitions")))
    opsd.kill()
    opsd.start()
    before = series(opsd)['connections{instance="db-1",job="db"}']
    assert int(before["samples"]) == 1500 and not before["learning"]
    assert before["expectedLow"] < 50 < before["expectedHigh"]
    jump = [(400 + rnd.gauss(0, 1), start + (1500 + i) * 15_000) for i in range(20)]
    assert wire.write(opsd, wire.series(name, jump))[0] == 204
    found = until(lambda: [f for f in opsd.rows("get", "findings") if f["kind"] == "FINDING_KIND_METRIC"])
    assert found and found[0]["services"] == ["db"]
    statistic = found[0]["statistic"]
    assert statistic["score"] >= 6 and not statistic["expectedLow"] <= statistic["value"] <= statistic["expectedHigh"]
    assert "connections{instance=" in found[0]["summary"] and "usual" in found[0]["summary"] and "since" in found[0]["summary"]


def test_hostile_samples_are_named_and_cost_the_sender_alone(opsd, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("a ingest noisy token:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb admin quiet token:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
                      "c admin noisy token:cccccccccccccccccccccccccccccccc\n")
    tokens.chmod(0o600)
    opsd.start("--access-tokens", str(tokens), "--metrics-series-max", "50", "--metrics-label-bytes-max", "100")
    t = now_ms()
    a, b = "a" * 32, "b" * 32
    calm = wire.series({"__name__": "calm", "job": "q"}, [(1.0, t)])
    assert wire.write(opsd, calm, token=b)[0] == 204
    bad = {
        "series_limit": b"".join(wire.series({"__name__": "m", "id": str(i), "job": "n"}, [(1.0, t)]) for i in range(200)),
        "too_old": wire.series({"__name__": "x"}, [(1.0, t - 30 * 86_400_000)]),
        "too_new": wire.series({"__name__": "x"}, [(1.0, t + 86_400_000)]),
        "duplicate_time": wire.series({"__name__": "m", "id": "1", "job": "n"}, [(1.0, t + 1), (2.0, t + 1)]),
        "label_length": wire.series({"__name__": "x", "l": "v" * 101}, [(1.0, t)]),
        "label_count": wire.series({"__name__": "x", **{f"l{i}": "v" for i in range(65)}}, [(1.0, t)]),
        "metric_name": wire.series({"job": "n"}, [(1.0, t)]),
    }
    for reason, body in bad.items():
        status, _, text = wire.write(opsd, body, token=a)
        assert status == 400 and text.startswith(f"{reason}: "), (reason, status, text)
    for reason, value in (("not_a_number", float("nan")), ("infinite", float("inf"))):
        status, _, text = wire.write(opsd, wire.series({"__name__": "m", "id": "1", "job": "n"}, [(value, t + 5), (4.0, t + 6)]), token=a)
        assert status == 200 and text.startswith(f"{reason}: 1 samples"), (status, text)
        t += 10
    negative = wire.field(4, wire.varint(2 << 3 | 1) + b"\0\0\0\0\0\0\xf0\xbf" + wire.field(15, t))
    status, _, text = wire.write(opsd, wire.series({"__name__": "h", "job": "n"}, [], negative), token=a)
    assert status == 400 and text.startswith("histogram_negative: ")
    # A snappy block that declares a gigabyte over a few bytes, and a body that is none.
    for lie in (wire.varint(1 << 30) + b"\0a", wire.varint(5) + b"\xff\xff"):
        status, _, text = wire.write(opsd, lie, token=a, packed=False)
        assert status in (400, 413) and "snappy" in text, (status, text)
    assert wire.write(opsd, wire.series({"__name__": "calm", "job": "q"}, [(2.0, t + 1)]), token=b)[0] == 204
    assert opsd.metric("opsd_samples_refused_total", tenant="noisy", reason="series_limit") == 150
    for reason in [*bad, "not_a_number", "infinite", "histogram_negative"]:
        assert opsd.metric("opsd_samples_refused_total", tenant="noisy", reason=reason) >= 1, reason
    assert opsd.metric("opsd_samples_refused_total", tenant="quiet") == 0
    mine, theirs = tmp_path / "quiet", tmp_path / "noisy"
    mine.write_text(b)
    theirs.write_text("c" * 32)
    assert until(lambda: [int(s["samples"]) for s in opsd.rows("get", "series", "--token-file", str(mine))] == [2])
    letters = {d["reason"] for d in opsd.rows("get", "deadletters", "--token-file", str(theirs))}
    assert set(bad) <= letters
    assert opsd.rows("get", "deadletters", "--token-file", str(mine)) == []


def test_otlp_json_and_partial_success(opsd):
    opsd.start()
    t = time.time_ns()
    point = {"timeUnixNano": str(t), "asDouble": 2.5}
    hist = {"timeUnixNano": str(t), "count": "3", "bucketCounts": ["1", "9"], "explicitBounds": [1.0]}
    body = {"resourceMetrics": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "j"}}]}, "scopeMetrics": [{"metrics": [
        {"name": "g", "gauge": {"dataPoints": [point, {**point, "attributes": [{"key": "a", "value": {"intValue": "5"}}]}]}},
        {"name": "s", "sum": {"dataPoints": [point], "isMonotonic": True}},
        {"name": "h", "histogram": {"dataPoints": [hist], "aggregationTemporality": 2}}]}]}]}
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}/v1/metrics", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        partial = json.loads(answer.read())["partialSuccess"]
    assert int(partial["rejectedDataPoints"]) == 2
    assert "temporality: 1 samples; s: " in partial["errorMessage"] and "histogram_form: 1 samples; h: " in partial["errorMessage"]
    assert until(lambda: set(series(opsd)) == {"g", 'g{a="5"}'})


def test_a_disk_that_fills_is_a_finding_hours_before(opsd):
    opsd.start("--ingest-past-max", "30d")
    rnd = random.Random(3)
    start = now_ms() - 3_600 * 60_000
    name = {"__name__": "node_filesystem_avail_bytes", "job": "db", "mountpoint": "/"}

    def left(i):  # two days and a half of calm, then full within eight hours
        return 1e11 - max(0, i - 3000) * 1e11 / 480 + rnd.gauss(0, 2e7)

    for i in range(0, 3400, 400):
        rows = [(left(k), start + k * 60_000) for k in range(i, min(i + 400, 3400))]
        assert wire.write(opsd, wire.series(name, rows))[0] == 204
    found = until(lambda: [f for f in opsd.rows("get", "findings") if "full in" in f["summary"]])
    assert found and found[0]["services"] == ["db"]
    assert "node_filesystem_avail_bytes" in found[0]["summary"] and "towards 0" in found[0]["summary"]
