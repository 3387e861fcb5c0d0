#!/usr/bin/env python3
"""offline templates as a list and as a comparison. usage: templates.py OPSCTL"""
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

OPSCTL = sys.argv.pop(1)


def run(*args, stdin=b"", **env):
    argv = [OPSCTL, "offline", "templates", *map(str, args)]
    return subprocess.run(argv, input=stdin, capture_output=True, env={**os.environ, "LC_ALL": "C", **env}, timeout=60)


def log(seed, lines, misses):
    rng = random.Random(seed)
    for i in range(lines):
        stamp = "2026-11-25T10:%02d:%02dZ INFO " % (i // 60 % 60, i % 60)
        if rng.random() < misses:
            yield stamp + "cache miss for key user:%d took %dms" % (rng.randint(1, 999), rng.randint(1, 90))
        elif rng.random() < 0.5:
            yield stamp + "request from 10.0.0.%d served in %dms" % (rng.randint(1, 250), rng.randint(1, 90))
        else:
            yield stamp + "worker %d heartbeat ok" % rng.randint(1, 9)


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def write(self, name, lines):
        path = os.path.join(self.dir.name, name)
        with open(path, "w") as f:
            f.writelines(line + "\n" for line in lines)
        return path

    def save(self, name, *args):
        path = os.path.join(self.dir.name, name)
        got = run(*args, "-o", "json")
        self.assertEqual(got.returncode, 0, got.stderr)
        with open(path, "wb") as f:
            f.write(got.stdout)
        return path


class Lists(Files):
    def test_counts_shares_and_times(self):
        path = self.write("a.log", log(1, 1000, 0.1))
        head, *rows = map(json.loads, run("-o", "json", path).stdout.splitlines())
        self.assertEqual((head["lines"], head["templates"], head["times"]), (1000, len(rows), True))
        self.assertEqual(sum(row["count"] for row in rows), 1000)
        self.assertEqual([row["count"] for row in rows], sorted((row["count"] for row in rows), reverse=True))
        self.assertAlmostEqual(sum(row["share"] for row in rows), 1, 6)
        self.assertEqual(min(row["first"] for row in rows), "2026-11-25T10:00:00.000Z")
        self.assertEqual(max(row["last"] for row in rows), "2026-11-25T10:16:39.000Z")
        for row in rows:
            self.assertRegex(row["id"], r"^[0-9a-f]{16}$")
            self.assertTrue(row["examples"])
            self.assertNotIn("2026-11-25", row["text"])

    def test_without_times_line_numbers_stand(self):
        rows = run("-o", "json", "-", stdin=b"alpha beta 1\ngamma delta\nalpha beta 2\n").stdout.splitlines()
        self.assertFalse(json.loads(rows[0])["times"])
        self.assertEqual([(json.loads(r)["first"], json.loads(r)["last"]) for r in rows[1:]], [(1, 3), (2, 2)])

    def test_table_limit_and_least_count(self):
        path = self.write("a.log", log(1, 1000, 0.1))
        table = run("-o", "table", path).stdout.decode().splitlines()
        self.assertEqual(table[0].split(), ["ID", "COUNT", "SHARE", "FIRST", "LAST", "TEMPLATE"])
        self.assertEqual(len(run("-o", "table", "--limit", 1, path).stdout.splitlines()), 2)
        self.assertEqual(len(run("-o", "table", "--min-count", 1001, path).stdout.splitlines()), 1)
        self.assertIn("模板", run("-o", "table", path, LC_ALL="zh_CN.UTF-8").stdout.decode())
        self.assertIn("TEMPLATE", run("-o", "table", "--lang", "en", path, LC_ALL="zh_CN.UTF-8").stdout.decode())

    def test_slots_have_types_and_statistics(self):
        path = self.write("a.log", log(1, 2000, 0.1))
        rows = {r["typed"]: r for r in map(json.loads, run("-o", "json", path).stdout.splitlines()[1:])}
        row = rows["request from <ip> served in <duration>"]
        ip, took = row["slots"]
        self.assertEqual((ip["type"], ip["seen"], took["seen"]), ("ip", row["count"], row["count"]))
        self.assertTrue(200 < ip["distinct"] < 310)
        self.assertEqual((took["min"], took["max"]), (0.001, 0.09))
        self.assertTrue(0.038 < took["p50"] < 0.054)
        self.assertEqual(rows["worker <num> heartbeat ok"]["slots"][0]["distinct"], 9)

    def test_pins_of_a_file_hold(self):
        path = self.write("a.log", ["session opened for alice", "login of bob done", "ticket ORD-AB closed", "ticket ORD-XY closed"])
        pins = self.write("pins.yaml", ['one: [["session opened for <*>", "login of <*> done"]]', "slots: ['ORD-[A-Z]+']"])
        texts = [json.loads(r)["text"] for r in run("-o", "json", "--pins", pins, path).stdout.splitlines()[1:]]
        self.assertEqual(sorted(texts), ["session opened for <*>", "ticket <*> closed"])
        groups = [r.split(b"\t")[0] for r in run("--pins", pins, path).stdout.splitlines()]
        self.assertTrue(groups[0] == groups[1] != groups[2] == groups[3])
        with open(pins, "a") as f:
            f.write("apart: [x, [y]]\nwrong: 1\n")
        got = run("--pins", pins, path)
        self.assertEqual(got.returncode, 1)
        self.assertIn("pins.yaml:4: 'wrong'", got.stderr.decode())
        check = subprocess.run([OPSCTL, "templates", "pins", "check", pins], capture_output=True)
        self.assertEqual((check.returncode, b"pins.yaml:4" in check.stderr), (1, True))

    def test_compressed_files_answer_alike(self):
        path = self.write("a.log", log(1, 300, 0.1))
        packed = path + ".gz"
        with gzip.open(packed, "wb") as f:
            f.write(open(path, "rb").read())
        self.assertEqual(run(path).stdout, run(packed).stdout)
        self.assertEqual(run("-o", "json", path).stdout, run("-o", "json", packed).stdout)
        with open(packed, "r+b") as f:
            f.truncate(40)
        got = run("-o", "json", packed)
        self.assertEqual(got.returncode, 1)
        self.assertIn(b"a.log.gz", got.stderr)

    def test_a_log_drives_no_terminal(self):
        self.assertNotIn(b"\x1b", run("-o", "table", "-", stdin=b"red \x1b[31m alert\n").stdout)


class Comparisons(Files):
    def setUp(self):
        super().setUp()
        self.old = self.write("old.log", log(1, 3000, 0.05))
        self.new = self.write("new.log", [*log(2, 5000, 0.3), "2026-11-25T12:00:00Z ERROR disk sda failed"])

    def changes(self, *args):
        got = run("--diff", *args, "-o", "json")
        self.assertEqual(got.returncode, 0, got.stderr)
        head, *rows = map(json.loads, got.stdout.splitlines())
        self.assertEqual(head["changes"], len(rows))
        return {(row["change"], row["text"].split()[0]) for row in rows}

    def test_what_is_new_up_and_down(self):
        self.assertLessEqual({("new", "disk"), ("up", "cache")}, self.changes(self.old, self.new))
        self.assertIn(("down", "cache"), self.changes(self.new, self.old))

    def test_the_same_traffic_is_no_change(self):
        again = self.write("again.log", log(3, 4000, 0.05))
        self.assertEqual(self.changes(self.old, again), set())

    def test_a_rare_line_that_did_not_come_is_no_news_a_common_one_is(self):
        old = self.write("o.log", [*log(1, 1000, 0), *["once in a while"] * 2, *["every now and then"] * 20])
        self.assertEqual(self.changes(old, self.write("n.log", log(4, 1000, 0))), {("gone", "every")})

    def test_saved_lists_answer_as_the_logs_do(self):
        expected = self.changes(self.old, self.new)
        old, new = self.save("old.json", self.old), self.save("new.json", self.new)
        for a, b in ((old, new), (self.old, new), (old, self.new)):
            self.assertEqual(self.changes(a, b), expected)

    def test_a_saved_template_meets_the_one_it_was_folded_into(self):
        words = ["alpha", "bravo", "delta", "gamma", "kappa", "sigma"]
        one = self.write("1.log", ["the plugin alpha was loaded and started fine"] * 50)
        many = self.write("2.log", ["the plugin %s was loaded and started fine" % w for w in words * 10])
        self.assertEqual(self.changes(self.save("1.json", one), self.save("2.json", many)), set())
        self.assertEqual(self.changes(self.save("2.json", many), self.save("1.json", one)), set())

    def test_exit_codes(self):
        self.assertEqual(run("--diff", self.old, self.new, "--fail-on", "changes").returncode, 3)
        self.assertEqual(run("--diff", self.old, self.old, "--fail-on", "changes").returncode, 0)
        self.assertEqual(run("--diff", self.old, "/nonexistent/log").returncode, 5)
        cut = self.save("cut.json", self.old, "--limit", 1)
        for bad in (("--diff", self.old), ("--diff", cut, self.new), ("--online", "-o", "json", self.old), (self.old, self.new),
                    ("--limit", "x", "-o", "json", self.old), ("-o", "xml", self.old), ("--limit", 5, self.old),
                    ("--fail-on", "changes", self.old), ("--diff", "-", "-")):
            self.assertEqual(run(*bad).returncode, 2, bad)

    def test_a_damaged_list_names_its_line(self):
        path = self.save("old.json", self.old)
        with open(path, "a") as f:
            f.write('{"id":"zz"}\n')
        got = run("--diff", path, self.new)
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stderr.decode(), r"old\.json', line \d+")


if __name__ == "__main__":
    unittest.main()
