#!/usr/bin/env python3
"""What a package would hold, installed into a folder and run from there. usage: install.py BUILD_FOLDER"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD = sys.argv.pop(1)


class Install(unittest.TestCase):
    def test_what_is_installed_runs_and_agrees_with_itself(self):
        with tempfile.TemporaryDirectory(prefix="opsd-install-") as folder:
            got = subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], env={**os.environ, "DESTDIR": folder}, capture_output=True, text=True)
            self.assertEqual(got.returncode, 0, got.stderr)
            root = pathlib.Path(folder) / "usr"
            for name in ("bin/opsd", "bin/opsctl", "share/man/man8/opsd.8", "share/man/man1/opsctl.1", "share/doc/opsd/opsd.yaml",
                         "share/bash-completion/completions/opsctl", "lib/systemd/system/opsd.service"):
                self.assertTrue((root / name).stat().st_size > 0, name)
            sample = root / "share/doc/opsd/opsd.yaml"
            ran = subprocess.run([root / "bin/opsd", "--config", sample, "config", "validate"], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            page = (root / "share/man/man8/opsd.8").read_text()
            for line in sample.read_text().splitlines():
                if line.strip().startswith("# ") and line.rstrip().endswith(":"):
                    self.assertIn(line.strip(" #:"), page)
            self.assertIn("describe finding", (root / "share/man/man1/opsctl.1").read_text())


if __name__ == "__main__":
    unittest.main()
