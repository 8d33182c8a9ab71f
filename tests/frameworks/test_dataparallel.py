"""Ranks that train together: gradients are averaged, groups do not meet, failures end trials."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import runs

OBJECTIVES = Path(__file__).parent / "data_parallel.py"
FRAMEWORKS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(needs) is None, reason=f"no {needs} (make test-frameworks)"
        ),
    )
    for name, needs in (("torch_steps", "torch"), ("keras_steps", "jax"))
]


def search(n_ranks: int, k: int, out: Path, name: str, space: str) -> str:
    done = runs.run(
        *(n_ranks, "-m", "hpo", "search", "--objective", f"{OBJECTIVES}:{name}"),
        *("--space", runs.space_file(out.parent, space), "--ranks-per-trial", k),
        *("--metric", "loss", "--retries", 0, "--out", out),
        cwd=out.parent,
        JAX_PLATFORMS="cpu",
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_two_ranks_train_as_one_does_on_all_rows(tmp_path: Path, name: str) -> None:
    space = "rate: [0.01, 0.02, 0.05, 0.1]\nfails: -1\n"
    one, two = tmp_path / "one", tmp_path / "two"
    search(1, 1, one, name, space)
    search(4, 2, two, name, space)
    weights = [f"weight{i}" for i in range(4)]
    for alone, together in zip(runs.rows(one), runs.rows(two), strict=True):
        assert alone["rate"] == together["rate"]
        for metric in ("score", *weights):
            assert float(together[metric]) == pytest.approx(float(alone[metric]), abs=1e-5)
    assert len({row["weight0"] for row in runs.rows(two)}) == 4


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_rank_that_fails_ends_its_trial_and_no_other(tmp_path: Path, name: str) -> None:
    space = "fails: [-1, 0, 1]\nrate: [0.01, 0.1]\n"
    told = search(4, 2, tmp_path / "out", name, space)
    for row in runs.rows(tmp_path / "out"):
        failing = int(row["fails"])
        assert row["status"] == ("done" if failing < 0 else "failed")
        if failing >= 0:
            assert row["error"] == f"ValueError: rank {failing} cannot go on"
    assert "gloo" not in told.lower()


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="no torch (make test-frameworks)"
)
def test_an_interface_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = runs.run(
        *(2, "-m", "hpo", "search", "--objective", f"{OBJECTIVES}:torch_steps"),
        *("--space", runs.space_file(tmp_path, "rate: 0.1\nfails: -1\n")),
        *("--ranks-per-trial", 2, "--metric", "loss", "--retries", 0),
        cwd=tmp_path,
        GLOO_SOCKET_IFNAME="none0",
    )
    assert done.returncode == 1
    assert "none0" in done.stderr
