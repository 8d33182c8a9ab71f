"""search.log: all ranks' lines, each once and in order, whatever is killed on the way."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from hpo import gathering, history
from hpo.gathering import Gatherer, entries, take_over, take_over_all
from hpo.history import Started
from hpo.ranklog import RankLog, of_trial
from hpo.rundir import RunDir

START = "20261125T233021-abcdef"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "results")
    run.make()
    run.logs.mkdir()
    return run


def entry(second: int, text: str = "", *, day: int = 25) -> str:
    return f"2026-11-{day} 23:30:{second:02d}.000 INFO rank 0 host h trial - {text}\n"


def say(run: RunDir, rank: int, *texts: str, start: str = START) -> None:
    with run.rank_log(start, rank).open("a") as file:
        file.writelines(texts)


def test_a_line_has_its_time_level_rank_host_and_trial(run, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "hpo")  # as a search does
    # Not to pytest, whose processes cannot send each other what is no UTF-8.
    monkeypatch.setattr(logging.getLogger("hpo"), "propagate", False)
    logger = logging.getLogger("hpo.any")
    log = RankLog.begin(run.rank_log(START, 3), "rank 3", "node7")
    try:
        assert not list(run.logs.iterdir())  # a quiet rank has no file
        with of_trial("d8ce12f05b4df19a"):
            logger.info("goes on after epoch %d", 2)
        try:
            raise ValueError("one\ntwo \udcff")
        except ValueError:
            logger.info("failed", exc_info=True)
    finally:
        log.end()
    logger.info("afterwards")
    first, second = [its.decode() for its in entries(run.rank_log(START, 3).read_bytes())]
    time.strptime(first[:19], "%Y-%m-%d %H:%M:%S")
    assert first[19] == "." and first[20:23].isdigit()
    assert first[23:] == " INFO rank 3 host node7 trial d8ce12f05b4df19a goes on after epoch 2\n"
    head, *lines = second.splitlines()
    assert head.endswith(" INFO rank 3 host node7 trial - failed")
    assert all(line.startswith("    ") for line in lines)
    assert lines[-2:] == ["    ValueError: one", "    two \\udcff"]


def test_gather_sorts_the_ranks_lines_and_leaves_none(run, monkeypatch):
    now = entry(1, day=26)[:23].encode()
    monkeypatch.setattr(gathering, "_stamp", lambda at_s: now)
    say(run, 0, entry(1, "a"), entry(4, "d\n    more of d"), entry(9, "young", day=26))
    say(run, 1, entry(2, "b"), entry(3, "c")[:-1])
    gatherer = Gatherer(run, START, None)
    gatherer._gather(now)
    assert run.log.read_text() == entry(1, "a") + entry(2, "b") + entry(4, "d\n    more of d")
    say(run, 1, "\n", entry(5, "e"))
    say(run, 10, entry(0, "of a host that is seen late"))
    gatherer.finish(is_clean=True)
    assert run.log.read_text() == "".join(
        [
            entry(0, "of a host that is seen late"),
            *(entry(1, "a"), entry(2, "b"), entry(3, "c")),
            *(entry(4, "d\n    more of d"), entry(5, "e"), entry(9, "young", day=26)),
        ]
    )
    assert not run.logs.exists()


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    seconds=strategies.lists(strategies.lists(strategies.integers(0, 5), max_size=5), max_size=3),
    share=strategies.floats(0, 1),
    n_looks=strategies.integers(0, 3),
)
def test_no_line_is_lost_or_doubled_by_a_kill_at_any_byte(
    tmp_path_factory, seconds, share, n_looks
):
    run = RunDir(tmp_path_factory.mktemp("run"))
    run.logs.mkdir()
    before = entry(0, "earlier", day=24)
    run.log.write_text(before)
    gatherer = Gatherer(run, START, None)
    expected = [before.encode()]
    for look in range(3):
        for rank, its in enumerate(seconds):
            text = "the same\n    twice\n    twice"
            texts = [entry(10 * look + second, text) for second in sorted(its)]
            say(run, rank, *texts)
            expected += [told.encode() for told in texts]
        if look < n_looks:
            gatherer._gather(None)
    n_bytes = len(run.log.read_bytes())
    cut = len(before) + round(share * (n_bytes - len(before)))  # killed while it was appending
    run.log.write_bytes(run.log.read_bytes()[:cut])
    for _ in range(2):
        take_over(run, alive=set())
    assert entries(run.log.read_bytes()) == sorted(expected, key=lambda its: its[:23])
    assert not list(run.logs.glob("*"))


def test_take_over_leaves_the_living_and_keeps_shards_apart(run):
    shards: dict[str, tuple[int, int] | None] = {
        "whole": None,
        "one": (1, 2),
        "two": (2, 2),
        "lives": (2, 2),
    }
    for name, shard in shards.items():
        history.note_started(run, Started(name, 0.0, "h", 1, 1, shard=shard))
        say(run, 0, entry(1, name), start=name)
    take_over(run, {"lives"}, (1, 2))
    assert run.log_of_shard((1, 2)).read_text() == entry(1, "one")
    assert {path.name for path in run.logs.iterdir()} == {
        "whole-0.log",
        "two-0.log",
        "lives-0.log",
    }
    take_over_all(run, {"lives"})
    assert run.log.read_text() == entry(1, "whole")
    assert run.log_of_shard((2, 2)).read_text() == entry(1, "two")
    assert [path.name for path in run.logs.iterdir()] == ["lives-0.log"]


def test_lines_of_an_earlier_version_stay(run):
    old = "2026-11-20 10:00:00,123 INFO start x\nTraceback:\n  of then\n"
    run.log.write_text(old)
    say(run, 0, entry(1, "new"))
    take_over(run, alive=set())
    assert run.log.read_text() == old + entry(1, "new")
