"""`hpo.to_optuna`: read back by Optuna itself, from its files."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
import written_runs

import hpo
from hpo import commands
from hpo.errors import InputError
from hpo.trial import MINIMIZE, Aim, Status, canonical

optuna = pytest.importorskip("optuna")
pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:sqlalchemy"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # connections that Optuna leaves open
]

SPACE = {
    "lr": [0.001, 0.01, 0.1],
    "n": [1, 2, 3],
    "share": {"min": 0.1, "max": 0.5, "step": 0.2},
    "kind": ["svm", [16, 32], None],
    "degree": {"values": [2, 3], "when": {"kind": ["svm"]}},
}


def loss_of(config):
    apart = len(str(config["kind"])) + config.get("degree", 0)  # no two are equal
    return abs(math.log10(config["lr"]) + 2) + config["n"] * config["share"] + apart / 100


def told(trial):
    if trial.config["kind"] is None and trial.config["lr"] == 0.1:
        return {"status": Status.FAILED, "error": "Traceback\n  …\nValueError: no"}
    loss = loss_of(trial.config)
    more = {"series": {"loss": [loss + 2, math.nan, loss]}, "epochs": 3}
    if trial.config["n"] == 3:
        return {"score": loss + 2, "status": Status.PRUNED, **more, "epochs": 1}
    return {"score": loss, **more}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("a") / "results"
    options = {"pruner": "patience"}
    return written_runs.write(root, SPACE, told, aim=Aim("loss", MINIMIZE), options=options).root


def loaded(path, name="results"):
    if path.suffix == ".db":
        return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


@pytest.mark.parametrize("file", ["study.db", "study.log"])
def test_optuna_reads_the_same_search_from_its_files(run, tmp_path, file, capsys):
    path = tmp_path / file
    words = ["export", str(run), "--to", "optuna", str(path)]
    frame = hpo.load(run)
    for _ in range(2):  # the second adds nothing
        assert commands.main(words) == 0
        assert capsys.readouterr().out == f"{path}: study results has {len(frame)} trials\n"
    study = loaded(path)
    assert study.direction.name == "MINIMIZE"
    assert study.metric_names == ["loss"]
    ours = frame.loc[frame[frame.status == "done"].score.idxmin()]
    assert study.best_trial.user_attrs["id"] == study.user_attrs["best"] == ours["id"]
    assert study.best_value == ours.score
    for its in study.trials:
        row = frame.loc[its.user_attrs["id"]]
        assert (
            its.state.name.lower()
            == {"done": "complete", "failed": "fail", "pruned": "pruned"}[row.status]
        )
        assert its.value == (None if row.status == "failed" else row.score)
        assert (its.user_attrs["rank"], its.user_attrs["host"]) == (row["rank"], row.host)
        assert its.datetime_start == datetime.fromtimestamp(row.began.timestamp())
        assert its.duration.total_seconds() == 1
        config = its.user_attrs["config"]
        assert its.params == {
            **config,
            "kind": canonical(config["kind"]) if config["kind"] != "svm" else "svm",
        }
        assert ("degree" in its.params) == (its.params["kind"] == "svm")
        if row.status == "failed":
            assert its.user_attrs["error"] == "ValueError: no"
        elif row.status == "done":
            assert its.intermediate_values == {1: its.value + 2, 3: its.value}
        else:
            assert its.intermediate_values == {1: its.value}
    kinds = study.trials[0].distributions
    assert kinds["lr"] == optuna.distributions.CategoricalDistribution((0.001, 0.01, 0.1))
    assert kinds["n"] == optuna.distributions.IntDistribution(1, 3)
    assert kinds["share"] == optuna.distributions.FloatDistribution(0.1, 0.5, step=0.2)
    importance = optuna.importance.get_param_importances(study)
    assert {*importance} >= {"lr", "n", "share"}
    more = study.ask(kinds)  # and it can go on there
    assert more.number == len(frame)


def test_only_what_is_new_is_added(tmp_path):
    def half(trial):
        if trial.index % 2:
            return None
        return {"status": Status.FAILED, "error": "no"} if trial.index == 0 else {"score": 1.0}

    storage = optuna.storages.InMemoryStorage()
    root = tmp_path / "results"
    space = {"a": list(range(6))}
    hpo.to_optuna(written_runs.write(root, space, half).root, storage)
    whole = written_runs.write(tmp_path / "b", space, lambda trial: {"score": trial.index / 1.0})
    study = hpo.to_optuna(whole.root, storage, "results")
    states = [its.state.name for its in study.trials]
    assert sorted(states) == ["COMPLETE"] * 6 + ["FAIL"]  # which was tried again
    assert study.user_attrs["best"] in {its.user_attrs["id"] for its in study.trials}


def test_ranges_alternatives_and_normal_distributions(tmp_path):
    space = {
        "lr": {"min": 1e-4, "max": 0.1, "log": True},
        "width": {"min": 8, "max": 64, "log": True},
        "momentum": {"mean": 0.0, "std": 1.0},
        "flag": [True, 1],
        "alternatives": [{"model": ["a"], "k": [1, 2]}, {"model": ["b"], "k": [4]}],
    }
    options = {"sampler": "random", "trials": 40}
    run = written_runs.write(tmp_path / "r", space, lambda t: {"score": 0.5}, options=options)
    study = hpo.to_optuna(run.root, None, "of chance")
    kinds = optuna.distributions
    found = study.trials[0].distributions
    assert found["lr"] == kinds.FloatDistribution(1e-4, 0.1, log=True)
    assert found["width"] == kinds.IntDistribution(8, 64, log=True)
    assert found["k"] == kinds.CategoricalDistribution((1, 2, 4))
    assert {its.params["flag"] for its in study.trials} == {"true", "1"}
    assert found["momentum"].low == pytest.approx(-4.75, abs=0.01)
    assert len(study.trials) == 40


def test_a_study_of_another_search_is_left_alone(run, tmp_path, capsys):
    other = written_runs.write(
        tmp_path / "other", {"lr": [0.5, 0.7, 9.0]}, lambda t: {"score": 1.0}
    )
    for direction in ("minimize", "maximize"):
        storage = f"sqlite:///{tmp_path}/{direction}.db"
        study = optuna.create_study(storage=storage, study_name="s", direction=direction)
        study.add_trial(
            optuna.trial.create_trial(
                params={"lr": 0.5},
                distributions={"lr": optuna.distributions.FloatDistribution(0, 1)},
                value=1,
            )
        )
        code = commands.main(["export", str(other), "--to", "optuna", storage, "--name", "s"])
        assert code == 2
        error = capsys.readouterr().err
        expected = "to maximize" if direction == "minimize" else "expected lr as in this run"
        assert expected in error
        assert error.count("\n") == 1
        assert len(study.trials) == 1


@pytest.mark.parametrize("target", ["/nowhere/a.db", "/nowhere/a.log", "nix://x", "text.csv"])
def test_what_cannot_hold_a_study_is_one_line(run, tmp_path, monkeypatch, capsys, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.csv").write_text("id,score\n")
    assert commands.main(["export", str(run), "--to", "optuna", target]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert target in error
    assert error.count("\n") == 1
    assert (tmp_path / "text.csv").read_text() == "id,score\n"
    with pytest.raises(InputError, match="no such directory"):
        hpo.to_optuna(tmp_path / "none", target)
