#!/usr/bin/env python3
"""opsctl as a person or a script meets it: exit codes, messages, the offline contract. usage: cli.py OPSCTL"""
import datetime
import json
import os
import pathlib
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

    def test_verbs_of_incidents_say_what_they_need_before_they_dial(self):
        english, chinese = run("help").stdout.decode(), run("help", LC_ALL="zh_CN.UTF-8").stdout.decode()
        script = run("completion", "bash").stdout.decode()
        for verb in ("get incidents", "describe incident", "watch incidents", "ack incident", "resolve incident", "reopen incident", "merge incident",
                     "split incident", "feedback incident", "get acts"):
            for text in (english, chinese, script):
                self.assertIn(verb, text)
            self.assertIn("--server", run(*verb.split(), "--help").stdout.decode() + script)
        for words, said in ((("ack", "incident"), "which incident?"), (("describe", "incident"), "which incident?"), (("merge", "incident", "i-1"), "are needed"),
                            (("split", "incident", "i-1"), "are needed"), (("feedback", "incident", "i-1", "fine"), "right-cause"),
                            (("get", "incidents", "more"), "one word too many"), (("get", "incidents", "--fail-on", "x"), "only 'incidents'")):
            got = run(*words, "--server", "127.0.0.1:1")
            self.assertEqual(got.returncode, 2, words)
            self.assertIn(said, got.stderr.decode())
        got = run("get", "incidents", "--server", "127.0.0.1:1", "--timeout", "2s")
        self.assertEqual(got.returncode, 7, got.stderr)

    def test_what_is_not_built_says_so_and_fails(self):
        for verb in ("search", "answer"):
            got = run("offline", verb)
            self.assertEqual(got.returncode, 1, verb)
            self.assertEqual(got.stdout, b"")
            self.assertIn("does not have", got.stderr.decode())

    def test_metrics_answers_every_row_as_it_comes(self):
        rows = ["timestamp,value"] + ["%d,%d" % (1700000000 + 60 * i, 100 + i * i % 7) for i in range(600)] + ["1700036000,900"]
        got = run("offline", "metrics", "-", stdin=("\n".join(rows) + "\n").encode())
        self.assertEqual((got.returncode, got.stderr), (0, b""))
        answers = got.stdout.decode().splitlines()
        self.assertEqual(len(answers), 601)
        self.assertEqual([a.split(",")[1] for a in answers[:600]], ["0"] * 600)
        self.assertEqual(answers[600].split(",")[1], "1")
        short = run("offline", "metrics", "-", "--train", "100", stdin=("\n".join(rows[:301]) + "\n").encode())
        self.assertEqual(short.stdout.decode().splitlines(), answers[:300])

    def test_metrics_names_the_line_that_is_wrong(self):
        for stdin, said in ((b"", "line 1"), (b"time,value\n", "'timestamp'"), (b"timestamp\n", "no value column"),
                            (b"timestamp,value\n1,2\nx,3\n", "line 3"), (b"timestamp,value\n1,2,3\n", "line 2")):
            got = run("offline", "metrics", "-", stdin=stdin)
            self.assertNotEqual(got.returncode, 0)
            self.assertIn(said, got.stderr.decode())
        self.assertEqual(run("offline", "metrics").returncode, 2)
        self.assertEqual(run("offline", "metrics", "--train", "many", "-").returncode, 2)

    def test_sequences_of_two_files(self):
        with tempfile.TemporaryDirectory() as folder:
            train, test = pathlib.Path(folder, "train"), pathlib.Path(folder, "test")
            train.write_text("".join(f"n{i}\t{'a b c' if i % 3 else 'a b b c'}\n" for i in range(60)))
            test.write_bytes(b"fine\ta b c\nnew\ta z c\n\xff\ta b\n")
            got = run("offline", "sequences", "--train", str(train), "--test", str(test))
            self.assertEqual(got.returncode, 0, got.stderr)
            rows = [line.split(b"\t") for line in got.stdout.splitlines()]
            self.assertEqual([(r[0], r[2]) for r in rows], [(b"fine", b"0"), (b"new", b"1"), (b"\xff", b"1")])
            told = run("offline", "sequences", "--train", str(train), "--test", str(test), "--explain").stdout.decode("utf-8", "replace")
            self.assertIn("z never occurred before", told)
            self.assertIn("c is missing", told)
            train.write_text("no tab\n")
            got = run("offline", "sequences", "--train", str(train), "--test", str(test))
            self.assertEqual((got.returncode, got.stdout), (1, b""))
            self.assertIn("training file, line 1", got.stderr.decode())
        self.assertNotEqual(run("offline", "sequences", "--train", "x").returncode, 0)
        self.assertEqual(run("offline", "sequences", "--train", "/nonexistent", "--test", "-").returncode, 5)

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


class OfflineFindings(unittest.TestCase):
    BEGIN = datetime.datetime(2026, 3, 1, 8, 0, 0, tzinfo=datetime.timezone.utc)

    def records(self, ill):
        """(time, service, severity number, level, text): six minutes, the last one of them ill or not."""
        for second in range(360):
            at = self.BEGIN + datetime.timedelta(seconds=second)
            for k in range(2):
                yield at, "web", 9, "INFO", f"GET /items/{second * 2 + k} answered in {k} ms"
            if ill and second >= 300:
                yield at, "shop", 17, "ERROR", "order lost: connection to \x1b[31mdb refused, password=hunter2"
            else:
                yield at, "shop", 9, "INFO", f"order {second} stored"

    def lines(self, ill, service=None):
        return "".join(f"{at:%Y-%m-%d %H:%M:%S},000 {level} [7] {name}: {text}\n"
                       for at, name, _, level, text in self.records(ill) if service in (None, name)).encode()

    def case(self, folder, ill):
        os.mkdir(os.path.join(folder, "logs"))
        for name in ("web", "shop"):
            with open(os.path.join(folder, "logs", name + ".log"), "wb") as file:
                file.write(self.lines(ill, name))
        return folder

    def found(self, *args, code=0, stdin=b""):
        got = run("offline", "findings", *args, stdin=stdin)
        self.assertEqual(got.returncode, code, got.stderr)
        return got

    def test_a_fault_is_found_with_where_when_and_evidence(self):
        with tempfile.TemporaryDirectory() as folder:
            got = self.found("--format", "case", "-o", "json", self.case(folder, True))
        findings = [json.loads(line) for line in got.stdout.splitlines()]
        self.assertEqual(len(findings), 1)
        f = findings[0]
        self.assertEqual(f["services"], ["shop"])
        self.assertEqual(f["start"], "2026-03-01T08:05:00.000Z")
        self.assertLess(f["p_value"], 1e-6)
        self.assertTrue(all(e["service"] == "shop" and "order lost" in e["text"] for e in f["evidence"]))
        self.assertNotIn(b"hunter2", got.stdout)
        self.assertIn(b"1080 records of 2 files", got.stderr)

    def test_findings_can_fail_a_script_and_a_terminal_gets_no_control_bytes(self):
        got = self.found("--fail-on", "findings", "--service", "shop", "-", code=3, stdin=self.lines(True, "shop"))
        self.assertIn(b"order lost", got.stdout)
        self.assertNotIn(b"\x1b", got.stdout)
        got = self.found("--fail-on", "findings", "-", stdin=self.lines(False))
        self.assertEqual(got.stdout, b"")
        self.assertIn(b"0 findings", got.stderr)

    def test_changes_say_when_each_was_known(self):
        rows = [json.loads(line) for line in
                self.found("--changes", "-o", "json", "--service", "shop", "-", stdin=self.lines(True, "shop")).stdout.splitlines()]
        self.assertEqual(rows[0]["change"], "opened")
        self.assertTrue("2026-03-01T08:05:10" <= rows[0]["at"] <= "2026-03-01T08:05:30", rows[0]["at"])

    def test_otlp_as_the_collector_writes_it_gives_the_same(self):
        body = b""
        for at, name, severity, _, text in self.records(True):
            record = {"timeUnixNano": str(int(at.timestamp()) * 10**9), "severityNumber": severity, "body": {"stringValue": text}}
            body += json.dumps({"resourceLogs": [{"resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": name}}]}, "scopeLogs": [{"logRecords": [record]}]}]}).encode() + b"\n"
        got = self.found("-o", "json", "-", stdin=body)
        self.assertEqual([json.loads(line)["services"] for line in got.stdout.splitlines()], [["shop"]])

    def test_errors_name_the_thing(self):
        self.assertIn(b"no line with a time stamp", self.found("-", code=2, stdin=b"no time\nat all\n").stderr)
        self.assertIn(b"/nonexistent/log", self.found("/nonexistent/log", code=5).stderr)
        self.assertIn(b"line 1", self.found("--format", "otlp", "-", code=2, stdin=b'{"resourceLogs":7\n').stderr)
        for args in ((), ("--nope", "-"), ("-o", "xml", "-"), ("--format", "case", "-"), ("--fail-on", "rain", "-"), ("-o",)):
            self.found(*args, code=2)

    def test_no_byte_sequence_stops_it(self):
        hostile = b"\xff\xfe\n\x00\x00\n" + b"x" * 300000 + b"\n2026-03-01 08:00:00 \xc3\n9999-99-99\nlast"
        self.found("-", stdin=hostile)


class OfflineCases(unittest.TestCase):
    """A door, a shop and a store; the store fails half its requests from 1200 s on and says so."""

    def case(self, folder, at=True, end=1400):
        with open(os.path.join(folder, "metrics.csv"), "w") as f:
            f.write("time,component,metric,value\n")
            for c in ("door", "shop", "store"):
                for t in range(1000, end, 2):
                    f.write("%d,%s,busy,%.3f\n" % (t, c, 0.2 + t % 7 / 100 + (0.6 if c == "store" and t >= 1200 else 0)))
        with open(os.path.join(folder, "traces.jsonl"), "w") as f:
            for t in range(1000, end):
                bad = t >= 1200 and t % 2
                for i, c in enumerate(("door", "shop", "store")):
                    f.write(json.dumps({"trace": "t%d" % t, "span": str(i), "parent": str(i - 1) if i else "", "component": c, "operation": "serve",
                                        "start": t + i / 100, "duration": 0.1 - i / 50, "status": "error" if bad else "ok"}) + "\n")
        with open(os.path.join(folder, "logs.jsonl"), "wb") as f:
            for t in range(1000, end):
                text = "table <b>%d</b> is broken" % t if t >= 1200 and t % 2 else "request %d done" % t
                f.write(json.dumps({"time": t, "component": "store", "message": text}).encode() + b"\n")
            f.write(b'{"time": 1399, "component": "store", "message": "\xff\xfe\x1b[31m"}\nnot json\n')
        if at:
            with open(os.path.join(folder, "at.txt"), "w") as f:
                f.write("1200\n")

    def test_rca_ranks_every_component_once_with_a_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            self.case(folder)
            got = run("offline", "rca", "--dir", folder)
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertIn(b"2 of 402 rows left out", got.stderr)
            rows = [line.split("\t") for line in got.stdout.decode().splitlines()]
            self.assertEqual(sorted(r[0] for r in rows), ["door", "shop", "store"])
            self.assertEqual(rows[0][0], "store")
            scores = [float(r[1]) for r in rows]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertTrue(all(len(r) == 3 and r[2] for r in rows))
            self.assertEqual(got.stdout, run("offline", "rca", "--dir", folder).stdout)
            self.assertIn(b"errors", run("offline", "rca", "--explain", "--dir", folder).stdout)

    def test_rca_names_what_is_missing(self):
        self.assertEqual(run("offline", "rca").returncode, 2)
        with tempfile.TemporaryDirectory() as folder:
            got = run("offline", "rca", "--dir", folder)
            self.assertEqual(got.returncode, 5)
            self.assertIn(b"at.txt", got.stderr)
            with open(os.path.join(folder, "at.txt"), "w") as f:
                f.write("noon\n")
            self.assertIn(b"Unix seconds", run("offline", "rca", "--dir", folder).stderr)

    def test_incident_finds_the_time_and_the_page_is_whole_and_escaped(self):
        with tempfile.TemporaryDirectory() as folder:
            self.case(folder, at=False, end=1290)
            page = os.path.join(folder, "report.html")
            got = run("offline", "incident", "--dir", folder, "--html", page)
            self.assertEqual(got.returncode, 0, got.stderr)
            found = [json.loads(line) for line in got.stdout.splitlines()]
            self.assertEqual(len(found), 1)
            self.assertEqual(set(found[0]), {"start", "end", "severity", "summary", "components", "causes", "evidence"})
            self.assertLess(abs(found[0]["start"] - 1200), 60)
            self.assertEqual(found[0]["causes"][0]["component"], "store")
            self.assertEqual(set(found[0]["evidence"][0]), {"kind", "component", "at", "text"})
            with open(page, encoding="utf-8") as f:
                text = f.read()
            self.assertIn("&lt;b&gt;", text)
            for bad in ("<b>", "<script", "http://", "https://", "src="):
                self.assertNotIn(bad, text)

    def test_all_is_well_prints_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "metrics.csv"), "w") as f:
                f.write("time,component,metric,value\n" + "".join("%d,a,m,%d\n" % (t, t % 5) for t in range(600)))
            got = run("offline", "incident", "--dir", folder)
            self.assertEqual((got.returncode, got.stdout), (0, b""))


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


class ModelTest(unittest.TestCase):
    FILE = str(pathlib.Path(__file__).resolve().parents[2] / "golden/tokenizers/llama-bpe.gguf")

    def test_a_model_file_is_described(self):
        table = run("model", "describe", self.FILE)
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertIn("llama", table.stdout.decode())
        told = json.loads(run("model", "describe", "-o", "json", self.FILE).stdout)
        self.assertEqual((told["architecture"], told["tokenizer"], told["gguf_version"]), ("llama", "bpe/llama-bpe", 3))
        self.assertEqual(told["bytes"], os.path.getsize(self.FILE))
        self.assertTrue(told["chat_template"].startswith("none"))

    def test_what_is_no_model_is_refused_with_the_place(self):
        for cut in (0, 10, 2000):
            with tempfile.NamedTemporaryFile() as f:
                f.write(pathlib.Path(self.FILE).read_bytes()[:cut])
                f.flush()
                got = run("model", "describe", f.name)
                self.assertNotEqual(got.returncode, 0)
                self.assertEqual(got.stdout, b"")
                self.assertIn("byte", got.stderr.decode())
        self.assertNotEqual(run("model", "describe", "/nonexistent").returncode, 0)
        self.assertEqual(run("model", "describe").returncode, 2)


if __name__ == "__main__":
    unittest.main()
