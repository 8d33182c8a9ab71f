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
    scheduler: str, name: str, *, after: str | None = None, elements: Sequence[int] = ()
) -> list[str]:
    """Give the words that submit a job file; LSF reads it from standard input.

    Args:
        after: the job that must have ended before.
        elements: of an array; only these.
    """
    indices = ",".join(map(str, elements))
    if scheduler == "slurm":
        words = ["sbatch", "--parsable"]
        words += [f"--dependency=afterany:{after}"] if after else []
        return words + ([f"--array={indices}"] if elements else [])
    words = ["bsub"]
    words += ["-w", f"ended({after})"] if after else []
    return words + (["-J", f"{name}[{indices}]"] if elements else [])


def shown(words: Sequence[str], file: Path, env: Mapping[str, str]) -> str:
    """Write a submission as a person would type it."""
    before = [f"{name}={shlex.quote(value)}" for name, value in env.items()]
    redirect = ["<"] if words[0] == "bsub" else []
    kept = [word for word in words if word != "--parsable"]
    return " ".join([*before, shlex.join(kept), *redirect, shlex.quote(str(file))])


def submit(scheduler: str, words: Sequence[str], file: Path, env: Mapping[str, str]) -> str:
    """Submit a job file; give the job's id.

    Raises:
        InputError: with the scheduler's own words, if it refuses.
    """
    with file.open() as text:
        arguments = [*words, str(file)] if scheduler == "slurm" else list(words)
        done = _run(arguments, env=env, stdin=text)
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
    rows = [line.split() for line in done.stdout.splitlines()]
    return {int(row[0]) for row in rows if len(row) == 2 and row[1] not in ("DONE", "EXIT")}


def watch(scheduler: str, job_id: str) -> str:
    """Give the command that shows a job's state."""
    return f"squeue --jobs={job_id}" if scheduler == "slurm" else f"bjobs {job_id}"


def _run(
    words: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: IO[str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(words),
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
