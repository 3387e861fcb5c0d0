#!/usr/bin/env python3
"""model pull and list against a server that behaves like the hub: revisions, redirects to another port, ranges, tags, tokens,
cut connections. usage: model.py OPSCTL SEEDS, where SEEDS has GGUF files"""
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SEEDS = pathlib.Path(sys.argv.pop(2))
OPSCTL = sys.argv.pop(1)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GGUF = (SEEDS / "bpe").read_bytes()


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """One repository. `files`: path -> bytes; `large`: paths kept as large files, served from the second port."""

    def __init__(self, files, large=()):
        self.files, self.large = files, set(large)
        self.log, self.cut, self.fail = [], {}, {}
        self.token, self.promise, self.weak = None, {}, False
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                hub.answer(self)

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that refuses hangs up

        self.servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url, self.store = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def listing(self):
        rows = []
        for path, data in self.files.items():
            row = {"rfilename": path, "size": len(data), "blobId": git_id(data)}
            if path in self.large:
                row["lfs"] = {"sha256": self.promise.get(path, hashlib.sha256(data).hexdigest()), "size": len(data)}
                row["blobId"] = "f" * 40
            rows.append(row)
        return {"id": "owner/tiny", "sha": COMMIT, "siblings": rows}

    def answer(self, req):
        path = req.path.split("?")[0]
        self.log.append((req.server.server_port, path, req.headers.get("Range"), req.headers.get("Authorization")))
        if self.fail.get(path, 0) > 0:
            self.fail[path] -= 1
            return self.send(req, 503, b"busy", {"Retry-After": "1"})
        front = req.server is self.servers[0]
        if front and self.token and req.headers.get("Authorization") != "Bearer " + self.token:
            return self.send(req, 401, b"who are you")
        if path in ("/api/models/owner/tiny/revision/main", "/api/models/owner/tiny/revision/v1"):
            return self.send(req, 200, json.dumps(self.listing()).encode())
        lead = f"/owner/tiny/resolve/{COMMIT}/"
        name = path[len(lead):] if path.startswith(lead) else path[len("/blob/"):] if path.startswith("/blob/") else None
        if name not in self.files:
            return self.send(req, 404, b"no such thing")
        if front and name in self.large:
            return self.send(req, 302, b"", {"Location": f"{self.store}/blob/{name}", "ETag": '"of-the-front"'})
        return self.send_file(req, path, self.files[name])

    def send_file(self, req, path, data):
        tag = '"%s"' % hashlib.md5(data).hexdigest()
        headers, status, start = {"ETag": ("W/" if self.weak else "") + tag, "Accept-Ranges": "bytes"}, 200, 0
        asked = req.headers.get("Range")
        if asked and req.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self.send(req, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        self.send(req, status, body, headers, self.cut.pop(path, None))

    @staticmethod
    def send(req, status, body, headers=None, cut=None):
        req.send_response(status)
        for key, value in (headers or {}).items():
            req.send_header(key, value)
        req.send_header("Content-Length", str(len(body)))
        req.end_headers()
        req.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            req.close_connection = True


def padded(size):
    """A GGUF file of about that size: bytes behind the last tensor belong to nobody."""
    return GGUF + bytes(i * 7 % 251 for i in range(size - len(GGUF)))


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.models = pathlib.Path(folder.name) / "deep" / "models"

    def hub(self, files, large=()):
        hub = Hub(files, large)
        self.addCleanup(hub.close)
        return hub

    def run_(self, *args, **env):
        keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k not in ("HF_TOKEN", "HF_ENDPOINT")}
        return subprocess.run([OPSCTL, "model", *args], capture_output=True, text=True, timeout=60,
                              env={**keep, "LC_ALL": "C", "OPSD_MODELS": str(self.models), **env})

    def pull(self, hub, source, *args, **env):
        return self.run_("pull", source, *args, HF_ENDPOINT=hub.url, **env)

    def good(self, got):
        self.assertEqual(got.returncode, 0, got.stderr)
        return got

    def bad(self, got, code, *words):
        self.assertEqual(got.returncode, code, got.stdout + got.stderr)
        for word in words:
            self.assertIn(word, got.stderr)
        self.assertEqual(got.stdout, "")
        return got


class Pull(Case):
    def test_the_one_gguf_file_of_a_repository(self):
        data = padded(200000)
        hub = self.hub({"README.md": b"# hi", "tiny-q4.gguf": data}, large=["tiny-q4.gguf"])
        got = self.good(self.pull(hub, "hf:owner/tiny"))
        self.assertIn(hashlib.sha256(data).hexdigest(), got.stdout)
        self.assertEqual((self.models / "tiny" / "tiny-q4.gguf").read_bytes(), data)
        manifest = json.loads((self.models / "tiny" / "opsd-model.json").read_text())
        self.assertEqual((manifest["source"], manifest["commit"]), ("hf:owner/tiny", COMMIT))
        self.assertEqual(manifest["files"][0]["proved_by"], "sha256")
        self.assertEqual(sorted(p.name for p in (self.models / "tiny").iterdir()), ["opsd-model.json", "tiny-q4.gguf"])
        rows = json.loads(self.good(self.run_("list", "-o", "json", "--verify")).stdout)["models"]
        self.assertEqual([(r["name"], r["state"], r["bytes"]) for r in rows], [("tiny", "ok", len(data))])
        self.assertIn("tiny", self.good(self.run_("describe", "tiny")).stdout)

    def test_a_second_pull_asks_for_the_list_only(self):
        hub = self.hub({"a.gguf": GGUF}, large=["a.gguf"])
        self.good(self.pull(hub, "hf:owner/tiny@v1"))
        hub.log.clear()
        self.assertIn("there already", self.good(self.pull(hub, "hf:owner/tiny@v1")).stderr)
        self.assertEqual(len(hub.log), 1)

    def test_the_parts_of_a_safetensors_model_and_no_others(self):
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        files = {"config.json": b"{}", "tokenizer.json": b"{}", "1_Pooling/config.json": b"{}", "evil.py": b"import os",
                 "model.safetensors": len(header).to_bytes(8, "little") + header + b"\0\0\0\0"}
        hub = self.hub(files, large=["model.safetensors"])
        self.good(self.pull(hub, "hf:owner/tiny", "--name", "mine"))
        kept = {str(p.relative_to(self.models / "mine")) for p in (self.models / "mine").rglob("*") if p.is_file()}
        self.assertEqual(kept, {"config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors", "opsd-model.json"})
        proofs = {f["path"]: f["proved_by"] for f in json.loads((self.models / "mine/opsd-model.json").read_text())["files"]}
        self.assertEqual((proofs["config.json"], proofs["model.safetensors"]), ("git-sha1", "sha256"))

    def test_weights_in_several_files_come_with_their_index(self):
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        shard = len(header).to_bytes(8, "little") + header + b"\0\0\0\0"
        shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
        files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": b"{}", "onnx/model-x.safetensors": shard,
                 "adapter.safetensors": shard, **{s: shard for s in shards}}
        self.good(self.pull(self.hub(files, large=shards), "hf:owner/tiny"))
        kept = {p.name for p in (self.models / "tiny").iterdir()}
        self.assertEqual(kept, {"config.json", "tokenizer.json", "model.safetensors.index.json", "opsd-model.json", *shards})
        many = {f"model-{i}.safetensors": shard for i in range(64)}
        hub = self.hub({"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": b"{}", **many})
        self.bad(self.pull(hub, "hf:owner/tiny", "--name", "many"), 1, "more than 64 files")

    def test_a_cut_connection_goes_on_where_it_ended(self):
        data = padded(300000)
        hub = self.hub({"a.gguf": data}, large=["a.gguf"])
        hub.cut["/blob/a.gguf"] = 100000
        self.good(self.pull(hub, "hf:owner/tiny"))
        self.assertEqual((self.models / "tiny/a.gguf").read_bytes(), data)
        self.assertEqual([r for _, p, r, _ in hub.log if p == "/blob/a.gguf"], [None, "bytes=100000-"])

    def test_a_pull_that_was_ended_goes_on_and_a_changed_file_comes_anew(self):
        data = padded(300000)
        for changed in (False, True):
            with self.subTest(changed=changed):
                hub = self.hub({"a.gguf": data}, large=["a.gguf"])
                work = self.models / ".pull-tiny"
                work.mkdir(parents=True, exist_ok=True)
                (work / ".origin").write_text(f"hf:owner/tiny\n{COMMIT}")
                (work / "a.gguf").write_bytes(data[:1000] if not changed else b"x" * 1000)
                tag = hashlib.md5(data).hexdigest() if not changed else "other"
                (work / "a.gguf.etag").write_text(f'"{tag}"')
                self.good(self.pull(hub, "hf:owner/tiny", "--force"))
                self.assertEqual((self.models / "tiny/a.gguf").read_bytes(), data)
                self.assertEqual(hub.log[-1][2], "bytes=1000-")
                self.assertFalse(work.exists())

    def test_what_was_whole_but_not_yet_named_is_not_fetched_again(self):
        hub = self.hub({"a.gguf": GGUF}, large=["a.gguf"])
        work = self.models / ".pull-tiny"
        work.mkdir(parents=True)
        (work / ".origin").write_text(f"hf:owner/tiny\n{COMMIT}")
        (work / "a.gguf").write_bytes(GGUF)
        (work / "a.gguf.etag").write_text('"%s"' % hashlib.md5(GGUF).hexdigest())
        self.good(self.pull(hub, "hf:owner/tiny"))
        self.assertEqual((self.models / "tiny/a.gguf").read_bytes(), GGUF)

    def test_what_lies_there_of_another_source_goes(self):
        hub = self.hub({"a.gguf": GGUF})
        work = self.models / ".pull-tiny"
        work.mkdir(parents=True)
        (work / ".origin").write_text("hf:somebody/else\n" + COMMIT)
        (work / "leftover.json").write_text("{}")
        self.good(self.pull(hub, "hf:owner/tiny"))
        self.assertFalse((self.models / "tiny/leftover.json").exists())

    def test_busy_servers_are_asked_again(self):
        hub = self.hub({"a.gguf": GGUF}, large=["a.gguf"])
        hub.fail = {"/api/models/owner/tiny/revision/main": 1, "/blob/a.gguf": 1}
        self.good(self.pull(hub, "hf:owner/tiny"))

    def test_a_token_goes_to_the_hub_and_not_to_where_it_sends_us(self):
        hub = self.hub({"a.gguf": GGUF}, large=["a.gguf"])
        hub.token = "secret-1"
        self.bad(self.pull(hub, "hf:owner/tiny"), 4, "401")
        self.good(self.pull(hub, "hf:owner/tiny", HF_TOKEN="secret-1"))
        self.assertEqual(hub.log[-1][1], "/blob/a.gguf")
        self.assertIsNone(hub.log[-1][3])
        self.bad(self.run_("pull", "hf:owner/tiny", "--hub", "http://hub.invalid", HF_TOKEN="x"), 2, "in the clear")

    def test_a_plain_url_with_and_without_a_hash(self):
        hub = self.hub({"a.gguf": GGUF})
        url = f"{hub.url}/owner/tiny/resolve/{COMMIT}/a.gguf?download=1"
        self.assertIn("unproved", self.good(self.run_("pull", url)).stdout)
        self.assertEqual((self.models / "a/a.gguf").read_bytes(), GGUF)
        sha256 = hashlib.sha256(GGUF).hexdigest()
        self.good(self.run_("pull", url, "--name", "b", "--sha256", sha256))
        self.bad(self.run_("pull", url, "--name", "c", "--sha256", "0" * 64), 1, sha256, "0" * 64)
        self.assertFalse((self.models / "c").exists())
        self.assertFalse((self.models / ".pull-c/a.gguf").exists())


class Refusals(Case):
    def test_wrong_bytes_leave_nothing(self):
        hub = self.hub({"a.gguf": GGUF}, large=["a.gguf"])
        hub.promise["a.gguf"] = "a" * 64
        self.bad(self.pull(hub, "hf:owner/tiny"), 1, "a" * 64, hashlib.sha256(GGUF).hexdigest())
        self.assertEqual(json.loads(self.good(self.run_("list", "-o", "json")).stdout), {"models": []})

    def test_a_file_that_is_no_model_is_refused_though_its_hash_is_right(self):
        hub = self.hub({"a.gguf": b"<html>sign in</html>" * 10}, large=["a.gguf"])
        self.bad(self.pull(hub, "hf:owner/tiny"), 1, "a.gguf", "GGUF header")
        self.assertFalse((self.models / "tiny").exists())

    def test_several_ggufs_are_named_and_one_of_them_can_be_had(self):
        hub = self.hub({"a.Q4_1.gguf": GGUF, "a.Q8_0.gguf": GGUF, "../up.gguf": GGUF})
        self.bad(self.pull(hub, "hf:owner/tiny"), 2, "2 GGUF files", "a.Q4_1.gguf, a.Q8_0.gguf")
        self.good(self.pull(hub, "hf:owner/tiny:a.Q8_0.gguf"))
        self.assertTrue((self.models / "a.Q8_0/a.Q8_0.gguf").exists())
        self.bad(self.pull(hub, "hf:owner/tiny:b.gguf"), 5, "no file b.gguf")

    def test_what_is_there_of_another_source_is_not_touched(self):
        hub = self.hub({"a.gguf": GGUF})
        (self.models / "tiny").mkdir(parents=True)
        (self.models / "tiny/own.gguf").write_bytes(GGUF)
        self.bad(self.pull(hub, "hf:owner/tiny"), 6, "--force", "--name")
        self.good(self.pull(hub, "hf:owner/tiny", "--force"))
        self.assertEqual(sorted(p.name for p in (self.models / "tiny").iterdir()), ["a.gguf", "opsd-model.json"])

    def test_no_repository_no_model_no_list(self):
        hub = self.hub({"README.md": b"x"})
        self.bad(self.pull(hub, "hf:owner/other"), 5, "404")
        self.bad(self.pull(hub, "hf:owner/tiny"), 2, "no GGUF file and no config.json")
        hub.listing = lambda: {"siblings": "many"}
        self.bad(self.pull(hub, "hf:owner/tiny"), 1, "lacks 'siblings' or 'sha'")

    def test_too_large_is_refused_before_it_comes(self):
        hub = self.hub({"a.gguf": padded(300000)}, large=["a.gguf"])
        self.bad(self.pull(hub, "hf:owner/tiny", "--max-bytes", "200K"), 1, "300000 bytes, at most 204800")
        self.assertEqual((self.models / ".pull-tiny/a.gguf").stat().st_size, 0)

    def test_sources_and_flags_that_are_none(self):
        for words in (["ftp://x/y.gguf"], ["hf:owner"], ["hf:../tiny"], ["hf:owner/tiny:../../etc/passwd"], ["hf:owner/tiny@a b"],
                      ["https://host/"], ["hf:o/t", "--sha256", "12"], ["hf:o/t", "--max-bytes", "-1"], ["hf:o/t", "--name", "a/b"],
                      ["hf:o/t", "--name", ".hid"], [], ["hf:o/t", "x"], ["hf:o/t", "--name"], ["hf:o/t", "--hub", "file:///x"]):
            self.bad(self.run_("pull", *words), 2, "opsctl model pull: ")
        self.assertFalse(self.models.exists())

    def test_a_redirect_to_another_scheme_is_not_followed(self):
        hub = self.hub({"a.gguf": GGUF}, large=["a.gguf"])
        hub.store = "file:///etc"
        self.bad(self.pull(hub, "hf:owner/tiny"), 1, "file")

    def test_two_pulls_of_one_name_do_not_meet(self):
        hub = self.hub({"a.gguf": padded(100000)})
        hold, real = threading.Event(), hub.send_file
        self.addCleanup(hold.set)
        hub.send_file = lambda *a: (hold.wait(30), real(*a))
        env = {**os.environ, "OPSD_MODELS": str(self.models), "HF_ENDPOINT": hub.url}
        first = subprocess.Popen([OPSCTL, "model", "pull", "hf:owner/tiny"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while len(hub.log) < 2:
            time.sleep(0.01)
        self.bad(self.pull(hub, "hf:owner/tiny"), 6, "another pull")
        hold.set()
        self.assertEqual(first.wait(30), 0, first.stderr.read())
        first.stderr.close()


class List(Case):
    def test_a_changed_and_a_missing_file_are_told(self):
        hub = self.hub({"a.gguf": GGUF})
        for name in ("one", "two", "three"):
            self.good(self.pull(hub, "hf:owner/tiny", "--name", name))
        (self.models / "one/a.gguf").write_bytes(GGUF + b"x")
        (self.models / "two/a.gguf").unlink()
        (self.models / "three/opsd-model.json").write_text("{")
        (self.models / "unrelated").mkdir()
        got = self.run_("list", "--verify", "-o", "json")
        self.assertEqual(got.returncode, 1)
        self.assertIn("three/opsd-model.json", got.stderr)
        self.assertEqual({r["name"]: r["state"] for r in json.loads(got.stdout)["models"]}, {"one": "changed", "two": "missing"})

    def test_a_folder_that_came_by_hand_and_none_at_all(self):
        self.assertEqual(json.loads(self.good(self.run_("list", "-o", "json")).stdout), {"models": []})
        (self.models / "own").mkdir(parents=True)
        (self.models / "own/x.gguf").write_bytes(GGUF)
        got = self.good(self.run_("list")).stdout.splitlines()
        self.assertEqual(got[1].split(), ["own", "gguf", "1", "0.0", "MiB", "by", "hand", "-"])


if __name__ == "__main__":
    unittest.main()
