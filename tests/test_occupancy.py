"""What ranks did with their time."""

from __future__ import annotations

import pytest

from hpo.history import Started, Submitted
from hpo.job import Job
from hpo.journal import Written
from hpo.occupancy import of_starts, queue_waits
from hpo.trial import Result, Status


def started(name: str, at_s: float, **more: object) -> Started:
    return Started(name, at_s, "node1", n_ranks=4, n_jobs=9, **more)


def worked(rank: int, began_s: float, ended_s: float) -> Result:
    return Result("a", {}, Status.DONE, rank=rank, began_s=began_s, ended_s=ended_s)


def test_efficiency_and_core_hours():
    records = [Written("s", worked(0, 100, 1000)), Written("s", worked(2, 100, 1900))]
    (its,) = of_starts([started("s", 100, ended_s=1900.0)], records, ranks_per_trial=2, threads=3)
    assert (its.n_groups, its.wall_s, its.busy_s) == (2, 1800, 2700)
    assert its.efficiency == pytest.approx(0.75)
    assert its.core_hours == 4 * 3 * 0.5


def test_a_killed_start_ends_with_its_last_result():
    records = [Written("s", worked(0, 100, 400)), Written("other", worked(0, 100, 900))]
    assert [its.end_s for its in of_starts([started("s", 90)], records)] == [400]
    assert [its.wall_s for its in of_starts([started("none", 90)], records)] == [0]


def test_records_of_earlier_versions_tell_no_time():
    (its,) = of_starts([started("s", 100)], [Written("s", worked(0, 0, 0))])
    assert (its.worked, its.efficiency) == ([], 0)


@pytest.mark.parametrize(
    ("ids", "array", "jobs", "waits_s"),
    [
        (("7",), 0, [("slurm 7", 160, 400)], [60]),
        (("7",), 0, [("slurm 7", 160, 400), ("slurm 7", 450, 500)], [60, 50]),  # requeued
        (("7", "8"), 0, [("slurm 7", 160, 400), ("slurm 8", 401, 500)], [60, 1]),  # a chain
        (("7_[1-2]",), 2, [("slurm 7_1", 160, 400), ("slurm 7_2", 300, 500)], [60, 200]),
        (("7[1-2]",), 2, [("lsf 7[1]", 160, 400), ("lsf 7[1]", 450, 500)], [60, 50]),
        (("7",), 0, [("slurm 8", 160, 400), ("", 170, 400)], []),
        (("7",), 0, [("slurm 7", 20, 40)], []),  # of long ago, with the same number
    ],
)
def test_queue_waits(ids, array, jobs, waits_s):
    its = Submitted("job-1", 100.0, ids, Job(scheduler="slurm", array=array), "/")
    starts = [
        started(str(number), at_s, scheduler_job=name, ended_s=ended_s)
        for number, (name, at_s, ended_s) in enumerate(jobs)
    ]
    assert list(queue_waits(its, of_starts(starts, [])).values()) == waits_s
