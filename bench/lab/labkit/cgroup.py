"""A control group for one service: a memory limit, or a share of the processors, that the kernel itself enforces.

Version 1 groups lie below our own group of each controller, so that whatever limits us limits them too. Version 2
forbids processes beside groups with controllers anywhere but at its root, so there they lie at the root. Whoever made a
group removes it; `remove_all` removes what a scenario that was ended left behind, by its tag.
"""
import os
import time

ROOT = "/sys/fs/cgroup"
PERIOD_US = 100000
PREFIX = "opsd-lab-"


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def homes(controller, root=ROOT, own="/proc/self/cgroup"):
    """(version, folder) in which a group with `controller` can be made."""
    with open(own, encoding="ascii") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _, names, path in rows:
        if controller in names.split(","):
            return 1, os.path.join(root, names, path.lstrip("/"))
    control = os.path.join(root, "cgroup.controllers")
    if os.path.exists(control):
        with open(control, encoding="ascii") as file:
            if controller in file.read().split():
                return 2, root
    raise RuntimeError(f"this kernel offers no control groups for '{controller}' below {root}")


class Group:
    """One group of one controller. `tag` makes its name unique; `root` and `own` are for tests."""

    def __init__(self, tag, controller, root=ROOT, own="/proc/self/cgroup"):
        self.version, home = homes(controller, root, own)
        self.controller = controller
        if self.version == 2:
            _write(os.path.join(home, "cgroup.subtree_control"), "+" + controller)
        self.path = os.path.join(home, PREFIX + tag)
        os.makedirs(self.path, exist_ok=True)

    def _set(self, name, text):
        _write(os.path.join(self.path, name), text)

    def limit_memory(self, size):
        if self.version == 1:
            self._set("memory.limit_in_bytes", str(size))
            if os.path.exists(os.path.join(self.path, "memory.memsw.limit_in_bytes")):
                self._set("memory.memsw.limit_in_bytes", str(size))
        else:
            self._set("memory.max", str(size))
            if os.path.exists(os.path.join(self.path, "memory.swap.max")):
                self._set("memory.swap.max", "0")

    def limit_cpu(self, cores):
        quota = int(cores * PERIOD_US)
        if self.version == 1:
            self._set("cpu.cfs_period_us", str(PERIOD_US))
            self._set("cpu.cfs_quota_us", str(quota))
        else:
            self._set("cpu.max", f"{quota} {PERIOD_US}")

    def enter(self):
        """Moves the calling process (a child before it runs its program) into the group."""
        self._set("cgroup.procs", "0")

    def oom_kills(self):
        """How often the kernel killed a process of the group for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)

    def remove(self, wait_s=5.0):
        _remove(self.path, wait_s)


def _remove(path, wait_s):
    until = time.monotonic() + wait_s
    while True:
        try:
            os.rmdir(path)
            return True
        except FileNotFoundError:
            return True
        except OSError:  # its last process is still on the way out
            if time.monotonic() > until:
                return False
            time.sleep(0.05)


def remove_all(tag, wait_s=5.0, root=ROOT, own="/proc/self/cgroup"):
    """Removes the groups whose tag begins with `tag`; returns those that would not go."""
    left = []
    for controller in ("memory", "cpu"):
        try:
            _, home = homes(controller, root, own)
        except (OSError, RuntimeError):
            continue
        for name in os.listdir(home):
            if name.startswith(PREFIX + tag) and not _remove(os.path.join(home, name), wait_s):
                left.append(os.path.join(home, name))
    return left
