"""Optimizers as TensorFlow's fused operations: one for each variable, where Keras has a dozen.

The arithmetic is that of keras.optimizers with its defaults (`tests/test_train.py` compares
them). Learning rate, momentum and weight decay are data. Weight decay is decoupled from the
gradient, as in Keras for every optimizer: I. Loshchilov, F. Hutter, ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_BETA_1, _BETA_2, _EPSILON = (
    0.9,
    0.999,
    1e-7,
)  # D. P. Kingma, J. Ba, ICLR 2015; epsilon as in Keras
_RHO = 0.9
_N_SLOTS = {"adam": 2, "adamw": 2, "rmsprop": 2, "sgd": 0, "momentum": 1, "nesterov": 1}


class Optimizer:
    """An optimizer's state for some variables; `momentum` and `nesterov` are kinds of sgd."""

    def __init__(self, rule: str, variables: Sequence[tf.Variable]) -> None:
        self.weight_decay = tf.Variable(0.0)
        self.momentum = tf.Variable(0.0)
        self._is_nesterov = rule == "nesterov"
        update: dict[str, Callable[..., None]] = {
            "adam": self._adam,
            "adamw": self._adam,
            "rmsprop": self._rmsprop,
            "sgd": self._sgd,
            "momentum": self._momentum,
            "nesterov": self._momentum,
        }
        self._update = update[rule]
        self._trained = list(variables)
        self._slots = [
            [tf.Variable(tf.zeros_like(variable)) for variable in variables]
            for _ in range(_N_SLOTS[rule])
        ]
        # Of Adam: the betas to the power of the next step.
        self._powers = [tf.Variable(_BETA_1), tf.Variable(_BETA_2)]

    @property
    def variables(self) -> list[tf.Variable]:
        """All that `apply` changes besides what it trains."""
        return [*(variable for slot in self._slots for variable in slot), *self._powers]

    def fresh(self) -> list[np.ndarray]:
        """Give the values of `variables` before the first step."""
        zeros = [np.zeros(v.shape, np.float32) for slot in self._slots for v in slot]
        return [*zeros, np.float32(_BETA_1), np.float32(_BETA_2)]

    def apply(self, gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor) -> None:
        """Update what is trained once; inside a graph."""
        if self.weight_decay > 0:
            keep = 1 - learning_rate * self.weight_decay
            for variable in self._trained:
                variable.assign(variable * keep)
        for variable, gradient, *slots in zip(self._trained, gradients, *self._slots, strict=True):
            handles = [slot.handle for slot in slots]
            self._update(variable.handle, gradient, learning_rate, *handles)
        for power, beta in zip(self._powers, (_BETA_1, _BETA_2), strict=True):
            power.assign(power * beta)

    def _adam(
        self, variable: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor, *slots: tf.Tensor
    ) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=variable,
            m=slots[0],
            v=slots[1],
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=rate,
            beta1=_BETA_1,
            beta2=_BETA_2,
            epsilon=_EPSILON,
            grad=gradient,
        )

    def _rmsprop(
        self, variable: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor, *slots: tf.Tensor
    ) -> None:
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable,
            ms=slots[0],
            mom=slots[1],
            lr=rate,
            rho=_RHO,
            momentum=0.0,
            epsilon=_EPSILON,
            grad=gradient,
        )

    def _sgd(self, variable: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor) -> None:
        tf.raw_ops.ResourceApplyGradientDescent(var=variable, alpha=rate, delta=gradient)

    def _momentum(
        self, variable: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor, slot: tf.Tensor
    ) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable,
            accum=slot,
            lr=rate,
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self._is_nesterov,
        )
