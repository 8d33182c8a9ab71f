"""Finalists and refit under mpirun: the same winner for every N, continued after any stop."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import runs
from ruamel.yaml import YAML
from test_stopping import Started

FINALS = ("--finalists", 3, "--repeats", 2)


def answer(out: Path) -> dict[str, object]:
    return dict(YAML(typ="safe", pure=True).load(out / "best_params.txt"))


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run directory of a search with finalists on one rank; not to be written to."""
    out = tmp_path_factory.mktemp("decided") / "results"
    done = runs.search(1, out, *FINALS, "--refit")
    assert done.returncode == 0, done.stderr
    assert "6 repeats of finalists to train: --finalists 3, --repeats 2" in done.stdout
    assert "the winner is trained once more on all 1,797 images" in done.stdout
    return out


def test_finalists_stand_on_one_validation_set_with_other_seeds(decided: Path) -> None:
    rows = runs.rows(decided)
    assert [row["in_space"] for row in rows] == ["true"] * 16 + ["false"] * 6
    repeats = rows[16:]
    assert {row["validation_split"] for row in repeats} == {"0.2"}
    assert sorted(row["seed"] for row in repeats) == ["1"] * 3 + ["2"] * 3
    means: dict[tuple[str, ...], list[float]] = {}
    for row in repeats:
        config = ("filters", "batch_size", "learning_rate")
        means.setdefault(tuple(row[name] for name in config), []).append(float(row["score"]))
    told = answer(decided)
    assert told["score"] == max(sum(scores) / 2 for scores in means.values())
    assert sorted(told["scores"]) in map(sorted, means.values())  # type: ignore[call-overload]


def test_finalists_are_equal_for_every_number_of_ranks(decided: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = runs.search(3, out, *FINALS, "--refit")
    assert done.returncode == 0, done.stderr
    assert runs.comparable(out) == runs.comparable(decided)
    assert (out / "best_params.txt").read_text() == (decided / "best_params.txt").read_text()


def test_the_model_of_refit_has_seen_all_images(decided: Path) -> None:
    # A folder of its own beside those of the journal's trials.
    [folder] = {path.name for path in decided.glob("trials/*")} - {
        row["id"] for row in runs.rows(decided)
    }
    config = (decided / "trials" / folder / "config.yaml").read_text()
    assert "validation_split: 0\n" in config
    assert [path.name for path in decided.glob("models/*")] == [folder]
    assert "# The model was trained on all images" in (decided / "best_params.txt").read_text()
    assert runs.status(decided) == 0


def test_finalists_go_on_after_a_kill(decided: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    assert runs.search(2, out).returncode == 0
    before = runs.n_records(out)
    started = Started(2, out, *FINALS, "--refit")
    started.wait_until_training()
    for rank in started.ranks():  # those that lose their launcher may train on for a while
        os.kill(rank, signal.SIGKILL)
    started.end()
    assert runs.status(out) == 75
    done = runs.search(2, out, *FINALS, "--refit")
    assert done.returncode == 0, done.stderr
    assert runs.n_records(out) == before + 6
    assert runs.comparable(out) == runs.comparable(decided)


def test_nothing_is_left_to_do_after_the_finalists(decided: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(decided, tmp_path / "results"))
    done = runs.search(2, out, *FINALS, "--refit")
    assert done.returncode == 0
    assert "nothing to train" in done.stdout


def test_pruned_trials_are_finalists_where_few_were_trained_to_their_end(tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = runs.search(2, out, *FINALS, "--pruner", "asha", "--epochs", 4)
    assert done.returncode == 0, done.stderr
    assert "6 repeats of finalists to train" in done.stdout
    rows = runs.rows(out)
    assert [row["status"] for row in rows[:16]].count("done") == 1
    assert {(row["status"], row["epochs"]) for row in rows[16:]} == {("done", "4")}
    assert len(rows) == 22
    assert runs.status(out) == 0
