"""Pruned searches under mpirun: the same for every N, whatever dies; what is pruned goes on."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
import runs
from test_stopping import Started

ASHA = ("--pruner", "asha", "--epochs", 9)


@pytest.fixture(scope="session")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run directory of a search on one rank, pruned by halving; not to be written to."""
    out = tmp_path_factory.mktemp("pruned") / "results"
    done = runs.search(1, out, *ASHA)
    assert done.returncode == 0, done.stderr
    return out


def n_epochs(out: Path) -> int:
    """Count the epochs that a search has trained, over all its starts."""
    return sum(path.read_text().count("\n") - 1 for path in out.glob("trials/*/epochs.csv"))


def test_halving_trains_few_to_their_end_and_one_of_them_wins(pruned: Path) -> None:
    rows = runs.rows(pruned)
    # 16 trials, a third of them from epoch 1 to 3, one from there to the end.
    assert sorted(int(row["epochs"]) for row in rows) == [1] * 11 + [3] * 4 + [9]
    assert n_epochs(pruned) == 11 + 4 * 3 + 9
    [winner] = [row for row in rows if row["status"] == "done"]
    text = (pruned / "best_params.txt").read_text()
    assert text.startswith("# Best: 16 of 16 combinations tried, 0 failed, 15 pruned.\n")
    assert re.search(r"trial_id: (.*)", text)[1].strip('"') == winner["id"]  # type: ignore[index]
    assert runs.status(pruned) == 0
    assert len(list(pruned.glob("trials/*/checkpoint.json"))) == 15


@pytest.mark.parametrize("n_ranks", [2, 3, 8])
def test_a_halved_search_is_equal_for_every_number_of_ranks(
    pruned: Path, tmp_path: Path, n_ranks: int
) -> None:
    out = tmp_path / "results"
    done = runs.search(n_ranks, out, *ASHA)
    assert done.returncode == 0, done.stderr
    assert runs.comparable(out) == runs.comparable(pruned)
    assert (out / "best_params.txt").read_text() == (pruned / "best_params.txt").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_halved_search_goes_on_after_a_stop_and_after_a_kill(
    pruned: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "results"
    for n_ranks, after_s in ((2, 0.3), (3, 1.5)):
        started = Started(n_ranks, out, *ASHA)
        started.wait_until_training()
        time.sleep(after_s)
        started.process.send_signal(number)
        started.end()
    done = runs.search(2, out, *ASHA)
    assert done.returncode == 0, done.stderr
    assert runs.comparable(out) == runs.comparable(pruned)


def test_what_was_pruned_goes_on_from_its_saved_state(tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "results"
    whole.parent.mkdir()
    assert runs.search(2, whole, "--epochs", 3).returncode == 0
    out = tmp_path / "results"
    assert runs.search(2, out, "--epochs", 3, "--pruner", "asha").returncode == 0
    assert n_epochs(out) < n_epochs(whole)
    done = runs.search(2, out, "--epochs", 3)
    assert done.returncode == 0, done.stderr
    assert "16 combinations, 11 to train on 2 ranks" in done.stdout
    logs = "".join(path.read_text() for path in out.glob("trials/*/trial.log"))
    assert logs.count("goes on after epoch 1") >= 11
    assert runs.comparable(out) == runs.comparable(whole)


@pytest.mark.parametrize("pruner", ["median", "hyperband", "patience"])
def test_every_pruner_ends_with_a_winner_that_was_trained_to_its_end(
    tmp_path: Path, pruner: str
) -> None:
    out = tmp_path / "results"
    done = runs.search(3, out, "--epochs", 9, "--pruner", pruner, "--patience", 1)
    assert done.returncode == 0, done.stderr
    rows = runs.rows(out)
    assert len(rows) == 16
    assert {row["status"] for row in rows} == {"done", "pruned"}
    assert all(row["epochs"] == "9" for row in rows if row["status"] == "done")
    assert runs.status(out) == 0
    again = runs.search(1, out, "--epochs", 9, "--pruner", pruner, "--patience", 1)
    assert "nothing to train" in again.stdout
