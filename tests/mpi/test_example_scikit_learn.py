"""examples/scikit-learn: what it finds is what scikit-learn alone says, on any number of ranks."""

from __future__ import annotations

from pathlib import Path

import joblib
import pytest
import runs
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score

EXAMPLE = runs.ROOT / "examples" / "scikit-learn" / "svm.py"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run directory of a part of its grid, searched on two ranks."""
    return search(2, tmp_path_factory.mktemp("svm") / "results")


def search(n_ranks: int, out: Path) -> Path:
    words = ["--out", out, "--set", "C=10", "--set", "kernel=linear,rbf"]
    done = runs.run(n_ranks, EXAMPLE, *words, cwd=out.parent)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_gamma_is_searched_where_the_kernel_uses_it(searched: Path) -> None:
    tried = [(row["kernel"], row["gamma"]) for row in runs.rows(searched)]
    rates = ["0.001", "0.003", "0.01", "0.03"]
    assert tried == [("linear", ""), *(("rbf", gamma) for gamma in rates)]


def test_score_and_model_are_those_of_the_best_configuration(searched: Path) -> None:
    images, digits = load_digits(return_X_y=True)
    best = max(runs.rows(searched), key=lambda row: float(row["score"]))
    model = joblib.load(searched / "best_model" / "svm.joblib")
    assert model["svc"].kernel == best["kernel"]
    assert cross_val_score(model, images, digits, cv=5).mean() == float(best["score"])
    assert model.score(images, digits) > 0.99


def test_one_rank_finds_the_same(searched: Path, tmp_path: Path) -> None:
    assert runs.comparable(search(1, tmp_path / "results")) == runs.comparable(searched)
