"""Norms of gradients and weights are told beside the rest, and change no bit of it."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from test_train import (
    REFINED,
    SMALL,
    Trainer,
    Training,
    begin,
    data,
    datafile,
    graph,
    plain,
    train,
)

from hpo.world import World

NORMS = {"gradient_norm", "weight_norm"}
KINDS = [
    {},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.1},
    {"batch_norm": True, "dense_layers": 2, "weight_decay": 0.1, "model": "dense"},
    {"augment": "shift-rotate-zoom", "pooling": "average", "optimizer": "rmsprop"},
    REFINED,
]


@pytest.fixture(scope="module")
def dataset() -> data.Dataset:
    graph.configure(threads=1)
    return data.load(World(), datafile.BUNDLED)


def trainers(dataset: data.Dataset, library: ModuleType) -> tuple[Trainer, Trainer]:
    engine = library.Engine(dataset)
    return Trainer(dataset, 33, engine), Trainer(dataset, 33, engine, is_measured=True)


def ended(training: Training) -> Training:
    while not training.is_finished():
        training.advance()
    return training


def without_norms(training: Training) -> list[dict[str, float]]:
    return [
        {name: value for name, value in epoch.metrics.items() if name not in NORMS}
        for epoch in training.progress.history
    ]


@pytest.mark.parametrize(
    ("library", "changes"),
    [*((graph, its) for its in KINDS), (plain, {}), (plain, REFINED)],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # TensorFlow's own
def test_norms_change_no_bit(
    dataset: data.Dataset, library: ModuleType, changes: dict[str, object]
) -> None:
    changes = {"dropout": 0.3, "epochs": 2, "batch_size": 100, **changes}
    bare, measuring = trainers(dataset, library)
    usual, told = (ended(begin(trainer, **changes)) for trainer in (bare, measuring))
    assert without_norms(told) == [dict(its.metrics) for its in usual.progress.history]
    for ours, theirs in zip(told.best_weights, usual.best_weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for epoch in told.progress.history:
        assert set(epoch.metrics) >= NORMS
        assert all(epoch.metrics[name] > 0 for name in NORMS)
    assert not NORMS & set(usual.progress.history[0].metrics)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_both_engines_measure_the_same(dataset: data.Dataset) -> None:
    changes = {"dropout": 0.0, "epochs": 2, "batch_size": 100, "gradient_clip": 0.1}
    ours, theirs = (
        ended(begin(trainers(dataset, library)[1], **changes)) for library in (graph, plain)
    )
    for mine, other in zip(ours.progress.history, theirs.progress.history, strict=True):
        for name in NORMS:
            assert mine.metrics[name] == pytest.approx(other.metrics[name], rel=1e-3)
    assert ours.progress.history[0].metrics["gradient_norm"] > 0.1  # before it is clipped


def test_a_step_of_sgd_is_as_long_as_the_gradient_says(dataset: data.Dataset) -> None:
    """Of one step, the way from the first weights is the learning rate times the norm."""
    _, measuring = trainers(dataset, graph)
    config = {**SMALL, "optimizer": "sgd", "learning_rate": 1.0, "batch_size": 2000}
    training = measuring.begin("a" * 16, config)
    first = training._network.trained_weights()
    epoch = ended(training).progress.history[0]
    last = training._network.trained_weights()
    way = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(first, last, strict=True)))
    assert epoch.metrics["gradient_norm"] == pytest.approx(way, rel=1e-4)
    length = np.sqrt(sum(np.sum(np.square(its, dtype=float)) for its in last))
    assert epoch.metrics["weight_norm"] == pytest.approx(length)


@pytest.mark.parametrize("changes", [{}, REFINED], ids=["usual", "refined"])
def test_norms_survive_a_checkpoint_at_any_step(
    dataset: data.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
) -> None:
    monkeypatch.setattr(train, "GRAPH_CALL_S", 1e-9)
    _, measuring = trainers(dataset, graph)
    changes = {"epochs": 2, "batch_size": 300, **changes}
    whole = ended(begin(measuring, **changes)).progress.history
    training = begin(measuring, **changes)
    for number in itertools.count():
        if training.is_finished():
            break
        training.advance()
        training.save(tmp_path)
        if number % 3 == 0:
            training = begin(measuring, tmp_path, **changes)
    assert training.progress.history == whole


def test_what_was_not_measured_before_a_cut_is_left_out(
    dataset: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search may go on with a tracker that began without, in the middle of an epoch."""
    monkeypatch.setattr(train, "GRAPH_CALL_S", 1e-9)
    bare, measuring = trainers(dataset, graph)
    changes = {"epochs": 1, "batch_size": 300}
    whole = ended(begin(measuring, **changes))
    training = begin(bare, **changes)
    for _ in range(2):
        training.advance()
    training.save(tmp_path)
    training = ended(begin(measuring, tmp_path, **changes))
    assert without_norms(training) == without_norms(whole)
    there = training.progress.history[0].metrics["gradient_norm"]
    assert there == pytest.approx(whole.progress.history[0].metrics["gradient_norm"], rel=0.5)
    assert there != whole.progress.history[0].metrics["gradient_norm"]
