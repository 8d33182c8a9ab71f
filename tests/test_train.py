"""One trial: every hyperparameter acts, and neither reuse nor a restart changes a bit."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo import augment, data, datafile, graph, plain, seeds, train
from hpo.errors import DivergedError
from hpo.train import Trainer, Training
from hpo.trial import Aim
from hpo.world import World

ROOT = Path(__file__).parents[1]

# Small enough that a trial takes a fraction of a second once its network is compiled.
SMALL = {"filters": 4, "dense_units": 16, "epochs": 1, "batch_size": 256}
STANDSTILL = 1e-12  # a learning rate that changes no score
REFINED = {
    "gradient_clip": 0.5,
    "gradient_accumulation": 3,
    "weight_average": "ema",
    "weight_average_decay": 0.8,
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
}


@pytest.fixture(scope="module")
def dataset() -> data.Dataset:
    return data.load(World(), datafile.BUNDLED)


@pytest.fixture(scope="module")
def trainer(dataset: data.Dataset) -> Trainer:
    graph.configure(threads=1)
    return Trainer(dataset, 33, graph.Engine(dataset))


def begin(trainer: Trainer, checkpoint: Path | None = None, **changes: object) -> Training:
    training = trainer.begin("a" * 16, SMALL | changes)
    if checkpoint is not None:
        training.load(checkpoint)
    return training


def trained(trainer: Trainer, **changes: object) -> Training:
    training = begin(trainer, **changes)
    while not training.is_finished():
        training.advance()
    return training


def fingerprint(training: Training) -> str:
    """Hash a trial's history and its best weights, to the last bit."""
    told = hashlib.sha256(repr(training.progress.history).encode())
    for array in training.best_weights:
        told.update(np.ascontiguousarray(array).data)
    return told.hexdigest()


def shapes(training: Training) -> list[tuple[int, ...]]:
    return [weights.shape for weights in training.best_weights]


def test_a_loss_that_is_not_finite_fails_the_trial(trainer: Trainer) -> None:
    with pytest.raises(DivergedError, match="diverged: loss is not finite in epoch 1"):
        trained(trainer, optimizer="sgd", learning_rate=1e30)


@pytest.mark.parametrize("changes", [{}, REFINED], ids=["plain", "refined"])
def test_a_reused_network_trains_as_a_fresh_process_does(
    trainer: Trainer, changes: dict[str, object]
) -> None:
    changes = {"dropout": 0.4, "batch_norm": True, "epochs": 2, **changes}
    script = (
        "from test_train import *\n"
        "dataset = data.load(World(), datafile.BUNDLED)\n"
        "trainer = Trainer(dataset, 33, graph.Engine(dataset))\n"
        f"print(fingerprint(trained(trainer, **{changes})))\n"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", f"from hpo import graph\ngraph.configure(threads=1)\n{script}"],
        cwd=ROOT / "tests",
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()[-1]
    trained(trainer, dropout=0.1, batch_norm=True, learning_rate=0.1)
    trained(trainer, augment="shift-rotate-zoom", batch_norm=True, batch_size=16)
    trained(trainer, gradient_accumulation=2, batch_norm=True, weight_average="ema")
    assert fingerprint(trained(trainer, **changes)) == fresh


@pytest.mark.parametrize(
    "changes",
    [
        *({"optimizer": name} for name in ("adam", "adamw", "rmsprop")),
        {"optimizer": "sgd", "learning_rate": 0.1},
        {"weight_decay": 0.1, "batch_norm": True},
        {"pooling": "average", "dense_layers": 2, "validation_split": 0.2},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.1},
        {"lr_schedule": "cosine", "warmup_epochs": 0.5},
        {"gradient_clip": 0.1, "optimizer": "sgd", "learning_rate": 0.1},
        {"gradient_accumulation": 3, "weight_decay": 0.1},
        {"weight_average": "ema", "weight_average_decay": 0.8, "batch_norm": True},
        REFINED,
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # TensorFlow's own
def test_the_graph_trains_as_plain_keras_does(
    trainer: Trainer, dataset: data.Dataset, changes: dict[str, object]
) -> None:
    keras_alone = Trainer(dataset, 33, plain.Engine(dataset))
    without_chance = {"dropout": 0.0, "epochs": 2, "batch_size": 100, **changes}
    ours = trained(trainer, **without_chance).progress.history
    theirs = trained(keras_alone, **without_chance).progress.history
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-3)
        assert mine.metrics["val_loss"] == pytest.approx(other.metrics["val_loss"], rel=1e-3)
        assert mine.metrics["val_accuracy"] == pytest.approx(
            other.metrics["val_accuracy"], abs=0.02
        )
        if "average_val_loss" in mine.metrics:
            assert mine.metrics["average_val_loss"] == pytest.approx(
                other.metrics["average_val_loss"], rel=1e-3
            )


def test_one_compiled_network_serves_all_that_is_data(dataset: data.Dataset) -> None:
    trainer = Trainer(dataset, 33, graph.Engine(dataset))
    for changes in (
        *({"learning_rate": 0.01}, {"dropout": 0.5}, {"weight_decay": 0.1}, {"seed": 3}),
        *({"batch_size": 100}, {"validation_split": 0.2}, {"epochs": 2}),
        {"augment": "shift-rotate-zoom", "augment_strength": 0.5},
        *({"lr_schedule": name} for name in ("cosine", "linear", "exponential", "step")),
        *({"warmup_epochs": 0.5}, {"loss_limit": 100}),
        {"early_stopping_patience": 1, "early_stopping_metric": "loss"},
    ):
        trained(trainer, **changes)
    assert n_traced(trainer) == [1]
    for changes in (
        *({"gradient_clip": 1}, {"gradient_clip": 2}, {"gradient_accumulation": 3}),
        *({"weight_average": "ema", "weight_average_decay": decay} for decay in (0.9, 0.99)),
        REFINED,
    ):
        trained(trainer, **changes)
    assert n_traced(trainer) == [1, 1]
    for momentum in (0.5, 0.9):
        trained(trainer, optimizer="sgd", momentum=momentum)
    assert n_traced(trainer) == [1, 1, 1]


def n_traced(trainer: Trainer) -> list[int]:
    """Count how often each network of a trainer has been compiled."""
    epochs = [compiled.network._epoch for compiled in trainer._networks.values()]
    return [epoch.experimental_get_tracing_count() for epoch in epochs]


def test_networks_unused_longest_are_forgotten(
    dataset: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(dataset, 33, graph.Engine(dataset))
    linear = {"model": "linear"}

    def compiled_again(**changes: object) -> bool:
        before = list(trainer._networks.values())
        begin(trainer, **changes)
        return not any(trainer._networks[list(trainer._networks)[-1]] is one for one in before)

    monkeypatch.setattr(train, "MAX_NETWORKS", 2)
    assert compiled_again(**linear)
    assert compiled_again(**linear, optimizer="sgd")
    assert not compiled_again(**linear)
    assert compiled_again(**linear, optimizer="rmsprop")  # in place of sgd's
    assert not compiled_again(**linear)
    assert compiled_again(**linear, optimizer="sgd")
    monkeypatch.setattr(train, "MAX_NETWORK_BYTES", 0)
    assert compiled_again(model="dense")  # one is always kept
    assert not compiled_again(model="dense")
    assert len(trainer._networks) == 1


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every graph call as short as it can be."""
    monkeypatch.setattr(train, "GRAPH_CALL_S", 1e-9)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    "changes",
    [
        *({"optimizer": name} for name in ("adam", "sgd", "rmsprop", "adamw")),
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
        *({"lr_schedule": name} for name in ("cosine", "linear", "exponential", "step")),
        *({"warmup_epochs": 1.5}, {"gradient_clip": 0.5}, {"gradient_accumulation": 3}),
        *({"weight_average": "ema", "weight_average_decay": 0.8}, REFINED),
    ],
    ids=str,
)
def test_a_trial_goes_on_from_any_point_to_the_same_bit(
    trainer: Trainer, tmp_path: Path, changes: dict[str, object]
) -> None:
    usual = {"batch_norm": True, "dropout": 0.4, "augment": "shift-rotate-zoom", "epochs": 2}
    changes = usual | changes
    whole = begin(trainer, **changes)
    cuts = 0
    while not whole.is_finished():
        whole.save(tmp_path / str(cuts))
        whole.advance()
        cuts += 1
    assert cuts > 10
    for cut in range(cuts):
        trained(trainer, **changes | {"learning_rate": 0.1, "epochs": 1})  # disturb
        again = begin(trainer, tmp_path / str(cut), **changes)
        while not again.is_finished():
            again.advance()
        assert fingerprint(again) == fingerprint(whole), cut


def test_the_score_is_the_best_epoch_and_its_weights_are_kept(trainer: Trainer) -> None:
    training = trained(trainer, learning_rate=0.3, optimizer="sgd", epochs=8)
    history = training.progress.history
    best = max(
        history, key=lambda epoch: (epoch.metrics["val_accuracy"], -epoch.metrics["val_loss"])
    )
    assert training.progress.best is best
    until_then = trained(trainer, learning_rate=0.3, optimizer="sgd", epochs=best.epoch)
    assert all(map(np.array_equal, training.best_weights, until_then.best_weights))


def test_the_weights_kept_are_the_averaged_ones_where_they_are_better(trainer: Trainer) -> None:
    wild = {"learning_rate": 0.5, "optimizer": "sgd", "batch_size": 32, "epochs": 6}
    training = trained(trainer, **wild, weight_average="ema")
    best = training.progress.best
    mark = best.mark(training.progress.aim)
    assert mark.is_average
    assert mark.score == best.metrics["average_val_accuracy"] > best.metrics["val_accuracy"]
    until_then = trained(trainer, **wild | {"epochs": best.epoch}, weight_average="ema")
    averages = until_then._network.weights(averaged=True)
    assert all(map(np.array_equal, training.best_weights, averages))
    assert not np.array_equal(averages[0], until_then._network.weights()[0])


def test_what_is_averaged_leaves_the_last_weights_as_they_were(trainer: Trainer) -> None:
    usual = trained(trainer, epochs=2)
    averaged = trained(trainer, epochs=2, weight_average="ema")
    for mine, other in zip(usual.progress.history, averaged.progress.history, strict=True):
        assert mine.metrics == {name: other.metrics[name] for name in mine.metrics}
        assert other.metrics["average_val_loss"] != other.metrics["val_loss"]


def test_what_is_compared_starts_from_the_same_weights(trainer: Trainer) -> None:
    def first_weights(**changes: object) -> list[np.ndarray]:
        return begin(trainer, **changes)._network.weights()

    usual = first_weights()
    assert all(map(np.array_equal, usual, first_weights(learning_rate=0.1, batch_size=7)))
    assert not np.array_equal(usual[0], first_weights(seed=1)[0])
    assert np.std(usual[0]) > 0


def test_validation_rows_are_nested_and_disjoint_from_training() -> None:
    train_rows, few = seeds.split(1000, 100, "data", 33)
    _, many = seeds.split(1000, 200, "data", 33)
    assert set(few) < set(many)
    assert sorted([*train_rows, *few]) == list(range(1000))
    assert set(few) != set(seeds.split(1000, 100, "data", 34)[1])


# --- the effect of each hyperparameter ---


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"filters": 8}, [(3, 3, 1, 8), (3, 3, 8, 8), (3, 3, 8, 16), (3, 3, 16, 16)]),
        ({"filters": [3, 5]}, [(3, 3, 1, 3), (3, 3, 3, 3), (3, 3, 3, 5), (3, 3, 5, 5)]),
        ({"kernel_size": 2}, [(2, 2, 1, 4), (2, 2, 4, 4), (2, 2, 4, 8), (2, 2, 8, 8)]),
        ({"conv_layers": 1}, [(3, 3, 1, 4), (3, 3, 4, 8)]),
        ({"blocks": 1}, [(3, 3, 1, 4), (3, 3, 4, 4)]),
        ({"model": "dense"}, []),
        ({"model": "linear"}, []),
    ],
)
def test_convolutions_have_the_shapes_asked_for(
    trainer: Trainer, changes: dict[str, object], expected: list[tuple[int, ...]]
) -> None:
    found = shapes(trained(trainer, **changes))
    assert [shape for shape in found if len(shape) == 4] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(32, 16), (16, 10)]),
        ({"padding": "valid", "kernel_size": 2, "conv_layers": 1}, [(8, 16), (16, 10)]),
        ({"dense_units": 8}, [(32, 8), (8, 10)]),
        ({"dense_units": [12, 9]}, [(32, 12), (12, 9), (9, 10)]),
        ({"dense_layers": 2}, [(32, 16), (16, 16), (16, 10)]),
        ({"dense_layers": 0}, [(32, 10)]),
        ({"model": "dense"}, [(64, 16), (16, 10)]),
        ({"model": "linear"}, [(64, 10)]),
    ],
)
def test_dense_layers_have_the_shapes_asked_for(
    trainer: Trainer, changes: dict[str, object], expected: list[tuple[int, ...]]
) -> None:
    found = shapes(trained(trainer, **changes))
    assert [shape for shape in found if len(shape) == 2] == expected


@pytest.mark.parametrize(
    "changes",
    [
        *({"pooling": "average"}, {"activation": "tanh"}, {"activation": "sigmoid"}),
        *({"optimizer": name} for name in ("sgd", "rmsprop", "adamw")),
        *({"learning_rate": 0.01}, {"weight_decay": 0.1}, {"seed": 1}),
        *({"lr_schedule": name} for name in ("cosine", "linear", "exponential")),
        *({"warmup_epochs": 1}, {"gradient_clip": 0.1}, {"gradient_accumulation": 2}),
        *({"augment": "shift-rotate-zoom", "augment_strength": s} for s in (1, 0.01)),
    ],
    ids=str,
)
def test_a_change_leads_elsewhere(trainer: Trainer, changes: dict[str, object]) -> None:
    usual, changed = trained(trainer), trained(trainer, **changes)
    assert shapes(usual) == shapes(changed)
    assert not np.allclose(usual.best_weights[0], changed.best_weights[0], rtol=1e-5, atol=0)
    assert usual.progress.history != changed.progress.history


def test_weight_decay_makes_weights_smaller(trainer: Trainer) -> None:
    still = {"learning_rate": 1e-3, "optimizer": "sgd"}
    usual, decayed = trained(trainer, **still), trained(trainer, weight_decay=0.9, **still)
    ratio = np.abs(decayed.best_weights[0]).mean() / np.abs(usual.best_weights[0]).mean()
    # Seven steps of 256 images, each of which keeps 1 - learning rate x weight decay.
    assert ratio == pytest.approx((1 - 1e-3 * 0.9) ** 7, rel=1e-3)


def test_a_stronger_augmentation_is_harder_to_learn(trainer: Trainer) -> None:
    def loss(strength: float) -> float:
        moved = {"augment": "shift-rotate-zoom", "augment_strength": strength}
        return trained(trainer, epochs=4, **moved).progress.history[-1].metrics["loss"]

    assert loss(0.01) < loss(1) < loss(5)


def test_momentum_goes_on_in_the_old_direction(trainer: Trainer) -> None:
    step = {"batch_size": 1617, "dropout": 0, "optimizer": "sgd", "epochs": 2}  # an epoch each

    def weights(**changes: object) -> np.ndarray:
        return trained(trainer, **step | changes)._network.weights()[0]

    first = begin(trainer)._network.weights()[0]
    once, twice = weights(epochs=1), weights()
    assert np.array_equal(weights(momentum=0), twice)
    pushed, nesterov = weights(momentum=0.9), weights(momentum=0.9, nesterov=True)
    assert np.allclose(pushed - twice, 0.9 * (once - first), rtol=0.01, atol=1e-7)
    assert not np.allclose(nesterov, pushed, rtol=1e-5, atol=0)


def test_a_step_schedule_falls_between_epochs(trainer: Trainer) -> None:
    def weights(epochs: int, **changes: object) -> np.ndarray:
        return trained(trainer, epochs=epochs, **changes)._network.weights()[0]

    falling = {"lr_schedule": "step", "lr_step_factor": 1e-9, "optimizer": "sgd"}
    twice = {**falling, "lr_step_epochs": 2}
    assert np.allclose(weights(3, **falling), weights(1, **falling), rtol=1e-6, atol=0)
    assert np.allclose(weights(3, **twice), weights(2, optimizer="sgd"), rtol=1e-6, atol=0)


def test_a_warm_up_begins_with_small_steps(trainer: Trainer) -> None:
    def moved(**changes: object) -> float:
        first = begin(trainer)._network.weights()[0]
        training = trained(trainer, optimizer="sgd", dropout=0, **changes)
        return float(np.abs(training._network.weights()[0] - first).mean())

    # Seven steps of an epoch come to 1 + … + 7 of 700 parts, where they were 7.
    assert moved(warmup_epochs=100) == pytest.approx(moved() * 28 / 700 / 7, rel=0.1)


def test_clipped_gradients_have_the_norm_asked_for(trainer: Trainer) -> None:
    def moved(clip: float | None) -> float:
        step = {"batch_size": 1617, "optimizer": "sgd", "learning_rate": 1}
        first = begin(trainer)._network.weights()
        last = trained(trainer, **step, gradient_clip=clip)._network.weights()
        squares = [np.square(b - a).sum() for a, b in zip(first, last, strict=True)]
        return float(np.sqrt(sum(squares)))

    norm = moved(None)
    assert moved(norm / 10) == pytest.approx(norm / 10, rel=1e-4)
    assert moved(norm * 10) == norm


def test_accumulated_gradients_are_those_of_a_larger_batch(trainer: Trainer) -> None:
    still = {"dropout": 0, "learning_rate": 0.1, "optimizer": "sgd"}
    large = trained(trainer, batch_size=1617, **still)
    parts = trained(trainer, batch_size=539, gradient_accumulation=3, **still)
    for one, other in zip(large.best_weights, parts.best_weights, strict=True):
        assert np.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_what_is_left_of_accumulation_goes_on_in_the_next_epoch(trainer: Trainer) -> None:
    training = trained(trainer, batch_size=539, gradient_accumulation=2, epochs=2)
    power = float(training._network._optimizer._powers[0])
    assert np.log(power) / np.log(0.9) == pytest.approx(3 + 1, rel=1e-4)  # six batches


def test_averaged_weights_follow_the_others(trainer: Trainer) -> None:
    step = {"batch_size": 1617, "weight_average": "ema", "weight_average_decay": 0.75}
    whole = begin(trainer, **step, epochs=3)
    weights = []
    while not whole.is_finished():
        whole.advance()
        weights.append(whole._network.weights()[0])
    expected = weights[0]
    for last in weights[1:]:
        expected = 0.75 * expected + 0.25 * last
    assert np.allclose(whole._network.weights(averaged=True)[0], expected, rtol=1e-5, atol=1e-8)


def test_batch_norm_keeps_moving_statistics(trainer: Trainer) -> None:
    training = trained(trainer, batch_norm=True)
    # Scale, shift, mean and variance for four convolutions and a dense layer.
    assert len(shapes(training)) == len(shapes(trained(trainer))) + 4 * 5
    moving_mean = training.best_weights[4]
    assert moving_mean.shape == (4,)
    assert np.all(moving_mean != 0)


def test_dropout_makes_training_harder_but_not_validation(trainer: Trainer) -> None:
    def epoch(dropout: float) -> train.Epoch:
        return trained(trainer, dropout=dropout, learning_rate=STANDSTILL).progress.history[0]

    none, half = epoch(0.0), epoch(0.5)
    assert half.metrics["loss"] != pytest.approx(none.metrics["loss"], rel=1e-3)
    assert half.metrics["val_loss"] == pytest.approx(none.metrics["val_loss"], rel=1e-6)
    # Nothing is dropped and nothing is learned: both losses are those of the first weights.
    assert none.metrics["loss"] == pytest.approx(none.metrics["val_loss"], rel=0.05)


def test_a_learning_rate_of_nearly_nothing_learns_nothing(trainer: Trainer) -> None:
    first = begin(trainer, learning_rate=STANDSTILL)._network.weights()
    last = trained(trainer, learning_rate=STANDSTILL).best_weights
    assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(first, last, strict=True))


@pytest.mark.parametrize(("batch_size", "steps"), [(1617, 1), (1616, 2), (64, 26)])
def test_batch_size_sets_the_steps_of_an_epoch(
    trainer: Trainer, batch_size: int, steps: int
) -> None:
    training = trained(trainer, batch_size=batch_size)  # of 1,617 training images
    power = float(training._network._optimizer._powers[0])  # Adam's 0.9 ** (steps + 1)
    assert np.log(power) / np.log(0.9) == pytest.approx(steps + 1, rel=1e-4)


def test_epochs_and_patience_set_the_length(trainer: Trainer) -> None:
    def epochs(**changes: object) -> int:
        return len(trained(trainer, learning_rate=STANDSTILL, **changes).progress.history)

    assert epochs(epochs=5) == 5
    assert epochs(epochs=9, early_stopping_patience=2) == 3
    assert epochs(epochs=2, early_stopping_patience=5) == 2


@pytest.mark.parametrize(
    ("metric", "goal", "expected"),
    [
        *(("loss", None, 6), ("loss", "maximize", 3)),
        *(("val_loss", None, 6), ("val_loss", "minimize", 6), ("val_loss", "maximize", 3)),
        ("accuracy", "minimize", 3),
    ],
)
def test_a_trial_stops_early_by_any_metric_in_either_direction(
    trainer: Trainer, metric: str, goal: str | None, expected: int
) -> None:
    asked = {"early_stopping_metric": metric, "early_stopping_goal": goal}
    training = trained(trainer, epochs=6, early_stopping_patience=2, dropout=0, **asked)
    assert len(training.progress.history) == expected


def test_a_loss_above_the_limit_fails_the_trial(trainer: Trainer) -> None:
    loss = trained(trainer).progress.history[0].metrics["loss"]
    trained(trainer, loss_limit=loss + 1)
    expected = rf"diverged: loss {loss:.4g} is above loss_limit 0.1 in epoch 1"
    with pytest.raises(DivergedError, match=expected):
        trained(trainer, loss_limit=0.1)


@pytest.mark.parametrize(("share", "n_validation"), [(0.1, 180), (0.25, 449)])
def test_validation_split_sets_the_images_scored(
    trainer: Trainer, share: float, n_validation: int
) -> None:
    epoch = trained(trainer, validation_split=share).progress.history[0]
    right = epoch.metrics["val_accuracy"] * n_validation
    assert right == pytest.approx(round(right))
    trained_right = epoch.metrics["accuracy"] * (1797 - n_validation)
    assert trained_right == pytest.approx(round(trained_right))


@pytest.fixture
def digits(dataset: data.Dataset) -> Iterator[np.ndarray]:
    yield dataset.images[:500].reshape(-1, 8, 8, 1).astype(np.float32)


def test_augmentation_moves_images_a_little(digits: np.ndarray) -> None:
    import tensorflow as tf

    draws = np.random.default_rng(0).uniform(-1, 1, (5, 500)).astype(np.float32)
    moved = graph._moved(tf.constant(digits), tf.constant(draws)).numpy()

    def middle(images: np.ndarray) -> np.ndarray:
        column = np.arange(8).reshape(1, 1, 8, 1)
        return (images * column).sum(axis=(1, 2, 3)) / images.sum(axis=(1, 2, 3))

    shifted = middle(moved) - middle(digits)
    # A tenth of eight pixels, and what rotation and zoom about the middle add.
    assert 0.2 < np.abs(shifted).mean() < 0.8
    assert np.abs(shifted).max() < 2.5
    assert abs(shifted.mean()) < 0.1  # to either side alike
    assert moved.min() >= 0
    assert moved.max() <= digits.max() + 1e-3


def test_images_are_moved_as_keras_moves_them(digits: np.ndarray) -> None:
    import keras

    draws = np.random.default_rng(0).uniform(-3, 3, (5, 500)).astype(np.float32)  # far out, too
    by = augment.transforms(np, draws, 8)
    ours = augment.moved(keras.ops, digits[..., 0], by)
    theirs = keras.ops.image.affine_transform(digits, by, data_format="channels_last")[..., 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.mean(theirs != digits[..., 0]) > 0.5


def test_on_all_images_a_trial_stops_after_some_epochs_and_keeps_the_last_weights(
    trainer: Trainer, tmp_path: Path
) -> None:
    whole = {"validation_split": 0, "lr_schedule": "cosine", "epochs": 4, "stop_after": 2}
    training = trained(trainer, **whole)
    assert len(training._train_rows) == trainer.dataset.n_images
    assert len(training.progress.history) == 2
    last = training._network.weights()
    assert all(map(np.array_equal, training.best_weights, last))
    cut = begin(trainer, **whole)
    cut.advance()
    cut.save(tmp_path)
    again = begin(trainer, tmp_path, **whole)
    while not again.is_finished():
        again.advance()
    assert all(map(np.array_equal, again.best_weights, last))


def test_the_aim_chooses_the_epoch_whose_weights_are_kept(trainer: Trainer) -> None:
    wild = {"learning_rate": 0.3, "optimizer": "sgd", "epochs": 8}
    aimed = Trainer(trainer.dataset, 33, trainer._engine, Aim("loss", "maximize"))
    training = trained(aimed, **wild)
    worst = max(training.progress.history, key=lambda epoch: epoch.metrics["loss"])
    assert training.progress.best is worst
    assert training.progress.at(8).score == worst.metrics["loss"]
    until_then = trained(trainer, **wild | {"epochs": worst.epoch})
    assert all(map(np.array_equal, training.best_weights, until_then._network.weights()))
