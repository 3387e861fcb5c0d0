"""Faults of work and memory: too much of the one, too little of the other, and what follows."""
import http.client
import resource
import signal
import socket
import threading
import time

from .cgroup import Group
from .scene import Scenario, admin, roll
from .world import address

MIB = 1 << 20
ORDERS_BEFORE = 2_000_000     # rows that the shop has sold before the recording begins
POSTGRES_CORES = 0.25
SHOP_CORES = 0.2
HOGS = 14
SHOP_WORKERS = 12
HELD = 24
SHOP_MEMORY = 96 * MIB
PRICING_DATA = 160 * MIB


def limit_cpu(world, component, cores):
    group = Group(f"{world.tag}-{component}", "cpu")
    group.limit_cpu(cores)
    world.groups.setdefault(component, []).append(group)


# --- slow query: the index goes ---------------------------------------------------------------------------------
def slow_query_prepare(world):
    limit_cpu(world, "postgres", POSTGRES_CORES)


def slow_query_ready(world, _):
    group = world.groups["postgres"][0]
    group.limit_cpu(2)     # the years before are made up as fast as may be
    conn = admin()
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("INSERT INTO orders (customer, item, quantity, total)"
                    " SELECT 'c-' || to_char(i %% 299 + 1, 'FM0000'), i %% 400 + 1, i %% 5 + 1, (i %% 9000) / 7.0"
                    " FROM generate_series(1, %s) i", (ORDERS_BEFORE,))
        cur.execute("VACUUM ANALYZE orders")
        cur.execute("CHECKPOINT")
    conn.close()
    group.limit_cpu(POSTGRES_CORES)


def slow_query(_):
    """A migration drops the primary key of the orders and does not make the next one: each look-up reads the table."""
    conn = admin()
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey")
        yield
        cur.execute("ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id)")
    conn.close()


# --- upstream timeout: the workers are all held -----------------------------------------------------------------
def workers_prepare(world):
    world.args["shop"] = ["--config", world.put("shop.json", f'{{"workers": {SHOP_WORKERS}}}\n')]


def hold(world, stop):
    """A partner's client inside the network. It promises a body and does not send it, and tries again when told off."""
    world.go_outside()
    while not stop.is_set():
        try:
            with socket.create_connection((address("shop"), 8080), timeout=5) as sock:
                sock.sendall(b"POST /cart/partner HTTP/1.1\r\nHost: shop\r\nContent-Length: 512\r\n\r\n{")
                sock.settimeout(0.5)
                while not stop.is_set():
                    try:
                        if not sock.recv(4096):
                            break
                    except TimeoutError:
                        continue
        except OSError:
            stop.wait(0.2)


def workers_held(world):
    stop = threading.Event()
    threads = [threading.Thread(target=hold, args=(world, stop)) for _ in range(HELD)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


# --- out of memory: the kernel ends the process -------------------------------------------------------------------
def oom_prepare(world):
    group = Group(f"{world.tag}-shop", "memory")
    group.limit_memory(SHOP_MEMORY)
    world.groups["shop"] = [group]


def oom_ready(world, _):
    world.supervise("shop", lambda: world.start_app("shop"), 2.0, world.groups["shop"][0])


def export(world, stop):
    world.go_outside()
    while not stop.is_set():
        call = http.client.HTTPConnection(address("proxy"), 80, timeout=10)
        try:
            call.request("GET", "/export", headers={"User-Agent": "backoffice/2.0"})
            call.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            call.close()
        stop.wait(6)


def oom_killed(world):
    """The back office asks for all sales, again and again; the answer does not fit into the service's memory."""
    stop = threading.Event()
    thread = threading.Thread(target=export, args=(world, stop))
    thread.start()
    yield
    stop.set()
    thread.join()


# --- memory leak ----------------------------------------------------------------------------------------------------
def leak_prepare(world):
    world.limits["pricing"] = {resource.RLIMIT_DATA: PRICING_DATA}


def memory_leak(world):
    """Release 3 of pricing keeps every page that it renders; the limit on its data (RLIMIT_DATA) refuses it more."""
    roll(world, "pricing", 3)
    yield
    roll(world, "pricing", 1, grace_s=5)     # without memory for a thread the old one can not even end in good order


# --- the processor goes elsewhere -----------------------------------------------------------------------------------
def cpu_prepare(world):
    limit_cpu(world, "shop", SHOP_CORES)


def cpu_hog(world):
    """A report job that runs where the shop runs never ends; the share of the processors is one for both."""
    for _ in range(HOGS):
        world.spawn("shop", ["/usr/bin/python3", "-c", "while True: sum(i * i for i in range(100000))"],
                    user="www-data", stray=True)
    yield
    for proc in world.stray:
        proc.kill()
        proc.wait()


# --- log flood ------------------------------------------------------------------------------------------------------
def flood_prepare(world):
    world.args["pricing"] = ["--config", world.put("pricing.json", "{}\n")]


def hup(world, component):
    world.procs[component].send_signal(signal.SIGHUP)


def log_flood(world):
    """A new configuration sends pricing's audit to a port where nobody listens, and tries again without a pause."""
    world.put("pricing.json", '{"audit": "redis:6400", "audit_retry_s": 0.003}\n')
    hup(world, "pricing")
    yield
    world.put("pricing.json", "{}\n")
    hup(world, "pricing")
    time.sleep(1)


# --- crash loop -----------------------------------------------------------------------------------------------------
def crash_loop(world):
    """redis is restarted into a configuration that it refuses; the supervisor goes on trying."""
    limit = {"maxmemory": "16mbb"}
    world.stop("redis")
    world.start_redis(**limit)
    world.supervise("redis", lambda: world.start_redis(**limit), 3.0)
    yield
    limit["maxmemory"] = "16mb"
    world.wait_for("redis", lambda: socket.create_connection((address("redis"), 6379), timeout=1).close())


SCENARIOS = {
    "postgres_slow_query": Scenario("postgres", "slow query: index dropped", slow_query, prepare=slow_query_prepare,
                                    ready=slow_query_ready),
    "shop_upstream_timeout": Scenario("shop", "upstream timeout: workers held by half-sent requests", workers_held,
                                      prepare=workers_prepare),
    "shop_oom_killed": Scenario("shop", "out of memory: killed by the kernel", oom_killed, prepare=oom_prepare,
                                ready=oom_ready),
    "pricing_memory_leak": Scenario("pricing", "memory leak of a new release", memory_leak, fault_s=120,
                                    prepare=leak_prepare),
    "shop_cpu_hog": Scenario("shop", "processor taken by a runaway job", cpu_hog, prepare=cpu_prepare),
    "pricing_log_flood": Scenario("pricing", "log flood", log_flood, felt=False, prepare=flood_prepare),
    "redis_crash_loop": Scenario("redis", "crash loop: bad configuration", crash_loop),
}
