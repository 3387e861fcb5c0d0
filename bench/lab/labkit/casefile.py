"""Turns what a scenario left behind into a CASE folder and packs it."""
import calendar
import gzip
import json
import os
import re
import shutil
import tarfile
import time

APP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) ")
POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) UTC ")
REDIS = re.compile(r"(\d+:[A-Z]) (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)\.(\d{3}) ")
ACCESS = re.compile(r"(\S+ \S+ \S+) \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d) \+0000\] ")
NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) ")
SUPERVISE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})Z (?=supervise: )")
DNSMASQ = re.compile(r"(\w{3} [ \d]\d \d\d:\d\d:\d\d) (?=dnsmasq\[)")
MESSAGE_MAX = 16384


def stamp(text, shape, millis="0"):
    return calendar.timegm(time.strptime(text, shape)) + int(millis) / 1000.0


def nearest_year(text, near):
    """Unix seconds of a time without a year: of all years the one nearest to `near`."""
    year = time.gmtime(near).tm_year
    times = [stamp(f"{y} {text}", "%Y %b %d %H:%M:%S") for y in (year - 1, year, year + 1)]
    return min(times, key=lambda at: abs(at - near))


def parse(component, line, near=0.0):
    """(time, message) of a line that begins a record, None of one that goes on.

    `near` is a time not far from the line's: some shapes have no year.
    """
    m = SUPERVISE.match(line)
    if m:
        return stamp(m[1], "%Y-%m-%dT%H:%M:%S", m[2]), line[m.end():]
    if component == "dns":
        m = DNSMASQ.match(line)
        return m and (nearest_year(m[1], near), line[m.end():])
    if component in ("shop", "pricing"):
        m = APP.match(line)
        return m and (stamp(m[1], "%Y-%m-%d %H:%M:%S", m[2]), line[m.end():])
    if component == "postgres":
        m = POSTGRES.match(line)
        return m and (stamp(m[1], "%Y-%m-%d %H:%M:%S", m[2]), line[m.end():])
    if component == "redis":
        m = REDIS.match(line)
        return m and (stamp(m[2], "%d %b %Y %H:%M:%S", m[3]), f"{m[1]} {line[m.end():]}")
    m = ACCESS.match(line)
    if m:
        return stamp(m[2], "%d/%b/%Y:%H:%M:%S"), f"{m[1]} {line[m.end():]}"
    m = NGINX.match(line)
    return m and (stamp(m[1], "%Y/%m/%d %H:%M:%S"), line[m.end():])


def records(component, lines, first_at):
    """Records of one raw log: continuation lines join the line they follow (or its time, before the first)."""
    out = []
    for raw in lines:
        line = raw.rstrip("\n")
        got = parse(component, line, first_at)
        if got:
            out.append([got[0], got[1]])
        elif not line:
            continue
        elif out and line[0] in " \t" or out and component in ("shop", "pricing"):
            if len(out[-1][1]) < MESSAGE_MAX:
                out[-1][1] += "\n" + line
        else:
            out.append([out[-1][0] if out else first_at, line])
    return out


def proxy_spans(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            context = words[4].split("-") if len(words) == 6 else []
            if len(context) != 4:
                continue
            end, took, status = float(words[0]), float(words[1]), int(words[2])
            yield {"trace": context[1], "span": context[2], "parent": "", "component": "proxy",
                   "operation": f"{words[3]} /{words[5].split('?')[0].split('/')[1]}", "start": round(end - took, 3),
                   "duration": took, "status": "error" if status >= 500 else "ok"}


def whole(line):
    """The span of a line; None of one that its process did not live to end."""
    try:
        return json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return None


def write(world, metrics, truth, case):
    """Writes the CASE folder `case` from what lies in the world's directory."""
    os.makedirs(os.path.join(case, "logs"))
    logs = []
    for name in sorted(os.listdir(world.path("logs"))):
        component = name[:-4]
        shutil.copyfile(world.path("logs", name), os.path.join(case, "logs", name))
        with open(world.path("logs", name), encoding="utf-8", errors="replace") as file:
            for at, message in records(component, file, truth["started"]):
                if at <= truth["stopped"]:  # what a service says while it is taken down is not of the case
                    logs.append((at, component, message))
    logs.sort(key=lambda row: row[0])
    with open(os.path.join(case, "logs.jsonl"), "w", encoding="utf-8") as file:
        for at, component, message in logs:
            file.write(json.dumps({"time": round(at, 3), "component": component, "message": message}) + "\n")
    spans = list(proxy_spans(world.path("spans", "proxy.raw")))
    for role in ("shop", "pricing"):
        with open(world.path("spans", role + ".jsonl"), encoding="utf-8", errors="replace") as file:
            spans.extend(span for span in map(whole, file) if span)
    spans.sort(key=lambda row: row["start"])
    with open(os.path.join(case, "traces.jsonl"), "w", encoding="utf-8") as file:
        for span in spans:
            file.write(json.dumps(span) + "\n")
    with open(os.path.join(case, "metrics.csv"), "w", encoding="utf-8") as file:
        file.write("time,component,metric,value\n")
        for component, metric, at, value in sorted(metrics.rows):
            file.write(f"{at},{component},{metric},{value}\n")
    truth["records"] = {"logs": len(logs), "spans": len(spans), "samples": len(metrics.rows)}
    if truth["kind"] == "fault":
        with open(os.path.join(case, "at.txt"), "w", encoding="utf-8") as file:
            file.write(f"{truth['seen']:.3f}\n")
    with open(os.path.join(case, "truth.json"), "w", encoding="utf-8") as file:
        json.dump(truth, file, indent=1)
        file.write("\n")


def pack(case, archive):
    """`case` as a .tar.gz whose bytes depend on its content only."""
    def plain(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = 0
        return info
    part = archive + ".part"
    with open(part, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as zipped, \
            tarfile.open(fileobj=zipped, mode="w") as tar:
        tar.add(case, arcname=os.path.basename(case), filter=plain)
    os.replace(part, archive)


def unpack(archive, directory):
    """Unpacks a recording made by pack(); returns the CASE folder."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar.getmembers():
            if not (member.isfile() or member.isdir()) or member.name.startswith("/") or ".." in member.name.split("/"):
                raise ValueError(f"{archive}: {member.name}: not a plain file below the case")
        tar.extractall(directory)
        return os.path.join(directory, tar.getmembers()[0].name.split("/")[0])
