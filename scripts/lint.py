#!/usr/bin/env python3
"""clang-tidy over every source of the product that the build knows. What passed and did not change since is not looked at again.

usage: scripts/lint.py BUILD        a configured and built folder, as build/dev; exit 1 when something is found
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDY = "clang-tidy-14"


def dependencies(build):
    """object -> what it was built from, as ninja remembers it"""
    found, current = {}, None
    for line in subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.startswith("    "):
            found[current].append(line.strip())
        elif ":" in line:
            current = line.split(":", 1)[0]
            found[current] = []
    return found


def sources(build):
    for unit in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(unit["file"])
        if path.suffix == ".c" and ROOT in path.parents and path.relative_to(ROOT).parts[0] not in ("tests", "build"):
            yield path, unit


def built(unit):
    words = shlex.split(unit["command"])
    return words[words.index("-o") + 1]


def key(path, unit, used, digest):
    h = hashlib.sha256(unit["command"].encode())
    for name in sorted({str(path), str(ROOT / ".clang-tidy"), *used}):
        name = os.path.join(unit["directory"], name)
        if str(ROOT) in name and os.path.exists(name):
            if name not in digest:
                digest[name] = hashlib.sha256(pathlib.Path(name).read_bytes()).digest()
            h.update(name.encode() + digest[name])
    return h.hexdigest()


def look(build, path):
    got = subprocess.run([TIDY, "-p", build, "--quiet", path], capture_output=True, text=True)
    return got.returncode, got.stdout + (got.stderr if got.returncode and "error" not in got.stdout else "")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    build = pathlib.Path(sys.argv[1]).resolve()
    passed = build / "lint"
    passed.mkdir(exist_ok=True)
    used, digest, todo = dependencies(build), {}, {}
    total = 0
    for path, unit in sources(build):
        total += 1
        mark = passed / key(path, unit, used[built(unit)], digest)
        if not mark.exists():
            todo[path] = mark
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, mark), (status, text) in zip(todo.items(), pool.map(lambda p: look(build, p), todo)):
            if status == 0:
                mark.touch()
            else:
                bad += 1
                print(text.strip())
    print(f"lint: {total} sources, {len(todo)} looked at, {bad} with findings")
    return 1 if bad or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
