"""Real lines in one mix: the raw logs of bench/lab's recordings, dealt into one order, and repeated with other digits.

Pure but for write(). A line in the mix is one letter that names its stream (a recording's component), the line as the service wrote it, and
a newline. Nothing is left out: continuation lines and empty ones are lines too.
"""
import pathlib
import re
import sys
import tempfile

LAB = pathlib.Path(__file__).resolve().parent.parent / "lab"
COMPONENTS = ("proxy", "shop", "pricing", "postgres", "redis")
FACTORS = (1, 3, 7, 9)  # what is prime to ten
REPEATS_MAX = 4 * 10
LONG_RUN = re.compile(rb"([0-9])([0-9]{2,})")


def digits(repeat):
    """The table of bytes of a repeat: d -> a d + b (mod 10). All 40 such tables are one-to-one and differ; 0 changes nothing."""
    if not 0 <= repeat < REPEATS_MAX:
        raise ValueError(f"repeat {repeat}: 0 to {REPEATS_MAX - 1}")
    a, b = FACTORS[repeat % 4], repeat // 4
    return bytes.maketrans(b"0123456789", bytes(48 + (a * d + b) % 10 for d in range(10)))


def other(text, repeat):
    """The text with the digits of every run of three or more changed, but for the first: times of day and versions stay what they are."""
    table = digits(repeat)
    return text if repeat == 0 else LONG_RUN.sub(lambda m: m[1] + m[2].translate(table), text)


def deal(files):
    """One order of [(letter, [line, ...]), ...]: line i of n stands at (i + 1/2) / n of the whole, so files run side by side."""
    places = [((i + 0.5) / len(lines), f, i) for f, (_, lines) in enumerate(files) for i in range(len(lines))]
    return [files[f][0] + files[f][1][i] for _, f, i in sorted(places)]


def thinned(lines, step):
    """Every step-th line, from the middle of the first step on."""
    return lines[step // 2::step]


def repeats_for(lines, least):
    return max(1, -(-least // lines))


def recorded():
    """[(letter, lines)] of every raw log of every recording."""
    sys.path.insert(0, str(LAB))
    from labkit.casefile import unpack
    files = []
    for archive in sorted((LAB / "recordings").glob("*.tar.gz")):
        with tempfile.TemporaryDirectory(prefix="opsd-templates-") as folder:
            case = pathlib.Path(unpack(str(archive), folder))
            for at, component in enumerate(COMPONENTS):
                lines = (case / "logs" / f"{component}.log").read_bytes().split(b"\n")
                files.append((b"abcde"[at:at + 1], lines[:-1] if lines[-1] == b"" else lines))
    return files


def write(path, lines, repeats):
    """Writes the repeats one after the other; returns the number of lines."""
    text = b"".join(line + b"\n" for line in lines)
    with open(path, "wb") as out:
        for repeat in range(repeats):
            out.write(other(text, repeat))
    return len(lines) * repeats
