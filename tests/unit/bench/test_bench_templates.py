"""bench/templates: the mix of lines is the same every time and keeps its form; the arithmetic of ratios and curves; the driver."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "bench" / "templates"
BIN = pathlib.Path(os.environ.get("OPS_BUILD", ROOT / "build" / "dev")) / "bin" / "bench_templates"


def load(name):
    spec = importlib.util.spec_from_file_location("bench_templates_" + name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


linemix, rivals, run = load("linemix"), load("rivals"), load("run")


def test_files_run_side_by_side_in_their_own_order():
    files = [(b"a", [b"1", b"2", b"3", b"4"]), (b"b", [b"x", b"y"])]
    assert linemix.deal(files) == [b"a1", b"bx", b"a2", b"a3", b"by", b"a4"]
    assert linemix.deal(files) == linemix.deal([(k, list(v)) for k, v in files])


def test_the_tables_of_digits_are_one_to_one_and_all_differ():
    tables = [linemix.digits(r) for r in range(linemix.REPEATS_MAX)]
    assert len(set(tables)) == 40
    for table in tables:
        assert sorted(table[48:58]) == list(b"0123456789")
        assert bytes(b for i, b in enumerate(table) if not 48 <= i < 58) == bytes(i for i in range(256) if not 48 <= i < 58)
    assert linemix.digits(0) == bytes(range(256))
    with pytest.raises(ValueError):
        linemix.digits(40)


def test_only_longer_numbers_change_and_not_their_first_digit():
    line = b"2026-11-24 02:28:10,823 [48] HTTP/1.1 10.77.0.1:54321 id=a12b 999\n"
    assert linemix.other(line, 0) == line
    assert linemix.other(line, 1) == b"2068-11-24 02:28:10,869 [48] HTTP/1.1 10.77.0.1:52963 id=a12b 977\n"
    assert linemix.other(line, 4) == b"2137-11-24 02:28:10,834 [48] HTTP/1.1 10.77.0.1:55432 id=a12b 900\n"


def test_thinning_and_repeats():
    assert linemix.thinned(list(range(10)), 5) == [2, 7]
    assert linemix.repeats_for(300, 1000) == 4
    assert linemix.repeats_for(1000, 1000) == 1
    assert linemix.repeats_for(5000, 1000) == 1


def test_a_written_mix_holds_every_repeat(tmp_path):
    assert linemix.write(tmp_path / "mix", [b"aport 123", b"b"], 3) == 6
    assert (tmp_path / "mix").read_bytes() == b"aport 123\nb\naport 169\nb\naport 141\nb\n"


def test_a_ratio_is_of_cost_per_line_and_the_middle_round():
    ours = {"lines": 1000, "cpu_s": 1.0, "wall_s": 2.0}
    theirs = [{"lines": 100, "cpu_s": s, "wall_s": s} for s in (0.2, 0.4, 9.0)]
    assert run.ratio([(ours, t) for t in theirs]) == pytest.approx(4.0)
    assert run.speed([ours] * 3) == 1000 and run.speed([ours], "wall_s") == 500


def test_flatness():
    assert run.flat([200.0, 100.0, 150.0]) == 2.0
    assert run.flat([7.0]) == 1.0
    assert run.flat([1.0, None]) is None and run.flat([]) is None


def test_only_a_rise_is_one():
    assert run.rise([150.0, 100.0, 120.0]) == 1.2
    assert run.rise([150.0, 100.0, 90.0]) == 1.0 and run.rise([7.0]) == 1.0
    assert run.rise([1.0, None]) is None and run.rise([]) is None


def test_costs_beyond_the_first_are_told_in_reads():
    rows = [{"ns": 70.0, "touch_ns": 4.0}, {"ns": 90.0, "touch_ns": 9.0}, {"ns": 570.0, "touch_ns": 200.0}]
    assert run.reads_more(rows, "ns") == 2.5


def test_the_middle_of_rounds_is_taken_figure_by_figure():
    assert run.middle([{"ns": 1, "b": 9}, {"ns": 5, "b": 7}, {"ns": 3, "b": 8}]) == {"ns": 3, "b": 8}


def test_the_curve_over_lines_has_every_size(tmp_path):
    linemix.write(tmp_path / "mix", [b"aworker %d took %d ms" % (i % 7, i) for i in range(3000)], 1)
    got = json.loads(subprocess.run([BIN, "lines", tmp_path / "mix", "100000"], capture_output=True, check=True).stdout)["sizes"]
    assert [row["lines"] for row in got] == [10000, 100000]
    assert all(row["ns"] > 0 and row["templates"] == 1 for row in got)


def test_the_faster_way_of_a_rival_counts_and_a_missing_rival_has_no_ratio():
    ours = {"lines": 100, "bytes": 5000, "cpu_s": 1.0, "wall_s": 1.0, "templates": 3}
    row = {"lines": 100, "taken": 90, "refused": 10, "wall_s": 1.0, "templates": 4}
    pairs = {"loki_stream": [(ours, {**row, "cpu_s": 5.0})], "loki_one": [(ours, {**row, "cpu_s": 4.0})]}
    figures, rival = run.figures_of_race(pairs, [ours])
    assert figures["ratio_loki"] == 4.0 and figures["ratio_drain3"] is None
    assert rival["loki_refused"] == 0.1 and rival["loki_one_lines_per_s"] == 25
    assert figures["lines_per_s"] == 100 and figures["mix_templates"] == 3


def test_a_rival_is_made_anew_when_what_it_is_made_of_changes(tmp_path):
    (tmp_path / "pins").write_text("a==1")
    one = rivals.stamp(tmp_path / "pins", "3.11")
    assert one == rivals.stamp(tmp_path / "pins", "3.11")
    assert one != rivals.stamp(tmp_path / "pins", "3.12")
    assert not rivals.kept(tmp_path, one)
    (tmp_path / "stamp").write_text(one)
    assert rivals.kept(tmp_path, one) and not rivals.kept(tmp_path, one + "x")


def test_the_pins_agree():
    mod = (FOLDER / "loki" / "go.mod").read_text()
    assert f"require {rivals.LOKI} {rivals.LOKI_VERSION}\n" in mod and f"\ngo {rivals.LOKI_GO}\n" in mod
    assert all("==" in line for line in (FOLDER / "drain3.txt").read_text().split())


def test_a_command_that_fails_says_why():
    with pytest.raises(rivals.NoRival, match="boom"):
        rivals.command([sys.executable, "-c", "import sys; sys.exit('boom')"])
    with pytest.raises(rivals.NoRival, match="no-such-program"):
        rivals.command(["no-such-program"])


def test_the_driver_counts_every_line(tmp_path):
    linemix.write(tmp_path / "mix", [b"aread 123 bytes", b"b", b"aread 9 bytes", b"a\xff\x00"], 2)
    got = json.loads(subprocess.run([BIN, "mine", tmp_path / "mix"], capture_output=True, check=True).stdout)
    assert got["lines"] == 8 and got["bytes"] == os.path.getsize(tmp_path / "mix") and got["cpu_s"] > 0


@pytest.mark.parametrize("turns", [0, 1, 7, 10])
def test_the_driver_turns_digits_as_the_repeats_do(tmp_path, turns):
    lines = [b"b%d and %d at 10:2%d" % (i, i * 7919, i % 10) for i in range(500)]
    linemix.write(tmp_path / "mix", lines, 1)
    got = subprocess.run([BIN, "show", tmp_path / "mix", str(turns)], capture_output=True, check=True).stdout
    text = (tmp_path / "mix").read_bytes()
    want = linemix.other(text, 4 * turns % linemix.REPEATS_MAX)  # a = 1, b = turns
    assert sorted(got.splitlines()) == sorted(want.splitlines())
    assert got.splitlines() != want.splitlines(), "the lines were not spread"


def test_the_driver_refuses_what_is_no_mix(tmp_path):
    (tmp_path / "mix").write_bytes(b"aline\n\n")
    got = subprocess.run([BIN, "mine", tmp_path / "mix"], capture_output=True, text=True)
    assert got.returncode == 1 and "a letter before each line" in got.stderr
    assert subprocess.run([BIN, "mine", tmp_path / "none"], capture_output=True).returncode == 1
    assert subprocess.run([BIN, "shapes", "0"], capture_output=True).returncode == 1
    assert subprocess.run([BIN], capture_output=True).returncode == 2


def test_shapes_become_as_many_templates():
    got = json.loads(subprocess.run([BIN, "shapes", "3000"], capture_output=True, check=True).stdout)
    assert got["templates"] >= run.LIVE_LEAST * 3000
