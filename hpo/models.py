"""The networks as Keras models: one to train, whose dropout can be set; one to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hpo.architecture import Layer
from hpo.rundir import write_whole

# Weights are always set after a model is built; drawing them there would cost time and memory.
_UNDRAWN = {"kernel_initializer": "zeros"}


class WhileTraining(keras.layers.Layer):
    """Applies a function while training, and nothing otherwise."""

    def __init__(self, function: Callable[[Any], Any], random: object) -> None:
        super().__init__()
        self._function = function
        self._random = random  # Keras has to know of the state that the function changes

    def call(self, inputs: object, training: bool = False) -> object:
        return self._function(inputs) if training else inputs


def use_precision(name: str) -> None:
    """Choose what layers compute in: float32, or mixed_bfloat16 with weights in float32."""
    keras.config.set_dtype_policy(name)


def forget() -> None:
    """Give back what Keras and its backend keep of models that are gone.

    Without it TensorFlow keeps their kernels, and Python, until it happens to look, their cycles.
    """
    policy = keras.config.dtype_policy()
    keras.utils.clear_session(free_memory=True)
    keras.config.set_dtype_policy(policy)


def trainable(
    stack: Sequence[Layer],
    side: int,
    mean: float,
    std: float,
    *,
    drop: Callable[[Any], Any],
    random: object = None,
) -> keras.Model:
    """Build the network for training: raw pixels (n, side, side, 1) in, logits out.

    Args:
        drop: what dropout does to its inputs while training.
        random: the keras.random.SeedGenerator that it draws from, if it does.
    """
    return _model(stack, side, mean, std, lambda: WhileTraining(drop, random))


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
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # whatever it was trained in
    try:
        model = _model(
            stack, side, mean, std, lambda: keras.layers.Dropout(dropout), name, "softmax"
        )
    finally:
        keras.config.set_dtype_policy(policy)
    model.set_weights(list(weights))
    write_whole(path, model.save)


def shares(path: Path, images: np.ndarray) -> np.ndarray:
    """Give how likely a saved model finds each class: uint8 (n, side²) to float32 (n, classes)."""
    model = keras.models.load_model(path)
    _, height, width, _ = model.input_shape
    images = images.reshape(-1, height, width, 1)
    found = [np.empty((0, model.output_shape[-1]), np.float32)]
    for start in range(0, len(images), 1024):
        batch = images[start : start + 1024].astype(np.float32)
        found.append(keras.ops.convert_to_numpy(model(batch)))
    return np.concatenate(found)


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
    # Pixels in, and scores out, in full precision whatever the layers between compute in.
    outputs = keras.layers.Rescaling(1 / std, -mean / std, dtype="float32")(inputs)
    for layer in stack[:-1]:
        for step in _LAYERS[layer.kind](layer, dropout):
            outputs = step(outputs)
    last = keras.layers.Dense(
        stack[-1].units, activation=last_activation, dtype="float32", **_UNDRAWN
    )
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
