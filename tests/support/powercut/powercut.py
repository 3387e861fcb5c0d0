"""After the kill: takes away from a folder what a power cut would have taken (see powercut.c)."""
import os
import pathlib
import shutil


class PowerCut:
    """One life of a process: env() to start it with, cut() after it was killed, before it is started again."""

    def __init__(self, library, folder, side):
        self.folder, self.side = pathlib.Path(folder).resolve(), pathlib.Path(side)
        self.library = pathlib.Path(library).resolve()
        self.log, self.keep = self.side / "events", self.side / "kept"
        self.begin()

    def begin(self):
        shutil.rmtree(self.side, ignore_errors=True)
        self.keep.mkdir(parents=True)
        # What is there now has survived: its names and bytes are on the disk.
        self.durable = {p: p.stat().st_size for p in self.folder.rglob("*") if p.is_file()} if self.folder.exists() else {}

    def env(self):
        return {"LD_PRELOAD": str(self.library), "POWERCUT_DIR": str(self.folder), "POWERCUT_LOG": str(self.log), "POWERCUT_KEEP": str(self.keep)}

    def cut(self, random):
        """Undoes names whose folder was not synced since, newest first, each with even odds; cuts every file at a random point
        between its synced size and its end. Returns how much was taken."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        synced, names, through = dict(self.durable), [], set()
        for number, line in enumerate(lines):
            kind, rest = line.split(" ", 1)
            if kind == "S":
                size, path = rest.split(" ", 1)
                synced[pathlib.Path(path)] = int(size)
            elif kind == "C":
                synced[pathlib.Path(rest)] = 0
                names.append((number, "C", None, None, pathlib.Path(rest)))
            elif kind == "Y":
                through.add(pathlib.Path(rest))
            elif kind == "D":
                names = [n for n in names if n[4].parent != pathlib.Path(rest)]
            elif kind == "R":
                kept, old, new = rest.split(" ")
                synced[pathlib.Path(new)] = synced.pop(pathlib.Path(old), 0)
                names.append((number, "R", kept, pathlib.Path(old), pathlib.Path(new)))
            elif kind == "U":
                kept, path = rest.split(" ", 1)
                names.append((number, "U", kept, None, pathlib.Path(path)))
        taken = {"bytes": 0, "files": 0, "renames": 0, "returned": 0}
        # A journal keeps the order of names: what is lost is a tail of them.
        keep_names = random.randint(0, len(names))
        for _, kind, kept, old, new in reversed(names[keep_names:]):
            if kind == "C" and new.exists():
                new.unlink()
                taken["files"] += 1
            elif kind == "R" and new.exists():
                os.replace(new, old)
                synced[old] = synced.pop(new, 0)
                if kept != "-":
                    os.link(kept, new)
                    synced[new] = new.stat().st_size
                taken["renames"] += 1
            elif kind == "U" and kept != "-" and not new.exists():
                os.link(kept, new)
                synced.setdefault(new, new.stat().st_size)
                taken["returned"] += 1
        for path in self.folder.rglob("*"):
            if not path.is_file() or path in through:
                continue
            size, safe = path.stat().st_size, synced.get(path, 0)
            if size > safe:
                left = random.choice([safe, random.randint(safe, size)])
                os.truncate(path, left)
                taken["bytes"] += size - left
        self.begin()
        return taken
