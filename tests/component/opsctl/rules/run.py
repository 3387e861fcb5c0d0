#!/usr/bin/env python3
"""rules check and rules test; beside promtool, when it is installed. usage: run.py OPSCTL"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

OPSCTL = sys.argv.pop(1)
HERE = pathlib.Path(__file__).resolve().parent


def run(*args):
    return subprocess.run([OPSCTL, "rules", *map(str, args)], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, timeout=60)


class Rules(unittest.TestCase):
    def file(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "r.yml"
        path.write_text(text)
        return path

    def test_a_good_file_is_counted(self):
        got = run("check", HERE / "rules.yml")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("1 groups, 3 rules, 2 of them alerts", got.stdout)

    def test_native_histograms_are_input_and_answer(self):
        test = """tests:
- interval: 1m
  input_series:
  - {series: 'h{job="a"}', values: '{{schema:1 count:3 sum:4 buckets:[1 2]}}+{{schema:1 count:3 sum:4 buckets:[1 2]}}x9'}
  promql_expr_test:
  - {expr: 'sum(rate(h[5m])) * 60', eval_time: 6m, exp_samples: [{histogram: '{{schema:1 count:3 sum:4 buckets:[%s]}}'}]}
  - {expr: histogram_count(h), eval_time: 1m, exp_samples: [{labels: '{job="a"}', value: 6}]}
"""
        self.assertEqual(run("test", self.file(test % "1 2")).returncode, 0)
        got = run("test", self.file(test % "1 1"))
        self.assertEqual(got.returncode, 1)
        self.assertIn("{count:3, sum:4, (0.7071067811865476,1]:1, (1,1.4142135623730951]:2}", got.stdout + got.stderr)

    def test_what_is_wrong_is_named_with_its_place(self):
        rule = "groups:\n- name: g\n  rules:\n  - alert: A\n    %s\n"
        cases = [
            ("expr: rate(x)", "r.yml:4: expr: 1:6: expected type range vector in rate"),
            ("expr: info(x)", "info() is not taken: experimental"),
            ("expr: sum(", "r.yml:4: expr: 1:5: the expression ends"),
            ("expr: up\n    labels: {a: '{{ if true }}x{{ end }}'}", "r.yml:4: label a: template: 'if' is not taken"),
            ("expr: up\n    form: 5m", "r.yml:6: field form is not known here"),
            ("expr: up\n    for: soon", "r.yml:6: a duration such as 30s"),
            ("expr: 'up{a=~\"(\"}'", "regex: at byte"),
        ]
        for text, words in cases:
            with self.subTest(text):
                got = run("check", self.file(rule % text))
                self.assertEqual(got.returncode, 1)
                self.assertIn(words, got.stderr)

    def test_no_such_file(self):
        self.assertEqual(run("check", "/nonexistent.yml").returncode, 5)

    def test_passing_tests_pass(self):
        got = run("test", HERE / "pass.yml")
        self.assertEqual(got.returncode, 0, got.stdout + got.stderr)
        self.assertIn("passed, 2 tests, 9 checks, 0 failed", got.stdout)

    def test_failing_checks_say_what_was_expected_and_what_was_got(self):
        got = run("test", HERE / "fail.yml")
        self.assertEqual(got.returncode, 1)
        self.assertIn("FAILED, 2 tests, 9 checks, 2 failed", got.stdout)
        self.assertIn('expression "count(up)" at 240 s\n    expected:\n        {} 3\n    got:\n        {} 2\n', got.stdout)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_says_the_same(self):
        for name in ("pass.yml", "fail.yml"):
            with self.subTest(name):
                peer = subprocess.run(["promtool", "test", "rules", HERE / name], capture_output=True, text=True, timeout=60)
                self.assertEqual(peer.returncode == 0, run("test", HERE / name).returncode == 0, peer.stdout + peer.stderr)


if __name__ == "__main__":
    unittest.main()
