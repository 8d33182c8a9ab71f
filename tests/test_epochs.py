"""Which epoch is the best, and how long ago it was."""

from __future__ import annotations

import pytest

from hpo.epochs import Epoch, Progress
from hpo.trial import Aim, Rung


def epoch(number: int, val_accuracy: float, val_loss: float = 1.0, **more: float) -> Epoch:
    return Epoch(number, 0.5, 0.5, val_loss, val_accuracy, **more)


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


def test_metrics_are_those_that_were_measured():
    assert epoch(1, 0.9, 0.2).metrics == {
        "loss": 0.5,
        "accuracy": 0.5,
        "val_loss": 0.2,
        "val_accuracy": 0.9,
    }
    averaged = epoch(1, 0.9, average_val_accuracy=0.6, average_val_loss=0.4)
    assert averaged.metrics["average_val_accuracy"] == 0.6


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


def test_progress_of_a_version_without_averages_is_read():
    text = (
        '{"history": [{"epoch": 1, "loss": 2.0, "accuracy": 0.3, "val_loss": 1.5,'
        ' "val_accuracy": 0.5}], "trained": {"step": 3, "loss_sum": 9.0, "n_right": 4},'
        ' "validated": {"step": 0, "loss_sum": 0.0, "n_right": 0}, "seconds": 1.0}'
    )
    progress = Progress.from_json(text)
    assert (progress.trained.step, progress.averaged.step) == (3, 0)
    assert progress.best == Epoch(1, 2.0, 0.3, 1.5, 0.5)
