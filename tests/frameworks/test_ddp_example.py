"""examples/ddp-regression: trials of two ranks, interrupted and continued; names and pictures."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import runs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="no torch (make test-frameworks)"
)
EXAMPLE = runs.ROOT / "examples" / "ddp-regression"
SMALLER = ("--set", "learning_rate=3e-3,1e-2", "--set", "batch_size=64", "--epochs", 3)

# In the second epoch, at the rank that is first there. No part of the objective's version.
INTERRUPTION = """
import os, signal
from torch.optim.optimizer import register_optimizer_step_post_hook

n_steps = 0

def interrupt(*_):
    global n_steps
    n_steps += 1
    if n_steps == 30:
        try:
            Path("interrupt").unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGUSR1)

register_optimizer_step_post_hook(interrupt)
"""


def lay(folder: Path) -> Path:
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("results*", "__pycache__"))
    return folder


def search(n_ranks: int, folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return runs.run(
        *(n_ranks, "-m", "hpo", "search", "--objective", "train.py:train"),
        *("--ranks-per-trial", 2, *options),
        cwd=folder,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = lay(tmp_path_factory.mktemp("ddp") / "example")
    done = search(2, folder, "--space", "space.yaml:small", *SMALLER)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_an_interrupted_search_of_groups_goes_on_to_the_same_results(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = lay(tmp_path / "example")
    configurations = folder / "configurations.py"
    configurations.write_text(
        configurations.read_text().replace("if __name__", f"{INTERRUPTION}\n\nif __name__")
    )
    (folder / "interrupt").touch()
    done = search(4, folder, "--space", "space.yaml:small", *SMALLER)
    assert done.returncode == 75, done.stdout + done.stderr
    assert list((folder / "results").glob("trials/*/checkpoint-*/state.pt"))
    done = search(4, folder, "--space", "space.yaml:small", *SMALLER)
    assert done.returncode == 0, done.stderr
    logs = [path.read_text() for path in (folder / "results").glob("trials/*/trial.log")]
    assert any("goes on after epoch" in log for log in logs)
    assert runs.comparable(folder / "results") == runs.comparable(undisturbed / "results")


def test_trials_have_names_and_the_best_one_a_picture(undisturbed: Path) -> None:
    results = undisturbed / "results"
    told = subprocess.run(
        [sys.executable, "configurations.py"],
        cwd=undisturbed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    best, other = (line.split()[2] for line in told.splitlines())
    assert {best, other} == {"lr3em3_batchsize64", "lr1em2_batchsize64"}
    assert (results / "by-name" / best / "epochs.csv").read_text().count("\n") == 4
    rows = runs.rows(results)
    assert min(float(row["score"]) for row in rows) < 20  # 26 is to always say 0 degrees
    assert (results / "best_model" / "network.pt").stat().st_size
    if importlib.util.find_spec("matplotlib") is not None:
        assert (results / "best_model" / f"{best}.png").read_bytes()[1:4] == b"PNG"


def test_the_sweep_file_is_searched_with_its_early_end(tmp_path: Path) -> None:
    folder = lay(tmp_path / "example")
    done = search(2, folder, "--space", "sweep.yaml", "--trials", 6, "--set", "filters=4")
    assert done.returncode == 0, done.stderr
    rows = runs.rows(folder / "results")
    assert len(rows) == 6
    assert {row["status"] for row in rows} == {"done", "pruned"}
