"""What pictures show of values: which axis they get, and which trials none beats."""

from __future__ import annotations

import numpy as np
import pytest
import written_runs
from hypothesis import given
from hypothesis import strategies as some

import hpo
from hpo import findings, scored, webfacts
from hpo.errors import InputError
from hpo.trial import MINIMIZE, Aim, Rung, Status


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.001, 0.01, 0.1], True),
        ([16, 32, 64, 128], True),
        (10.0 ** np.linspace(-4, -1, 500), True),
        ([1e-3, 1.0], False),  # of two nobody can tell
        ([0.2, 0.3, 0.4, 0.5], False),
        (np.linspace(0.0001, 0.5, 500), False),  # from nearly nothing, but evenly
        (0.9 + np.linspace(0, 0.1, 500), False),
        ([0.0, 0.01, 0.1, 1.0], False),
        ([-1.0, 0.5], False),
        ([8], False),
        ([np.nan], False),
    ],
)
def test_axis_is_logarithmic_where_values_are(values, expected):
    assert scored.is_log(np.array(values, float)) is expected


TRIALS = some.lists(some.tuples(some.integers(0, 9), some.integers(0, 9)), max_size=20)


@given(TRIALS)
def test_front_is_what_none_beats_in_both(trials):
    costs, merits = np.array(trials, float).reshape(-1, 2).T

    def is_beaten(at):
        no_worse = (costs <= costs[at]) & (merits <= merits[at])
        return bool((no_worse & ((costs < costs[at]) | (merits < merits[at]))).any())

    front = scored.front(costs, merits)
    assert {trials[at] for at in front} == {
        trials[at] for at in range(len(trials)) if not is_beaten(at)
    }
    assert list(costs[front]) == sorted(set(costs[front]))


@given(some.lists(some.one_of(some.none(), some.booleans(), some.integers(0, 3), some.text())))
def test_places_of_any_values_lie_on_their_axis(values):
    scale = scored.Scale(values or [None])
    assert len(scale.places) == len(values or [None])
    assert all(0 <= place <= 1 for place in scale.places)
    assert all(0 <= place <= 1 for place, _ in scale.marks)
    labels, codes = scored.levels(values or [None])
    assert set(codes) == set(range(len(labels)))


def test_importance_of_a_pruned_search_compares_all_at_the_epoch_that_all_have(tmp_path):
    def told(trial):
        late = trial.config["a"] / 10
        series = [late + trial.config["b"], late]
        rungs = {"rungs": (Rung(1, series[0], None, 1),)}
        if trial.index:
            epochs = {"epochs": 1, "series": {"loss": series[:1]}}
            return {"score": series[0], "status": Status.PRUNED, **rungs, **epochs}
        return {"score": late, "epochs": 2, **rungs, "series": {"loss": series}}

    space = {"a": list(range(6)), "b": list(range(6))}
    run = written_runs.write(
        tmp_path / "r", space, told, aim=Aim("loss", MINIMIZE), options={"pruner": "patience"}
    )
    found, words = scored.depends(hpo.load(run.root))
    assert words == "36 trials after the first epoch"
    assert list(found.main) == ["b", "a"]
    assert found.main["b"] > 0.9
    shown = webfacts.facts(findings.read(run.root), None)["importance"]
    assert shown["of"] == words
    assert dict(shown["main"]) == pytest.approx(found.main, abs=1e-4)


def test_pictures_mark_the_winner_that_finalists_have_chosen(tmp_path):
    run = written_runs.write(tmp_path / "r", {"a": [1, 2, 3]}, lambda t: {"score": t.config["a"]})
    table = hpo.load(run.root)
    assert table.attrs["best"] == table["id"].iloc[2]
    assert (scored.winner(table), scored.headline(table)) == (2, "The best score of 3 trials: 3")
    table.attrs["best"] = table["id"].iloc[1]
    assert scored.winner(table) == 1
    assert scored.headline(table) == "The finalists' winner of 3 trials has score 2"
    assert scored.winner(table.drop(table.attrs["best"])) == 1  # the best of those left


def test_what_is_no_table_of_a_run_is_refused(tmp_path):
    import pandas as pd

    with pytest.raises(InputError, match=r"expected a table of hpo\.load"):
        scored.searched(pd.DataFrame({"score": [1.0]}))
    run = written_runs.write(tmp_path / "r", {"a": [1]}, lambda trial: {"score": 1.0})
    table = hpo.load(run.root)
    with pytest.raises(InputError, match="expected one of a, found 'b'"):
        scored.values(table, "b")
    with pytest.raises(InputError, match="two hyperparameters that vary"):
        scored.important_pair(table)
