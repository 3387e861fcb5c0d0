"""A disk that fills up: records are refused with a status that says come again, and taken again when there is room."""
import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import wait


@pytest.fixture
def small_disk(tmp_path):
    at = tmp_path / "disk"
    at.mkdir()
    got = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "opsd-test", at], capture_output=True, text=True)
    if got.returncode:
        pytest.skip(f"no file system can be mounted here: {got.stderr.strip()}")
    yield at
    subprocess.run(["umount", "-l", at], check=True)


def send(opsd, text):
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": text}, "severityNumber": 9}]}]}]}).encode()
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}/v1/logs", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as err:
        return err.code, err.headers


def ready(opsd):
    try:
        with urllib.request.urlopen(f"http://{opsd.at('web')}/readyz", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as err:
        return err.code, err.read().decode()


def test_a_full_disk_sheds_and_recovers(opsd, small_disk):
    opsd.data = small_disk / "data"
    opsd.start("--storage-refuse-free", "16MiB", "--storage-refuse-percent", "5")
    assert send(opsd, "before")[0] == 200
    filler = small_disk / "filler"
    free = os.statvfs(small_disk)
    with filler.open("wb") as file:
        left = free.f_bavail * free.f_frsize - (4 << 20)
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
    assert wait(lambda: send(opsd, "refused")[0] == 503, 20)
    status, headers = send(opsd, "refused")
    assert status == 503 and int(headers["Retry-After"]) > 0
    assert wait(lambda: ready(opsd)[0] == 503, 20) and "disk" in ready(opsd)[1]
    assert opsd.process.poll() is None
    filler.unlink()
    assert wait(lambda: send(opsd, "after")[0] == 200, 30)
    assert wait(lambda: ready(opsd)[0] == 200, 20)
    assert {"before", "after"} <= {r["message"] for r in opsd.records(2)}
