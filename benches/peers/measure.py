"""Runs one command as a child process and measures it from outside: wall, processor time, peak memory.

Only the standard library, and on purpose: Linux counts the pages that a child shares with its parent between
fork and exec towards the child's peak memory, so the measuring process itself has to stay small.
"""

import json
import os
import resource
import signal
import subprocess
import threading
import time
from pathlib import Path


class Failed(Exception):
    """A measured command failed, or printed something that is no JSON object; `reason` says it without paths."""

    def __init__(self, reason, command, detail=""):
        super().__init__(f"{reason}: {' '.join(command)}\n{detail}".rstrip())
        self.reason = reason


def run(command, threads, log, limit=None):
    """Run `command` with at most `threads` threads in its pools; its errors go to the file `log`.

    It is killed after `limit` seconds, if that is given.

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
        status, usage = wait(child, limit)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read().decode()
    if limit and wall >= limit:
        raise Failed(f"stopped after {limit:g} s", command)
    if child.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failed(f"exit code {child.returncode}", command, tail)
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "load": load,
        "floor_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "command": command,
        "report": parse_report(printed, command),
    }


def wait(child, limit):
    """Exit status and resource usage of a child that is killed after `limit` seconds."""
    timer = threading.Timer(limit, os.kill, (child.pid, signal.SIGKILL)) if limit else None
    if timer:
        timer.start()
    _, status, usage = os.wait4(child.pid, 0)
    if timer:
        timer.cancel()
    return status, usage


def parse_report(printed, command):
    """The JSON object that a command printed; `{}` where it printed nothing."""
    if not printed.strip():
        return {}
    try:
        report = json.loads(printed)
    except json.JSONDecodeError as error:
        raise Failed(f"no JSON on standard output ({error})", command) from error
    if not isinstance(report, dict):
        raise Failed(f"expected a JSON object, found {type(report).__name__}", command)
    return report


def folder_bytes(folder):
    """Bytes of all files under `folder`."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
