"""The official OpenAI clients for Python and JavaScript against a daemon with the real model."""
import json
import math
import pathlib
import shutil
import subprocess

import openai
import pytest

import conftest

MODEL = conftest.MODEL
TEXTS = ["disk is full on db-3", "no space left on device", "a user logged in"]


@pytest.fixture
def served(opsd):
    conftest.need_model()
    opsd.start("--worker-model", str(conftest.MODELS / MODEL), "--worker-generator", "off")
    client = openai.OpenAI(base_url=f"http://{opsd.at('web')}/v1", api_key="none", max_retries=0)
    assert conftest.wait(lambda: client.models.list().data, 60), opsd.text()
    return opsd, client


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_python(served):
    _, client = served
    assert [m.id for m in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "opsd"
    floats = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
    packed = client.embeddings.create(model=MODEL, input=TEXTS)  # this client asks for base64 unless told otherwise
    assert [d.index for d in floats.data] == [0, 1, 2]
    for a, b in zip(floats.data, packed.data):
        assert len(a.embedding) == 384 and max(abs(x - y) for x, y in zip(a.embedding, b.embedding)) < 1e-7
    v = [d.embedding for d in floats.data]
    assert cosine(v[0], v[1]) > cosine(v[0], v[2])
    assert floats.usage.prompt_tokens == floats.usage.total_tokens > 3 * 5
    one = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float").data[0].embedding
    assert max(abs(x - y) for x, y in zip(one, v[0])) < 1e-6, "a text's vector hangs on what else is asked"


def test_python_errors(served):
    opsd, client = served
    with pytest.raises(openai.NotFoundError) as wrong:
        client.embeddings.create(model="gpt-99", input="x")
    assert wrong.value.code == "model_not_found" and wrong.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="token ids"):
        client.embeddings.create(model=MODEL, input=[1, 2, 3])
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model=MODEL, input="x", dimensions=100)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-99")
    assert opsd.process.poll() is None


def test_a_token_is_an_api_key(served, tmp_path):
    opsd, _ = served
    opsd.stop()
    tokens = tmp_path / "tokens"
    tokens.write_text("ci viewer default token:let-me-in-please\n")
    tokens.chmod(0o600)
    opsd.start("--worker-model", str(conftest.MODELS / MODEL), "--worker-generator", "off", "--access-tokens", str(tokens))
    base = f"http://{opsd.at('web')}/v1"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=base, api_key="wrong", max_retries=0).models.list()
    client = openai.OpenAI(base_url=base, api_key="let-me-in-please", max_retries=0)
    assert conftest.wait(lambda: client.models.list().data, 60)
    assert client.embeddings.create(model=MODEL, input="x").data


def test_javascript(served, tmp_path):
    opsd, _ = served
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    home = pathlib.Path(__file__).parent / "openai-js"
    got = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=home, capture_output=True, text=True, timeout=300)
    if got.returncode != 0:
        pytest.skip("npm cannot fetch the client: " + got.stderr.strip()[-200:])
    got = subprocess.run(["node", "ask.mjs", f"http://{opsd.at('web')}/v1", MODEL, *TEXTS], cwd=home, capture_output=True, text=True, timeout=60)
    assert got.returncode == 0, got.stderr
    said = json.loads(got.stdout)
    assert said["models"] == [MODEL] and said["wrong"] == {"status": 404, "code": "model_not_found"}
    assert cosine(said["vectors"][0], said["vectors"][1]) > cosine(said["vectors"][0], said["vectors"][2])
