"""What ranks did with their time."""

from __future__ import annotations

import pytest

from hpo.history import Started, Submitted
from hpo.job import Job
from hpo.journal import Written
from hpo.occupancy import of_starts, queue_wait_s
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
    ("ids", "jobs", "wait_s"),
    [
        (("7",), [("slurm job 7", 160.0)], 60),
        (("7",), [("slurm job 7", 160.0), ("slurm job 7", 500.0)], 60),  # requeued
        (("7_[1-3]",), [("LSF job 7[2]", 150.0)], 50),
        (("7", "8"), [("slurm job 8", 300.0)], 200),
        (("7",), [("slurm job 8", 160.0), ("", 170.0)], None),
        (("7",), [("slurm job 7", 20.0)], None),  # of a job of long ago with that number
    ],
)
def test_queue_wait(ids, jobs, wait_s):
    its = Submitted("job-1", 100.0, ids, Job(scheduler="slurm", time_min=60), "/")
    starts = [started(str(at_s), at_s, scheduler_job=name) for name, at_s in jobs]
    assert queue_wait_s(its, starts) == wait_s
