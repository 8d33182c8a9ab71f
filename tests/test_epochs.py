"""Which epoch is the best, and how long ago it was."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpo.epochs import Epoch, Progress, measured
from hpo.errors import ContractError, DivergedError
from hpo.trial import Aim, Rung


def epoch(number: int, val_accuracy: float, val_loss: float = 1.0, **more: float) -> Epoch:
    measured = {"loss": 0.5, "accuracy": 0.5, "val_loss": val_loss, "val_accuracy": val_accuracy}
    return Epoch(number, measured | more)


def test_merit_is_the_score_then_the_loss_then_the_earlier_epoch():
    history = [epoch(1, 0.5), epoch(2, 0.9), epoch(3, 0.9, 0.5), epoch(4, 0.9, 0.5)]
    assert Progress(history=history).best.epoch == 3


def test_score_is_that_of_the_better_weights():
    averaged = epoch(1, 0.5, 0.3, average_val_accuracy=0.6, average_val_loss=0.4)
    assert averaged.mark(Aim()) == (0.6, 0.4, True)
    last = epoch(2, 0.5, 0.3, average_val_accuracy=0.5, average_val_loss=0.3)  # as good
    assert last.mark(Aim()) == (0.5, 0.3, False)
    assert Progress(history=[last, averaged]).best is averaged


@pytest.mark.parametrize(
    ("aim", "best"),
    [
        (Aim("val_accuracy", "maximize"), 2),
        (Aim("val_accuracy", "minimize"), 1),
        (Aim("val_loss", "minimize"), 3),
        (Aim("val_loss", "maximize"), 2),
    ],
)
def test_the_best_epoch_is_that_of_the_aim(aim, best):
    progress = Progress(aim, [epoch(1, 0.5, 1.0), epoch(2, 0.9, 2.0), epoch(3, 0.8, 0.5)])
    assert progress.best.epoch == best
    found = progress.best.metrics
    assert progress.at(3) == Rung(3, found[aim.metric], found["val_loss"], best)
    assert Progress.from_json(progress.to_json(), aim) == progress


@pytest.mark.parametrize(
    ("metric", "goal", "expected"),
    [
        (None, None, 1),
        *(("val_accuracy", None, 1), ("val_accuracy", "minimize", 2)),
        *(("val_loss", None, 0), ("val_loss", "minimize", 0), ("val_loss", "maximize", 1)),
        ("loss", None, 2),  # all alike
    ],
)
def test_epochs_since_best_are_counted_by_any_metric(metric, goal, expected):
    history = [epoch(1, 0.5, 1.0), epoch(2, 0.9, 2.0), epoch(3, 0.8, 0.5)]
    assert Progress(history=history).n_epochs_since_best(metric, goal) == expected


def test_progress_round_trip():
    averaged = epoch(2, 0.9, average_val_accuracy=0.6, average_val_loss=0.4)
    progress = Progress(history=[epoch(1, 0.5), averaged], seconds=2.5)
    assert Progress.from_json(progress.to_json()) == progress


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (1, {"val_loss": 1.0}),
        (np.float32(0.5), {"val_loss": 0.5}),
        (np.array(2.0), {"val_loss": 2.0}),
        ({"val_loss": np.int64(3), "f1": math.nan}, {"val_loss": 3.0, "f1": math.nan}),
    ],
)
def test_numbers_of_any_library_are_metrics(told, found):
    assert measured(told, Aim("val_loss", "minimize"), 1) == pytest.approx(found, nan_ok=True)


def test_one_metric_is_the_score_where_nobody_has_named_one():
    assert measured({"f1": 0.5}, Aim("score"), 1) == {"f1": 0.5, "score": 0.5}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("0.9", "expected a number for 'f1', found '0.9'"),
        (True, "expected a number for 'f1', found True"),
        ([1, 2], r"expected a number for 'f1', found \[1, 2\]"),
        ({"f1": "high"}, "expected a number for 'f1', found 'high'"),
        ({"f1": None}, "expected a number for 'f1', found None"),
        ({1: 2.0}, "expected names of metrics, found 1"),
        ({"loss": 0.5, "f2": 1}, "expected the metric 'f1', found 'loss', 'f2'; --metric chooses"),
        ({}, "expected the metric 'f1', found no metric"),
    ],
)
def test_what_is_no_metric_is_refused(told, message):
    with pytest.raises(ContractError, match=message):
        measured(told, Aim("f1"), 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_has_diverged(value):
    with pytest.raises(DivergedError, match="diverged: f1 is .* in epoch 3"):
        measured({"f1": value}, Aim("f1"), 3)
