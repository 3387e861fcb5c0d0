"""A certificate authority of the scenario's own, and server certificates that end at a given second."""
import os
import subprocess
import time

CONF = """[ca]
default_ca = lab
[lab]
dir = {dir}
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


def _openssl(*argv):
    done = subprocess.run(["openssl", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {argv[0]}: exit {done.returncode}: {done.stdout.strip()[-500:]}")


def _stamp(at):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))


class Authority:
    """Keeps its files in `directory`; the private keys are the scenario's and go with it."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.ca = os.path.join(directory, "ca.pem")
        self.conf = os.path.join(directory, "ca.conf")
        for name, text in (("ca.conf", CONF.format(dir=directory)), ("index.txt", ""), ("serial", "01\n")):
            with open(os.path.join(directory, name), "w", encoding="ascii") as file:
                file.write(text)
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                 "-subj", "/CN=lab authority", "-keyout", os.path.join(directory, "ca.key"), "-out", self.ca)

    def issue(self, name, begin, end):
        """(certificate, key) of server `name`, good from `begin` to `end` (Unix seconds)."""
        base = os.path.join(self.dir, name)
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                 "-addext", f"subjectAltName=DNS:{name}", "-keyout", base + ".key", "-out", base + ".csr")
        _openssl("ca", "-batch", "-notext", "-config", self.conf, "-in", base + ".csr", "-out", base + ".new",
                 "-startdate", _stamp(begin), "-enddate", _stamp(end))
        os.replace(base + ".new", base + ".pem")
        os.chmod(base + ".key", 0o644)   # the service runs as another user; the folder goes when the scenario does
        return base + ".pem", base + ".key"
