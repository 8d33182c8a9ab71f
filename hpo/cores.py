"""The cores of each node and the ranks on them: none idle for want of ranks, none fought for.

Ranks are left where the launcher has bound them, unless it has bound several to the same cores
while others are free. Without a binding the kernel spreads them, as each has one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hpo.launcher import node
from hpo.world import World

RANK_BYTES = 10**9  # what a rank takes with networks of usual size, with a little to spare
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Seat:
    """Where one rank sits.

    Attributes:
        bound: the cores that it may run on now.
        free: the cores that its job has on this node; fewer if a quota limits their time.
        memory_bytes: what is free on the node now.
    """

    host: str
    node: str
    bound: frozenset[int]
    free: frozenset[int]
    n_free: int
    memory_bytes: int


def settle(world: World, n_threads: int) -> list[Seat]:
    """Look where all ranks sit, and let go of a binding that crowds them (collective)."""
    mine = _look(world.host, os.environ)
    seats = world.all_gather(mine)
    if is_crowded(seats, mine, n_threads):
        os.sched_setaffinity(0, mine.free)
    return seats


def is_crowded(seats: Sequence[Seat], mine: Seat, n_threads: int) -> bool:
    """Whether this node's ranks are bound to fewer cores than they could have."""
    here = [seat for seat in seats if seat.node == mine.node]
    bound = frozenset().union(*(seat.bound for seat in here))
    return len(bound) < min(len(here) * n_threads, mine.n_free)


def advice(seats: Sequence[Seat], n_threads: int, n_jobs: int) -> str | None:
    """Name a better number of ranks, if there is one."""
    nodes = list(_nodes(seats))
    n_ranks, n_cores = len(seats), sum(here[0].n_free for here in nodes)
    fitting = sum(_fitting(here, n_threads) for here in nodes)
    they = f"{n_ranks} rank{'s' if n_ranks > 1 else ''}"
    if n_threads > 1:
        they += f" of {n_threads} threads"
    cores = f"{n_cores} core{'s' if n_cores > 1 else ''}"
    if n_ranks > max(1, n_cores // n_threads):
        return f"{they} share {cores}: mpirun -np {max(1, fitting)} is as fast, with less memory"
    if min(fitting, n_jobs) > n_ranks:
        idle = f"leave{'s' if n_ranks == 1 else ''} {n_cores - n_ranks * n_threads} of {cores}"
        return f"{they} {idle} idle: mpirun -np {min(fitting, n_jobs)} is faster"
    return None


def _look(host: str, environ: Mapping[str, str]) -> Seat:
    bound, free = frozenset(os.sched_getaffinity(0)), _allowed()
    limits = [len(free), _quota(), _slots(environ, host)]
    n_free = max(1, min(limit for limit in limits if limit is not None))
    return Seat(host, node(host), bound, free, n_free, _memory_bytes())


def _nodes(seats: Sequence[Seat]) -> Iterable[list[Seat]]:
    by_node = sorted(seats, key=lambda seat: seat.node)
    return (list(here) for _, here in groupby(by_node, key=lambda seat: seat.node))


def _fitting(here: Sequence[Seat], n_threads: int) -> int:
    """Give the number of ranks that a node has cores for, and memory."""
    with_memory = len(here) + max(0, here[0].memory_bytes) // RANK_BYTES
    return min(here[0].n_free // n_threads, with_memory)


def _allowed() -> frozenset[int]:
    """Give the cores of this container or job, whatever the launcher has bound this process to.

    The kernel cuts any wish for cores to those, with each version of cgroups.
    """
    bound = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))
        return frozenset(os.sched_getaffinity(0))
    except OSError:
        return frozenset(bound)
    finally:
        os.sched_setaffinity(0, bound)


def _quota() -> int | None:
    """Give how many cores' time a container has, if that is limited."""
    quota = _number("cpu.max", "cpu/cpu.cfs_quota_us")
    period = _number("cpu.max", "cpu/cpu.cfs_period_us", word=1)
    return quota // period if quota and period and quota > 0 else None


def _number(*files: str, word: int = 0) -> int | None:
    """Read a number of the container's cgroup, of either version; None if there is no limit."""
    for file in files:
        try:
            words = (_CGROUP / file).read_text().split()
            return int(words[word if len(words) > 1 else 0])
        except (OSError, ValueError):
            continue
    return None


def _slots(environ: Mapping[str, str], host: str) -> int | None:
    """Read what the scheduler has given the job on this node: `8`, `4(x2)`; LSF's `a 4 b 8`."""
    try:
        if "SLURM_CPUS_ON_NODE" in environ:
            return int(environ["SLURM_CPUS_ON_NODE"])
        words = environ["LSB_MCPU_HOSTS"].split()
        slots = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        return slots.get(host) or slots.get(host.partition(".")[0])
    except (KeyError, ValueError):
        return None


def _memory_bytes() -> int:
    """Give the memory that is free for more processes: on the node, and in the container."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    limit = _number("memory.max", "memory/memory.limit_in_bytes")
    used = _number("memory.current", "memory/memory.usage_in_bytes")
    if limit is not None and used is not None:
        free.append(limit - used)
    return min(free)
