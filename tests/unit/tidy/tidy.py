#!/usr/bin/env python3
"""Holds the tree against ARCHITECTURE.md: include arrows, host rooms of libraries, banned calls, files nobody builds.

usage: tidy.py ROOT [--self-test]   exit 0 clean, 1 with one line per breach
"""
import pathlib
import re
import sys

ROOTS = ("base", "proto", "rpc", "storage", "kernels", "worker", "coordinator", "opsd", "opsctl")
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|rand|strtok|alloca)\s*\(")
HEAP = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup)\s*\(")
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def block(text, name):
    found = re.search(r"```%s\n(.*?)```" % name, text, re.S)
    if not found:
        raise SystemExit(f"tidy: ARCHITECTURE.md has no ```{name} block")
    rows = {}
    for line in found.group(1).splitlines():
        if line.strip():
            left, _, right = line.partition(":")
            rows[left.strip()] = right.split()
    return rows


def under(path, room):
    return path == room or path.startswith(room.rstrip("/") + "/")


def room_of(path, arrows):
    fits = [room for room in arrows if under(path, room)]
    return max(fits, key=len) if fits else None


def check_includes(path, text, arrows, hosts):
    room = room_of(path, arrows)
    if room is None:
        yield f"{path}: no room of ARCHITECTURE.md's arrows holds it"
        return
    for kind, target in INCLUDE.findall(text):
        host = next((h for h in hosts if target.startswith(h)), None)
        if host is not None and not any(under(path, r) for r in hosts[host]):
            yield f"{path}: <{target}> belongs to {' '.join(hosts[host])}"
        if kind == '"' and target.split("/")[0] in ROOTS:
            if not any(under(target, r) for r in [room, *arrows[room]]):
                yield f"{path}: room '{room}' may not lean on \"{target}\""
            if target.endswith("_internal.h") and target.rsplit("/", 1)[0] != path.rsplit("/", 1)[0]:
                yield f"{path}: \"{target}\" is private to its folder"


def check_words(path, text):
    code = COMMENT.sub(lambda m: "\n" * m.group(0).count("\n"), text)
    for number, line in enumerate(code.splitlines(), 1):
        for m in BANNED.finditer(line):
            yield f"{path}:{number}: {m.group(1)}() is banned"
        if not under(path, "base/mem") and not under(path, "kernels"):
            for m in HEAP.finditer(line):
                yield f"{path}:{number}: {m.group(1)}() goes round base/mem/alloc.h"
    for number, line in enumerate(text.splitlines(), 1):
        if LEFTOVER.search(line):
            yield f"{path}:{number}: a leftover mark"


def check_built(root, sources):
    lists = {}
    for cmake in root.rglob("CMakeLists.txt"):
        relative = cmake.parent.relative_to(root).as_posix()
        if not relative.startswith("build"):
            lists[relative] = cmake.read_text()
    for path in sources:
        parts = pathlib.PurePosixPath(path)
        named = any(
            re.search(r"(?<![\w/])%s\b" % re.escape(parts.relative_to(folder).as_posix() if folder != "." else path), text)
            for folder, text in lists.items()
            if folder == "." or under(path, folder)
        )
        if not named:
            yield f"{path}: no CMakeLists.txt builds it"


def tree(root):
    for top in ROOTS:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".c", ".h", ".cc", ".cpp"):
                yield path.relative_to(root).as_posix(), path.read_text(errors="replace")


def breaches(root):
    page = (root / "ARCHITECTURE.md").read_text()
    arrows, hosts = block(page, "arrows"), block(page, "hosts")
    sources = []
    for path, text in tree(root):
        yield from check_includes(path, text, arrows, hosts)
        yield from check_words(path, text)
        if path.endswith((".c", ".cc", ".cpp")):
            sources.append(path)
    yield from check_built(root, sources)


def self_test():
    arrows = {"base": ["base"], "storage": ["base"], "storage/kv": ["base"]}
    hosts = {"rocksdb/": ["storage/kv"]}
    bad = list(check_includes("base/x.c", '#include "storage/kv/kv.h"\n#include <rocksdb/c.h>\n', arrows, hosts))
    assert len(bad) == 2, bad
    assert not list(check_includes("storage/kv/x.c", '#include "base/x.h"\n#include <rocksdb/c.h>\n', arrows, hosts))
    assert list(check_includes("storage/kv/x.c", '#include "base/mem/a_internal.h"\n', arrows, hosts))
    assert len(list(check_words("base/text/x.c", "strcpy(a, b);\nfree(p); /* TO" + "DO */\n"))) == 3
    assert not list(check_words("base/text/x.c", '/* free(p) */ x = "strcpy(";\nops_free(p);\na->free(p);\n'))


if __name__ == "__main__":
    self_test()
    found = list(breaches(pathlib.Path(sys.argv[1])))
    print("\n".join(found) if found else "tidy: clean")
    sys.exit(1 if found else 0)
