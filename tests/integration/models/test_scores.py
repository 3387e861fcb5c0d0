"""Rerank and classify by a real daemon and a lone worker, over HTTP and gRPC, with the models of tests/golden/bert_heads: what is
answered is what the reference's logits make."""
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import grpc
import pytest

import conftest

sys.path.insert(0, os.path.dirname(__file__))
import modelapi  # noqa: E402

GOLDEN = conftest.ROOT / "tests/golden/bert_heads"
GGUF = conftest.ROOT / "tests/golden/bert_gguf/tiny-f32.gguf"
DOCUMENTS = ["connection error", "out of memory", "upstream error", "time out"]


def folder(at, head, **config):
    """A model that can be loaded; texts are cut where the fixture's were."""
    at.mkdir()
    told = json.loads((GOLDEN / head / "config.json").read_text())
    (at / "config.json").write_text(json.dumps(told | config))
    (at / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    shutil.copy(GOLDEN / head / "model.safetensors", at)
    shutil.copy(GOLDEN / "tokenizer.json", at)
    return at


@pytest.fixture
def heads(tmp_path):
    tags = json.loads((GOLDEN / "tokens/spans.json").read_text())["labels"]
    return {"pair": folder(tmp_path / "pair", "pair"), "sequence": folder(tmp_path / "sequence", "sequence"),
            "tokens": folder(tmp_path / "tokens", "tokens", id2label={str(i): t for i, t in enumerate(tags)})}


@pytest.fixture
def served(opsd, heads):
    opsd.start("--worker-model", str(GGUF), "--worker-generator", "off")
    assert conftest.wait(lambda: opsd.rows("get", "models"), 30)
    for at in heads.values():
        opsd.ctl("model", "load", str(at))
    api = modelapi.Models(opsd.at("api"))
    yield opsd, api
    api.close()


def post(address, path, body):
    data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", data, {"Content-Type": "application/json"}), timeout=30) as got:
            return got.status, json.load(got)
    except urllib.error.HTTPError as err:
        return err.code, json.load(err)


def golden(head):
    return json.loads((GOLDEN / head / "expect.json").read_text())


def near(a, b):
    return abs(a - b) < 1e-5


def check_rerank(address):
    for case in golden("pair"):
        query, document = case["texts"]
        if not query or not document:
            continue
        code, got = post(address, "/v1/rerank", {"model": "pair", "query": query, "documents": [*DOCUMENTS, document], "return_documents": True})
        assert code == 200 and got["model"] == "pair" and len(got["results"]) == 5
        scores = [r["relevance_score"] for r in got["results"]]
        assert scores == sorted(scores, reverse=True)
        mine = next(r for r in got["results"] if r["index"] == 4)
        assert near(mine["relevance_score"], 1 / (1 + math.exp(-case["logits"][0]))) and mine["document"] == {"text": document}
        assert got["usage"]["prompt_tokens"] == got["usage"]["total_tokens"] >= len(case["ids"])
        code, best = post(address, "/v1/rerank", {"model": "pair", "query": query, "documents": [*DOCUMENTS, {"text": document}], "top_n": 2})
        assert code == 200 and best["results"] == [{k: r[k] for k in ("index", "relevance_score")} for r in got["results"][:2]]


def check_classify(address):
    cases = [c for c in golden("sequence") if c["texts"][0]]
    code, got = post(address, "/v1/classify", {"model": "sequence", "input": [c["texts"][0] for c in cases]})
    assert code == 200 and got["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert got["usage"]["prompt_tokens"] == sum(len(c["ids"]) for c in cases)
    for i, (row, case) in enumerate(zip(got["data"], cases, strict=True)):
        e = [math.exp(x) for x in case["logits"]]
        assert row["index"] == i and row["num_classes"] == 3
        assert all(near(p, x / sum(e)) for p, x in zip(row["probs"], e, strict=True))
        assert row["label"] == f"LABEL_{e.index(max(e))}"


def check_words(address):
    want, cases = json.loads((GOLDEN / "tokens/spans.json").read_text()), golden("tokens")
    for case, spans in zip(cases, want["spans"], strict=True):
        text = case["texts"][0]
        if not text:
            continue
        code, got = post(address, "/v1/classify", {"model": "tokens", "input": text})
        assert code == 200 and got["labels"] == want["labels"] and got["data"][0]["num_classes"] == 5
        found = got["data"][0]["spans"]
        assert [[s["label"], s["start"], s["end"]] for s in found] == [s[:3] for s in spans]
        assert all(near(s["score"], w[3]) and s["text"] == text[w[1]:w[2]] for s, w in zip(found, spans))
    code, got = post(address, "/v1/classify", {"model": "tokens", "input": ["\u78c1\u76d8 the", "a"]})
    assert code == 200 and all(s["text"] == "\u78c1\u76d8 the"[s["start"]:s["end"]] for s in got["data"][0]["spans"])


def test_over_http(served):
    opsd, _ = served
    web = opsd.at("web")
    check_rerank(web)
    check_classify(web)
    check_words(web)
    rows = {m["name"]: m["job"] for m in opsd.rows("get", "models")}
    assert rows == {"tiny-f32": "embed", "pair": "rerank", "sequence": "classify", "tokens": "classify"}


def test_a_gguf_file_embeds(served):
    opsd, _ = served
    want = json.loads((conftest.ROOT / "tests/golden/bert_tiny/expect.json").read_text())
    for case in want:
        text = bytes.fromhex(case["hex"])
        if not text or "\x00" in text.decode("utf-8", "replace"):
            continue
        try:
            text = text.decode()
        except UnicodeDecodeError:
            continue
        code, got = post(opsd.at("web"), "/v1/embeddings", {"model": "tiny-f32", "input": text})
        assert code == 200 and got["usage"]["prompt_tokens"] == len(case["ids"])
        assert sum(a * b for a, b in zip(got["data"][0]["embedding"], case["stages"]["pooled"], strict=True)) > 0.99999


def test_what_is_wrong_is_said(served):
    opsd, _ = served
    web = opsd.at("web")
    for path, body, code, name, param in (
            ("/v1/rerank", {"model": "none", "query": "q", "documents": ["d"]}, 404, "model_not_found", "model"),
            ("/v1/rerank", {"model": "sequence", "query": "q", "documents": ["d"]}, 400, "model_not_supported", "model"),
            ("/v1/rerank", {"model": "pair", "documents": ["d"]}, 400, None, "query"),
            ("/v1/rerank", {"model": "pair", "query": "q", "documents": ["d"] * 257}, 400, None, "documents"),
            ("/v1/classify", {"model": "pair", "input": "d"}, 400, "model_not_supported", "model"),
            ("/v1/embeddings", {"model": "tokens", "input": "d"}, 400, "model_not_supported", "model"),
            ("/v1/classify", {"model": "sequence", "input": [1]}, 400, None, "input")):
        got, answer = post(web, path, body)
        assert got == code and answer["error"]["code"] == name and answer["error"]["param"] == param, answer
        assert answer["error"]["type"] == "invalid_request_error"


def test_the_worker_inside_yields(opsd):
    """Threads that compute are nicer than those of ingest by what the key says."""
    def nice():
        found = {}
        for task in pathlib.Path(f"/proc/{opsd.process.pid}/task").iterdir():
            name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            found.setdefault(name, set()).add(int(rest.split()[16]))
        return found
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for flags, want in (([], 5), (["--worker-nice", "0"], 0), (["--worker-nice", "19"], 19)):
        opsd.start("--worker-model", str(GGUF), "--worker-generator", "off", *flags)
        assert conftest.wait(lambda: opsd.rows("get", "models"), 30)
        threads = nice()
        assert threads["engine"] == {min(own + want, 19)} and threads["dispatch"] == {own}, threads
        opsd.stop()


def test_over_grpc(served):
    _, api = served
    cases = golden("pair")
    query, document = cases[0]["texts"]
    got = api.call("Rerank", model="pair", query=query, documents=[*DOCUMENTS, document], top_n=3)
    assert len(got.results) == 3 and got.model == "pair" and got.tokens > 0 and len(got.content_hash) == 32
    scores = [r.relevance_score for r in got.results]
    assert scores == sorted(scores, reverse=True)
    alone = api.call("Rerank", query=query, documents=[document])
    assert near(alone.results[0].relevance_score, 1 / (1 + math.exp(-cases[0]["logits"][0])))
    case = golden("sequence")[0]
    got = api.call("Classify", model="sequence", texts=case["texts"])
    e = [math.exp(x) for x in case["logits"]]
    assert all(near(p, x / sum(e)) for p, x in zip(got.scored.scores[0].probabilities, e, strict=True))
    want = json.loads((GOLDEN / "tokens/spans.json").read_text())["spans"][0]
    got = api.call("Classify", model="tokens", texts=golden("tokens")[0]["texts"])
    assert [[s.label, s.begin, s.end] for s in got.scored.spans] == [s[:3] for s in want]
    for rpc, fields, code in (("Rerank", {"model": "pair", "query": "q"}, grpc.StatusCode.INVALID_ARGUMENT),
                              ("Rerank", {"model": "pair", "documents": ["d"]}, grpc.StatusCode.INVALID_ARGUMENT),
                              ("Classify", {"model": "none", "texts": ["d"]}, grpc.StatusCode.NOT_FOUND)):
        with pytest.raises(grpc.RpcError) as wrong:
            api.call(rpc, **fields)
        assert wrong.value.code() == code


def test_on_the_command_line(served):
    opsd, _ = served
    query, document = golden("pair")[0]["texts"]
    rows = opsd.rows("model", "rerank", "pair", "--query", query, document, *DOCUMENTS)
    assert len(rows) == 5 and near(max(r["relevance_score"] for r in rows), rows[0]["relevance_score"])
    assert query not in opsd.ctl("model", "rerank", "pair", "--query", query, document).stdout
    rows = opsd.rows("model", "classify", "sequence", "out of memory", "a")
    assert len(rows) == 2 and all(r["label"].startswith("LABEL_") and 1 / 3 < r["probability"] <= 1 for r in rows)
    rows = opsd.rows("model", "classify", "tokens", "the database connection timed out")
    assert [[r["label"], r["words"]] for r in rows] == [["NET", "the"], ["NET", "timed out"]]


def test_on_a_workers_own_port(heads, tmp_path):
    for head, check in (("pair", check_rerank), ("sequence", check_classify), ("tokens", check_words)):
        log = tmp_path / f"{head}.log"
        with log.open("wb") as out:
            worker = subprocess.Popen([conftest.BIN / "opsd", "--role", "worker", "--worker-model", heads[head], "--worker-generator", "off",
                                       "--worker-http", "127.0.0.1:0", "--worker-coordinators", "127.0.0.1:9"], stderr=out)
        try:
            assert conftest.wait(lambda: "event=ready" in log.read_text() or worker.poll() is not None, 30)
            port = re.search(r"event=ready .*http=(\d+)", log.read_text()).group(1)
            check(f"127.0.0.1:{port}")
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0, log.read_text()
