"""Learning rates are those of Keras's schedules, and each epoch's go on where the last ended."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from hpo import graph, hyperparameters, schedules

N_STEPS, EPOCHS, RATE = 7, 3, 0.01
N_ALL = N_STEPS * EPOCHS
keras_schedules = keras.optimizers.schedules


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    graph.configure(threads=1)  # before Keras computes: it cannot be done later, for other tests


def rates(**changes: object) -> np.ndarray:
    """Give the learning rate of every step of a trial."""
    asked = {"learning_rate": RATE, "epochs": EPOCHS, **changes}
    config = hyperparameters.complete(asked, 8)
    return np.concatenate([schedules.rates(config, N_STEPS, n + 1) for n in range(EPOCHS)])


@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"lr_schedule": "cosine"}, keras_schedules.CosineDecay(RATE, N_ALL)),
        (
            {"lr_schedule": "cosine", "lr_final": 0.1},
            keras_schedules.CosineDecay(RATE, N_ALL, alpha=0.1),
        ),
        ({"lr_schedule": "linear"}, keras_schedules.PolynomialDecay(RATE, N_ALL, 0.0)),
        (
            {"lr_schedule": "linear", "lr_final": 0.1},
            keras_schedules.PolynomialDecay(RATE, N_ALL, RATE * 0.1),
        ),
        ({"lr_schedule": "exponential"}, keras_schedules.ExponentialDecay(RATE, N_ALL, 0.01)),
        (
            {"lr_schedule": "exponential", "lr_final": 0.5},
            keras_schedules.ExponentialDecay(RATE, N_ALL, 0.5),
        ),
        (
            {"lr_schedule": "step"},
            keras_schedules.ExponentialDecay(RATE, N_STEPS, 0.5, staircase=True),
        ),
        (
            {"lr_schedule": "step", "lr_step_epochs": 2, "lr_step_factor": 0.1},
            keras_schedules.ExponentialDecay(RATE, 2 * N_STEPS, 0.1, staircase=True),
        ),
    ],
    ids=lambda its: str(its) if isinstance(its, dict) else type(its).__name__,
)
def test_rates_are_those_of_keras(
    changes: dict[str, object], theirs: Callable[[int], object]
) -> None:
    expected = [float(keras.ops.convert_to_numpy(theirs(step))) for step in range(N_ALL)]
    assert rates(**changes) == pytest.approx(np.array(expected), rel=1e-5)


def test_rates_of_a_constant_schedule_are_the_learning_rate_to_the_bit() -> None:
    assert np.array_equal(rates(), np.full(N_ALL, np.float32(RATE)))


def test_rates_rise_to_the_learning_rate_during_the_warm_up() -> None:
    found = rates(warmup_epochs=1)
    assert found[:N_STEPS] == pytest.approx(RATE * np.arange(1, 8) / 7)
    assert np.array_equal(found[N_STEPS:], np.full(2 * N_STEPS, np.float32(RATE)))


def test_rates_fall_over_what_the_warm_up_leaves() -> None:
    found = rates(warmup_epochs=1, lr_schedule="linear")
    assert found[N_STEPS:] == pytest.approx(RATE * (1 - np.arange(14) / 14))


@pytest.mark.parametrize("warmup_epochs", [3, 10])
def test_rates_of_a_warm_up_that_never_ends_only_rise(warmup_epochs: int) -> None:
    assert (np.diff(rates(warmup_epochs=warmup_epochs, lr_schedule="cosine")) > 0).all()


def test_rates_count_updates_where_gradients_are_accumulated() -> None:
    found = rates(gradient_accumulation=3, lr_schedule="linear")
    assert found == pytest.approx(RATE * (1 - np.arange(N_ALL) // 3 / 7))


def test_rates_of_too_few_steps_for_an_update_are_numbers() -> None:
    found = rates(gradient_accumulation=1000, lr_schedule="cosine", warmup_epochs=1)
    assert np.isfinite(found).all()
