"""No core idle for want of ranks, and none fought for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hpo import cores
from hpo.cores import RANK_BYTES, Seat
from hpo.world import World


def seats(n_ranks: int, n_cores: int, *, node: str = "a", **changes: object) -> list[Seat]:
    """Seat ranks on a node with so many cores, bound to none."""
    all_cores = frozenset(range(n_cores))
    values = {"bound": all_cores, "free": all_cores, "n_free": n_cores, "memory_bytes": 10**12}
    return [Seat(node, node, **values | changes) for _ in range(n_ranks)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sitting", "n_threads", "n_jobs", "expected"),
    [
        (seats(2, 8), 1, 99, "2 ranks leave 6 of 8 cores idle: mpirun -np 8 is faster"),
        (seats(1, 2), 1, 99, "1 rank leaves 1 of 2 cores idle: mpirun -np 2 is faster"),
        (
            seats(1, 4),
            2,
            9,
            "1 rank of 2 threads leaves 2 of 4 cores idle: mpirun -np 2 is faster",
        ),
        (seats(8, 8), 1, 99, None),
        (seats(4, 8), 2, 99, None),
        (seats(2, 8), 1, 3, "2 ranks leave 6 of 8 cores idle: mpirun -np 3 is faster"),
        (seats(2, 8), 1, 2, None),  # two trials need no more
        (seats(3, 7), 2, 99, None),  # the last core is no second rank's
        (seats(2, 8, memory_bytes=3 * RANK_BYTES), 1, 99, "2 ranks leave 6 of 8 cores idle:"
         " mpirun -np 5 is faster"),
        (seats(2, 8, memory_bytes=-1), 1, 99, None),
        (seats(8, 2), 1, 99, "8 ranks share 2 cores: mpirun -np 2 is as fast, with less memory"),
        (seats(2, 8, n_free=2), 1, 99, None),  # a quota of two cores' time
        (seats(1, 1), 4, 99, None),
        (
            [*seats(4, 4), *seats(2, 8, node="b")],
            1,
            99,
            "6 ranks leave 6 of 12 cores idle: mpirun -np 12 is faster",
        ),
    ],
)  # fmt: skip
def test_the_better_number_of_ranks_is_told(
    sitting: list[Seat], n_threads: int, n_jobs: int, expected: str | None
) -> None:
    assert cores.advice(sitting, n_threads, n_jobs) == expected


@pytest.mark.parametrize(
    ("bindings", "n_threads", "expected"),
    [
        ([{0}, {0}], 1, True),  # two launchers' habit: each begins at core 0
        ([{0}, {1}], 1, False),
        ([{0}, {1}], 2, True),
        ([{0, 1}, {0, 1}], 1, False),
        ([{0}], 1, False),
        ([{0}], 4, True),
        ([{0, 1, 2, 3}] * 8, 1, False),  # more ranks than cores: nothing is left to let go of
    ],
)
def test_a_binding_that_crowds_ranks_is_seen(
    bindings: list[set[int]], n_threads: int, expected: bool
) -> None:
    free = frozenset(range(4))
    sitting = [Seat("a", "a", frozenset(b), free, 4, 0) for b in bindings]
    elsewhere = Seat("b", "b", frozenset({0}), free, 4, 0)
    assert cores.is_crowded([*sitting, elsewhere], sitting[0], n_threads) is expected


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core")
def test_a_crowding_binding_is_let_go() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from hpo import cores; from hpo.world import World\n"
        "[seat] = cores.settle(World(), 2)\n"
        "assert len(seat.bound) == 1\n"
        "print(len(os.sched_getaffinity(0)) >= 2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_looking_changes_no_binding(world: World) -> None:
    before = os.sched_getaffinity(0)
    [seat] = cores.settle(world, 1)
    assert os.sched_getaffinity(0) == before == seat.bound
    assert seat.bound <= seat.free
    assert 1 <= seat.n_free <= len(seat.free)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SLURM_CPUS_ON_NODE": "8"}, 8),
        ({"LSB_MCPU_HOSTS": "other 16 here 4"}, 4),
        ({"LSB_MCPU_HOSTS": "other 16"}, None),
        ({"LSB_MCPU_HOSTS": "nonsense"}, None),
        ({"SLURM_CPUS_ON_NODE": "nonsense"}, None),
    ],
)
def test_the_scheduler_says_how_many_cores_a_job_has(
    environ: dict[str, str], expected: int | None
) -> None:
    assert cores._slots(environ, "here.cluster") == expected
