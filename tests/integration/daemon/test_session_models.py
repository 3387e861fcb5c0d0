"""A worker learns a service's requests, scores later ones, and says what it expected; killed in between, it costs nothing."""
import subprocess
import time

import pytest

from conftest import wait
from test_live_sequences import STEPS, Shop, findings


class Worker:
    def __init__(self, opsd):
        self.log = opsd.folder / f"worker-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([opsd.program("opsd"), "--role", "worker", "--worker-model", "off", "--worker-generator", "off",
                                             "--worker-coordinators", opsd.at("api")], stderr=log)
        assert wait(lambda: "event=worker_attached" in self.text(), 30), self.text()

    def text(self):
        return self.log.read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def workers():
    started = []
    yield started
    for worker in started:
        worker.kill()


def trained(opsd):
    return opsd.metric("opsd_session_models", state="trained")


def run_until(shop, opsd, what, chunks):
    """A minute less of traffic at a time, so that what is scored comes back within its minute of the stream's own time."""
    for _ in range(chunks):
        before = opsd.metric("opsd_session_scores")
        shop.run(40)
        wait(lambda: opsd.metric("opsd_session_scores") > before or what(), 10)
        if what():
            return
    assert what(), opsd.text()


def learn(shop, opsd):
    shop.run(500)
    run_until(shop, opsd, lambda: opsd.metric("opsd_session_trainings", fate="asked") > 0, 40)


def test_a_model_is_trained_scores_and_gives_the_words(opsd, workers):
    opsd.start("--analysis-commit-interval", "100ms")
    workers.append(Worker(opsd))
    shop = Shop(opsd)
    learn(shop, opsd)
    assert wait(lambda: trained(opsd) == 1, 120), opsd.text()
    assert opsd.metric("opsd_session_trainings", fate="done") == 1
    run_until(shop, opsd, lambda: opsd.metric("opsd_session_models", state="judging") == 1, 60)
    assert opsd.metric("opsd_session_scores") >= 499
    assert opsd.metric("opsd_session_work_refused", why="answer_misfit") == 0
    assert findings(opsd) == []
    # It is kept over a restart: nothing is trained again.
    assert wait(lambda: all(p["position"] == p["nextOffset"] for p in opsd.rows("get", "partitions")), 20)
    opsd.kill()
    opsd.start()
    workers.append(Worker(opsd))
    shop.sent = 0
    assert trained(opsd) == 1 and opsd.metric("opsd_session_models", state="judging") == 1
    run_until(shop, opsd, lambda: opsd.metric("opsd_session_scores") > 0, 10)
    assert opsd.metric("opsd_session_trainings", fate="asked") == 0
    for _ in range(12):
        before = opsd.metric("opsd_session_scores")
        shop.run(10, ill=0.25)
        wait(lambda: opsd.metric("opsd_session_scores") > before, 5)
        if findings(opsd):
            break
    assert wait(lambda: findings(opsd), 20), opsd.text()
    (found,) = findings(opsd)
    assert found["kind"] == "FINDING_KIND_SEQUENCE" and found["services"] == ["shop"]
    assert " expected card charged" in found["summary"] and " %)" in found["summary"] and ", saw parcel handed over" in found["summary"]
    assert {e["text"] for e in found["evidence"]} >= {STEPS[1]}


def test_a_killed_worker_costs_nothing(opsd, workers):
    opsd.start("--analysis-commit-interval", "100ms")
    workers.append(Worker(opsd))
    shop = Shop(opsd)
    learn(shop, opsd)
    workers[0].kill()  # with the training, or just after it
    shop.run(600)
    assert findings(opsd) == []
    shop.run(120, ill=0.25)
    assert wait(lambda: findings(opsd), 20), opsd.text()
    (found,) = findings(opsd)
    assert found["kind"] == "FINDING_KIND_SEQUENCE" and "card charged" in found["summary"] and " %)" not in found["summary"]


def test_the_switch_turns_it_off(opsd, workers):
    opsd.start("--analysis-session-models=false")
    workers.append(Worker(opsd))
    shop = Shop(opsd)
    shop.run(1500)
    assert opsd.metric("opsd_session_streams") == 1
    assert opsd.metric("opsd_session_trainings", fate="asked") == 0 and trained(opsd) == 0
