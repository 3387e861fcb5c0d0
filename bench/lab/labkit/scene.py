"""What a scenario is, and what several of them share."""
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Callable, Optional

from .world import address


@dataclass
class Scenario:
    component: Optional[str]      # the root; None: a control
    fault: str
    act: Optional[Callable]       # generator: breaks, yields while it lasts (its onset, if that is not now), repairs
    pg_disk_mib: int = 0
    quiet: bool = False           # its length is --quiet-minutes
    rate_share: float = 1.0       # of --rate
    fault_s: float = 0            # how long the fault lasts; 0: --fault-s
    felt: bool = True             # shoppers see requests fail
    prepare: Optional[Callable] = None            # prepare(world) before the services start
    ready: Optional[Callable] = None              # ready(world, onset) when they are up, before the load


def admin():
    import psycopg2     # here, so that what needs no database can be looked at without it
    return psycopg2.connect(host=address("postgres"), user="postgres", dbname="shop", connect_timeout=3)


def up_postgres(world):
    world.wait_for("postgres", lambda: admin().close())


def roll(world, role, release, grace_s=20):
    """The new process listens beside the old one before the old one is told to finish, and made to after `grace_s`."""
    old = world.procs[role]
    world.start_app(role, release)
    time.sleep(2)
    old.send_signal(signal.SIGTERM)
    try:
        old.wait(grace_s)
    except subprocess.TimeoutExpired:
        old.kill()
        old.wait()
