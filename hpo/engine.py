"""What training needs of the library that computes: `graph` and `plain` each offer it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo.architecture import Layer

VALIDATION_BATCH = 512


@dataclass(frozen=True)
class Tally:
    """How far a pass over images has come, and what it has come to."""

    step: int = 0  # the next one
    loss_sum: float = 0.0  # over images
    n_right: int = 0
    norm_sum: float = 0.0  # of gradients, over the steps at which they were measured
    n_norms: int = 0


@dataclass(frozen=True)
class Pass:
    """The next steps of a pass over some images: from `tally.step` to before `stop`.

    What earlier steps came to goes into them and is carried through, so that where a pass is cut
    changes no bit. `rows` (int32) are all of the pass, in its order; its last batch may be
    smaller.
    """

    rows: np.ndarray
    batch_size: int
    tally: Tally
    stop: int = 0

    @property
    def n_steps(self) -> int:
        """How many steps the whole pass has."""
        return math.ceil(len(self.rows) / self.batch_size)

    @property
    def n_left(self) -> int:
        return self.n_steps - self.tally.step

    @property
    def n_images(self) -> int:
        """How many images these steps see."""
        seen = range(len(self.rows))[self.tally.step * self.batch_size :]
        return len(seen[: (self.stop - self.tally.step) * self.batch_size])


@dataclass(frozen=True)
class Settings:
    """What a trial sets in its network, besides first weights."""

    weight_decay: float
    dropout: float
    seed: int  # 64 bits
    momentum: float = 0.0
    gradient_clip: float | None = None  # the largest norm of all gradients together
    gradient_accumulation: int = 1  # steps to an update
    average_decay: float | None = None  # of the averaged weights; without it there are none


class Network(Protocol):
    """One architecture with one rule of updates, for any trial that has them."""

    def reset(self, random: np.random.Generator, settings: Settings) -> None:
        """Begin a trial; `random` draws its first weights."""

    def run(
        self,
        training: Pass,
        validation: Pass,
        averaged: Pass,
        *,
        rates: np.ndarray,
        strength: float,
    ) -> tuple[Tally, Tally, Tally]:
        """Train some steps, then validate some, then some with the averaged weights.

        Args:
            averaged: of no rows where weights are not averaged.
            rates: the learning rate of each step of the whole pass of training, float32.
            strength: of augmentation, 0 for none.
        """

    def state(self) -> list[np.ndarray]:
        """Copy all that training has changed since `reset`."""

    def restore(self, state: Sequence[np.ndarray]) -> None:
        """Go back to a state of this trial; `reset` comes first."""

    def weights(self, *, averaged: bool = False) -> list[np.ndarray]:
        """Copy the last or the averaged weights, in the order of `keras.Model.weights`."""

    def trained_weights(self) -> list[np.ndarray]:
        """Copy the last of those that gradients change."""


class Engine(Protocol):
    """A library that is set up for this rank, with the data set's images."""

    def network(
        self, stack: Sequence[Layer], rule: str, *, is_refined: bool, is_measured: bool = False
    ) -> Network:
        """Compile a network, as far as that can be done before its first trial.

        Args:
            rule: of its updates, see `hyperparameters.update_rule`.
            is_refined: whether gradients may be clipped and accumulated, and weights averaged.
            is_measured: whether the norms of its gradients are summed up.
        """

    def forget(self) -> None:
        """Give back the memory of networks that nobody holds any more."""
