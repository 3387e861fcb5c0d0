"""What goes wrong, and the controls in which nothing does.

A scenario is a generator: it breaks something, yields once while the fault lasts, then repairs it.
Controls do their work in `start` and have no truth but "nothing is wrong".
"""
import os
import signal
import threading
import time

import psycopg2

from . import controls, outside, overload
from .resp import Redis, RedisError
from .scene import Scenario, admin, roll, up_postgres
from .world import address


def postgres_killed(world):
    world.stop("postgres", signal.SIGKILL)
    yield
    world.start_postgres()
    up_postgres(world)


def postgres_slots(world):
    """A batch job without a pool takes each slot that falls free, and keeps it."""
    held = []
    started = time.monotonic()
    while time.monotonic() - started < 3.0:
        try:
            held.append(psycopg2.connect(host=address("postgres"), user="shop", dbname="shop", application_name="batch"))
        except psycopg2.OperationalError:
            time.sleep(0.05)
    yield
    for conn in held:
        conn.close()


def postgres_lock(world):
    """A schema migration takes the table of items for itself and waits for somebody."""
    conn = admin()
    with conn.cursor() as cur:
        cur.execute("LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
    yield
    conn.rollback()
    conn.close()


def pricing_stalled(world):
    world.procs["pricing"].send_signal(signal.SIGSTOP)
    yield
    world.procs["pricing"].send_signal(signal.SIGCONT)


def redis_oom(world):
    """A client that leaks keys fills redis up to maxmemory, and goes on; the policy is noeviction."""
    leaked, stop = [], threading.Event()

    def leak():
        size = 65536
        with Redis(address("redis"), timeout=5) as redis:
            while not stop.is_set():
                try:
                    key = f"leak:{len(leaked)}"
                    redis.call("SET", key, os.urandom(size))
                    leaked.append(key)
                except RedisError:
                    size = max(1, size // 4)
                    stop.wait(0.0 if size > 1 else 0.02)

    thread = threading.Thread(target=leak)
    thread.start()
    yield
    stop.set()
    thread.join()
    with Redis(address("redis"), timeout=5) as redis:
        for key in leaked:
            redis.call("DEL", key)


def killed(world, role, start):
    world.stop(role, signal.SIGKILL)
    yield
    start()


def pricing_killed(world):
    return killed(world, "pricing", lambda: world.start_app("pricing"))


def shop_killed(world):
    return killed(world, "shop", lambda: world.start_app("shop"))


def redis_killed(world):
    return killed(world, "redis", world.start_redis)


def redis_stalled(world):
    world.procs["redis"].send_signal(signal.SIGSTOP)
    yield
    world.procs["redis"].send_signal(signal.SIGCONT)


def postgres_disk_full(world):
    """A dump written beside the database fills its disk."""
    dump = world.path("pg", "nightly-dump.sql")
    with open(dump, "wb", buffering=0) as file:
        chunk = 1 << 20
        while chunk >= 512:
            try:
                if file.write(os.urandom(chunk)) < chunk:
                    chunk //= 2
            except OSError:
                chunk //= 2
    yield
    os.unlink(dump)
    if world.procs["postgres"].poll() is not None:
        world.start_postgres()
    up_postgres(world)


def clean_restart(world):
    """An operator restarts one service after the other, in good order."""
    roll(world, "shop", 1)
    time.sleep(12)
    roll(world, "pricing", 1)
    time.sleep(12)
    world.procs["proxy"].send_signal(signal.SIGHUP)
    time.sleep(12)
    world.stop("redis")
    world.start_redis()
    time.sleep(12)
    world.stop("postgres", signal.SIGINT)
    world.start_postgres()
    up_postgres(world)
    yield


def deploy(world):
    """Release 2 of the shop: other words in its log, one new line, the same health."""
    roll(world, "shop", 2)
    yield


SCENARIOS = {
    "postgres_killed": Scenario("postgres", "killed", postgres_killed),
    "postgres_slots": Scenario("postgres", "connection slots exhausted", postgres_slots),
    "postgres_lock": Scenario("postgres", "table locked by a migration", postgres_lock),
    "postgres_disk_full": Scenario("postgres", "disk full", postgres_disk_full, pg_disk_mib=80),
    "pricing_stalled": Scenario("pricing", "stalled: upstream timeouts", pricing_stalled),
    "pricing_killed": Scenario("pricing", "killed", pricing_killed),
    "shop_killed": Scenario("shop", "killed", shop_killed),
    "redis_killed": Scenario("redis", "killed", redis_killed),
    "redis_stalled": Scenario("redis", "stalled", redis_stalled),
    "redis_oom": Scenario("redis", "out of memory", redis_oom),
    "control_quiet": Scenario(None, "none", None, quiet=True, rate_share=1 / 3),
    "control_restart": Scenario(None, "none", clean_restart),
    "control_deploy": Scenario(None, "none", deploy),
    **overload.SCENARIOS,
    **outside.SCENARIOS,
    **controls.SCENARIOS,
}
