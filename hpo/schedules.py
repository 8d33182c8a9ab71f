"""The learning rate of each step: a schedule over a trial's updates, behind a linear warm-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_Config = Mapping[str, Any]
_FINAL = {"cosine": 0.0, "linear": 0.0, "exponential": 0.01}  # where `lr_final` is null


def rates(config: _Config, n_steps: int, epoch: int) -> np.ndarray:
    """Give the learning rate of every step of an epoch, float32.

    Where gradients are accumulated, time is counted in updates of the weights, as in Keras.

    Args:
        config: a complete configuration.
        n_steps: of an epoch.
        epoch: from 1.
    """
    every = config["gradient_accumulation"]
    update = ((epoch - 1) * n_steps + np.arange(n_steps)) // every
    n_updates = max(1, config["epochs"] * n_steps // every)
    n_warmup = config["warmup_epochs"] * n_steps / every
    # What is left to the schedule may be nothing.
    done = np.clip((update - n_warmup) / max(1.0, n_updates - n_warmup), 0, 1)
    share = _SHARES[config["lr_schedule"]](config, done, epoch)
    if n_warmup > 0:
        # From above 0, or the first update would be none.
        share = share * np.minimum(1, (update + 1) / n_warmup)
    learning_rates: np.ndarray = (config["learning_rate"] * share).astype(np.float32)
    return learning_rates


def _constant(config: _Config, done: np.ndarray, epoch: int) -> np.ndarray:
    return np.ones(len(done))


def _cosine(config: _Config, done: np.ndarray, epoch: int) -> np.ndarray:
    """I. Loshchilov, F. Hutter, ICLR 2017, without restarts."""
    final = _final(config)
    return final + (1 - final) * (1 + np.cos(np.pi * done)) / 2


def _linear(config: _Config, done: np.ndarray, epoch: int) -> np.ndarray:
    return 1 - (1 - _final(config)) * done


def _exponential(config: _Config, done: np.ndarray, epoch: int) -> np.ndarray:
    falls: np.ndarray = _final(config) ** done
    return falls


def _step(config: _Config, done: np.ndarray, epoch: int) -> np.ndarray:
    n_falls = (epoch - 1) // config["lr_step_epochs"]
    return np.full(len(done), config["lr_step_factor"] ** n_falls)


def _final(config: _Config) -> float:
    final = config["lr_final"]
    return _FINAL[config["lr_schedule"]] if final is None else float(final)


_SHARES: dict[str, Callable[[_Config, np.ndarray, int], np.ndarray]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "exponential": _exponential,
    "step": _step,
}
