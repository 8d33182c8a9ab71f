"""What may be done around an optimizer's update: gradients gathered and clipped, weights averaged.

As keras.optimizers do it with `gradient_accumulation_steps`, `global_clipnorm` and `use_ema`
(`tests/test_train.py` compares them): gradients are clipped once they are gathered, what is left
over at an epoch's end goes on in the next one, and the average moves after every batch, from the
first update's weights on. Each is data, and what is switched off is not computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hpo.engine import Settings
from hpo.updates import Optimizer


class Refinements:
    """Their state for some variables and the optimizer that updates them."""

    def __init__(self, optimizer: Optimizer, variables: Sequence[tf.Variable]) -> None:
        self._optimizer = optimizer
        self._trained = list(variables)
        self._clip = tf.Variable(0.0)
        self._n_gathered = tf.Variable(1, dtype=tf.int64)  # to an update
        self._decay = tf.Variable(0.0)
        self._sums = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        self.averages = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
        self._n_batches = tf.Variable(0, dtype=tf.int64)  # seen by this trial

    def set(self, settings: Settings) -> None:
        """Take what a trial says of them."""
        self._clip.assign(settings.gradient_clip or math.inf)
        self._n_gathered.assign(settings.gradient_accumulation)
        self._decay.assign(settings.average_decay or 0.0)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that `apply` changes besides what it trains and the optimizer's own."""
        return [*self._sums, *self.averages, self._n_batches]

    def fresh(self) -> list[np.ndarray]:
        """Give the values of `variables` before the first step."""
        zeros = [np.zeros(v.shape, np.float32) for v in [*self._sums, *self.averages]]
        return [*zeros, np.int64(0)]

    def apply(self, gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor) -> None:
        """Take a batch's gradients; inside a graph."""
        # Branches only choose gradients, so that the update itself is compiled once.
        is_gathering = self._n_gathered > 1
        if is_gathering:
            gradients = self._gathered(gradients)
        if (self._n_batches + 1) % self._n_gathered == 0:
            if self._clip < math.inf:
                gradients = self._clipped(gradients)
            self._optimizer.apply(gradients, learning_rate)
            if is_gathering:
                for total in self._sums:
                    total.assign(tf.zeros_like(total))
        if self._decay > 0:
            self._average()
        self._n_batches.assign_add(1)

    def _gathered(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Add a batch's gradients, and give what they are on average once they are complete."""
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient)
        n = tf.cast(self._n_gathered, tf.float32)
        return [total / n for total in self._sums]

    def _clipped(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        norm = tf.linalg.global_norm(gradients)
        scale = tf.where(norm > self._clip, self._clip / norm, 1.0)
        return [gradient * scale for gradient in gradients]

    def _average(self) -> None:
        is_updated = self._n_batches >= self._n_gathered
        decay = tf.where(is_updated, self._decay, 0.0)
        for average, variable in zip(self.averages, self._trained, strict=True):
            average.assign(decay * average + (1 - decay) * variable)
