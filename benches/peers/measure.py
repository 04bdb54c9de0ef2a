"""Runs one command as a child process and measures it from outside: wall, processor time, peak memory.

Only the standard library, and on purpose: Linux counts the pages that a child shares with its parent between
fork and exec towards the child's peak memory, so the measuring process itself has to stay small.
"""

import json
import os
import resource
import subprocess
import time
from pathlib import Path


class Failed(Exception):
    """A measured command failed, or printed something that is no JSON object."""


def run(command, threads, log):
    """Run `command` with at most `threads` threads in its pools; its errors go to the file `log`.

    Returns wall and processor seconds, peak memory in MiB, the load of the machine before the start and
    `report`: the JSON object that the command printed.
    """
    command = [str(part) for part in command]
    pools = {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    with open(log, "wb") as errors, open(log.with_suffix(".out"), "w+b") as output:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=errors, env={**os.environ, **pools})
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read().decode()
    if child.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failed(f"exit code {child.returncode} from: {' '.join(command)}\n{tail}")
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "load": load,
        "floor_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "command": command,
        "report": parse_report(printed, command),
    }


def parse_report(printed, command):
    """The JSON object that a command printed; `{}` where it printed nothing."""
    if not printed.strip():
        return {}
    try:
        report = json.loads(printed)
    except json.JSONDecodeError as error:
        raise Failed(f"no JSON on standard output ({error}): {' '.join(command)}") from error
    if not isinstance(report, dict):
        raise Failed(f"expected a JSON object, found {type(report).__name__}: {' '.join(command)}")
    return report


def folder_bytes(folder):
    """Bytes of all files under `folder`."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
