"""Sampled searches under mpirun: enumerated ones are equal for every N, models lose nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import runs
from test_stopping import Started

SPACE = """\
filters: [3, 4]
learning_rate: {min: 1e-3, max: 1e-1, log: true}
dropout: {min: 0.1, max: 0.5}
dense_units: 16
batch_size: 128
epochs: 2
"""
SWEEP = """\
program: train.py
method: bayes
run_cap: 8
metric: {name: val_loss, goal: minimize}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 0.001, max: 0.1}
  filters: {values: [3, 4]}
  dense_units: {value: 16}
  batch_size: {value: 128}
  epochs: {value: 4}
early_terminate: {type: hyperband, min_iter: 1, eta: 2}
"""


def sampled(n_ranks: int, out: Path, sampler: str, n: int, text: str = SPACE) -> str:
    options = ("--sampler", sampler, "--trials", n)
    space = runs.space_file(out.parent, text)
    done = runs.search(n_ranks, out, "--space", space, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("sampler", ["random", "sobol", "lhs"])
def test_what_is_drawn_is_equal_for_every_number_of_ranks(tmp_path: Path, sampler: str) -> None:
    told = []
    for n_ranks in (1, 3):
        folder = tmp_path / str(n_ranks)
        folder.mkdir()
        sampled(n_ranks, folder / "results", sampler, 8)
        told.append(runs.comparable(folder / "results"))
    assert told[0] == told[1]
    assert told[0].count("\n") == 8


def test_more_trials_add_to_those_that_are_there(tmp_path: Path) -> None:
    out = tmp_path / "results"
    sampled(2, out, "random", 5)
    before = {row["id"] for row in runs.rows(out)}
    assert "8 combinations, 3 to train" in sampled(2, out, "random", 8)
    assert before < {row["id"] for row in runs.rows(out)}
    assert runs.n_records(out) == 8


def test_a_sampler_without_a_number_is_refused_on_all_ranks(tmp_path: Path) -> None:
    done = runs.search(3, tmp_path / "results", "--sampler", "random")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: --sampler random: expected --trials N beside it, found no number"
    ]


def test_a_model_proposes_the_same_on_one_rank(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (pip install optuna)")
    told = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        sampled(1, folder / "results", "tpe", 14)
        told.append(runs.comparable(folder / "results"))
    assert told[0] == told[1]


def test_a_model_based_search_goes_on_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (pip install optuna)")
    out = tmp_path / "results"
    space = runs.space_file(tmp_path, SPACE.replace("epochs: 2", "epochs: 30"))
    options = ("--space", space, "--sampler", "tpe", "--trials", 12)
    started = Started(3, out, *options)
    started.wait_until_training()
    time.sleep(1.5)
    started.process.send_signal(signal.SIGKILL)
    started.end()
    before = runs.n_records(out)
    done = runs.search(2, out, *options)
    assert done.returncode == 0, done.stderr
    rows = runs.rows(out)
    assert len({row["id"] for row in rows}) == len(rows) == 12
    assert runs.n_records(out) == 12 >= before
    assert runs.status(out) == 0
    assert "nothing to train" in runs.search(1, out, *options).stdout


def test_a_sweep_file_runs_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (pip install optuna)")
    out = tmp_path / "results"
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    done = runs.search(2, out, "--space", tmp_path / "sweep.yaml")
    assert done.returncode == 0, done.stderr
    rows = runs.rows(out)
    assert len(rows) == 8
    assert {row["status"] for row in rows} == {"done", "pruned"}
    best = min(float(row["score"]) for row in rows if row["status"] == "done")
    text = (out / "best_params.txt").read_text()
    assert "# The lower val_loss, the better.\n" in text
    assert f"score: {best}\nmetric: val_loss\n" in text


def test_a_space_that_a_model_exhausts_is_finished(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (pip install optuna)")
    # Continuous, so that nobody can count it, but every proposal is the same.
    text = SPACE.replace("{min: 1e-3, max: 1e-1, log: true}", "0.01").replace(
        "{min: 0.1, max: 0.5}", "{mean: 0.3, std: 1e-30}"
    )
    out = tmp_path / "results"
    sampled(2, out, "tpe", 5, text)
    assert len(runs.rows(out)) == 2
    assert runs.status(out) == 0
