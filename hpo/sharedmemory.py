"""The memory that a node's processes share: what is free of it, and whether MPI can start."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpo import proc

FOLDER = "/dev/shm"
# MPICH takes a little more for each rank of a node when it starts, if there are several.
RANK_BYTES = 1 << 20
# With the 4.3 MB that UCX takes in the same place, unless UCX_TLS forbids it.
UCX_RANK_BYTES = 6 << 20


@dataclass(frozen=True)
class Room:
    """The bytes of this node's shared memory; both 0 where it cannot be seen or has no bound."""

    size_bytes: int
    free_bytes: int

    def has_ucx_room(self, n_ranks: int) -> bool:
        """Tell whether UCX can take its own share too: it crashes where it gets only a part."""
        return not self.size_bytes or self.free_bytes >= n_ranks * UCX_RANK_BYTES

    def is_too_small(self, n_ranks: int) -> bool:
        """Tell whether MPICH cannot start, even if nobody else took anything.

        A node's ranks all find the same, however long after each other they ask.
        """
        return 0 < self.size_bytes < n_ranks * RANK_BYTES

    def is_too_full(self, n_ranks: int) -> bool:
        """Tell whether MPICH cannot start in what is free now, before it has taken any itself."""
        return self.size_bytes > 0 and self.free_bytes < n_ranks * RANK_BYTES

    def lacking(self, n_ranks: int) -> str:
        """Say what MPI needs, and where it is to be had."""
        return (
            f"expected {n_ranks} MB free in {FOLDER}, as MPICH takes 1 MB for each of"
            f" {n_ranks} ranks on a node, found {self.free_bytes >> 20} of"
            f" {self.size_bytes >> 20} MB; give the container more (--shm-size=4g; on LSF"
            " LSF_DOCKER_SHM_SIZE=4g) or the host's (--ipc=host; LSF_DOCKER_IPC=host), remove what"
            f" killed jobs have left there (rm {FOLDER}/mpich_*), or start fewer ranks on a node"
        )


def room() -> Room:
    """Look at this node. What ranks of the same launcher have taken already counts as free."""
    try:
        found = os.statvfs(FOLDER)
    except OSError:
        return Room(0, 0)
    free_bytes = found.f_bavail * found.f_frsize + _taken_bytes(_launched_s())
    return Room(found.f_blocks * found.f_frsize, free_bytes)


def _taken_bytes(since_s: float) -> int:
    """Add up what MPI has taken for this user's processes since some time."""
    taken = 0
    for path in (*Path(FOLDER).glob("mpich_*"), *Path(FOLDER).glob("ucx_*")):
        with suppress(OSError):  # gone meanwhile
            its = path.stat()
            is_ours = its.st_uid == os.geteuid() and its.st_mtime >= since_s
            taken += is_ours * its.st_blocks * 512
    return taken


def _launched_s() -> float:
    """Give the time at which the process that started this one began; now, if it is unknown."""
    return time.time() - (proc.age_s(os.getppid()) or 0.0)
