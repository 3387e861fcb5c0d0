"""Controls that are busy: more shoppers than before, and the work of a night. Nothing is wrong in either."""
import threading

from .resp import Redis
from .scene import Scenario, admin
from .world import PG_BIN, address

RAMP_TIMES = 2.5
RAMP_S = 90
RISE = 0.4        # of the ramp's time to the top, the same down again


def ramp(at, length):
    """How many times the usual rate, `at` seconds into the ramp."""
    if not 0 <= at <= length:
        return 1.0
    edge = min(at, length - at) / (RISE * length)
    return 1.0 + (RAMP_TIMES - 1.0) * min(1.0, edge)


def load_ramp(world):
    """A sale is announced: the rate climbs, stays, and falls again."""
    usual, stop = world.load.rate, threading.Event()

    def drive():
        for second in range(RAMP_S + 1):
            world.load.rate = usual * ramp(second, RAMP_S)
            if stop.wait(1):
                return

    thread = threading.Thread(target=drive)
    thread.start()
    yield
    stop.set()
    thread.join()
    world.load.rate = usual


def batch(world):
    """What runs at night: a summary of the day, a vacuum, a dump, a snapshot of redis."""
    conn = admin()
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("CREATE TABLE daily AS SELECT customer, item, count(*) AS orders, sum(total) AS total FROM orders"
                    " GROUP BY customer, item")
        cur.execute("SELECT count(*) FROM orders a JOIN orders b ON a.customer < b.customer"
                    " JOIN item i ON i.price < b.total WHERE i.id <= 60")
        cur.execute("VACUUM (ANALYZE) orders")
        cur.execute("VACUUM (ANALYZE) item")
    conn.close()
    world.run_in("postgres", "runuser", "-u", "postgres", "--", PG_BIN + "/pg_dump", "-h", world.path("pg"),
                 "-U", "postgres", "-f", world.path("pg", "nightly.sql"), "shop")
    with Redis(address("redis"), timeout=5) as redis:
        redis.call("BGSAVE")


def nightly_batch(world):
    failed = []

    def work():
        try:
            batch(world)
        except Exception as err:  # a recording of half a night is none
            failed.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]


SCENARIOS = {
    "control_load_ramp": Scenario(None, "none", load_ramp, fault_s=RAMP_S + 5),
    "control_nightly_batch": Scenario(None, "none", nightly_batch),
}
