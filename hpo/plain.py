"""The engine for Keras's other backends (JAX, PyTorch): plain Keras, one step at a time.

Slower than `graph` on a processor, and the same search: a trial is reset as completely, and goes
on from a checkpoint as exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from hpo import augment, models
from hpo.architecture import Layer
from hpo.data import Dataset
from hpo.engine import Pass, Settings, Tally

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
    "momentum": keras.optimizers.SGD,
    "nesterov": keras.optimizers.SGD,
}


def configure(threads: int, *, device: str, precision: str, deterministic: bool) -> str | None:
    """Prepare the backend; its threads and device are set before it is loaded, see `backend`.

    Returns:
        What it lacks, if anything.
    """
    models.use_precision(precision)
    if deterministic:
        return "--deterministic: expected KERAS_BACKEND=tensorflow, found another"
    if device == "gpu" and not _sees_gpu():
        name = keras.backend.backend()
        return f"expected {name} to see it, found a build for CPUs or no driver that fits"
    return None


def _sees_gpu() -> bool:
    if keras.backend.backend() == "torch":
        import torch

        return bool(torch.cuda.is_available())
    import jax

    return any(device.platform == "gpu" for device in jax.devices())


class Engine:
    """Keras, and the data set's images."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def network(
        self, stack: Sequence[Layer], rule: str, *, is_refined: bool, is_measured: bool = False
    ) -> Network:
        return Network(self.dataset, stack, rule, is_measured=is_measured)

    def forget(self) -> None:
        models.forget()


class Network:
    """One architecture with one rule of updates.

    A trial's settings but for its seed are part of what Keras compiles: where they change, the
    model is made anew.
    """

    def __init__(
        self, dataset: Dataset, stack: Sequence[Layer], rule: str, *, is_measured: bool = False
    ) -> None:
        self._is_measured = is_measured
        self._dataset = dataset
        self._stack = stack
        self._rule = rule
        self._made_for: Settings | None = None

    def reset(self, random: np.random.Generator, settings: Settings) -> None:
        compiled = replace(settings, seed=0)
        if self._made_for != compiled:
            self._make(compiled)
        weights = models.initial_weights(self.model, random)
        dropouts = np.array([settings.seed], np.uint64).view(np.uint32)
        self.restore([*weights, *self._fresh, dropouts, np.array(0)])
        self._seed = settings.seed

    def _make(self, settings: Settings) -> None:
        its, dropout = self._dataset, settings.dropout
        self._dropouts = keras.random.SeedGenerator(0)

        # Not keras.layers.Dropout: with PyTorch it draws from what no checkpoint holds.
        def drop(inputs: Any) -> Any:
            drawn = keras.random.uniform(keras.ops.shape(inputs), seed=self._dropouts)
            return inputs * keras.ops.cast(drawn >= dropout, inputs.dtype) / (1 - dropout)

        self.model = models.trainable(
            *(self._stack, its.side, its.mean, its.std), drop=drop, random=self._dropouts
        )
        optimizer = _optimizer(self._rule, settings, is_measured=self._is_measured)
        self.model.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        optimizer.build(self.model.trainable_variables)
        self._fresh = [*map(_copy, self._optimizer_variables())]
        self._made_for = settings

    def run(
        self,
        training: Pass,
        validation: Pass,
        averaged: Pass,
        *,
        rates: np.ndarray,
        strength: float,
    ) -> tuple[Tally, Tally, Tally]:
        def train(*batch: np.ndarray, **options: Any) -> Any:
            self.model.optimizer.learning_rate = next(left)
            return self.model.train_on_batch(*batch, **options)

        left = iter(rates[training.tally.step :])
        trained = self._steps(training, train, strength)
        validated = self._steps(validation, self.model.test_on_batch)
        if averaged.stop == averaged.tally.step:
            return trained, validated, averaged.tally
        with self._averages():
            return trained, validated, self._steps(averaged, self.model.test_on_batch)

    @contextmanager
    def _averages(self) -> Iterator[None]:
        """Put the averaged weights in the others' place for a while."""
        trained = self.model.trainable_variables
        last = [*map(_copy, trained)]
        self.model.optimizer.finalize_variable_values(trained)
        for variable in trained:
            variable.assign(_copy(variable))  # JAX gives a step's arrays away, the averages' too
        yield
        for variable, value in zip(trained, last, strict=True):
            variable.assign(value)

    def _steps(self, some: Pass, on_batch: Callable[..., Any], strength: float = 0.0) -> Tally:
        at = some.tally
        while at.step < some.stop:
            start = at.step * some.batch_size
            rows = some.rows[start : start + some.batch_size]
            told = on_batch(
                self._images(rows, strength), self._dataset.labels[rows], return_dict=True
            )
            at = Tally(
                at.step + 1,
                at.loss_sum + float(told["loss"]) * len(rows),
                at.n_right + round(float(told["accuracy"]) * len(rows)),
                *(at.norm_sum, at.n_norms),
            )
            if self._is_measured:
                norm = float(_copy(self.model.optimizer.gradient_norm))
                at = replace(at, norm_sum=at.norm_sum + norm, n_norms=at.n_norms + 1)
        return at

    def _images(self, rows: np.ndarray, strength: float) -> np.ndarray:
        its = self._dataset
        images: np.ndarray = its.images[rows].reshape(-1, its.side, its.side).astype(np.float32)
        if strength != 0:
            random = np.random.Generator(np.random.Philox(key=self._seed, counter=self._n_moved))
            self._n_moved += 1
            draws = strength * random.uniform(-1, 1, (5, len(rows))).astype(np.float32)
            moved = augment.moved(keras.ops, images, augment.transforms(np, draws, its.side))
            images = np.array(keras.ops.convert_to_numpy(moved))
        return images[..., None]

    def state(self) -> list[np.ndarray]:
        return [*map(_copy, self._variables()), np.array(self._n_moved)]

    def restore(self, state: Sequence[np.ndarray]) -> None:
        *values, n_moved = state
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)
        self._n_moved = int(n_moved)

    def weights(self, *, averaged: bool = False) -> list[np.ndarray]:
        if averaged:
            with self._averages():
                return self.weights()
        return [*map(_copy, self.model.weights)]

    def trained_weights(self) -> list[np.ndarray]:
        return [*map(_copy, self.model.trainable_variables)]

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.weights, *self._optimizer_variables(), self._dropouts.state]

    def _optimizer_variables(self) -> list[keras.Variable]:
        """Leave out the norm, which is none of the trial's state."""
        optimizer = self.model.optimizer
        norm = getattr(optimizer, "gradient_norm", None)
        return [variable for variable in optimizer.variables if variable is not norm]


def _optimizer(rule: str, settings: Settings, *, is_measured: bool) -> keras.optimizers.Optimizer:
    has_momentum = rule in ("momentum", "nesterov")
    n_gathered = settings.gradient_accumulation
    kind = _OPTIMIZERS[rule]
    return (_measuring(kind) if is_measured else kind)(
        weight_decay=settings.weight_decay or None,
        global_clipnorm=settings.gradient_clip,
        gradient_accumulation_steps=n_gathered if n_gathered > 1 else None,
        use_ema=settings.average_decay is not None,
        ema_momentum=settings.average_decay or 0.0,
        **(
            {"momentum": settings.momentum, "nesterov": rule == "nesterov"} if has_momentum else {}
        ),
    )


def _measuring(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Make an optimizer that remembers the norm of the gradients it was last given."""

    class Measuring(type(kind())):  # type: ignore[misc]  # for PyTorch Keras makes another than asked for
        def build(self, variables: list[keras.Variable]) -> None:
            super().build(variables)
            self.gradient_norm = self.add_variable((), dtype="float32", name="gradient_norm")

        def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            squares = [keras.ops.sum(keras.ops.square(gradient)) for gradient in grads]
            self.gradient_norm.assign(keras.ops.sqrt(sum(squares)))
            return super().apply(grads, trainable_variables)

    return Measuring


def _copy(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable.value))
