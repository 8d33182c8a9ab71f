"""Real searches as other programs get them: best, export, compare."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import runs
from ruamel.yaml import YAML

import hpo

DIVERGING = "100000000000000000000000000000000000000.0"


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run in which trials are pruned and fail, with finalists; not to be written to."""
    out = tmp_path_factory.mktemp("halved") / "results"
    path = runs.space_file(out.parent, runs.SPACE.replace("0.1]", f"{DIVERGING}]", 1))
    finalists = ("--finalists", 2, "--repeats", 2)
    options = ("--space", path, "--epochs", 3, "--pruner", "asha", *finalists)
    done = runs.search(2, out, *options)
    assert done.returncode == 0, done.stderr
    return out


def command(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hpo", *map(str, words)],
        env=runs.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["undisturbed", "halved"])
def test_best_is_that_of_best_params(name: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(name)
    text = (out / "best_params.txt").read_text()
    assert command("best", out) == text
    config = json.loads(command("best", out, "--format", "json"))
    assert config.items() <= YAML(typ="safe").load(text).items()
    words = shlex.split(command("best", out, "--format", "args"))
    assert words == [word for key, value in config.items() for word in (f"--{key}", str(value))]


def test_args_are_handed_on_in_a_shell(undisturbed: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import sys; print(*sys.argv[1:])")
    best = f"{sys.executable} -m hpo best {undisturbed} --format args"
    for line in (
        f"{sys.executable} {script} $({best})",
        f"{best} | xargs {sys.executable} {script}",
    ):
        done = subprocess.run(
            ["sh", "-c", line], env=runs.environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout == command("best", undisturbed, "--format", "args")


@pytest.mark.parametrize("file", ["study.db", "study.log"])
def test_optuna_gets_the_search_with_what_was_pruned_and_failed(
    halved: Path, tmp_path: Path, file: str
) -> None:
    pytest.importorskip("optuna")
    path = tmp_path / file
    assert command("export", halved, "--to", "optuna", path, "--name", "a study") == (
        f"{path}: study a study has 16 trials\n"
    )
    code = (
        "import collections, json, optuna, sys, warnings; warnings.simplefilter('ignore')\n"
        "from optuna.storages import JournalStorage, journal\n"
        f"storage = {f'sqlite:///{path}'!r}\n"
        f"if {file!r} == 'study.log':\n"
        f"    storage = JournalStorage(journal.JournalFileBackend({str(path)!r}))\n"
        "study = optuna.load_study(study_name='a study', storage=storage)\n"
        "print(json.dumps(collections.Counter(its.state.name for its in study.trials)))\n"
        "print(study.best_trial.user_attrs['id'], study.best_value)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    frame = hpo.load(halved)
    frame = frame[frame.in_space]
    expected = frame.status.value_counts()
    states, best = shown.splitlines()
    assert json.loads(states) == {
        "COMPLETE": expected["done"], "PRUNED": expected["pruned"], "FAIL": expected["failed"]
    }  # fmt: skip
    ours = frame[frame.status == "done"].sort_values("score").iloc[-1]
    assert best == f"{ours['id']} {ours.score}"


def test_cv_results_rank_the_winner_of_what_was_trained_first(halved: Path) -> None:
    its = hpo.cv_results(halved)
    frame = hpo.load(halved).query("in_space")
    assert len(its["params"]) == len(frame) == 16
    first = its["rank_test_score"].argmin()
    assert its["mean_test_score"][first] == frame[frame.status == "done"].score.max()
    assert (its["rank_test_score"][(frame.status == "failed").to_numpy()] == 9).all()


def test_compare_finds_the_same_trials_of_another_number_of_ranks(
    undisturbed: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    assert runs.search(1, alone).returncode == 0
    text = command("compare", undisturbed, alone)
    assert f"{alone} against {undisturbed}: 16 configurations in both, 16 of them the same" in text
    assert "whose scores are equal\n" in text
    told = json.loads(command("compare", undisturbed, alone, "--format", "json"))
    first, second = told["runs"]
    assert (first["n_ranks"], second["n_ranks"]) == ([2], [1])
    against = second["against_first"]
    assert against["speed_up"] == pytest.approx(first["wall_s"] / second["wall_s"])
    assert against["efficiency"] == pytest.approx(2 * against["speed_up"])
