"""torch for the CPU, in an environment of its own that is made once under build/."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PINNED = ["torch==2.5.1", "numpy"]


def python():
    """The environment's interpreter; makes it when it is not there."""
    home = ROOT / "build" / "bench-venv"
    interpreter = home / "bin" / "python"
    if subprocess.run([str(interpreter), "-c", "import torch"], capture_output=True).returncode if interpreter.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *PINNED], check=True)
    return interpreter


def figures(command):
    """{first word of a line: number}, and losses as a list under "loss"."""
    found = {"loss": []}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        name, *rest = line.split()
        if name == "loss":
            found["loss"].append(float(rest[1]))
        else:
            found[name] = rest[0] if name == "torch" else float(rest[0])
    return found
