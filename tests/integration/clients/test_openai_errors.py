"""What the official Python client makes of refusals: its exception classes, and the codes that programs look at. The model is small
and writes nonsense."""
import http.client
import json
import re
import socket

import openai
import pytest

import conftest

WRITER = conftest.ROOT / "tests/golden/lm/writer.gguf"
HELLO = [{"role": "user", "content": "hello"}]


def client_of(opsd, key="none"):
    return openai.OpenAI(base_url=f"http://{opsd.at('web')}/v1", api_key=key, max_retries=0)


@pytest.fixture
def served(opsd):
    opsd.start("--worker-generator", str(WRITER))
    client = client_of(opsd)
    assert conftest.wait(lambda: client.models.list().data, 30), opsd.text()
    return opsd, client


@pytest.mark.parametrize("stream", [False, True])
def test_a_context_that_is_too_short(served, stream):
    opsd, client = served
    context = json.loads(opsd.ctl("get", "models", "-o", "json").stdout)["tokensMax"]
    ways = [(lambda: client.completions.create(model="writer", prompt="once " * context, stream=stream), "prompt"),
            (lambda: client.completions.create(model="writer", prompt="once", max_tokens=context, stream=stream), "prompt")]
    for way, param in ways:
        with pytest.raises(openai.BadRequestError) as wrong:
            way()
        e = wrong.value
        assert e.status_code == 400 and e.code == "context_length_exceeded" and e.type == "invalid_request_error" and e.param == param
        assert re.search(rf"maximum context length is {context} tokens", e.message), e.message


def test_a_chat_that_is_too_long(served):
    opsd, client = served
    conftest.need_writer()
    opsd.ctl("model", "load", str(conftest.MODELS / "SmolLM2-135M-Instruct"), "--timeout", "60s")
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="SmolLM2-135M-Instruct", messages=HELLO, max_tokens=10_000_000)
    e = wrong.value
    assert e.code == "context_length_exceeded" and e.param == "messages" and "8192 tokens" in e.message and "10000000" in e.message


def test_other_codes(served):
    opsd, client = served
    with pytest.raises(openai.NotFoundError) as wrong:
        client.chat.completions.create(model="gpt-99", messages=HELLO)
    assert (wrong.value.code, wrong.value.param, wrong.value.type) == ("model_not_found", "model", "invalid_request_error")
    for extra, param in (({"functions": [{"name": "f", "parameters": {}}]}, "functions"), ({"logit_bias": {"5": 1}}, "logit_bias")):
        with pytest.raises(openai.BadRequestError) as wrong:
            client.chat.completions.create(model="writer", messages=HELLO, **extra)
        assert (wrong.value.code, wrong.value.param, wrong.value.type) == ("unsupported_parameter", param, "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="writer", messages=HELLO, temperature=9)
    assert wrong.value.param == "temperature" and wrong.value.code is None
    announced = http.client.HTTPConnection(opsd.at("web"), timeout=20)  # a body that is not sent
    announced.putrequest("POST", "/v1/completions")
    announced.putheader("Content-Length", str(1 << 30))
    announced.endheaders()
    answer = announced.getresponse()
    assert answer.status == 413 and json.loads(answer.read())["error"]["type"] == "invalid_request_error"
    announced.close()


def test_keys(opsd, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("ci viewer default token:let-me-in-please\n")
    tokens.chmod(0o600)
    opsd.start("--worker-generator", str(WRITER), "--access-tokens", str(tokens))
    with pytest.raises(openai.AuthenticationError) as wrong:
        client_of(opsd, "wrong").models.list()
    assert (wrong.value.status_code, wrong.value.code, wrong.value.type) == (401, "invalid_api_key", "authentication_error")
    assert client_of(opsd, "let-me-in-please").models.list() is not None


def test_a_queue_that_is_full(served):
    """The dispatch holds 4,096 tasks; a request of 8 prompts with 8 answers each is 64. The letters keep the model at it."""
    opsd, client = served
    body = {"model": "writer", "prompt": ["once"] * 8, "n": 8, "max_tokens": 480, "stream": True, "guided_grammar": "root ::= [a-z]{470,470}"}
    data = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    host, port = opsd.at("web").split(":")
    plain = {k: v for k, v in body.items() if k != "guided_grammar"}
    waiting, refusals = [], []

    def come():
        waiting.append(socket.create_connection((host, int(port)), 20))
        waiting[-1].sendall(head + data)

    def refused():
        """Requests that came together may each have found no room for their last task; and some answers end meanwhile."""
        come()
        if opsd.metric("opsd_tasks", fate="waiting") + opsd.metric("opsd_tasks", fate="running") > 4096 - 64:
            try:
                client.completions.create(**plain, timeout=2)
            except openai.RateLimitError as e:
                refusals.append(e)
            except openai.APITimeoutError:
                pass  # there was room: it waits behind the others
        return refusals
    try:
        for _ in range(60):
            come()
        assert conftest.wait(refused, 60)
        e = refusals[0]
        assert e.status_code == 429 and e.code == "rate_limit_exceeded" and e.type == "rate_limit_error"
        assert int(e.response.headers["retry-after"]) >= 1
    finally:
        for s in waiting:
            s.close()
    assert conftest.wait(lambda: opsd.metric("opsd_model_requests", state="running") == 0, 30), "who went is still written for"
    assert conftest.wait(lambda: opsd.metric("opsd_tasks", fate="running") == 0 == opsd.metric("opsd_tasks", fate="waiting"), 30)
    assert opsd.metric("opsd_http_clients_gone", port="web") >= 60
    route = {"port": "web", "method": "POST", "route": "/v1/completions"}
    assert opsd.metric("opsd_http_requests", outcome="gone", **route) >= 60 and opsd.metric("opsd_http_requests", outcome="refused", **route) >= 1


def test_what_was_asked_is_counted(served):
    opsd, client = served
    before = {k: opsd.metric("opsd_task_tokens", kind=k) for k in ("in", "cached", "out")}
    said = [client.completions.create(model="writer", prompt="once upon a time " * 8, max_tokens=8) for _ in range(2)]
    events = list(client.completions.create(model="writer", prompt="once", max_tokens=8, stream=True, stream_options={"include_usage": True}))
    usage = [s.usage for s in said] + [events[-1].usage]
    after = {k: opsd.metric("opsd_task_tokens", kind=k) - v for k, v in before.items()}
    assert after["in"] == sum(u.prompt_tokens for u in usage) and after["out"] == sum(u.completion_tokens for u in usage)
    assert after["cached"] == sum(u.prompt_tokens_details.cached_tokens for u in usage)
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="writer", prompt="once", max_tokens=10_000_000)
    route = {"port": "web", "method": "POST", "route": "/v1/completions"}
    assert opsd.metric("opsd_http_requests", outcome="done", **route) == 3
    assert opsd.metric("opsd_http_requests", outcome="refused", **route) == 1
    assert opsd.metric("opsd_tasks", fate="done") >= 3 and opsd.metric("opsd_tasks", fate="failed") == 1
