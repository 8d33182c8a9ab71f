"""examples/linear-list: the same trials on any number of ranks, after a stop, with patience."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import runs
from interruption import goes_on_alike, interrupted_copy
from sklearn.datasets import load_digits

EXAMPLE = runs.ROOT / "examples" / "linear-list"
TRAIN = EXAMPLE / "train.py"
# A version of its own: the copy that is interrupted has the same trials, and so the same seeds.
SMALLER = ("--set", "batch_size=128", "--set", "average_decay=0.9", "--set", "epochs=12")
OPTIONS = ("--space", EXAMPLE / "job.yaml", "--objective-version", "1", *SMALLER)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run directory of a part of its grid, searched on two ranks."""
    out = tmp_path_factory.mktemp("linear") / "results"
    done = search(2, out)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def search(
    n_ranks: int, out: Path, *options: object, train: Path = TRAIN
) -> subprocess.CompletedProcess[str]:
    words = ["--objective", f"{train}:train", "--out", out, *OPTIONS, *options]
    return runs.run(n_ranks, "-m", "hpo", "search", *words, cwd=out.parent)


def test_rates_are_those_of_their_momentum(searched: Path) -> None:
    tried = {(float(row["momentum"]), float(row["learning_rate"])) for row in runs.rows(searched)}
    steps = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0]
    shares = {0.0: 1, 0.9: 0.1, 0.99: 0.01}
    assert tried == {(m, share * step) for m, share in shares.items() for step in steps}


def test_one_rank_finds_the_same(searched: Path, tmp_path: Path) -> None:
    assert search(1, tmp_path / "results").returncode == 0
    assert runs.comparable(tmp_path / "results") == runs.comparable(searched)


def test_interrupted_search_goes_on_to_the_same_results(searched: Path, tmp_path: Path) -> None:
    out, train = tmp_path / "results", interrupted_copy(TRAIN, tmp_path)
    goes_on_alike(
        lambda n: search(n, out, train=train),
        *(out, searched),
        saved="state.npz",
        kept="model.npz",
    )


def test_model_is_the_averaged_one_of_the_best_epoch(searched: Path) -> None:
    with np.load(searched / "best_model" / "model.npz", allow_pickle=False) as file:
        weights = file["weights"]
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(33).permutation(len(images))[: round(0.2 * len(images))]
    scores = images[order] / 16 @ weights[:-1] + weights[-1]
    best = max(float(row["score"]) for row in runs.rows(searched))
    assert np.mean(scores.argmax(axis=1) == digits[order]) == best > 0.9


def test_patience_ends_a_trial_that_gets_no_better(tmp_path: Path) -> None:
    out = tmp_path / "results"
    assert search(2, out, "--set", "patience=2", "--set", "momentum=0.0").returncode == 0
    rows = runs.rows(out)
    for row in rows:
        assert int(row["epochs"]) == min(12, int(row["best_epoch"]) + 2)
        assert len(epochs(out, row)) == int(row["epochs"])
    assert any(int(row["epochs"]) < 12 for row in rows)


def epochs(out: Path, row: dict[str, str]) -> list[dict[str, str]]:
    with (out / "trials" / row["id"] / "epochs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_weights_are_averaged_only_where_a_decay_says_so(searched: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    fewer = ("--set", "average_decay=0.0", "--set", "learning_rate=1.0")
    assert search(2, out, *fewer).returncode == 0

    def differ(folder: Path) -> bool:
        found = [its for row in runs.rows(folder) for its in epochs(folder, row)]
        return any(its["accuracy"] != its["averaged_accuracy"] for its in found)

    assert differ(searched) and not differ(out)


def test_data_of_ones_own(tmp_path: Path) -> None:
    x = np.repeat(np.eye(4), 10, axis=0).reshape(40, 2, 2)
    np.savez(tmp_path / "own.npz", x=x, y=np.repeat(np.arange(4), 10))
    done = search(1, tmp_path / "results", "--data", "own.npz", "--set", "momentum=0.0")
    assert done.returncode == 0, done.stderr
    assert max(float(row["score"]) for row in runs.rows(tmp_path / "results")) == 1


def test_stats_has_each_epoch_of_each_trial(searched: Path) -> None:
    words = [sys.executable, EXAMPLE / "stats.py", searched]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    with (searched / "stats.csv").open(newline="") as file:
        stats = list(csv.DictReader(file))
    assert len(stats) == sum(int(row["epochs"]) for row in runs.rows(searched))
    for row in runs.rows(searched):
        its = [found for found in stats if found["id"] == row["id"]]
        best = max(float(found["averaged_accuracy"]) for found in its)
        assert best == float(row["score"])
        assert {found["learning_rate"] for found in its} == {row["learning_rate"]}
    n_epochs, n_trials = len(stats), len(runs.rows(searched))
    assert told.endswith(f"{n_epochs} epochs of {n_trials} trials: {searched / 'stats.csv'}\n")
    best = max(float(row["score"]) for row in runs.rows(searched))
    assert f"{best:.4f}" in told
