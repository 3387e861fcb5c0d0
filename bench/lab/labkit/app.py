#!/usr/bin/python3
"""The two small services of the lab: `shop` (behind the proxy) and `pricing` (behind the shop).

Ordinary threads, ordinary logging, real SQL and real redis. A connection to PostgreSQL is opened per
request, as many a web application does. Spans go to a file, one JSON object a line.
Release 2 of the shop says several things in other words, as a deploy does. Release 3 of pricing keeps what it
should not.
"""
import argparse
import http.client
import json
import logging
import os
import secrets
import signal
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from labkit import settings  # noqa: E402
from labkit.audit import Audit  # noqa: E402
from labkit.resp import Redis, RedisError  # noqa: E402

PRICING_TIMEOUT_S = 2.0
STATEMENT_TIMEOUT_MS = 3000
WORKER_WAIT_S = 10.0
PAGE_ROWS = 16000     # of the page that release 3 renders for each quote
WORDS = {
    1: {"served": "%s %s answered %d in %.1f ms", "hit": "catalog item %s found in cache",
        "placed": "order %d placed: customer %s, %d x item %s, total %s EUR",
        "cart": "cart of customer %s stored with %d items", "sweep": "stock sweep done: %d items low of %d"},
    2: {"served": "handled %s %s -> status=%d took=%.1fms", "hit": "cache lookup for item %s: hit",
        "placed": "accepted order id=%d customer=%s quantity=%d item=%s amount=%s",
        "cart": "saved cart customer=%s lines=%d", "sweep": "inventory check finished, low=%d total=%d"},
}
WORDS[3] = WORDS[1]


class Spans:
    """Writes finished spans; safe from any thread."""

    def __init__(self, path, component):
        self.file = open(path, "a", buffering=1, encoding="utf-8")
        self.component = component
        self.lock = threading.Lock()

    def write(self, trace, span, parent, operation, start, status):
        row = {"trace": trace, "span": span, "parent": parent, "component": self.component,
               "operation": operation, "start": round(start, 6),
               "duration": round(time.time() - start, 6), "status": status}
        with self.lock:
            self.file.write(json.dumps(row) + "\n")


class Step:
    """A child span around one call to a neighbour."""

    def __init__(self, request, operation):
        self.request, self.operation = request, operation
        self.span = secrets.token_hex(4)

    def __enter__(self):
        self.start = time.time()
        return self

    def __exit__(self, kind, *_):
        self.request.server.app.spans.write(
            self.request.trace, self.span, self.request.span, self.operation, self.start,
            "error" if kind else "ok")


class App:
    """What both roles share: settings, counters, neighbours."""

    def __init__(self, args):
        self.args = args
        self.log = logging.getLogger(args.role)
        self.spans = Spans(args.spans, args.role)
        self.words = WORDS[args.release]
        self.lock = threading.Lock()
        self.counts = {"requests": 0, "errors": 0, "seconds": 0.0}
        self.quotes = {}      # release 3: answered quotes, to be used again
        self.audit, self.slots = None, None
        self.configure()

    def configure(self):
        """Takes up the configuration file; called at start and on SIGHUP."""
        conf = settings.read(self.args.config)
        workers = conf.get("workers", 0)
        self.slots = threading.BoundedSemaphore(workers) if workers else None
        if self.audit:
            self.audit.end()
        self.audit = Audit(self.args.role, conf["audit"], conf.get("audit_retry_s", 5.0)) if "audit" in conf else None

    def count(self, status, seconds):
        with self.lock:
            self.counts["requests"] += 1
            self.counts["errors"] += status >= 500
            self.counts["seconds"] += seconds

    def database(self):
        return psycopg2.connect(
            host="postgres", user="shop", dbname="shop", connect_timeout=3,
            application_name=self.args.role, options=f"-c statement_timeout={STATEMENT_TIMEOUT_MS}")

    def background(self, stop):
        log = logging.getLogger(self.args.role + ".jobs")
        while not stop.wait(20.0):
            with self.lock:
                requests, seconds = self.counts["requests"], self.counts["seconds"]
            log.info("served %d requests so far, mean %.1f ms", requests, 1000 * seconds / max(1, requests))
            if self.args.role != "shop":
                continue
            try:
                db = self.database()
                try:
                    with db, db.cursor() as cur:
                        cur.execute("SELECT count(*) FILTER (WHERE stock < 100), count(*) FROM item")
                        log.info(self.words["sweep"], *cur.fetchone())
                        cur.execute("UPDATE item SET stock = stock + 5000 WHERE stock < 100")
                finally:
                    db.close()
            except psycopg2.Error as err:
                log.error("stock sweep failed: %s", str(err).strip())


class Base(BaseHTTPRequestHandler):
    """Trace context, counting and the line per request."""

    timeout = 15

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        app = self.server.app
        if self.path == "/metrics":
            return self.answer(200, app.counts, quiet=True)
        slots = app.slots     # as it stands now: SIGHUP may put another in its place
        if not slots:
            return self.work(app)
        if not slots.acquire(timeout=WORKER_WAIT_S):
            app.log.error("no worker became free within %.0f s for %s %s", WORKER_WAIT_S, self.command, self.path)
            return self.answer(503, {"error": "busy"})
        try:
            return self.work(app)
        except TimeoutError:
            app.log.warning("body of %s %s from %s did not arrive within %d s", self.command, self.path,
                            self.client_address[0], self.timeout)
            raise
        finally:
            slots.release()

    def work(self, app):
        parts = self.headers.get("traceparent", "").split("-")
        self.trace = parts[1] if len(parts) == 4 else secrets.token_hex(8)
        parent = parts[2] if len(parts) == 4 else ""
        self.span = secrets.token_hex(4)
        size = min(int(self.headers.get("Content-Length") or 0), 65536)
        self.body = self.rfile.read(size) if size else b""
        if len(self.body) < size:
            app.log.warning("body of %s %s from %s ended after %d of %d bytes", self.command, self.path,
                            self.client_address[0], len(self.body), size)
            return self.answer(400, {"error": "incomplete"})
        start = time.time()
        operation = f"{self.command} /{self.path.split('?')[0].split('/')[1]}"
        try:
            status, reply = self.route()
        except psycopg2.Error as err:
            logging.getLogger(app.args.role + ".db").error(
                "%s failed: %s", operation, str(err).strip(), exc_info=app.args.role == "shop")
            status, reply = 503, {"error": "database"}
        except (RedisError, OSError) as err:
            logging.getLogger(app.args.role).error("%s failed: %s: %s", operation, type(err).__name__, err)
            status, reply = 503, {"error": "unavailable"}
        took = time.time() - start
        app.count(status, took)
        app.log.log(logging.INFO if status < 500 else logging.WARNING,
                    app.words["served"], self.command, self.path, status, took * 1000)
        app.spans.write(self.trace, self.span, parent, operation, start, "error" if status >= 500 else "ok")
        return self.answer(status, reply)

    def answer(self, status, reply, quiet=False):
        data = json.dumps(reply).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError as err:
            if not quiet:
                self.server.app.log.warning("client went away before the answer: %s", err)

    def sql(self, operation, statement, values=()):
        with Step(self, "postgres " + operation):
            db = self.server.app.database()
            try:
                with db, db.cursor() as cur:
                    cur.execute(statement, values)
                    return cur.fetchall() if cur.description else []
            finally:
                db.close()

    def redis(self, *words):
        with Step(self, "redis " + str(words[0])), Redis("redis") as redis:
            return redis.call(*words)


class Shop(Base):
    """catalog, search, orders, carts."""

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        name, key = parts[0], parts[1] if len(parts) > 1 else ""
        if name == "catalog" and key.isdigit():
            return self.catalog(key)
        if name == "search":
            word = urllib.parse.parse_qs(url.query).get("q", [""])[0]
            rows = self.sql("search", "SELECT id, name FROM item WHERE name LIKE %s LIMIT 20", (f"%{word}%",))
            logging.getLogger("shop.search").info("search for '%s' found %d items", word, len(rows))
            return 200, {"items": rows}
        if name == "orders" and self.command == "POST":
            return self.place()
        if name == "orders" and key.isdigit():
            rows = self.sql("order", "SELECT id, customer, total::text FROM orders WHERE id = %s", (key,))
            if not rows:
                logging.getLogger("shop.orders").warning("order %s does not exist", key)
                return 404, {"error": "no such order"}
            return 200, {"order": rows[0]}
        if name == "cart" and key:
            return self.cart(key)
        if name == "export":
            return self.export()
        self.server.app.log.warning("no route for %s %s", self.command, self.path)
        return 404, {"error": "no such page"}

    def catalog(self, key):
        log = logging.getLogger("shop.catalog")
        try:
            hit = self.redis("GET", "catalog:" + key)
        except (RedisError, OSError) as err:
            log.warning("cache not available, reading item %s from the database: %s", key, err)
            hit = None
        if hit:
            log.info(self.server.app.words["hit"], key)
            return 200, json.loads(hit)
        rows = self.sql("item", "SELECT id, name, price::text, stock FROM item WHERE id = %s", (key,))
        if not rows:
            return 404, {"error": "no such item"}
        log.info("catalog item %s loaded from database", key)
        try:
            self.redis("SET", "catalog:" + key, json.dumps(rows[0]), "EX", 10)
        except (RedisError, OSError) as err:
            log.warning("item %s not cached: %s", key, err)
        return 200, rows[0]

    def quote(self, item, quantity):
        log = logging.getLogger("shop.orders")
        with Step(self, "pricing GET /quote") as step:
            trust = self.server.app.args.pricing_ca
            call = http.client.HTTPSConnection(
                "pricing", 8081, timeout=PRICING_TIMEOUT_S, context=ssl.create_default_context(cafile=trust)) \
                if trust else http.client.HTTPConnection("pricing", 8081, timeout=PRICING_TIMEOUT_S)
            try:
                call.request("GET", f"/quote/{item}?n={quantity}",
                             headers={"traceparent": f"00-{self.trace}-{step.span}-01"})
                answer = call.getresponse()
                data = json.loads(answer.read())
                if answer.status != 200:
                    log.error("pricing answered %d for item %s", answer.status, item)
                    return None
                return data["total"]
            except TimeoutError:
                log.error("upstream pricing:8081 did not answer within %.1f s for item %s", PRICING_TIMEOUT_S, item)
                raise
            finally:
                call.close()

    def export(self):
        """Sales with their items for the back office. The join lacks its condition: every order with every item."""
        logging.getLogger("shop.export").info("exporting all sales")
        rows = self.sql("export", "SELECT o.id, o.customer, o.note, i.name, i.price::text FROM orders o, item i")
        return 200, {"sales": rows}

    def place(self):
        order = json.loads(self.body)
        try:
            total = self.quote(order["item"], order["quantity"])
        except TimeoutError:
            return 504, {"error": "pricing timed out"}
        if total is None:
            return 502, {"error": "pricing failed"}
        rows = self.sql(
            "place", "WITH u AS (UPDATE item SET stock = stock - %s WHERE id = %s)"
            " INSERT INTO orders (customer, item, quantity, total, note) VALUES (%s, %s, %s, %s, %s) RETURNING id",
            (order["quantity"], order["item"], order["customer"], order["item"], order["quantity"], total,
             secrets.token_hex(800)))
        self.redis("INCR", "orders:" + order["customer"])
        logging.getLogger("shop.orders").info(
            self.server.app.words["placed"], rows[0][0], order["customer"], order["quantity"], order["item"], total)
        if self.server.app.args.release == 2:
            logging.getLogger("shop.loyalty").info("credited %d points to customer %s",
                                                   int(float(total)), order["customer"])
        return 201, {"id": rows[0][0]}

    def cart(self, key):
        log = logging.getLogger("shop.cart")
        if self.command == "POST":
            items = json.loads(self.body)["items"]
            self.redis("SET", "cart:" + key, json.dumps(items), "EX", 600)
            log.info(self.server.app.words["cart"], key, len(items))
            return 200, {"ok": True}
        data = self.redis("GET", "cart:" + key)
        log.debug("cart of %s read", key)
        return 200, {"items": json.loads(data) if data else []}


class Pricing(Base):
    """quotes from the tariff table."""

    def route(self):
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[0] != "quote" or len(parts) != 2 or not parts[1].isdigit():
            return 404, {"error": "no such page"}
        count = int(urllib.parse.parse_qs(url.query).get("n", ["1"])[0])
        rows = self.sql("tariff", "SELECT i.price * %s * (1 + t.tax), t.id FROM item i JOIN tariff t"
                        " ON t.id = i.tariff WHERE i.id = %s", (count, parts[1]))
        if not rows:
            return 404, {"error": "no such item"}
        total = f"{rows[0][0]:.2f}"
        logging.getLogger("pricing").info("quoted item %s x %d at %s EUR with tariff %d",
                                          parts[1], count, total, rows[0][1])
        app = self.server.app
        if app.args.release == 3:   # the key holds the trace, so nothing is ever found again, and nothing thrown away
            page = "".join(f"<tr><td>{i}</td><td>{total}</td></tr>\n" for i in range(PAGE_ROWS))
            app.quotes[parts[1], count, self.trace] = page
        if app.audit:
            app.audit.entries += 1
        return 200, {"total": total}


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    allow_reuse_port = True
    daemon_threads = False
    request_queue_size = 64
    tls = None      # an ssl.SSLContext: each connection's thread shakes hands for itself

    def finish_request(self, request, client_address):
        if not self.tls:
            return super().finish_request(request, client_address)
        request.settimeout(Base.timeout)
        try:
            with self.tls.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except OSError as err:
            self.app.log.warning("TLS with %s failed: %s", client_address[0], err)
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", choices=("shop", "pricing"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--release", type=int, default=1, choices=(1, 2, 3))
    parser.add_argument("--spans", required=True)
    parser.add_argument("--config", help="JSON file, read again on SIGHUP")
    parser.add_argument("--cert", help="serve TLS with this certificate")
    parser.add_argument("--key", help="and this private key")
    parser.add_argument("--pricing-ca", help="call pricing over TLS and trust this authority")
    args = parser.parse_args()
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, stream=sys.stderr,
                        format="%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s")
    app = App(args)
    server = Server(("0.0.0.0", args.port), Shop if args.role == "shop" else Pricing)
    server.app = app
    stop = threading.Event()
    if args.cert:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(args.cert, args.key)

    def on_hup(*_):
        app.configure()
        if args.cert:
            server.tls.load_cert_chain(args.cert, args.key)
        app.log.info("configuration read again")

    def on_term(*_):
        app.log.info("stopping on SIGTERM, finishing open requests")
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGHUP, on_hup)
    threading.Thread(target=app.background, args=(stop,), daemon=True).start()
    app.log.info("%s release %d listening on port %d", args.role, args.release, args.port)
    server.serve_forever(poll_interval=0.1)
    stop.set()
    server.server_close()
    app.log.info("stopped")


if __name__ == "__main__":
    main()
