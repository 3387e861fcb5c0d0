"""bench/incidents: what counts as detected, false, and the right cause, whether found in files or live."""
import importlib.util
import pathlib
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[3] / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    spec = importlib.util.spec_from_file_location("bench_incidents", BENCH / "incidents" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("runlib", None)


def found(start, *causes, seen=None):
    return {"start": start, "severity": "error", "causes": list(causes), "seen": seen}


def test_a_fault_is_detected_near_its_onset_and_by_its_cause(bench):
    score = bench.Score()
    fault = {"component": "redis", "onset": 1000.0}
    score.take(fault, [found(400.0, "shop"), found(1030.0, "redis", "shop", seen=1042.0), found(1050.0, "proxy")])
    score.take(fault, [found(990.0, "shop", "proxy", "redis", seen=1075.0)])
    score.take(fault, [found(1061.0, "redis")])
    score.take(fault, [])
    got = score.figures()
    assert (got["faults"], got["faults_missed"], got["false_incidents"]) == (4, 2, 2)
    assert (got["cause_first"], got["cause_in_three"], got["incidents_per_fault"]) == (0.25, 0.5, 1.25)
    assert got["start_off_max_s"] == 30.0 and score.delays == [42.0, 75.0]


def test_over_a_control_everything_is_false(bench):
    score = bench.Score()
    score.take({"component": None}, [found(5.0, "shop"), found(9.0)])
    score.take({"component": None}, [])
    assert score.figures()["controls"] == 2 and score.figures()["false_over_controls"] == 2


def test_an_incident_without_a_cause_is_one(bench):
    score = bench.Score()
    assert "missed" not in score.take({"component": "redis", "onset": 10.0}, [found(10.0)])
    assert score.figures()["cause_first"] == 0
