"""bsub, bjobs, bkill and blaunch of the stand-in: `python commands.py NAME FOLDER WORDS`."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import expressions
import reader
from reader import Job
from spool import Spool, State, Submission

NOT_FOUND = 255
POLL_S = 0.05
DEFAULT_QUEUE = "general"
COLUMNS = ["JOBID", "USER", "STAT", "QUEUE", "FROM_HOST", "EXEC_HOST", "JOB_NAME", "SUBMIT_TIME"]


def bsub(spool: Spool, words: Sequence[str]) -> int:
    """Submit what the words or standard input say, or refuse it."""
    try:
        _, command = reader.split_command(words)
        submission = Submission(
            words=list(words),
            text=None if command else sys.stdin.read(),
            directory=str(Path.cwd()),
            environment=dict(os.environ),
        )
        job = submission.job()
        _check(spool, job)
    except ValueError as error:
        print(f"{error}. Job not submitted.", file=sys.stderr)
        return NOT_FOUND
    job_id = spool.submit(submission, job.array.indices if job.array else [0])
    default = "" if job.queue else "default "
    print(f"Job <{job_id}> is submitted to {default}queue <{job.queue or DEFAULT_QUEUE}>.")
    return _attend(spool, job_id) if job.is_interactive else 0


def _attend(spool: Spool, job_id: int) -> int:
    """Wait for an interactive job, show its output and give its exit code."""
    print("<<Waiting for dispatch ...>>", flush=True)
    while not (state := spool.state(job_id, 0)).is_finished():
        time.sleep(POLL_S)
    print(f"<<Starting on {' '.join(state.hosts)}>>", flush=True)
    sys.stdout.buffer.write(spool.path(job_id, 0, "out").read_bytes())
    return state.exit_code or 0


def _check(spool: Spool, job: Job) -> None:
    """Refuse what would never start."""
    cluster = spool.cluster()
    if cluster.place(job, busy=[]) is None:
        hosts = f"{len(cluster.hosts)} hosts with {cluster.slots_per_host} slots each"
        raise ValueError(f"-n: expected tasks that fit on {hosts}, found {job.n_tasks}")
    if job.dependency is None:
        return
    for condition in expressions.leaves(job.dependency):
        job_ids = spool.named(condition.job)
        if not job_ids:
            raise ValueError(f"-w: {condition.job}: No matching job found")
        for job_id in job_ids:
            indices = set(spool.states(job_id))
            if condition.kind.startswith("num") and indices == {0}:
                raise ValueError(f"-w: {condition.kind}: expected an array, found job {job_id}")
            if condition.index.isdecimal() and int(condition.index) not in indices:
                raise ValueError(f"-w: {condition.job}[{condition.index}]: No matching job found")
            own = set(job.array.indices) if job.array else {0}
            if condition.index == "*" and own != indices:
                raise ValueError("-w: expected arrays with the same indices")


def bkill(spool: Spool, words: Sequence[str]) -> int:
    """Ask the scheduler to signal jobs, or to kill them."""
    parser = argparse.ArgumentParser("bkill", allow_abbrev=False)
    parser.add_argument("-s", dest="signal")
    parser.add_argument("jobs", nargs="+")
    options = parser.parse_args(words)
    what, verb = "kill", "terminated"
    if options.signal:
        what, verb = _signal_name(options.signal), "signaled"
    code = 0
    for job in options.jobs:
        found = _find(spool, job)
        if not found:
            print(f"Job <{job}>: No matching job found", file=sys.stderr)
            code = NOT_FOUND
            continue
        alive = [key for key, state in found.items() if not state.is_finished()]
        for job_id, index in alive:
            spool.request(job_id, index, what)
        if alive:
            print(f"Job <{job}> is being {verb}")
        else:
            print(f"Job <{job}>: Job has already finished", file=sys.stderr)
            code = NOT_FOUND
    return code


def _signal_name(text: str) -> str:
    name = signal.Signals(int(text)).name if text.isdecimal() else text
    name = name.removeprefix("SIG")
    if f"SIG{name}" not in signal.Signals.__members__:
        raise SystemExit(f"bkill: unknown signal {text}")
    return name


def bjobs(spool: Spool, words: Sequence[str]) -> int:
    """Show the states of jobs; of those that have not finished, if none is named."""
    parser = argparse.ArgumentParser("bjobs", allow_abbrev=False)
    parser.add_argument("-a", action="store_true")
    parser.add_argument("-noheader", action="store_true")
    parser.add_argument("-o", dest="fields")
    parser.add_argument("jobs", nargs="*")
    options = parser.parse_args(words)
    rows: list[dict[str, str]] = []
    code = 0
    for job in options.jobs or map(str, spool.ids()):
        found = _find(spool, job)
        if not found:
            print(f"Job <{job}> is not found", file=sys.stderr)
            code = NOT_FOUND
        for (job_id, index), state in found.items():
            if options.jobs or options.a or not state.is_finished():
                rows.append(_row(spool, job_id, index, state))
    if not rows and not code:
        print("No unfinished job found", file=sys.stderr)
    if rows:
        print("\n".join(_table(rows, options.fields, with_header=not options.noheader)))
    return code


def _row(spool: Spool, job_id: int, index: int, state: State) -> dict[str, str]:
    job = spool.submission(job_id).job()
    name = job.name or job.script.splitlines()[-1]
    is_failure = state.stat == "EXIT" and state.exit_code is not None
    return {
        "JOBID": str(job_id),
        "USER": getpass.getuser(),
        "STAT": state.stat,
        "QUEUE": job.queue or DEFAULT_QUEUE,
        "FROM_HOST": socket.gethostname(),
        "EXEC_HOST": ":".join(f"{n}*{host}" for host, n in Counter(state.hosts).items()) or "-",
        "JOB_NAME": f"{name}[{index}]" if index else name,
        "SUBMIT_TIME": time.strftime("%b %d %H:%M", time.localtime(spool.submitted_s(job_id))),
        "JOBINDEX": str(index),
        "EXIT_CODE": str(state.exit_code) if is_failure else "-",
    }


def _table(rows: Sequence[dict[str, str]], fields: str | None, *, with_header: bool) -> list[str]:
    names, delimiter = COLUMNS, " "
    if fields is not None:
        given = re.search(r"delimiter='(.)'", fields)
        delimiter = given[1] if given else " "
        names = re.sub(r"delimiter='.'", "", fields).upper().split()
    unknown = [name for name in names if name not in rows[0]]
    if unknown:
        raise SystemExit(f"bjobs: unknown fields {unknown}; known are {', '.join(rows[0])}")
    lines = [delimiter.join(row[name] for name in names) for row in rows]
    return [delimiter.join(names), *lines] if with_header else lines


def _find(spool: Spool, job: str) -> dict[tuple[int, int], State]:
    """Find `7` with all its elements, or `7[2]`."""
    found = re.fullmatch(r"(\d+)(?:\[(\d+)\])?", job)
    if not found:
        return {}
    job_id = int(found[1])
    states = spool.states(job_id)
    wanted = set(states) if found[2] is None else {int(found[2])}
    return {(job_id, index): state for index, state in states.items() if index in wanted}


def blaunch(spool: Spool, words: Sequence[str]) -> NoReturn:
    """Become a command on a host of the job, which is this machine under another name."""
    rest = list(words)
    is_without_input = rest[:1] == ["-n"]
    if is_without_input:
        rest.pop(0)
    if len(rest) < 2 or rest[0].startswith("-"):
        raise SystemExit("blaunch: expected [-n] HOST COMMAND …")
    host, *command = rest
    hosts = os.environ.get("LSB_MCPU_HOSTS", "").split()[::2]
    if "LSB_JOBID" not in os.environ or host not in hosts:
        print(f"blaunch: expected one of the job's hosts {hosts}, found {host}", file=sys.stderr)
        sys.exit(NOT_FOUND)
    with spool.launches.open("a") as log:
        log.write(f"{os.environ['LSB_JOBID']} {host}\n")
    if is_without_input:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ["HOSTNAME"] = host
    # As ssh and rsh: a shell reads the words again, and Hydra quotes the path of its proxy.
    os.execv("/bin/sh", ["/bin/sh", "-c", " ".join(command)])


COMMANDS = {"bsub": bsub, "bjobs": bjobs, "bkill": bkill, "blaunch": blaunch}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]](Spool(Path(sys.argv[2])), sys.argv[3:]))
