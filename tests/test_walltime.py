"""When this job ends, as schedulers tell it."""

import time

import pytest

from hpo import walltime
from hpo.stopping import MARGIN_S, Stop


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("59", 59),
        ("1:00", 60),
        ("12:34", 754),
        ("1:00:00", 3600),
        ("2-03:00:01", 2 * 86_400 + 3 * 3600 + 1),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("NOT_SET", None),
        ("", None),
        ("1:2:3:4", None),
    ],
)
def test_time_left_as_squeue_writes_it(text, seconds):
    assert walltime.seconds(text) == seconds


@pytest.mark.parametrize("name", ["SLURM_JOB_END_TIME", "HPO_JOB_END_TIME"])
def test_end_in_the_environment(name):
    left_s = walltime.left_s({name: str(int(time.time()) + 100)})
    assert 98 < left_s <= 100


def test_no_job_has_no_end():
    assert walltime.left_s({}) is None
    assert walltime.left_s({"SLURM_JOB_END_TIME": "soon"}) is None


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Give what makes a squeue of these lines of shell the one that is found."""

    def make(lines):
        path = tmp_path / "squeue"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def test_squeue_is_asked_where_the_environment_is_silent(squeue):
    squeue('[ "$2" = --jobs=7 ] && echo 7 29:30')
    assert walltime.left_s({"SLURM_JOB_ID": "7"}) == 29 * 60 + 30
    assert walltime.left_s({"SLURM_JOB_ID": "8"}) is None


def test_last_element_of_an_array_finds_itself_among_all(squeue):
    # What Slurm 22.05 answers to --jobs=74144, the third of three elements.
    squeue("printf '74144 9:57\\n74146 9:57\\n74145 9:57\\n'")
    assert walltime.left_s({"SLURM_JOB_ID": "74144"}) == 9 * 60 + 57


def test_the_earlier_limit_counts():
    stop = Stop(time_limit_min=60, started_s=time.monotonic())
    stop.end_within(600)
    assert 590 - MARGIN_S < stop.time_left_s() <= 600 - MARGIN_S
    stop.end_within(6000)
    assert stop.time_left_s() <= 600 - MARGIN_S
    stop.end_within(-5)
    assert stop.is_requested()
