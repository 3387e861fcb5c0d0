"""Feeds a mix to Drain3, in the Python that has it, and prints one JSON object.

usage: drain3_run.py FILE masked|plain
`masked` takes the masks which the package's own description gives as its example, read from there; both take the numbers of the
project's example configuration (clusters, delimiters; the rest are its defaults). No snapshots, no profiling. Lines are str before the clock starts.
"""
import importlib.metadata
import json
import logging
import re
import sys
import time

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig


def masks():
    text = importlib.metadata.metadata("drain3").get_payload() or importlib.metadata.metadata("drain3")["Description"]
    found = [json.loads(m) for m in re.findall(r'\{"regex_pattern":"[^\n]*"mask_with": "\w+"\}', text)]
    if not found:
        sys.exit("drain3_run: the package's description has no masks")
    return [MaskingInstruction(m["regex_pattern"], m["mask_with"]) for m in found]


def main():
    path, mode = sys.argv[1:]
    logging.disable(logging.WARNING)
    config = TemplateMinerConfig()
    config.drain_max_clusters, config.drain_extra_delimiters = 1024, ["_"]
    config.masking_instructions = masks() if mode == "masked" else []
    miner = TemplateMiner(config=config)
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        lines = [line[1:-1] for line in file]
    wall, cpu = time.perf_counter(), time.process_time()
    for line in lines:
        miner.add_log_message(line)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"lines": len(lines), "taken": len(lines), "cpu_s": cpu, "wall_s": wall, "templates": len(miner.drain.clusters),
                      "made": miner.drain.clusters_counter, "masks": len(config.masking_instructions)}))


if __name__ == "__main__":
    main()
