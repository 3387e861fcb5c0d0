"""Scrapes every component once a second and drives the load. Both stop when told to."""
import http.client
import json
import os
import random
import re
import secrets
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2

from .resp import Redis, RedisError
from .world import address, setns

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
IN_FLIGHT_MAX = 48


class Metrics:
    """Samples of all components; rows() gives them in the order of the CASE format."""

    def __init__(self, world):
        self.world = world
        self.rows = []
        self.stop_event = threading.Event()
        self.threads = [threading.Thread(target=self._loop, args=(f,), daemon=True)
                        for f in (self._host, self._proxy, self._app("shop", 8080), self._app("pricing", 8081),
                                  self._postgres, self._redis)]
        self.inode = {os.fstat(fd).st_ino: name for name, fd in world.net.items()}
        self.last = {}
        self.pg = None

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stop_event.set()
        for thread in self.threads:
            thread.join(5)

    def _loop(self, sample):
        due = time.time() // 1 + 1
        while not self.stop_event.wait(max(0.0, due - time.time())):
            try:
                sample(int(due))
            except (OSError, ValueError, KeyError, IndexError, http.client.HTTPException, RedisError, psycopg2.Error):
                pass  # a service that does not answer leaves a gap, as a scraper of real services sees it
            due = max(due + 1, time.time() // 1)

    def put(self, at, component, **values):
        for name, value in values.items():
            self.rows.append((component, name, at, value))

    def rate(self, key, at, value):
        """Per-second rate of a counter, None on the first sample or after a reset."""
        old = self.last.get(key)
        self.last[key] = (at, value)
        if old is None or at <= old[0] or value < old[1]:
            return None
        return (value - old[1]) / (at - old[0])

    def put_rates(self, at, component, **counters):
        for name, value in counters.items():
            rate = self.rate((component, name), at, value)
            if rate is not None:
                self.put(at, component, **{name: round(rate, 4)})

    def _host(self, at):
        cpu = dict.fromkeys(self.world.net, 0)
        rss = dict.fromkeys(self.world.net, 0)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                name = self.inode.get(os.stat(f"/proc/{pid}/ns/net").st_ino)
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if name:
                cpu[name] += sum(int(x) for x in fields[11:15])
                rss[name] += int(fields[21]) * PAGE
        for name, fd in self.world.net.items():
            setns(fd)
            try:
                with open("/proc/thread-self/net/tcp", encoding="ascii") as file:
                    count = sum(line.split()[3] == "01" for line in file.readlines()[1:])
            finally:
                setns(self.world.home)
            self.put(at, name, rss=rss[name], connections=count)
            rate = self.rate((name, "cpu"), at, cpu[name] / TICKS)
            if rate is not None:
                self.put(at, name, cpu=round(rate, 4))

    def get(self, component, port, path):
        if component in self.world.tls:     # a scraper that trusts whatever it is shown, as many are set up
            context = ssl._create_unverified_context()
            call = http.client.HTTPSConnection(address(component), port, timeout=0.8, context=context)
        else:
            call = http.client.HTTPConnection(address(component), port, timeout=0.8)
        try:
            call.request("GET", path)
            return call.getresponse().read().decode()
        finally:
            call.close()

    def _proxy(self, at):
        numbers = [int(x) for x in re.findall(r"\d+", self.get("proxy", 80, "/nginx_status"))]
        self.put_rates(at, "proxy", requests=numbers[3])
        self.put(at, "proxy", active=numbers[0] - 1, waiting=numbers[-1])

    def _app(self, role, port):
        def sample(at):
            counts = json.loads(self.get(role, port, "/metrics"))
            served = self.rate((role, "n"), at, counts["requests"])
            seconds = self.rate((role, "s"), at, counts["seconds"])
            failed = self.rate((role, "e"), at, counts["errors"])
            if served is None or seconds is None or failed is None:
                return
            self.put(at, role, requests=served, errors=failed)
            if served > 0:
                self.put(at, role, latency=round(seconds / served, 6))
        return sample

    def _postgres(self, at):
        if os.path.isdir(self.world.path("pg")):
            disk = os.statvfs(self.world.path("pg"))
            if self.world.pg_disk_mib:
                self.put(at, "postgres", disk_free=disk.f_bavail * disk.f_frsize)
        try:
            if self.pg is None:
                self.pg = psycopg2.connect(host=address("postgres"), user="postgres", dbname="shop", connect_timeout=2,
                                           application_name="scraper", options="-c statement_timeout=800")
                self.pg.autocommit = True
            with self.pg.cursor() as cur:
                cur.execute("SELECT xact_commit, xact_rollback, numbackends, tup_inserted, blks_read, deadlocks"
                            " FROM pg_stat_database WHERE datname = 'shop'")
                commits, rollbacks, backends, inserted, read, deadlocks = cur.fetchone()
                cur.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                waiting = cur.fetchone()[0]
        except psycopg2.Error:
            if self.pg is not None:
                self.pg.close()
            self.pg = None
            raise
        self.put_rates(at, "postgres", commits=commits, rollbacks=rollbacks, inserted=inserted, blocks_read=read,
                       deadlocks=deadlocks)
        self.put(at, "postgres", backends=backends, lock_waits=waiting)

    def _redis(self, at):
        with Redis(address("redis"), timeout=0.8) as redis:
            info = dict(line.split(":", 1) for line in redis.call("INFO").decode().splitlines() if ":" in line)
        self.put_rates(at, "redis", commands=int(info["total_commands_processed"]),
                       errors=int(info["total_error_replies"]))
        self.put(at, "redis", memory_used=int(info["used_memory"]), clients=int(info["connected_clients"]))


class Load:
    """An open loop of shoppers at a fixed mean rate; never more than IN_FLIGHT_MAX requests in the air."""

    def __init__(self, rate, seed):
        self.rate = rate
        self.rng = random.Random(seed)
        self.stop_event = threading.Event()
        self.pool = ThreadPoolExecutor(IN_FLIGHT_MAX)
        self.room = threading.Semaphore(IN_FLIGHT_MAX)
        self.lock = threading.Lock()
        self.sent = self.failed = self.shed = 0
        self.bad = []     # times at which a request was seen to fail, for at.txt
        self.orders = 0
        self.thread = threading.Thread(target=self._loop, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.stop_event.set()
        self.thread.join(5)
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _loop(self):
        due = time.monotonic()
        while True:
            due += self.rng.expovariate(self.rate)
            if self.stop_event.wait(max(0.0, due - time.monotonic())):
                return
            request = self._pick()
            if self.room.acquire(blocking=False):
                self.pool.submit(self._one, *request)
            else:
                self.shed += 1

    def _pick(self):
        rng = self.rng
        customer = f"c-{rng.randrange(1, 300):04d}"
        item = min(400, int(rng.paretovariate(0.8)))
        roll = rng.random()
        if roll < 0.40:
            return "GET", f"/catalog/{item}", None
        if roll < 0.65:
            return "POST", "/orders", {"customer": customer, "item": item, "quantity": rng.randrange(1, 6)}
        if roll < 0.77:
            return "GET", f"/orders/{rng.randrange(1, max(2, self.orders + 1))}", None
        if roll < 0.85:
            return "GET", f"/cart/{customer}", None
        if roll < 0.94:
            return "POST", f"/cart/{customer}", {"items": [rng.randrange(1, 400) for _ in range(rng.randrange(1, 5))]}
        if roll < 0.993:
            return "GET", "/search?q=" + rng.choice(["lamp", "chair", "table", "shelf", "clock", "1"]), None
        return "GET", rng.choice(["/wp-login.php", "/.env", "/favicon.ico", "/robots.txt"]), None

    def _one(self, method, path, body):
        try:
            call = http.client.HTTPConnection(address("proxy"), 80, timeout=10)
            status = 0
            try:
                data = json.dumps(body) if body else None
                trace = f"00-{secrets.token_hex(8)}-{secrets.token_hex(4)}-01"
                call.request(method, path, data, {"traceparent": trace, "User-Agent": "shopper/1.4"})
                answer = call.getresponse()
                reply = answer.read()
                status = answer.status
                if status == 201:
                    self.orders = max(self.orders, json.loads(reply)["id"])
            except (OSError, ValueError, http.client.HTTPException):
                status = status or 599
            finally:
                call.close()
            with self.lock:
                self.sent += 1
                if status >= 500:
                    self.failed += 1
                    self.bad.append(time.time())
        finally:
            self.room.release()
