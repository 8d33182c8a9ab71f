"""The networks as Keras models: one to train, whose dropout can be set; one to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from hpo.architecture import Layer
from hpo.rundir import write_whole

# Weights are always set after a model is built; drawing them there would cost time and memory.
_UNDRAWN = {"kernel_initializer": "zeros"}


class SettableDropout(keras.layers.Layer):
    """Dropout whose rate and random state are variables: one graph serves all rates."""

    def __init__(self, rate: keras.Variable, seed: keras.random.SeedGenerator) -> None:
        super().__init__()
        self._rate = lambda: rate  # hidden from Keras, which would count it among the weights
        self._seed = seed

    def call(self, inputs: object, training: bool = False) -> object:
        if not training:
            return inputs
        # Not keras.random.dropout: it asks Python whether the rate is 0, which only the graph
        # knows here. (With 0 all is kept and divided by 1: the same bits.)
        rate = self._rate()
        drawn = keras.random.uniform(keras.ops.shape(inputs), seed=self._seed)
        return keras.ops.where(drawn >= rate, inputs / (1 - rate), 0.0)


def trainable(
    stack: Sequence[Layer],
    side: int,
    mean: float,
    std: float,
    *,
    rate: keras.Variable,
    seed: keras.random.SeedGenerator,
) -> keras.Model:
    """Build the network for training: raw pixels (n, side, side, 1) in, logits out."""
    return _model(stack, side, mean, std, lambda: SettableDropout(rate, seed))


def save(
    path: Path,
    stack: Sequence[Layer],
    side: int,
    *,
    mean: float,
    std: float,
    dropout: float,
    weights: Sequence[np.ndarray],
    name: str,
) -> None:
    """Write a trained network as a .keras file that Keras alone can load.

    It takes raw pixels (0–255) of shape (n, side, side, 1) and gives probabilities.
    """
    model = _model(stack, side, mean, std, lambda: keras.layers.Dropout(dropout), name, "softmax")
    model.set_weights(list(weights))
    write_whole(path, model.save)


def answers(path: Path, images: np.ndarray) -> np.ndarray:
    """Give the class that a saved model sees in each image: uint8 (n, side²) to int64 (n,)."""
    model = keras.models.load_model(path)
    _, height, width, _ = model.input_shape
    images = images.reshape(-1, height, width, 1)
    found = [np.empty(0, np.int64)]
    for start in range(0, len(images), 1024):
        batch = images[start : start + 1024].astype(np.float32)
        found.append(np.argmax(keras.ops.convert_to_numpy(model(batch)), axis=1))
    return np.concatenate(found)


def optimizer(name: str) -> keras.optimizers.Optimizer:
    """Make an optimizer whose learning rate is set for each trial."""
    return {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }[name](learning_rate=0.0)


def initial_weights(model: keras.Model, random: np.random.Generator) -> list[np.ndarray]:
    """Draw a model's first weights: Glorot-uniform kernels, all else as Keras begins.

    Drawn with NumPy, so that they depend on the generator alone and not on what this process
    has built before. X. Glorot, Y. Bengio, AISTATS 2010.
    """
    weights = []
    for variable in model.weights:
        shape = variable.shape
        if len(shape) < 2:
            first = 1.0 if variable.name in ("gamma", "moving_variance") else 0.0
            weights.append(np.full(shape, first, np.float32))
            continue
        window = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (window * (shape[-2] + shape[-1])))
        weights.append(random.uniform(-limit, limit, shape).astype(np.float32))
    return weights


def _model(
    stack: Sequence[Layer],
    side: int,
    mean: float,
    std: float,
    dropout: Callable[[], keras.layers.Layer],
    name: str | None = None,
    last_activation: str | None = None,
) -> keras.Model:
    inputs = keras.Input((side, side, 1))
    outputs = keras.layers.Rescaling(1 / std, -mean / std)(inputs)
    for layer in stack[:-1]:
        for step in _LAYERS[layer.kind](layer, dropout):
            outputs = step(outputs)
    last = keras.layers.Dense(stack[-1].units, activation=last_activation, **_UNDRAWN)
    outputs = last(outputs)
    return keras.Model(inputs, outputs, name=name)


def _conv(layer: Layer, _: Callable[[], keras.layers.Layer]) -> list[keras.layers.Layer]:
    size = layer.kernel_size
    return [
        keras.layers.Conv2D(layer.units, size, padding=layer.padding, **_UNDRAWN),
        *_activated(layer),
    ]


def _pool(layer: Layer, _: Callable[[], keras.layers.Layer]) -> list[keras.layers.Layer]:
    pooling = (
        keras.layers.MaxPooling2D if layer.pooling == "max" else keras.layers.AveragePooling2D
    )
    return [pooling(2)]


def _dense(layer: Layer, _: Callable[[], keras.layers.Layer]) -> list[keras.layers.Layer]:
    return [keras.layers.Dense(layer.units, **_UNDRAWN), *_activated(layer)]


def _activated(layer: Layer) -> list[keras.layers.Layer]:
    norm = [keras.layers.BatchNormalization()] if layer.batch_norm else []
    return [*norm, keras.layers.Activation(layer.activation)]


_LAYERS: dict[str, Callable[..., list[keras.layers.Layer]]] = {
    "conv": _conv,
    "pool": _pool,
    "dense": _dense,
    "flatten": lambda *_: [keras.layers.Flatten()],
    "dropout": lambda _, dropout: [dropout()],
}
