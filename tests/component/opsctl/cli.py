#!/usr/bin/env python3
"""opsctl as a person or a script meets it: exit codes, messages, the offline contract. usage: cli.py OPSCTL"""
import os
import subprocess
import sys
import tempfile
import unittest

OPSCTL = sys.argv.pop(1)


def run(*args, stdin=b"", **env):
    return subprocess.run([OPSCTL, *args], input=stdin, capture_output=True, env={**os.environ, "LC_ALL": "C", **env}, timeout=60)


class Dispatch(unittest.TestCase):
    def test_help_lists_every_verb_and_follows_the_language(self):
        english, chinese = run("help").stdout.decode(), run("help", LC_ALL="zh_CN.UTF-8").stdout.decode()
        for verb in ("offline templates", "completion", "version"):
            self.assertIn("opsctl " + verb, english)
            self.assertIn("opsctl " + verb, chinese)
        self.assertIn("用法", chinese)
        self.assertIn("--online", run("offline", "templates", "--help").stdout.decode())

    def test_an_unknown_verb_is_a_usage_error_that_names_it(self):
        got = run("offlin")
        self.assertEqual(got.returncode, 2)
        self.assertIn("'offlin'", got.stderr.decode())

    def test_what_is_not_built_says_so_and_fails(self):
        for verb in ("sequences", "metrics", "rca", "incident", "search", "answer"):
            got = run("offline", verb)
            self.assertEqual(got.returncode, 1, verb)
            self.assertEqual(got.stdout, b"")
            self.assertIn("does not have", got.stderr.decode())

    def test_completion_scripts_are_sound_shell(self):
        script = run("completion", "bash").stdout
        self.assertEqual(subprocess.run(["bash", "-n"], input=script).returncode, 0)
        probe = script + b'\nCOMP_WORDS=(opsctl offline t); COMP_CWORD=2; _opsctl; echo "${COMPREPLY[*]}"\n'
        self.assertEqual(subprocess.run(["bash"], input=probe, capture_output=True).stdout.strip(), b"templates")
        self.assertIn(b"complete -c opsctl", run("completion", "fish").stdout)
        self.assertEqual(run("completion", "tcsh").returncode, 2)


class OfflineTemplates(unittest.TestCase):
    lines = [b"connection from 10.0.0.%d port %d" % (i, 4000 + i) for i in range(1, 6)] + [b"shutting down now"]

    def rows(self, *args, stdin):
        got = run("offline", "templates", *args, "-", stdin=stdin)
        self.assertEqual(got.returncode, 0, got.stderr)
        return [row.split(b"\t") for row in got.stdout.split(b"\n")[:-1]]

    def test_one_row_per_line_and_one_text_per_group(self):
        rows = self.rows(stdin=b"\n".join(self.lines) + b"\n")
        self.assertEqual(len(rows), len(self.lines))
        self.assertEqual(len({row[0] for row in rows[:5]}), 1)
        self.assertNotEqual(rows[5][0], rows[0][0])
        self.assertIn(b"<*>", rows[0][1])
        self.assertEqual(rows[5][1], b"shutting down now")

    def test_online_rows_then_a_lineage_without_circles(self):
        rows = self.rows("--online", stdin=b"\n".join(self.lines) + b"\n")
        folds = {row[0][1:]: row[1] for row in rows if row[0].startswith(b"=")}
        self.assertEqual(len(rows) - len(folds), len(self.lines))
        for old in folds:
            seen = set()
            while old in folds:
                self.assertNotIn(old, seen)
                seen.add(old)
                old = folds[old]

    def test_no_byte_sequence_stops_it(self):
        hostile = b"\xff\xfe\n\n\x00\x00 nul\ntab\there\n" + b"x" * 300000 + b"\nlast without newline"
        self.assertEqual(len(self.rows(stdin=hostile)), 6)
        self.assertEqual(self.rows(stdin=b""), [])

    def test_files_and_errors_are_named(self):
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"one line\n")
            f.flush()
            self.assertEqual(run("offline", "templates", f.name).stdout.count(b"\n"), 1)
        got = run("offline", "templates", "/nonexistent/log")
        self.assertEqual(got.returncode, 5)
        self.assertIn("/nonexistent/log", got.stderr.decode())
        self.assertEqual(run("offline", "templates").returncode, 2)
        self.assertEqual(run("offline", "templates", "--nope", "-").returncode, 2)


class RedactTest(unittest.TestCase):
    def test_lines_come_back_redacted_and_counted(self):
        got = run("redact", "test", stdin=b"all is well\nlogin password=hunter2 from ops@example.org\n")
        self.assertEqual(got.returncode, 0, got.stderr)
        lines = got.stdout.decode().splitlines()
        self.assertEqual(lines[0], "all is well")
        self.assertNotIn("hunter2", lines[1])
        self.assertNotIn("ops@example.org", lines[1])
        self.assertIn("2 lines, 1 changed", got.stderr.decode())
        self.assertEqual(run("redact", "test", "x").returncode, 2)


if __name__ == "__main__":
    unittest.main()
