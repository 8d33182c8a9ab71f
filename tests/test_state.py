"""What ranks were doing when they died, and what that says of their trials."""

from __future__ import annotations

from collections import Counter

import pytest

from hpo import state
from hpo.lock import Lock
from hpo.rundir import RunDir
from hpo.state import RankState

pytestmark = pytest.mark.usefixtures("unscheduled")


@pytest.fixture
def run(tmp_path):
    run = RunDir(tmp_path / "results")
    run.make()
    return run


def test_a_trial_in_flight_when_its_start_is_gone_is_one_death(run):
    RankState(run, "start1", 0, "host").trains("poison", {}, None)
    RankState(run, "start1", 1, "host").trains("other", {}, None)
    for _ in range(2):  # whoever begins next, and is killed before it has done anything
        state.bury(run)
        assert state.deaths(run) == Counter(poison=1, other=1)
    RankState(run, "start2", 0, "host").trains("poison", {}, None)
    state.bury(run)
    assert state.deaths(run) == Counter(poison=2, other=1)
    state.forgive(run, {"poison"})
    assert state.deaths(run) == Counter(other=1)


def test_a_trial_that_ended_or_was_saved_is_no_death(run):
    rank = RankState(run, "start1", 0, "host")
    rank.trains("finished", {}, None)
    rank.rests()
    rank.trains("saved", {}, None)
    rank.saved()
    state.bury(run)
    assert state.deaths(run) == Counter()
    assert state.running(run) == []


def test_a_start_that_holds_its_lock_is_alive(run):
    lock = Lock.acquire(run.state, "start1", (1, 2))
    RankState(run, "start1", 0, "host").trains("poison", {}, None)
    run.rank_state("start1", 0).with_name(".being-written.json").touch()
    state.bury(run)
    lock.release()
    assert state.deaths(run) == Counter()
    assert [told["trial"] for told in state.running(run)] == ["poison"]


def test_a_file_torn_by_a_crash_of_the_machine_says_nothing(run):
    run.rank_state("start1", 0).write_text('{"trial": "poi')
    state.bury(run)
    assert state.deaths(run) == Counter()


def test_clear_leaves_what_another_start_has_there(run):
    RankState(run, "start1", 0, "host").trains("poison", {}, None)
    state.clear(run)
    assert [told["trial"] for told in state.running(run)] == ["poison"]
    run.rank_state("start1", 0).unlink()
    run.died.mkdir(exist_ok=True)
    (run.state / ".left-by-a-kill.json").touch()
    state.clear(run)
    assert not run.state.exists()
