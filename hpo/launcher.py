"""What the environment says about who started this process, without starting MPI."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

# The most specific launcher first: under `mpirun` inside a Slurm job all three may be set, and
# SLURM_PROCID is then that of mpirun's own proxy. SLURM_NTASKS is the job's, not the step's, and
# misleads under `mpirun -np 1`.
_RANK_AND_SIZE = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
# Of a node, likewise.
_PLACE_AND_NUMBER = (
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)


def promised(environ: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Give this process's rank and the number of ranks that its launcher started, if one did."""
    for rank_name, size_name in _RANK_AND_SIZE:
        try:
            return int(environ[rank_name]), int(environ[size_name])
        except (KeyError, ValueError):
            continue
    return None


def on_node(environ: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Give this process's place among the ranks of its node, and their number, if known."""
    for place_name, number_name in _PLACE_AND_NUMBER:
        try:
            return int(environ[place_name]), int(environ[number_name])
        except (KeyError, ValueError):
            continue
    try:
        numbers = _per_node(environ["SLURM_STEP_TASKS_PER_NODE"])
        return int(environ["SLURM_LOCALID"]), numbers[int(environ["SLURM_NODEID"])]
    except (KeyError, ValueError, IndexError):
        return None


def _per_node(text: str) -> list[int]:
    """Read Slurm's number of tasks for each node: 4(x2),3."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(number) for number, times in found for _ in range(int(times or 1))]


def is_open_mpi(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether Open MPI's mpirun has started this process."""
    return "OMPI_COMM_WORLD_RANK" in environ


def is_first(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this process is the one that speaks to the user."""
    found = promised(environ)
    return found is None or found[0] == 0


def scheduler_job(environ: Mapping[str, str] = os.environ) -> str:
    """Name the scheduler's job that this process is part of, array element included."""
    if "SLURM_ARRAY_JOB_ID" in environ:
        return f"slurm {environ['SLURM_ARRAY_JOB_ID']}_{environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if "SLURM_JOB_ID" in environ:
        return f"slurm {environ['SLURM_JOB_ID']}"
    if "LSB_JOBID" in environ:
        return f"lsf {environ['LSB_JOBID']}[{environ.get('LSB_JOBINDEX', '0')}]"
    return ""


def node(host: str) -> str:
    """Name this machine: nodes may share a host name, containers of one node may not."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return host
