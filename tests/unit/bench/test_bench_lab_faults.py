"""The parts of the lab's faults that need no service: control groups, supervision, certificates, settings, the ramp."""
import http.server
import importlib.machinery
import importlib.util
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

LAB = pathlib.Path(__file__).resolve().parents[3] / "bench" / "lab"
sys.path.insert(0, str(LAB))
from labkit import casefile, cgroup, certs, controls, playbooks, settings, supervise, world  # noqa: E402


def load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


annotate = load("lab_annotate", LAB / "annotate")


# --- control groups: the kernel's files, as its documentation names them, in a made-up tree ------------------------------
def tree(tmp_path, version):
    root, own = tmp_path / "cg", tmp_path / "own"
    if version == 1:
        for name in ("memory", "cpu,cpuacct"):
            (root / name / "us").mkdir(parents=True)
        own.write_text("9:memory:/us\n8:cpu,cpuacct:/us\n1:name=systemd:/\n0::/\n")
    else:
        root.mkdir()
        (root / "cgroup.controllers").write_text("cpu io memory\n")
        own.write_text("0::/user.slice/x.scope\n")
    return {"root": str(root), "own": str(own)}


@pytest.mark.parametrize("version,controller,act,folder,want", [
    (1, "memory", lambda g: g.limit_memory(4096), "memory/us/opsd-lab-t", {"memory.limit_in_bytes": "4096"}),
    (1, "cpu", lambda g: g.limit_cpu(0.25), "cpu,cpuacct/us/opsd-lab-t",
     {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"}),
    (2, "memory", lambda g: g.limit_memory(4096), "opsd-lab-t", {"memory.max": "4096"}),
    (2, "cpu", lambda g: g.limit_cpu(0.25), "opsd-lab-t", {"cpu.max": "25000 100000"}),
    (1, "memory", lambda g: g.enter(), "memory/us/opsd-lab-t", {"cgroup.procs": "0"}),
])
def test_a_group_is_set_by_the_files_of_its_version(tmp_path, version, controller, act, folder, want):
    where = tree(tmp_path, version)
    act(cgroup.Group("t", controller, **where))
    made = tmp_path / "cg" / folder
    assert {f.name: f.read_text() for f in made.iterdir()} == want


def test_a_group_says_how_often_the_kernel_killed(tmp_path):
    group = cgroup.Group("t", "memory", **tree(tmp_path, 1))
    pathlib.Path(group.path, "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert group.oom_kills() == 3
    (tmp_path / "two").mkdir()
    group = cgroup.Group("u", "memory", **tree(tmp_path / "two", 2))
    pathlib.Path(group.path, "memory.events").write_text("low 0\noom 4\noom_kill 2\noom_group_kill 9\n")
    assert group.oom_kills() == 2


def test_no_controller_is_said_by_name(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/\n")
    with pytest.raises(RuntimeError, match="'memory'"):
        cgroup.homes("memory", str(tmp_path), str(own))


def test_what_a_run_left_is_removed_and_nothing_else(tmp_path):
    where = tree(tmp_path, 1)
    ours, others = cgroup.Group("run1-shop", "cpu", **where), cgroup.Group("run2-shop", "cpu", **where)
    held = cgroup.Group("run1-redis", "memory", **where)
    pathlib.Path(held.path, "still").write_text("busy")     # as a group with a process in it refuses
    assert cgroup.remove_all("run1", wait_s=0.1, **where) == [held.path]
    assert not pathlib.Path(ours.path).exists() and pathlib.Path(others.path).exists()


# --- supervision: real processes that end -------------------------------------------------------------------------------
class Plant:
    """As much of a world as a supervisor looks at."""

    def __init__(self, folder, commands):
        self.folder, self.commands, self.procs = folder, list(commands), {}
        self.done = threading.Event()

    def log(self, component):
        return str(self.folder / (component + ".log"))

    def start(self):
        command = self.commands.pop(0)
        if not self.commands:
            self.done.set()
        self.procs["x"] = subprocess.Popen(command)


def test_a_service_that_ends_is_started_again_and_its_log_says_how(tmp_path):
    plant = Plant(tmp_path, [["sh", "-c", "exit 3"], ["sh", "-c", "kill -9 $$"], ["sleep", "60"]])
    plant.start()
    watcher = supervise.Supervisor(plant, "x", plant.start, 0.0)
    watcher.start()
    assert plant.done.wait(30)
    watcher.end()
    last = plant.procs["x"]
    assert last.poll() is None
    last.kill()
    last.wait()
    rows = pathlib.Path(plant.log("x")).read_text().splitlines()
    messages = [casefile.parse("redis", row)[1] for row in rows]
    assert [m.split(" after ")[0] for m in messages] == ["supervise: x exited with status 3", "supervise: x was ended by signal 9"]
    assert messages[1].endswith("starting again in 0 s (restart 2)")


def test_a_supervisor_that_was_ended_starts_nothing(tmp_path):
    plant = Plant(tmp_path, [["sleep", "60"], ["sh", "-c", "exit 0"]])
    plant.start()
    watcher = supervise.Supervisor(plant, "x", plant.start, 0.0)
    watcher.start()
    watcher.end()
    plant.procs["x"].send_signal(signal.SIGKILL)
    plant.procs["x"].wait()
    assert not watcher.is_alive() and len(plant.commands) == 1


@pytest.mark.parametrize("component,line,near,at,message", [
    ("shop", "2026-01-02T03:04:05.678Z supervise: shop exited", 0, 1767323045.678, "supervise: shop exited"),
    ("dns", "Jan  2 03:04:05 dnsmasq[7]: started", 1767323000, 1767323045, "dnsmasq[7]: started"),
    ("dns", "Dec 31 23:59:59 dnsmasq[7]: x", 1767323045, 1767225599, "dnsmasq[7]: x"),
    ("dns", "Jan  1 00:00:01 dnsmasq[7]: x", 1767225590, 1767225601, "dnsmasq[7]: x"),
])
def test_the_new_shapes_of_lines(component, line, near, at, message):
    got = casefile.parse(component, line, near)
    assert got[0] == pytest.approx(at, abs=1e-4) and got[1] == message


def test_a_span_that_its_process_did_not_end_is_none():
    assert casefile.whole('{"a": 1}\n') == {"a": 1}
    assert casefile.whole('{"a": 1}') is None and casefile.whole('{"a": {"b": 2}\n') is None


# --- certificates: real ones, shown to a real client --------------------------------------------------------------------
def greet(port, trust):
    context = ssl.create_default_context(cafile=trust)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, \
            context.wrap_socket(sock, server_hostname="pricing") as secure:
        return secure.getpeercert()


def test_a_certificate_ends_when_it_was_told_to(tmp_path):
    authority = certs.Authority(str(tmp_path / "tls"))
    now = int(time.time())
    good = authority.issue("pricing", now - 3600, now + 3600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*good)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        shown = greet(server.server_port, authority.ca)
        assert ssl.cert_time_to_seconds(shown["notAfter"]) == now + 3600
        assert shown["subjectAltName"] == (("DNS", "pricing"),)
        context.load_cert_chain(*authority.issue("pricing", now - 3600, now - 1))
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
            greet(server.server_port, authority.ca)
    finally:
        server.shutdown()
        server.server_close()


# --- settings, the audit sink, the ramp ------------------------------------------------------------------------------------
def test_settings_are_read():
    assert settings.parse('{"workers": 3, "audit": "a:1", "audit_retry_s": 1}') == {"workers": 3, "audit": "a:1", "audit_retry_s": 1}
    assert settings.read(None) == {}


@pytest.mark.parametrize("text,why", [("[]", "not an object"), ('{"worker": 1}', "unknown key 'worker'"),
                                      ('{"workers": "4"}', "'workers' is not int"), ('{"workers": true}', "'workers'"), ("{", "")])
def test_bad_settings_are_refused_by_name(text, why):
    with pytest.raises(ValueError, match=why):
        settings.parse(text)


def test_an_audit_sink_that_nobody_holds_is_logged_for_each_try(caplog):
    from labkit.audit import Audit
    with socket.socket() as closed:     # bound and not listening: refused for as long as we hold it
        closed.bind(("127.0.0.1", 0))
        audit = Audit("t", f"127.0.0.1:{closed.getsockname()[1]}", 0.001)
        audit.entries = 5
        until = time.monotonic() + 30
        while audit.tries < 3 and time.monotonic() < until:
            time.sleep(0.005)
        audit.end()
        audit.join(10)
    lines = [r.getMessage() for r in caplog.records if r.name == "t.audit"]
    assert audit.tries == len(lines) >= 3 and audit.entries == 5
    assert "refused 5 entries, try 2: " in lines[1]


def test_the_ramp_climbs_stays_and_falls():
    rates = [controls.ramp(s, 100) for s in range(101)]
    assert rates[0] == rates[100] == 1.0 and max(rates) == controls.RAMP_TIMES
    assert rates == pytest.approx(rates[::-1])
    assert rates[:41] == sorted(rates[:41]) and set(rates[40:61]) == {controls.RAMP_TIMES}
    assert controls.ramp(-1, 100) == controls.ramp(101, 100) == 1.0


# --- playbooks and the truth of recordings ---------------------------------------------------------------------------------
def test_every_right_playbook_is_one_that_is_explained_and_none_is_idle():
    assert set(playbooks.RIGHT.values()) == set(playbooks.PLAYBOOKS)


def test_every_scenario_with_a_fault_has_a_playbook():
    got = subprocess.run(["/usr/bin/python3", str(LAB / "record"), "--list"], capture_output=True, text=True)
    if got.returncode != 0 and "psycopg2" in got.stderr:
        pytest.skip("the lab's packages are not installed (scripts/packages-lab.txt)")
    assert got.returncode == 0, got.stderr
    rows = [line.split()[:3] for line in got.stdout.splitlines()]
    assert {name for name, component, _ in rows if component != "-"} == set(playbooks.RIGHT)
    for name, component, playbook in rows:
        assert playbook == playbooks.RIGHT.get(name, "-")
        assert component == "-" or component in world.ADDRESSES | world.EXTRA


def test_the_committed_recordings_are_enough_and_small():
    archives = list((LAB / "recordings").glob("*.tar.gz"))
    names = {a.name.removesuffix(".tar.gz") for a in archives}
    assert set(playbooks.RIGHT) <= names and len(playbooks.RIGHT) >= 15
    assert len([n for n in names if n.startswith("control_")]) >= 4
    assert sum(a.stat().st_size for a in archives) <= 20_000_000


def make(folder, truth):
    case = folder / "postgres_lock"
    case.mkdir(parents=True)
    (case / "logs.jsonl").write_text("{}\n")
    (case / "truth.json").write_text(json.dumps(truth))
    casefile.pack(str(case), str(folder / "a.tar.gz"))
    return folder / "a.tar.gz"


def test_annotate_writes_the_playbook_once_and_nothing_else(tmp_path):
    truth = {"scenario": "postgres_lock", "kind": "fault", "fault": "locked", "started": 1.25}
    archive = make(tmp_path / "in", truth)
    assert annotate.annotate(str(archive))
    once = archive.read_bytes()
    assert not annotate.annotate(str(archive)) and archive.read_bytes() == once
    case = pathlib.Path(casefile.unpack(str(archive), str(tmp_path)))
    assert json.loads((case / "truth.json").read_text()) == {**truth, "playbook": "terminate-blocking-session"}
    assert (case / "logs.jsonl").read_text() == "{}\n"


def test_annotate_leaves_controls_alone(tmp_path):
    archive = make(tmp_path / "in", {"scenario": "control_quiet", "kind": "control", "fault": "none"})
    before = archive.read_bytes()
    assert not annotate.annotate(str(archive)) and archive.read_bytes() == before


def test_the_same_content_packs_to_the_same_bytes(tmp_path):
    truth = {"scenario": "postgres_lock", "kind": "fault", "fault": "x"}
    one = make(tmp_path / "one", truth).read_bytes()
    assert one == make(tmp_path / "two", truth).read_bytes()
    assert one[4:8] == bytes(4) and one[3] == 0     # RFC 1952: no time, no name
