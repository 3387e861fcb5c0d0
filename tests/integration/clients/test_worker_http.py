"""A lone worker's own HTTP port: the OpenAI API, and the contract of a custom container on Vertex AI."""
import http.client
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

import openai
import pytest

import conftest

MODEL = conftest.MODEL


@pytest.fixture
def worker(tmp_path):
    conftest.need_model()
    started = []

    def start(*flags, **env):
        log = tmp_path / f"worker-{len(started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([conftest.BIN / "opsd", "--role", "worker", "--worker-model", conftest.MODELS / MODEL, "--worker-generator", "off", *flags], stderr=out,
                                       env={**{k: v for k, v in os.environ.items() if not k.startswith("AIP_")}, **env})
        started.append(process)
        conftest.wait(lambda: "event=ready" in log.read_text() or process.poll() is not None, 60)
        port = re.search(r"event=ready .*http=(\d+)", log.read_text())
        return process, port and int(port.group(1)), log

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def ask(port, path, body=None):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data), timeout=30) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as err:
        return err.code, err.read()


def announced(port, path, size):
    """The answer to a body that is announced and not sent."""
    http_client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    http_client.putrequest("POST", path)
    http_client.putheader("Content-Length", str(size))
    http_client.endheaders()
    try:
        return http_client.getresponse().status
    finally:
        http_client.close()


def test_openai_without_any_coordinator(worker):
    process, port, log = worker("--worker-http", "127.0.0.1:0", "--worker-coordinators", "")
    assert process.poll() is None, log.read_text()
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    assert conftest.wait(lambda: ask(port, "/readyz")[0] == 200, 20)
    assert [m.id for m in client.models.list()] == [MODEL]
    assert len(client.embeddings.create(model=MODEL, input="disk full").data[0].embedding) == 384
    assert ask(port, "/predict", {"instances": ["x"]})[0] == 404, "the container's routes are the container's"


def test_a_worker_serves_its_coordinator_and_others(worker, opsd):
    opsd.start()
    _, port, _ = worker("--worker-http", "127.0.0.1:0", "--worker-coordinators", opsd.at("api"))
    both = [openai.OpenAI(base_url=f"http://{at}/v1", api_key="none", max_retries=0) for at in (f"127.0.0.1:{port}", opsd.at("web"))]
    assert all(conftest.wait(lambda c=c: c.models.list().data, 30) for c in both)
    one, two = (c.embeddings.create(model=MODEL, input="disk full", encoding_format="float").data[0].embedding for c in both)
    assert one == two


def test_the_contract_of_a_custom_container(worker):
    process, port, log = worker(AIP_HTTP_PORT="0", AIP_HEALTH_ROUTE="/ping", AIP_PREDICT_ROUTE="/v1/endpoints/1/deployedModels/2:predict")
    assert process.poll() is None, log.read_text()
    assert conftest.wait(lambda: ask(port, "/ping")[0] == 200, 20)
    route = "/v1/endpoints/1/deployedModels/2:predict"
    code, body = ask(port, route, {"instances": ["disk full", {"content": "no space left"}], "parameters": {}})
    assert code == 200
    values = [p["embeddings"]["values"] for p in json.loads(body)["predictions"]]
    assert [len(v) for v in values] == [384, 384] and abs(sum(x * x for x in values[0]) - 1) < 1e-4
    code, body = ask(port, route, {"instances": ["fine", 7]})
    assert code == 400 and "instance 1" in json.loads(body)["error"]
    assert ask(port, route, b"{")[0] == 400
    assert announced(port, route, 1600000) == 413
    assert ask(port, "/v1/models")[0] == 200


def test_a_container_may_write(worker):
    conftest.need_writer()
    route = "/predict"
    process, port, log = worker("--worker-model", "off", "--worker-generator", str(conftest.MODELS / conftest.WRITER), AIP_HTTP_PORT="0")
    assert process.poll() is None, log.read_text()
    assert conftest.wait(lambda: ask(port, "/health")[0] == 200, 60)
    asked = {"instances": [{"prompt": "The disk is full, so"}, {"messages": [{"role": "user", "content": "Name a colour."}]}],
             "parameters": {"temperature": 0, "maxOutputTokens": 5}}
    code, body = ask(port, route, asked)
    assert code == 200, body
    said = json.loads(body)
    assert [bool(p["content"]) for p in said["predictions"]] == [True, True] and said["predictions"][0]["finishReason"] == "MAX_TOKENS"
    assert said["metadata"]["tokenMetadata"]["outputTokenCount"]["totalTokens"] <= 10
    code, body = ask(port, route, {"instances": ["a text"]})
    assert code == 400 and "makes vectors" in json.loads(body)["error"]
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    got = client.completions.create(model=conftest.WRITER, prompt=asked["instances"][0]["prompt"], max_tokens=5, temperature=0)
    assert got.choices[0].text == said["predictions"][0]["content"]


@pytest.mark.parametrize("flags, env, says", [
    ([], {"AIP_HTTP_PORT": "http"}, "AIP_HTTP_PORT"),
    ([], {"AIP_HTTP_PORT": "0", "AIP_PREDICT_ROUTE": "predict"}, "AIP_PREDICT_ROUTE"),
    (["--worker-coordinators", ""], {}, "nobody could ask this worker"),
    (["--worker-http", "0.0.0.0:0"], {}, "worker.http"),
])
def test_what_can_not_be_is_said(worker, flags, env, says):
    process, _, log = worker(*flags, **env)
    assert process.wait(30) != 0
    assert says in log.read_text()
