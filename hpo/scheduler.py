"""Slurm's and LSF's own commands: submit a job file, ask what is left in the queue."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from hpo.errors import InputError

COMMANDS = {"slurm": "sbatch", "lsf": "bsub"}
TIMEOUT_S = 120
_SUBMITTED = {"slurm": re.compile(r"^(\d+)(?:;.*)?$", re.M), "lsf": re.compile(r"Job <(\d+)>")}


def found() -> str | None:
    """Name the scheduler that this machine has."""
    return next((name for name, word in COMMANDS.items() if shutil.which(word)), None)


def command(
    scheduler: str,
    name: str,
    *,
    after: str | None = None,
    elements: Sequence[int] = (),
    at_once: int = 0,
) -> list[str]:
    """Give the words that submit a job file; LSF reads it from standard input.

    Args:
        after: the job that must have ended before.
        elements: of an array; only these.
        at_once: how many of them may run at a time; 0: all.
    """
    indices, limit = ranges(elements), f"%{at_once}" if at_once else ""
    if scheduler == "slurm":
        words = ["sbatch", "--parsable"]
        words += [f"--dependency=afterany:{after}"] if after else []
        return words + ([f"--array={indices}{limit}"] if elements else [])
    words = ["bsub"]
    words += ["-w", f"ended({after})"] if after else []
    return words + (["-J", f"{name}[{indices}]{limit}"] if elements else [])


def ranges(numbers: Sequence[int]) -> str:
    """Write numbers as both schedulers read them: 1-3,7."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return ",".join("-".join(map(str, bounds)) for bounds in found)


def shown(words: Sequence[str], file: Path, env: Mapping[str, str]) -> str:
    """Write a submission as a person would type it."""
    before = [f"{name}={shlex.quote(value)}" for name, value in env.items()]
    redirect = ["<"] if words[0] == "bsub" else []
    kept = [word for word in words if word != "--parsable"]
    return " ".join([*before, shlex.join(kept), *redirect, shlex.quote(str(file))])


def submit(
    scheduler: str, words: Sequence[str], file: Path, *, cwd: str, env: Mapping[str, str]
) -> str:
    """Submit a job file from a directory; give the job's id.

    Raises:
        InputError: with the scheduler's own words, if it refuses.
    """
    with file.open() as text:
        arguments = [*words, str(file.absolute())] if scheduler == "slurm" else list(words)
        done = _run(arguments, cwd=cwd, env=env, stdin=text)
    match = _SUBMITTED[scheduler].search(done.stdout)
    if done.returncode or match is None:
        said = " ".join((done.stderr or done.stdout).split())
        raise InputError(f"{words[0]}: expected a job's id, found: {said or 'nothing'}")
    return match[1]


def alive(scheduler: str, job_id: str) -> set[int]:
    """Find what is queued or running of a job: the indices of an array's elements, or {0}.

    Raises:
        InputError: if the scheduler cannot be asked.
    """
    if scheduler == "slurm":
        done = _run(["squeue", "--noheader", "--array", f"--jobs={job_id}", "--format=%K"])
        if done.returncode and "Invalid job id" not in done.stderr:
            raise InputError(f"squeue: expected the queue, found: {done.stderr.strip()}")
        return {int(index) if index.isdigit() else 0 for index in done.stdout.split()}
    done = _run(["bjobs", "-noheader", "-o", "jobindex stat", job_id])
    if done.returncode and "is not found" not in done.stderr:
        raise InputError(f"bjobs: expected the queue, found: {done.stderr.strip()}")
    rows = [line.split() for line in done.stdout.splitlines()]
    return {int(row[0]) for row in rows if len(row) == 2 and row[1] not in ("DONE", "EXIT")}


def has_succeeded(scheduler: str, job_id: str) -> bool:
    """Tell whether a job that has ended has ended well, as far as the scheduler remembers."""
    if scheduler == "slurm":
        done = _run(["scontrol", "--oneliner", "show", "job", job_id])
        return done.returncode == 0 and " JobState=COMPLETED " in done.stdout
    return _run(["bjobs", "-noheader", "-o", "stat", job_id]).stdout.split() == ["DONE"]


def watch(scheduler: str, job_id: str) -> str:
    """Give the command that shows a job's state."""
    return f"squeue --jobs={job_id}" if scheduler == "slurm" else f"bjobs {job_id}"


def _run(
    words: Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(words),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise InputError(f"{words[0]}: expected this command on PATH, found none") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{words[0]}: expected an answer within {TIMEOUT_S} s, found none"
        ) from error
