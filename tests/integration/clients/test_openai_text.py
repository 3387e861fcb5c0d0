"""Text through the official OpenAI clients for Python and JavaScript, from a daemon with a real model that writes."""
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import urllib.error
import urllib.request

import jsonschema
import openai
import pytest

import conftest

MODEL = conftest.WRITER
ASKED = [{"role": "system", "content": "You are a terse assistant for people who run servers."}, {"role": "user", "content": "What does ENOSPC mean?"}]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["cause", "severity", "hosts"],
          "properties": {"cause": {"type": "string", "maxLength": 30}, "severity": {"enum": ["low", "high"]},
                         "hosts": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3}}}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    conftest.need_writer()
    opsd = conftest.Opsd(tmp_path_factory.mktemp("writer"))
    opsd.start("--worker-generator", str(conftest.MODELS / MODEL))
    client = openai.OpenAI(base_url=f"http://{opsd.at('web')}/v1", api_key="none", max_retries=0, timeout=120)
    assert conftest.wait(lambda: client.models.list().data, 60), opsd.text()
    yield opsd, client
    opsd.stop()


def say(client, **more):
    return client.chat.completions.create(**{"model": MODEL, "messages": ASKED, "max_tokens": 16, "temperature": 0, **more})


def test_plain(served):
    _, client = served
    assert [m.id for m in client.models.list()] == [MODEL]
    got = say(client)
    choice = got.choices[0]
    assert got.object == "chat.completion" and got.model == MODEL and got.id.startswith("chatcmpl-")
    assert choice.message.role == "assistant" and choice.message.content and choice.finish_reason == "length"
    assert got.usage.completion_tokens == 16 and got.usage.total_tokens == got.usage.prompt_tokens + 16
    assert choice.message.content.startswith(say(client, max_tokens=4).choices[0].message.content)


def test_a_stream_says_the_same(served):
    _, client = served
    whole = say(client, max_tokens=24)
    events = list(say(client, max_tokens=24, stream=True, stream_options={"include_usage": True}))
    assert events[0].choices[0].delta.role == "assistant"
    assert len({e.id for e in events}) == 1
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == whole.choices[0].message.content
    assert sum(1 for e in events if e.choices) > 10, "it came in few pieces"
    assert [e.choices[0].finish_reason for e in events if e.choices and e.choices[0].finish_reason] == [whole.choices[0].finish_reason]
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens and not events[-1].choices


def test_a_text_goes_on(served):
    _, client = served
    asked = {"model": MODEL, "prompt": "The disk is full, so", "max_tokens": 8, "temperature": 0}
    got = client.completions.create(**asked, echo=True)
    assert got.object == "text_completion" and got.choices[0].text.startswith(asked["prompt"]) and len(got.choices[0].text) > len(asked["prompt"])
    pieces = "".join(e.choices[0].text for e in client.completions.create(**asked, stream=True))
    assert asked["prompt"] + pieces == got.choices[0].text
    several = client.completions.create(**{**asked, "prompt": [asked["prompt"], "One, two, three,"]})
    assert several.choices[0].text == pieces and several.choices[1].text != pieces


def test_a_schema_is_kept(served):
    _, client = served
    for seed in range(3):
        got = say(client, temperature=1, seed=seed, max_tokens=200,
                  response_format={"type": "json_schema", "json_schema": {"name": "fault", "strict": True, "schema": SCHEMA}})
        assert got.choices[0].finish_reason == "stop"
        jsonschema.validate(json.loads(got.choices[0].message.content), SCHEMA)
    with pytest.raises(openai.BadRequestError, match="not: this keyword"):
        say(client, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}})
    chosen = say(client, temperature=1, extra_body={"guided_choice": ["db-3", "web-1"]})
    assert chosen.choices[0].message.content in ("db-3", "web-1")


TOOLS = [{"type": "function", "function": {"name": name, "description": what, "parameters": {
    "type": "object", "additionalProperties": False, "required": ["host"], "properties": {"host": {"enum": ["db-3", "web-1"]}}}}}
    for name, what in (("disk_usage", "How full a host's disks are."), ("restart", "Restarts a host."))]


def test_tools_are_called(served):
    _, client = served
    asked = [{"role": "user", "content": "How full is the disk of db-3?"}]
    whole = say(client, messages=asked, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "disk_usage"}}, max_tokens=100)
    call = whole.choices[0].message.tool_calls[0]
    assert call.id and call.function.name == "disk_usage" and whole.choices[0].finish_reason == "tool_calls"
    jsonschema.validate(json.loads(call.function.arguments), TOOLS[0]["function"]["parameters"])
    events = [e.choices[0] for e in say(client, messages=asked, tools=TOOLS, tool_choice="required", max_tokens=100, stream=True)]
    told = [c for e in events for c in e.delta.tool_calls or []]
    assert told[0].index == 0 and told[0].function.name in ("disk_usage", "restart") and json.loads(told[0].function.arguments)
    told = [*asked, whole.choices[0].message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "97 %"}]
    assert say(client, messages=told, tools=TOOLS, tool_choice="none").choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="names no function"):
        say(client, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "reboot"}})


def test_it_stops_where_it_is_told(served):
    _, client = served
    free = say(client, max_tokens=24).choices[0].message.content
    word = free.split()[3]
    got = say(client, max_tokens=24, stop=["\x01never", word]).choices[0]
    assert got.finish_reason == "stop" and got.message.content == free[:free.index(word)]


def test_a_seed_says_it_again(served):
    _, client = served
    once, again, other = (say(client, temperature=1.5, seed=s).choices[0].message.content for s in (7, 7, 8))
    assert once == again != other
    three = [c.message.content for c in say(client, temperature=1.5, seed=7, n=3).choices]
    assert three[0] == once and len(set(three)) == 3, "the answers to one request are copies"


def test_logprobs(served):
    _, client = served
    got = say(client, logprobs=True, top_logprobs=3).choices[0]
    tokens = got.logprobs.content
    assert len(tokens) == 16 and b"".join(bytes(t.bytes) for t in tokens).decode() == got.message.content
    for t in tokens:
        top = [x.logprob for x in t.top_logprobs]
        assert len(top) == 3 and top == sorted(top, reverse=True) and abs(t.logprob - top[0]) < 1e-6 and t.logprob <= 0
    text = client.completions.create(model=MODEL, prompt="The disk", max_tokens=5, temperature=0, logprobs=2).choices[0]
    assert "".join(text.logprobs.tokens) == text.text and len(text.logprobs.top_logprobs) == 5
    assert text.logprobs.text_offset == [len("".join(text.logprobs.tokens[:i])) for i in range(5)]


def test_what_was_computed_is_not_computed_again(served):
    _, client = served
    long = [{"role": "system", "content": "Rules of this house: " + "never restart the database before the replica has caught up. " * 12}, ASKED[1]]
    first, second = (say(client, messages=long, max_tokens=4) for _ in range(2))
    assert first.usage.prompt_tokens == second.usage.prompt_tokens
    assert second.usage.prompt_tokens_details.cached_tokens > 0.8 * second.usage.prompt_tokens
    assert first.choices[0].message.content == second.choices[0].message.content


def test_many_at_once_are_each_answered_alone(served):
    _, client = served
    asked = [[{"role": "user", "content": f"Count from {i}."}] for i in range(32)]
    alone = [say(client, messages=asked[i], max_tokens=8).choices[0].message.content for i in (0, 31)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        got = list(pool.map(lambda m: say(client, messages=m, max_tokens=8).choices[0].message.content, asked))
    assert [got[0], got[31]] == alone, "an answer hangs on what shares its steps"


def say_much(client, **more):
    """What takes a while, whatever the model would like to say."""
    return say(client, max_tokens=6000, extra_body={"guided_grammar": "root ::= [a-z ]{20000}"}, **more)


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_is_not_written_for(served, stream):
    opsd, client = served
    if stream:
        events = say_much(client, stream=True)
        next(iter(events))
        assert conftest.wait(lambda: opsd.metric("opsd_model_requests", state="running") == 1, 20)
        events.close()
    else:
        with pytest.raises(openai.APITimeoutError):
            say_much(client.with_options(timeout=2))
    assert conftest.wait(lambda: opsd.metric("opsd_model_requests", state="running") == 0, 10), "it is still being written"
    assert say(client, max_tokens=2).choices[0].message.content


def test_a_worker_lost_in_the_middle_is_an_error_to_the_client(opsd, tmp_path):
    conftest.need_writer()
    opsd.start()
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen([conftest.BIN / "opsd", "--role", "worker", "--worker-model", "off", "--worker-generator", str(conftest.MODELS / MODEL),
                                   "--worker-coordinators", opsd.at("api")], stderr=log)
    try:
        client = openai.OpenAI(base_url=f"http://{opsd.at('web')}/v1", api_key="none", max_retries=0, timeout=120)
        assert conftest.wait(lambda: client.models.list().data, 60), (tmp_path / "worker.log").read_text()
        events = say_much(client, stream=True)
        assert next(events).choices[0].delta.role == "assistant"
        worker.kill()
        with pytest.raises(openai.APIError) as wrong:
            list(events)
        assert not isinstance(wrong.value, openai.APIConnectionError), "the stream was cut, not ended with a reason"
        assert conftest.wait(lambda: not client.models.list().data, 20)
        with pytest.raises(openai.InternalServerError) as wrong:
            say(client)
        assert wrong.value.status_code == 503 and wrong.value.code == "no_worker"
    finally:
        worker.kill()
        worker.wait(10)


def test_what_can_not_be_is_said_with_its_numbers(served):
    opsd, client = served
    with pytest.raises(openai.BadRequestError, match="8192|context"):
        say(client, max_tokens=10_000_000)
    with pytest.raises(openai.BadRequestError) as wrong:
        say(client, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}])
    assert wrong.value.param == "messages[0].content[0].type"
    with pytest.raises(openai.NotFoundError) as wrong:
        say(client, model="gpt-99")
    assert wrong.value.code == "model_not_found" and wrong.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="makes no vectors"):
        client.embeddings.create(model=MODEL, input="x")
    for body in (b"", b"[]", b"{", b'{"model":"' + MODEL.encode() + b'","messages":[{"role":"user","content":"\\u0000"}]}'):
        with pytest.raises(urllib.error.HTTPError) as wrong:
            urllib.request.urlopen(f"http://{opsd.at('web')}/v1/chat/completions", data=body, timeout=20)
        assert wrong.value.code == 400 and "message" in json.load(wrong.value)["error"]
    assert opsd.process.poll() is None


def test_javascript(served):
    opsd, client = served
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    home = pathlib.Path(__file__).parent / "openai-js"
    got = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=home, capture_output=True, text=True, timeout=300)
    if got.returncode != 0:
        pytest.skip("npm cannot fetch the client: " + got.stderr.strip()[-200:])
    got = subprocess.run(["node", "write.mjs", f"http://{opsd.at('web')}/v1", MODEL, json.dumps(ASKED), json.dumps(SCHEMA)],
                         cwd=home, capture_output=True, text=True, timeout=180)
    assert got.returncode == 0, got.stderr
    said = json.loads(got.stdout)
    assert said["plain"] == said["streamed"] == say(client).choices[0].message.content
    assert said["usage"]["completion_tokens"] == 16
    assert len(said["two"]) == 2 and said["two"][0] != said["two"][1]
    jsonschema.validate(json.loads(said["json"]), SCHEMA)
    assert said["wrong"] == {"status": 400, "param": "temperature"}
    assert conftest.wait(lambda: opsd.metric("opsd_model_requests", state="running") == 0, 10), "what was aborted is still being written"
