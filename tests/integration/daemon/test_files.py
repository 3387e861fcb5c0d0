"""Files that opsd follows: rotated, truncated, and read by a daemon that is killed; each line once."""
import gzip
import os
import re
import signal
import subprocess
import time

from conftest import wait


def numbers(opsd, *args):
    return sorted(int(re.search(r"line (\d+)", r["message"]).group(1)) for r in opsd.rows("logs", *args))


def write(path, first, count):
    with open(path, "a", encoding="utf-8") as file:
        for i in range(first, first + count):
            file.write(f"INFO line {i} of the shop\n")


def follow(opsd, *more):
    return opsd.start("--files-globs", str(opsd.folder / "logs" / "*.log"), "--files-from-start=true", *more)


def all_there(opsd, count, seconds=30):
    assert wait(lambda: len(opsd.rows("logs")) >= count, seconds), len(opsd.rows("logs"))
    assert numbers(opsd) == list(range(count))


def test_rotation_truncation_and_late_files(opsd):
    folder = opsd.folder / "logs"
    folder.mkdir()
    path = folder / "shop.log"
    write(path, 0, 100)
    follow(opsd)
    all_there(opsd, 100)
    os.rename(path, folder / "shop.log.1")
    write(folder / "shop.log.1", 100, 20)  # the writer has not noticed yet
    write(path, 120, 80)
    all_there(opsd, 200)
    with open(folder / "shop.log.1", "rb") as plain, gzip.open(folder / "shop.log.1.gz", "wb") as packed:
        packed.write(plain.read())
    os.unlink(folder / "shop.log.1")
    os.truncate(path, 0)
    time.sleep(1.2)  # copytruncate: a reader can tell only a file that was seen shorter
    write(path, 200, 50)
    all_there(opsd, 250)
    write(folder / "late.log", 250, 50)
    all_there(opsd, 300)


def test_kills_while_lines_are_written(opsd):
    folder = opsd.folder / "logs"
    folder.mkdir()
    path = folder / "shop.log"
    follow(opsd)
    for turn in range(5):
        write(path, turn * 400, 200)
        if turn % 2 == 1:
            os.rename(path, folder / f"shop.log.{turn}")
        time.sleep(0.05 * turn)
        opsd.kill()
        write(path, turn * 400 + 200, 200)
        opsd.start()
    all_there(opsd, 2000)


def test_opsctl_follows_too(opsd):
    opsd.start()
    path = opsd.folder / "app.log"
    write(path, 0, 10)
    with (opsd.folder / "ingest.log").open("wb") as log:
        sender = subprocess.Popen([opsd.program("opsctl"), "ingest", "-f", path, "--endpoint", opsd.at("otlp_grpc")], stderr=log)
    try:
        all_there(opsd, 10)
        os.rename(path, opsd.folder / "app.log.1")
        write(path, 10, 10)
        all_there(opsd, 20)
        os.truncate(path, 0)
        time.sleep(1.2)
        write(path, 20, 10)
        all_there(opsd, 30)
    finally:
        sender.send_signal(signal.SIGINT)
        sender.wait(20)
