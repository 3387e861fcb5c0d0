"""Faults of what lies between and around the services: names, certificates, the wire, and strangers at the door."""
import base64
import http.client
import signal
import threading
import time

from .certs import Authority
from .scene import Scenario
from .world import address

LOSS = 0.25
GUESSES_PER_S = 25
GUESSERS = 4
PASSWORD = "correct-horse-7"
SEASONS = ("spring", "summer", "winter")
GUESSED_USERS = ("admin", "root", "manager", "test", "backoffice", "operator")


# --- expired certificate ----------------------------------------------------------------------------------------------
def tls_prepare(world):
    authority = Authority(world.path("tls"))
    now = time.time()
    cert, key = authority.issue("pricing", now - 86400 * 89, now + 86400)
    world.authority = authority
    world.tls.add("pricing")
    world.args["pricing"] = ["--cert", cert, "--key", key]
    world.args["shop"] = ["--pricing-ca", authority.ca]


def tls_ready(world, onset):
    """The certificate is replaced once more by one that ends, by the clock of all, when the fault is to begin."""
    world.authority.issue("pricing", onset - 86400 * 90, onset)
    world.procs["pricing"].send_signal(signal.SIGHUP)
    world.expires = onset


def tls_expired(world):
    """Nobody renews it; then somebody does."""
    time.sleep(max(0.0, world.expires - time.time()))
    yield world.expires
    now = time.time()
    world.authority.issue("pricing", now - 3600, now + 86400 * 90)
    world.procs["pricing"].send_signal(signal.SIGHUP)


# --- names ------------------------------------------------------------------------------------------------------------
def dns_prepare(world):
    world.start_dns()


def dns_zone(world):
    """A zone without its records is pushed and taken up; then the last good one is put back."""
    world.put("zone", "# generated, 0 records\n")
    world.procs["dns"].send_signal(signal.SIGHUP)
    yield
    world.put("zone", world.zone())
    world.procs["dns"].send_signal(signal.SIGHUP)


# --- the wire ---------------------------------------------------------------------------------------------------------
def packet_loss(world):
    """The link of the database loses packets both ways, by iptables' statistic match in its namespace."""
    rules = [(chain, "-m", "statistic", "--mode", "random", "--probability", str(LOSS), "-j", "DROP")
             for chain in ("INPUT", "OUTPUT")]
    for rule in rules:
        world.run_in("postgres", "iptables", "-A", *rule)
    yield
    for rule in rules:
        world.run_in("postgres", "iptables", "-D", *rule)


# --- guessed passwords ------------------------------------------------------------------------------------------------
def sign_in(user, password):
    call = http.client.HTTPConnection(address("proxy"), 80, timeout=10)
    try:
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        call.request("GET", "/admin/", headers={"Authorization": "Basic " + secret, "User-Agent": "Mozilla/5.0"})
        answer = call.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        call.close()


def brute_prepare(world):
    world.admin_users = {"admin": PASSWORD}


def back_office(world):
    """The one who may: a visit every ten seconds, each sixth with a slip of the finger first."""
    visits = 0
    while not world.load.stop_event.wait(10):
        visits += 1
        if visits % 6 == 0:
            sign_in("admin", PASSWORD[:-1])
        sign_in("admin", PASSWORD)


def brute_ready(world, _):
    threading.Thread(target=back_office, args=(world,), daemon=True).start()


def guess(world, number, stop):
    world.go_outside()
    tries = 0
    while not stop.wait(GUESSERS / GUESSES_PER_S):
        tries += 1
        sign_in(GUESSED_USERS[(tries + number) % len(GUESSED_USERS)], f"{SEASONS[tries % len(SEASONS)]}{number}{tries}")


def brute_force(world):
    stop = threading.Event()
    threads = [threading.Thread(target=guess, args=(world, n, stop)) for n in range(GUESSERS)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


SCENARIOS = {
    "pricing_tls_expired": Scenario("pricing", "TLS certificate expired", tls_expired, prepare=tls_prepare,
                                    ready=tls_ready),
    "dns_zone_lost": Scenario("dns", "DNS failure: zone without records", dns_zone, prepare=dns_prepare),
    "postgres_packet_loss": Scenario("postgres", "packet loss", packet_loss),
    "proxy_brute_force": Scenario("proxy", "authentication brute force", brute_force, felt=False,
                                  prepare=brute_prepare, ready=brute_ready),
}
