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

# What launchers and schedulers tell the ranks of an MPI program about it and its nodes: the
# process managers of MPICH, Intel MPI, Open MPI, MVAPICH and Cray; LSF's and Slurm's hosts.
_OF_A_LAUNCH = (
    *("PMI", "HYDRA_", "HYDI_", "MPI_LOCAL", "MPIEXEC_", "OMPI_", "ORTE_", "PRTE_", "PRRTE_"),
    *("MV2_COMM_WORLD_", "PALS_", "ALPS_", "LSB_", "SLURM", "SRUN_"),
)
# What of these speaks of the job, and makes no program believe that it is one of several tasks.
_OF_THE_JOB = (
    *("SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"),
    *("SLURM_CLUSTER_NAME", "SLURM_SUBMIT_DIR", "SLURM_TMPDIR", "SLURM_CPUS_PER_TASK"),
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


def without(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Leave out what would make another program think that it is a rank of this one.

    An MPI program that is started with the rest begins a world of its own, on this node.
    """
    return {
        name: value
        for name, value in environ.items()
        if name in _OF_THE_JOB or not name.startswith(_OF_A_LAUNCH)
    }


def for_module() -> dict[str, str]:
    """Give the environment of a process of this package that is no rank: `python -m hpo`."""
    environ = without()
    paths = [str(Path(__file__).resolve().parents[1]), environ.get("PYTHONPATH", "")]
    return environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


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
