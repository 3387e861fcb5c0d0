"""ModelService with a real daemon, real workers and a real client: asked, overloaded, left, killed; models at run time. The model
is small and writes nonsense; what is looked at is the way of its answers."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import grpc
import pytest

import conftest

sys.path.insert(0, os.path.dirname(__file__))
import modelapi  # noqa: E402

WRITER = conftest.ROOT / "tests/golden/lm/writer.gguf"
TINY = conftest.ROOT / "tests/golden/bert_tiny"
LONG = {"tokens_max": 480, "stream": True}
# Exactly so many letters: the model has no way to end early.
LETTERS = 'root ::= [a-z]{470,470}'


@pytest.fixture
def models(opsd):
    opsd.start("--worker-generator", str(WRITER), "--worker-generator-sequences", "8")
    api = modelapi.Models(opsd.at("api"))
    assert conftest.wait(lambda: [m.name for m in api.call("ListModels").models] == ["writer"], 30)
    yield api
    api.close()
    opsd.stop()


def long_task(api, seed=1):
    return {"prompt": "once", "form": api.message("AnswerForm", ebnf=LETTERS), "sampling": api.message("Sampling", temperature=1, seeded=True, seed=seed), **LONG}


def use(api, name="writer"):
    return api.call("GetModel", name=name).use


def ends(call):
    try:
        return grpc.StatusCode.OK, "".join(p.delta.text for p in call)
    except grpc.RpcError as err:
        return err.code(), err.details()


def retry_seconds(err):
    """RetryInfo of a google.rpc.Status, which a client of opsd may rely on."""
    from google.protobuf import any_pb2  # noqa: F401
    from google.rpc import error_details_pb2, status_pb2
    raw = dict(err.trailing_metadata()).get("grpc-status-details-bin")
    for detail in status_pb2.Status.FromString(raw).details:
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return None


def test_answers(models):
    text, end = models.answer(prompt="once upon", tokens_max=12, stream=True)
    assert end.model == "writer" and end.end.prompt_tokens > 0 and 1 <= end.end.completion_tokens <= 12
    again, _ = models.answer(prompt="once upon", tokens_max=12)
    assert again == text  # greedy, told together or piece by piece
    choices = models.message("AnswerForm", choices={"text": ["disk full", "network"]})
    chat = [models.message("ChatMessage", role="system", content="be brief"), models.message("ChatMessage", role="user", content="why?")]
    assert models.answer(messages=chat, form=choices)[0] in ("disk full", "network")
    seeded = dict(prompt="x", tokens_max=20, sampling=models.message("Sampling", temperature=1, seeded=True, seed=5))
    assert models.answer(**seeded) == models.answer(**seeded)
    schema = json.dumps({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False})
    told = models.answer(prompt="x", form=models.message("AnswerForm", json_schema=schema))[0]
    assert set(json.loads(told)) == {"ok"}
    assert models.answer(prompt="abc", echo=True, tokens_max=3)[0].startswith("abc")
    tokens = [t for p in models.generate(prompt="x", tokens_max=3, logprobs=True, top_logprobs=2, stream=True) for t in p.delta.tokens]
    assert len(tokens) <= 3 and all(t.chosen.text and t.chosen.logprob <= 0 and len(t.top) == 2 for t in tokens)
    assert all(t.top[0].logprob >= t.top[1].logprob for t in tokens)


def test_calls_of_tools(models):
    ask = [models.message("ChatMessage", role="user", content="t?")]
    tool = models.message("Tool", name="go", parameters='{"enum":[{"u":1}]}')
    parts = list(models.generate(messages=ask, tools=[tool], tool_choice=2, stream=True))
    calls = [c for p in parts for c in p.delta.tool_calls]
    assert calls and all(c.name == "go" and json.loads(c.arguments) == {"u": 1} and c.id for c in calls)
    assert len({c.id for c in calls}) == len(calls)
    assert parts[-1].end.finish_reason == 3 and not any(p.delta.text for p in parts)
    code, why = ends(models.generate(messages=ask, tools=[tool], tool_choice=2, tool="other"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "other" in why


def test_refused_with_the_numbers(models):
    code, why = ends(models.generate(prompt="word " * 2000))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "512" in why, why
    code, why = ends(models.generate(prompt="x", tokens_max=600))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "600" in why and "512" in why, why
    code, why = ends(models.generate(prompt="x", form=models.message("AnswerForm", json_schema="{")))
    assert code == grpc.StatusCode.INVALID_ARGUMENT, why
    code, why = ends(models.generate(messages=[models.message("ChatMessage", role="robot", content="x")]))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "messages[0].role" in why, why
    code, why = ends(models.generate(prompt="x", sampling=models.message("Sampling", top_p=3.0)))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "top_p" in why, why
    assert ends(models.generate(prompt="x", model="other"))[0] == grpc.StatusCode.NOT_FOUND
    assert ends(models.generate(prompt="x" * (5 << 20)))[0] in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
    with pytest.raises(grpc.RpcError) as err:  # nothing embeds here
        models.call("Embed", texts=["x"])
    assert err.value.code() == grpc.StatusCode.UNAVAILABLE and retry_seconds(err.value) > 0
    assert models.answer(prompt="x", tokens_max=2)[1].model == "writer"


def test_a_client_that_goes_away_frees_its_blocks(models, opsd):
    calls = [models.generate(**long_task(models, seed)) for seed in range(24)]  # eight are written at once, the others wait
    for call in calls[:4]:
        next(call)
    for call in calls:
        call.cancel()
    assert conftest.wait(lambda: use(models).running == 0 and use(models).waiting == 0 and use(models).blocks_used == 0 and use(models).cancelled > 0, 30)
    assert use(models).done + use(models).cancelled <= 24
    assert opsd.metric("opsd_model_blocks", model="writer", state="used") == 0 < opsd.metric("opsd_model_blocks", model="writer", state="all")
    code, text = ends(models.generate(**long_task(models)))
    assert code == grpc.StatusCode.OK and len(text) == 470


def test_many_at_once(models):
    calls = [models.generate(**long_task(models, seed)) for seed in range(64)]
    got = [ends(call) for call in calls]
    assert all(code == grpc.StatusCode.OK and len(text) == 470 for code, text in got)
    assert len({text for _, text in got}) > 32
    one = ends(models.generate(**long_task(models, 7)))
    assert one == got[7]  # alone as among others


def test_models_at_run_time(models, opsd):
    rows = {m["name"]: m for m in opsd.rows("get", "models")}
    assert rows["writer"]["job"] == "generate"
    assert opsd.ctl("model", "load", str(TINY)).returncode == 0
    assert [m["name"] for m in opsd.rows("get", "models")] == ["writer", "bert_tiny"]
    got = models.call("Embed", texts=["disk full", "disk full", "network"])
    assert got.model == "bert_tiny" and len(got.vectors) == 3 and got.vectors[0] == got.vectors[1] != got.vectors[2]
    again = opsd.ctl("model", "load", str(TINY), check=False)
    assert again.returncode == 6 and "bert_tiny" in again.stderr
    none = opsd.ctl("model", "load", "no-such-model", check=False)
    assert none.returncode == 5 and "no-such-model" in none.stderr
    out = opsd.ctl("model", "load", "../etc", check=False)
    assert out.returncode != 0
    broken = opsd.folder / "broken.gguf"
    broken.write_bytes(WRITER.read_bytes()[:5000])
    assert opsd.ctl("model", "load", str(broken), check=False).returncode == 1
    assert opsd.ctl("model", "load", str(WRITER), "--name", "second", "--worker", "local").returncode == 0
    assert models.answer(prompt="x", model="second", tokens_max=2)[1].model == "second"
    assert opsd.ctl("model", "load", str(WRITER), "--worker", "nobody", check=False).returncode == 5
    running = models.generate(model="second", **long_task(models))
    next(running)
    assert opsd.ctl("model", "unload", "second").returncode == 0
    assert ends(running)[0] in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK)  # broken off, or it was done first
    assert opsd.ctl("model", "unload", "second", check=False).returncode == 5
    table = opsd.ctl("get", "models").stdout
    assert table.splitlines()[0].split()[:2] == ["MODEL", "JOB"] and "second" not in table
    assert "模型" in opsd.ctl("get", "models", "--lang", "zh").stdout
    assert "writer,bert_tiny" in opsd.ctl("get", "workers").stdout


def test_roles_and_tenants(opsd):
    tokens = opsd.folder / "tokens"
    tokens.write_text("in ingest acme token:in-token\nann viewer acme token:ann-token\neve viewer other token:eve-token\nbob operator acme token:bob-token\n")
    tokens.chmod(0o600)
    opsd.start("--worker-generator", str(WRITER), "--access-tokens", str(tokens))
    ann, bob = modelapi.Models(opsd.at("api"), "ann-token"), modelapi.Models(opsd.at("api"), "bob-token")
    assert conftest.wait(lambda: len(ann.call("ListModels").models) == 1, 30)
    assert ann.answer(prompt="x", tokens_max=2)[1].model == "writer"
    eve = modelapi.Models(opsd.at("api"), "eve-token")
    prompt = "the same long start of a prompt " * 4
    assert ann.answer(prompt=prompt, tokens_max=2)[1].end.cached_tokens == 0
    assert ann.answer(prompt=prompt, tokens_max=2)[1].end.cached_tokens > 0
    # nobody learns by how fast it goes what another tenant asked, nor by naming it
    assert eve.answer(prompt=prompt, tokens_max=2)[1].end.cached_tokens == 0
    assert eve.answer(prompt=prompt, tokens_max=2, salt="acme")[1].end.cached_tokens > 0  # its own
    for who, want in ((modelapi.Models(opsd.at("api"), "in-token"), grpc.StatusCode.PERMISSION_DENIED), (modelapi.Models(opsd.at("api")), grpc.StatusCode.UNAUTHENTICATED)):
        assert ends(who.generate(prompt="x"))[0] == want
    with pytest.raises(grpc.RpcError) as err:
        ann.call("UnloadModel", name="writer")
    assert err.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert bob.call("UnloadModel", name="writer").changes[0].done
    opsd.stop()


# --- workers of their own ---

@pytest.fixture
def fleet(opsd, tmp_path):
    """A coordinator alone, and as many workers as the test wants."""
    opsd.start("--role", "coordinator")
    started = []

    def start(*flags):
        log = tmp_path / f"worker-{len(started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([conftest.BIN / "opsd", "--role", "worker", "--worker-coordinators", opsd.at("api"), "--worker-model", "off",
                                        "--worker-generator", str(WRITER), *flags], stderr=out)
        started.append(process)
        assert conftest.wait(lambda: log.read_text().count("event=worker_attached") == 3 or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        return process

    api = modelapi.Models(opsd.at("api"))
    yield api, start
    api.close()
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    opsd.stop()


def places(api):
    got = api.call("ListModels").models
    return len(got[0].places) if got else 0


def test_a_worker_is_killed_in_the_middle_of_an_answer(fleet):
    api, start = fleet
    first = start("--worker-generator-sequences", "1")
    assert conftest.wait(lambda: places(api) == 1, 30)
    told, waits = api.generate(timeout=60, **long_task(api)), None
    next(told)
    first.send_signal(signal.SIGSTOP)
    waits = api.generate(timeout=60, **long_task(api, 2))  # goes to the same worker: there is no other
    time.sleep(0.3)
    start()
    assert conftest.wait(lambda: places(api) == 2, 30)
    first.kill()
    first.wait(10)
    code, why = ends(told)
    assert code == grpc.StatusCode.UNAVAILABLE and "broke the answer off" in why, (code, why)
    code, text = ends(waits)
    assert code == grpc.StatusCode.OK and len(text) == 470  # nothing of it was told, so the other worker wrote it
    assert conftest.wait(lambda: places(api) == 1, 30)
    code, text = ends(api.generate(**long_task(api, 3)))
    assert code == grpc.StatusCode.OK and len(text) == 470


def test_two_workers_share_and_a_killed_one_costs_its_own_answers(fleet):
    api, start = fleet
    one, _ = start(), start()
    assert conftest.wait(lambda: places(api) == 2, 30)
    calls = [api.generate(**long_task(api, seed)) for seed in range(40)]
    next(calls[0])
    one.kill()
    one.wait(10)
    got = [ends(call) for call in calls]
    assert {code for code, _ in got} <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert all(len(text) in (470, 469, 468) or code != grpc.StatusCode.OK or i == 0 for i, (code, text) in enumerate(got))
    assert all(f"-{one.pid} broke the answer off" in why for code, why in got if code != grpc.StatusCode.OK), got
    assert sum(code == grpc.StatusCode.OK for code, _ in got) >= 10  # those of the other worker, at least
    assert conftest.wait(lambda: places(api) == 1 and use(api).running == 0 and use(api).blocks_used == 0, 30)


def test_a_lone_worker_without_a_model_waits_for_one(fleet):
    api, start = fleet
    start("--worker-generator", "off")
    with pytest.raises(grpc.RpcError) as err:
        list(api.generate(prompt="x"))
    assert err.value.code() == grpc.StatusCode.UNAVAILABLE and retry_seconds(err.value) > 0
    got = api.call("LoadModel", path=str(WRITER)).changes
    assert len(got) == 1 and got[0].done
    assert api.answer(prompt="x", tokens_max=2)[1].model == "writer"
    assert re.fullmatch(r"\S+-\d+", got[0].worker_id)
