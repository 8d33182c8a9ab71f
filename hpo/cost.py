"""How long a trial takes: a first guess from its arithmetic, corrected by the times seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# One core of a 2.5 GHz x86-64 server, as measured with the reference network. Only ratios count
# for the order of trials; the times seen correct the rest.
FLOP_PER_S = 1e11
STEP_S = 8e-4
FIXED_S = 0.1  # reset, files, journal
COMPILE_S = 1.5  # a network, on each rank that gets it
MAX_NETWORKS = 24  # that a rank keeps compiled; those unused longest go first


def split_sizes(n_images: int, validation_split: float) -> tuple[int, int]:
    """Give the numbers of images to train on and to validate on."""
    n_validation = round(n_images * validation_split)
    return n_images - n_validation, n_validation


def flop(config: Mapping[str, Any], n_images: int, multiply_adds: int) -> float:
    """Count a trial's floating-point operations; see `predicted_s`.

    Training costs three times as much as an answer: forward, gradients of activations,
    gradients of weights. Averaged weights are validated, too.
    """
    n_train, n_validation = split_sizes(n_images, config["validation_split"])
    if config.get("weight_average") == "ema":
        n_validation *= 2
    return float(2 * multiply_adds * (3 * n_train + n_validation) * config["epochs"])


def predicted_s(config: Mapping[str, Any], n_images: int, multiply_adds: int) -> float:
    """Guess the seconds of a trial on one core.

    Args:
        config: a complete configuration.
        n_images: of the data set, validation included.
        multiply_adds: of one image through the network, forward.
    """
    n_train, _ = split_sizes(n_images, config["validation_split"])
    n_steps = config["epochs"] * math.ceil(n_train / config["batch_size"])
    return FIXED_S + flop(config, n_images, multiply_adds) / FLOP_PER_S + float(n_steps) * STEP_S


class Estimator:
    """Predictions that learn from the times seen, network by network."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        self._all = (0.0, 0.0)

    def note(self, network: str, predicted_s: float, seen_s: float) -> None:
        """Learn what a trial took that had been predicted to take `predicted_s`."""
        guessed, took = self._seen.get(network, (0.0, 0.0))
        self._seen[network] = (guessed + predicted_s, took + seen_s)
        self._all = (self._all[0] + predicted_s, self._all[1] + seen_s)

    def corrected_s(self, network: str, predicted_s: float) -> float:
        """Scale a prediction by what this network's trials took, else by what all took."""
        guessed, took = self._seen.get(network, self._all)
        return predicted_s * took / guessed if guessed > 0 else predicted_s

    def times(self) -> list[tuple[str, float, float]]:
        """List the networks with times seen: seconds predicted, in all networks' scale, and seen.

        What their trials came to in all; the ratio of the two is what the model got wrong.
        """
        return [
            (network, guessed * self._all[1] / self._all[0], took)
            for network, (guessed, took) in sorted(self._seen.items())
        ]

    @property
    def has_seen(self) -> bool:
        return self._all[0] > 0
