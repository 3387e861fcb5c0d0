"""systemd's own journal and its uploader."""
import subprocess
import urllib.error
import urllib.request

import pytest

ENTRY = """__CURSOR=s=6863c726210b4560b7048889d8ada5c5;i=%(n)d;b=f446871715504074bf7049ef0718fa93;m=%(n)d;t=%(t)x;x=%(n)d
__REALTIME_TIMESTAMP=%(t)d
__MONOTONIC_TIMESTAMP=%(n)d
_BOOT_ID=f446871715504074bf7049ef0718fa93
_MACHINE_ID=69121ca41d12c1b69a7960174c27b618
_TRANSPORT=syslog
_HOSTNAME=node-17
_SYSTEMD_UNIT=shop.service
PRIORITY=3
SYSLOG_IDENTIFIER=shop
MESSAGE=basket %(n)d was lost

"""


def post(opsd, body, content_type="application/vnd.fdo.journal"):
    request = urllib.request.Request(f"http://{opsd.at('otlp_http')}/upload", body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status


def test_systemd_journal_upload(opsd, tmp_path):
    import time
    opsd.start()
    now = int(time.time() * 1e6) - 1000
    export, journal = tmp_path / "export", tmp_path / "journal"
    journal.mkdir()
    export.write_text("".join(ENTRY % {"n": n, "t": now + n} for n in range(1, 101)))
    subprocess.run(["/lib/systemd/systemd-journal-remote", "-o", journal / "node.journal", export], check=True, capture_output=True, timeout=30)
    with (tmp_path / "upload.log").open("wb") as log:  # it goes on waiting for more
        uploader = subprocess.Popen(["/lib/systemd/systemd-journal-upload", f"--url=http://{opsd.at('otlp_http')}", f"--directory={journal}",
                                     f"--save-state={tmp_path / 'state'}"], stderr=log)
    try:
        got = opsd.records(100, "--service", "shop")
    finally:
        uploader.terminate()
        uploader.wait(30)
    assert sorted(r["message"] for r in got) == sorted(f"basket {n} was lost" for n in range(1, 101))
    assert {r["severityNumber"] for r in got} == {17}
    assert {"key": "host.name", "value": "node-17"} in got[0]["attributes"]


def test_journalctl_piped_into_curl_and_sent_twice(opsd):
    import time
    opsd.start()
    body = (ENTRY % {"n": 1, "t": int(time.time() * 1e6)}).encode()
    assert post(opsd, body) == 202
    assert post(opsd, body) == 202
    assert len(opsd.records(1)) == 1


@pytest.mark.parametrize("body,kind,code", [(b"MESSAGE=a", "application/vnd.fdo.journal", 400), (b"\n", "text/plain", 415),
                                            (b"PRIORITY=3\n\n", "application/vnd.fdo.journal", 400)])
def test_what_does_not_read_is_refused(opsd, body, kind, code):
    opsd.start()
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(opsd, body, kind)
    assert refused.value.code == code
