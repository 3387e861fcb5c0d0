"""Starts a service again when it ends, as an init system does, and says so in the service's own log."""
import threading
import time

POLL_S = 0.05


def line(component, at, text):
    """A line as the supervisor writes it; casefile knows the shape."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
    return f"{stamp} supervise: {component} {text}\n"


def how(code):
    return f"was ended by signal {-code}" if code < 0 else f"exited with status {code}"


class Supervisor(threading.Thread):
    """Watches world.procs[component] from the moment it is started until `end`."""

    def __init__(self, world, component, start, again_s, group=None):
        super().__init__(daemon=True)
        self.world, self.component, self.start_it = world, component, start
        self.again_s, self.group = again_s, group
        self.restarts = 0
        self.kills = group.oom_kills() if group else 0
        self.stop_event = threading.Event()

    def say(self, text):
        with open(self.world.log(self.component), "a", encoding="utf-8") as file:
            file.write(line(self.component, time.time(), text))

    def run(self):
        began = time.monotonic()
        while not self.stop_event.wait(POLL_S):
            code = self.world.procs[self.component].poll()
            if code is None:
                continue
            why = f"{how(code)} after {time.monotonic() - began:.1f} s"
            if self.group:
                kills = self.group.oom_kills()
                if kills > self.kills:
                    why += f"; the kernel's out-of-memory killer ended {kills - self.kills} of its processes"
                self.kills = kills
            self.restarts += 1
            self.say(f"{why}; starting again in {self.again_s:g} s (restart {self.restarts})")
            if self.stop_event.wait(self.again_s):
                return
            began = time.monotonic()
            self.start_it()

    def end(self):
        self.stop_event.set()
        self.join(self.again_s + 10)
