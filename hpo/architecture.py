"""The layers that a configuration asks for, with their shapes and costs, before any library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import InputError

GRAPH_BYTES = 16 << 20  # of a compiled network without its weights, as measured


@dataclass(frozen=True)
class Layer:
    """One layer: `kind` is conv, pool, flatten, dense or dropout. `output` is its shape."""

    kind: str
    output: tuple[int, ...]
    units: int = 0
    kernel_size: int = 0
    padding: str = "valid"
    pooling: str = "max"
    activation: str | None = None
    batch_norm: bool = False
    multiply_adds: int = 0  # of one image, forward

    @property
    def n_weights(self) -> int:
        positions = math.prod(self.output[:-1])  # where a convolution uses its weights again
        return self.multiply_adds // positions + self.units * (5 if self.batch_norm else 1)


def layers(config: Mapping[str, Any], image_side: int, n_classes: int) -> tuple[Layer, ...]:
    """List the layers of a complete configuration, for square images of one channel.

    Blocks of convolutions, each block ended by a pooling that halves the side and by dropout,
    with twice the filters of the block before; then dense layers, each with dropout; then one
    output for each class, without activation.

    Raises:
        InputError: if nothing is left of the image on the way.
    """
    stack: list[Layer] = []
    shape: tuple[int, ...] = (image_side, image_side, 1)
    if config["model"] == "cnn":
        for filters in _filters(config):
            stack += _block(config, filters, shape, image_side)
            shape = stack[-1].output
    n_inputs = math.prod(shape)
    stack.append(Layer("flatten", (n_inputs,)))
    for units in _dense_units(config):
        stack += [_dense(n_inputs, units, config), Layer("dropout", (units,))]
        n_inputs = units
    return (*stack, _dense(n_inputs, n_classes, {}))


def multiply_adds(stack: tuple[Layer, ...]) -> int:
    """Count the multiply-adds of one image, forward."""
    return sum(layer.multiply_adds for layer in stack)


def n_bytes(stack: tuple[Layer, ...], *, is_refined: bool = False) -> int:
    """Guess the memory of a compiled network: weights, their optimizer's slots, its graph.

    Args:
        is_refined: whether it holds sums of gradients and averaged weights, too.
    """
    n_copies = 5 if is_refined else 3
    return GRAPH_BYTES + 4 * n_copies * sum(layer.n_weights for layer in stack)


def _filters(config: Mapping[str, Any]) -> list[int]:
    filters = config["filters"]
    return (
        filters
        if isinstance(filters, list)
        else [filters * 2**block for block in range(config["blocks"])]
    )


def _dense_units(config: Mapping[str, Any]) -> list[int]:
    units = config.get("dense_units", 0)  # not in use where there are no dense layers
    return units if isinstance(units, list) else [units] * config.get("dense_layers", 0)


def _dense(n_inputs: int, units: int, config: Mapping[str, Any]) -> Layer:
    return Layer(
        "dense",
        (units,),
        units=units,
        activation=config.get("activation"),
        batch_norm=config.get("batch_norm", False),
        multiply_adds=n_inputs * units,
    )


def _block(
    config: Mapping[str, Any], filters: int, shape: tuple[int, ...], image_side: int
) -> list[Layer]:
    kernel, padding = config["kernel_size"], config["padding"]
    block = []
    for _ in range(config["conv_layers"]):
        side, _, channels = shape
        if kernel > (image_side if padding == "same" else side):
            raise InputError(
                f"kernel_size: expected at most {side}, what the layers before leave of the side"
                f" of {image_side}×{image_side} images, found {kernel} (padding: {padding})"
            )
        side = side if padding == "same" else side - kernel + 1
        shape = (side, side, filters)
        block.append(
            Layer(
                "conv",
                shape,
                units=filters,
                kernel_size=kernel,
                padding=padding,
                activation=config["activation"],
                batch_norm=config["batch_norm"],
                multiply_adds=side * side * kernel * kernel * channels * filters,
            )
        )
    side = shape[0] // 2
    if side == 0:
        raise InputError(
            f"{'filters' if isinstance(config['filters'], list) else 'blocks'}: expected so few"
            f" blocks that each can halve {image_side}×{image_side} images,"
            f" found one that gets a single pixel (kernel_size: {kernel}, padding: {padding})"
        )
    shape = (side, side, filters)
    return [*block, Layer("pool", shape, pooling=config["pooling"]), Layer("dropout", shape)]
