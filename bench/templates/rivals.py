"""The rivals of bench/run templates: pinned, had on the first run, kept under build/bench-rivals.

Drain3 (MIT) goes into a venv by pip. Of Loki (AGPL-3.0) only its drain package and the logfmt decoder that it calls are compiled, word for
word out of the pinned module, whose hash is checked; two helper packages which drag in the rest of Loki, but are not on the way of a line, are
stood in for (loki/stubs). Nothing of either is kept in this repository or shipped.
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / "build" / "bench-rivals"
LOKI = "github.com/grafana/loki/v3"
LOKI_VERSION, LOKI_SUM = "v3.7.8", "h1:bJ0WFWVOjgvG/jYmT9fIX15SYXXDwuEu/IMgTwMA97U="
LOKI_GO = "1.24.0"  # as in loki/go.mod
LOKI_TAKEN = {"pkg/pattern/drain": None, "pkg/logql/log/logfmt": ("decode.go", "jsonstring.go")}  # None: all but tests
LOKI_STUBS = {"logproto": "pkg/logproto", "iter": "pkg/pattern/iter"}


class NoRival(Exception):
    """Why a rival cannot be had."""


def command(words, **more):
    try:
        got = subprocess.run(words, capture_output=True, text=True, timeout=900, **more)
    except (OSError, subprocess.TimeoutExpired) as err:
        raise NoRival(f"{words[0]}: {err}") from err
    if got.returncode:
        raise NoRival(f"{' '.join(map(str, words[:4]))}: {(got.stderr or got.stdout).strip()[-600:]}")
    return got.stdout


def stamp(*parts):
    """A digest of what a rival is made of: when it changes, the rival is made anew."""
    h = hashlib.sha256()
    for part in parts:
        h.update(part.read_bytes() if isinstance(part, pathlib.Path) else part.encode())
        h.update(b"\0")
    return h.hexdigest()


def kept(folder, want):
    mark = folder / "stamp"
    return mark.exists() and mark.read_text() == want


def drain3(say):
    """The Python that has Drain3."""
    folder, pins = CACHE / "drain3", HERE / "drain3.txt"
    want = stamp(pins, sys.version)
    if not kept(folder, want):
        say("drain3: installing " + pins.read_text().splitlines()[0] + " into " + str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        command([sys.executable, "-m", "venv", str(folder)])
        command([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(pins)])
        (folder / "stamp").write_text(want)
    return str(folder / "bin" / "python")


def loki_module():
    """Where Go keeps the pinned module."""
    env = {k: v for k, v in os.environ.items() if k != "GOFLAGS"}
    with tempfile.TemporaryDirectory(prefix="opsd-loki-") as nowhere:
        got = json.loads(command(["go", "mod", "download", "-json", f"{LOKI}@{LOKI_VERSION}"], cwd=nowhere, env=env))
    if got["Sum"] != LOKI_SUM:
        raise NoRival(f"{LOKI}@{LOKI_VERSION} has the hash {got['Sum']}, not {LOKI_SUM}")
    return pathlib.Path(got["Dir"])


def loki_sources(folder, module):
    """Lays out a module of only what the drain package needs."""
    root = folder / "loki"
    for package, names in LOKI_TAKEN.items():
        (root / package).mkdir(parents=True)
        for path in sorted((module / package).glob("*.go")):
            if (names is None and not path.name.endswith("_test.go")) or path.name in (names or ()):
                shutil.copyfile(path, root / package / path.name)
    for stub, package in LOKI_STUBS.items():
        (root / package).mkdir(parents=True)
        for path in (HERE / "loki" / "stubs" / stub).glob("*.go"):
            shutil.copyfile(path, root / package / path.name)
    (root / "go.mod").write_text(f"module {LOKI}\n\ngo {LOKI_GO}\n")
    for name in ("main.go", "go.mod", "go.sum"):
        shutil.copyfile(HERE / "loki" / name, folder / name)


def loki(say):
    """The program over Loki's drain."""
    if shutil.which("go") is None:
        raise NoRival("go is not installed")
    folder = CACHE / "loki"
    want = stamp(LOKI_VERSION, LOKI_SUM, command(["go", "version"]), pathlib.Path(__file__), *sorted((HERE / "loki").rglob("*.*")))
    if not kept(folder, want):
        say(f"loki: building the drain package of {LOKI}@{LOKI_VERSION} in {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        loki_sources(folder, loki_module())
        env = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false"}
        command(["go", "build", "-trimpath", "-o", "loki-drain", "."], cwd=folder, env=env)
        (folder / "stamp").write_text(want)
    return str(folder / "loki-drain")
