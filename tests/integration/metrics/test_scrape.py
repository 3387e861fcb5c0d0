"""opsd fetches metric pages: what a page says, what it is to end, to fail, to be too large, to want a token or TLS."""
import http.server
import ssl
import subprocess
import threading
import time

import pytest


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.05)


class Page(http.server.ThreadingHTTPServer):
    """Answers every GET with `body`, or with `status` and nothing."""
    daemon_threads = True

    def __init__(self):
        self.body, self.status, self.kind, self.seen = b"", 200, "text/plain; version=0.0.4", []
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def at(self):
        return f"127.0.0.1:{self.server_port}"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def page():
    server = Page()
    yield server
    server.shutdown()
    server.server_close()


def series(opsd, *args):
    return {r["series"]: r for r in opsd.rows("get", "series", *args)}


def test_a_page_its_end_and_its_failures(opsd, page):
    page.body = b'# TYPE req counter\nreq{code="200",job="other"} 5\nleaving 1\n'
    opsd.start("--scrape-targets", f"http://{page.at}/metrics job=shop env=test", "--scrape-interval", "200ms", "--scrape-samples-max", "10",
               "--scrape-body-max", "2000")
    tail = f'env="test",instance="{page.at}",job="shop"'
    req, leaving, up = f'req{{code="200",env="test",exported_job="other",instance="{page.at}",job="shop"}}', f"leaving{{{tail}}}", f"up{{{tail}}}"

    def row(name, **want):
        got = series(opsd, "--service", "shop").get(name)
        return got if got and all(got[k] == v for k, v in want.items()) else None
    assert until(lambda: row(req, kind="counter", lastValue=5))
    assert until(lambda: row(leaving, kind="gauge", stale=False)) and row(up, lastValue=1)
    assert until(lambda: row(f"scrape_samples_scraped{{{tail}}}", lastValue=2))
    assert "text/plain;version=0.0.4" in page.seen[0]["Accept"]
    page.body = b"# TYPE req counter\nreq 6\n"
    assert until(lambda: row(leaving, stale=True)) and until(lambda: row(f"req{{{tail}}}", lastValue=6, stale=False))
    for body, status, why in ((b"<html>", 200, "line 1: "), (b"a 1\n" * 11, 200, "more than 10 samples"), (b"#" * 3000, 200, "more than 2000 bytes"),
                              (b"", 500, "HTTP status 500")):
        page.body, page.status = body, status
        assert until(lambda: row(up, lastValue=0)) and until(lambda why=why: why in opsd.text()), why
        assert row(f"req{{{tail}}}", stale=True)
        page.body, page.status = b"req 6\n", 200
        assert until(lambda: row(up, lastValue=1))
    page.kind, page.body = "application/openmetrics-text; version=1.0.0", b"# TYPE om counter\nom_total 3\n# EOF\n"
    assert until(lambda: row(f"om_total{{{tail}}}", kind="counter", lastValue=3))
    assert opsd.metric("opsd_ingest_requests_total", door="scrape-target", code="OK") > 0


def test_a_token_and_tls(opsd, page, tmp_path):
    key, cert, token = tmp_path / "key", tmp_path / "cert", tmp_path / "token"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=t", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    page.socket = context.wrap_socket(page.socket, server_side=True)
    page.body = b"secured 1\n"
    token.write_text("abc\n")
    opsd.start("--scrape-targets", f"https://{page.at}/metrics job=tls", "--scrape-interval", "200ms", "--scrape-token-file", str(token), "--scrape-ca", str(cert))
    assert until(lambda: f'secured{{instance="{page.at}",job="tls"}}' in series(opsd))
    assert page.seen[0]["Authorization"] == "Bearer abc"
    token.write_text("def\n")
    assert until(lambda: page.seen[-1]["Authorization"] == "Bearer def")
    token.unlink()
    assert until(lambda: "does not open" in opsd.text())
    # Without the authority nothing is believed.
    opsd.stop()
    opsd.start("--scrape-targets", f"https://{page.at}/metrics job=other", "--scrape-interval", "200ms")
    assert until(lambda: series(opsd, "--service", "other").get(f'up{{instance="{page.at}",job="other"}}', {}).get("lastValue") == 0)


def test_a_target_that_does_not_read_is_told_at_the_start(opsd):
    for line, why in (("ftp://x/metrics", "is no http or https URL"), ("http://127.0.0.1:1/metrics env", "'env' is no NAME=VALUE")):
        got = subprocess.run([opsd.program("opsd"), "--data", opsd.data, "--otlp-grpc", "off", "--otlp-http", "off", "--api-address", "off", "--web-address", "off",
                              "--worker-model", "off", "--worker-generator", "off", "--scrape-targets", line], capture_output=True, text=True, timeout=30)
        assert got.returncode != 0 and why in got.stderr, got.stderr
