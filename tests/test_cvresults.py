"""`hpo.cv_results`: what scikit-learn's own search gives for the same grid and scores."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import written_runs
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

import hpo
from hpo import commands
from hpo.errors import InputError
from hpo.trial import MINIMIZE, Aim, Status

GRID = {"a": [1, 2, 3], "b": [0.5, 2.0], "kind": ["x", "y"], "sizes": [[1], [2, 3]]}


def score_of(a, b, kind, sizes):
    if a == 3 and kind == "y":
        return math.nan
    return round(a * b + len(sizes) + (kind == "x"), 1)  # with equal ones


class Estimator(BaseEstimator):
    def __init__(self, a=1, b=1.0, kind="x", sizes=None):
        self.a, self.b, self.kind, self.sizes = a, b, kind, sizes

    def fit(self, x, y=None):
        return self

    def score(self, x, y=None):
        return score_of(self.a, self.b, self.kind, self.sizes)


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_it_is_what_grid_search_gives(tmp_path):
    def told(trial):
        score = score_of(**trial.config)
        if math.isnan(score):
            return {"status": Status.FAILED, "error": "no"}
        return {"score": score}

    ours = hpo.cv_results(written_runs.write(tmp_path / "results", GRID, told).root)
    rows = [[0.0], [1.0]]
    split = [([0], [1])]
    search = GridSearchCV(Estimator(), GRID, cv=split, refit=False)
    theirs = search.fit(rows).cv_results_
    assert ours.keys() == theirs.keys()
    assert sorted(map(str, ours["params"])) == sorted(map(str, theirs["params"]))
    order = [theirs["params"].index(its) for its in ours["params"]]
    for name, values in theirs.items():
        if name == "params":
            continue
        assert ours[name].dtype == values.dtype, name
        assert type(ours[name]) is type(values), name
        if "time" not in name:
            np.testing.assert_array_equal(ours[name], values[order], err_msg=name)


def test_conditions_mask_minimizing_negates_and_the_pruned_rank_after_the_trained(tmp_path):
    space = {
        "kind": ["x", "y", "z"],
        "degree": {"values": [2, 3], "when": {"kind": ["y"]}},
    }
    told = {
        ("x", None): {"score": 0.4},
        ("y", 2): {"score": 0.1, "status": Status.PRUNED},
        ("y", 3): {"score": 0.3},
        ("z", None): {"status": Status.FAILED, "error": "no"},
    }
    run = written_runs.write(
        tmp_path / "results",
        space,
        lambda trial: told[trial.config["kind"], trial.config.get("degree")],
        aim=Aim("loss", MINIMIZE),
        options={"pruner": "patience"},
    )
    its = hpo.cv_results(run.root)
    at = list(its["params"])
    rank = {str(config): rank for config, rank in zip(at, its["rank_test_score"], strict=True)}
    assert rank == {
        "{'kind': 'y', 'degree': 3}": 1,
        "{'kind': 'x'}": 2,
        "{'kind': 'y', 'degree': 2}": 3,
        "{'kind': 'z'}": 4,
    }
    y3 = at.index({"kind": "y", "degree": 3})
    assert its["mean_test_score"][y3] == -0.3
    masked = its["param_degree"].mask
    assert [not hidden for hidden in masked] == ["degree" in config for config in at]

    out = tmp_path / "out.json"
    assert commands.main(["export", str(run), "--to", "cv-results", str(out)]) == 0
    read = json.loads(out.read_text())
    assert read["params"] == its["params"]
    assert read["param_degree"] == [config.get("degree") for config in at]
    assert sorted(map(str, read["mean_test_score"])) == ["-0.1", "-0.3", "-0.4", "None"]


def test_what_is_no_run_and_what_cannot_be_written_are_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="no such directory"):
        hpo.cv_results(tmp_path / "nowhere")
    run = written_runs.write(tmp_path / "results", {"a": [1]}, lambda trial: {"score": 1.0})
    for words, expected in (
        (("csv", "x"), "error: --to: expected one of optuna, cv-results, found 'csv'\n"),
        (("cv-results", "/no/x.json"), "error: /no/x.json: No such file or directory\n"),
        (
            ("cv-results", "x", "--name", "n"),
            "error: --name: expected --to optuna, found --to cv-results\n",
        ),
    ):
        assert commands.main(["export", str(run), "--to", *words]) == 2
        assert capsys.readouterr().err == expected


def test_nothing_is_finished_yet(tmp_path):
    run = written_runs.write(tmp_path / "results", {"a": [1]}, lambda trial: None)
    assert len(hpo.cv_results(run.root)["rank_test_score"]) == 0
