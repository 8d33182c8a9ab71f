"""When the scheduler's job ends that this process is part of."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping

from hpo.jobfile import END_VARIABLE

_VARIABLES = (END_VARIABLE, "SLURM_JOB_END_TIME")  # the second is there from Slurm 23.02
_SQUEUE_TIMEOUT_S = 10


def left_s(environ: Mapping[str, str]) -> float | None:
    """Give the seconds until this job's end; None if there is no job, or none that tells."""
    for name in _VARIABLES:
        try:
            return float(environ[name]) - time.time()
        except (KeyError, ValueError):
            continue
    job_id, squeue = environ.get("SLURM_JOB_ID"), shutil.which("squeue")
    return None if job_id is None or squeue is None else _ask_slurm(squeue, job_id)


def _ask_slurm(squeue: str, job_id: str) -> float | None:
    """Ask a Slurm that does not tell its jobs their end, or an `mpirun` that hides it."""
    try:
        done = subprocess.run(
            [squeue, "--noheader", f"--jobs={job_id}", "--format=%A %L"],
            capture_output=True,
            text=True,
            timeout=_SQUEUE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # The number of an array's last element is the array's own, and brings all that run of it.
    rows = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    return seconds(rows.get(job_id, ""))


def seconds(text: str) -> float | None:
    """Read Slurm's [days-][[hours:]minutes:]seconds; None for UNLIMITED, INVALID and the like."""
    days, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    try:
        numbers = [int(part) for part in parts]
        whole_days = int(days) if dash else 0
    except ValueError:
        return None
    if len(numbers) > 3:
        return None
    total = 0
    for number in numbers:
        total = 60 * total + number
    return float(86_400 * whole_days + total)
