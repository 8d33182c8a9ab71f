"""The engine for Keras's other backends (JAX, PyTorch): plain Keras, one step at a time.

Slower than `graph` on a processor, and the same search: a trial is reset as completely, and goes
on from a checkpoint as exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def network(self, stack: Sequence[Layer], optimizer: str) -> Network:
        return Network(self.dataset, stack, optimizer)

    def forget(self) -> None:
        models.forget()


class Network:
    """One architecture with one optimizer.

    Dropout rate and weight decay are part of what Keras compiles: where they change, the model is
    made anew.
    """

    def __init__(self, dataset: Dataset, stack: Sequence[Layer], optimizer: str) -> None:
        self._dataset = dataset
        self._stack = stack
        self._optimizer = optimizer
        self._made_for: tuple[float, float] | None = None

    def reset(self, random: np.random.Generator, settings: Settings) -> None:
        if self._made_for != (settings.dropout, settings.weight_decay):
            self._make(settings.dropout, settings.weight_decay)
        weights = models.initial_weights(self.model, random)
        dropouts = np.array([settings.seed], np.uint64).view(np.uint32)
        self.restore([*weights, *self._fresh, dropouts, np.array(0)])
        self.model.optimizer.learning_rate = settings.learning_rate
        self._seed = settings.seed

    def _make(self, dropout: float, weight_decay: float) -> None:
        its = self._dataset
        self._dropouts = keras.random.SeedGenerator(0)

        # Not keras.layers.Dropout: with PyTorch it draws from what no checkpoint holds.
        def drop(inputs: Any) -> Any:
            drawn = keras.random.uniform(keras.ops.shape(inputs), seed=self._dropouts)
            return inputs * keras.ops.cast(drawn >= dropout, inputs.dtype) / (1 - dropout)

        self.model = models.trainable(
            *(self._stack, its.side, its.mean, its.std), drop=drop, random=self._dropouts
        )
        optimizer = _OPTIMIZERS[self._optimizer](weight_decay=weight_decay or None)
        self.model.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        optimizer.build(self.model.trainable_variables)
        self._fresh = [_copy(variable) for variable in optimizer.variables]
        self._made_for = (dropout, weight_decay)

    def run(self, training: Pass, validation: Pass, strength: float) -> tuple[Tally, Tally]:
        trained = self._steps(training, self.model.train_on_batch, strength)
        return trained, self._steps(validation, self.model.test_on_batch, 0.0)

    def _steps(self, some: Pass, on_batch: Callable[..., Any], strength: float) -> Tally:
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
            )
        return at

    def _images(self, rows: np.ndarray, strength: float) -> np.ndarray:
        its = self._dataset
        images: np.ndarray = its.images[rows].reshape(-1, its.side, its.side, 1).astype(np.float32)
        if strength == 0:
            return images
        random = np.random.Generator(np.random.Philox(key=self._seed, counter=self._n_moved))
        self._n_moved += 1
        draws = strength * random.uniform(-1, 1, (5, len(rows))).astype(np.float32)
        moved = keras.ops.image.affine_transform(
            images,
            augment.transforms(np, draws, its.side),
            interpolation="bilinear",
            fill_mode="constant",
            data_format="channels_last",
        )
        return np.array(keras.ops.convert_to_numpy(moved))

    def state(self) -> list[np.ndarray]:
        return [*map(_copy, self._variables()), np.array(self._n_moved)]

    def restore(self, state: Sequence[np.ndarray]) -> None:
        *values, n_moved = state
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)
        self._n_moved = int(n_moved)

    def weights(self) -> list[np.ndarray]:
        return [*map(_copy, self.model.weights)]

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.weights, *self.model.optimizer.variables, self._dropouts.state]


def _copy(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable.value))
