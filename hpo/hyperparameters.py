"""The hyperparameters of the built-in objective: defaults, ranges, and when each is in use.

A default, once released, is frozen: a trial's id leaves out what equals the default, so that a
hyperparameter added later changes no id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo import terms
from hpo.errors import InputError
from hpo.rules import Condition
from hpo.trial import Config, canonical

Check = Callable[[object], bool]

SMALL_IMAGE = 20  # pixels; below this side `same` padding is the default, or nothing would be left


def _is_integer(low: int, high: int) -> Check:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def _integer(
    default: object, low: int, high: int, *, shapes_network: bool = False
) -> Hyperparameter:
    words = f"a whole number from {low} to {high:,}"
    return Hyperparameter(default, _is_integer(low, high), words, shapes_network)


def _is_number(above: float, below: float, *, or_equal: bool = False) -> Check:
    def check(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return above < value < below or (or_equal and value == above)

    return check


def _is_list_of(check: Check, longest: int) -> Check:
    return lambda v: isinstance(v, list) and 0 < len(v) <= longest and all(map(check, v))


def _is_one_of(*names: object) -> Check:
    return lambda v: any(v is name or (isinstance(v, str) and v == name) for name in names)


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter: its default, what it may be (in code and in words)."""

    default: object
    check: Check
    expected: str
    shapes_network: bool = False  # a trial that differs in it needs another compiled network


MOST_UNITS = 65536
_UNITS = _is_integer(1, MOST_UNITS)


def _choice(default: object, *names: object, shapes_network: bool = False) -> Hyperparameter:
    words = (
        f"one of {', '.join(name if isinstance(name, str) else canonical(name) for name in names)}"
    )
    return Hyperparameter(default, _is_one_of(*names), words, shapes_network)


def _or_null(check: Check, expected: str) -> Hyperparameter:
    """Make a hyperparameter that is null unless it is said; `expected` says what null means."""
    return Hyperparameter(None, lambda v: v is None or check(v), expected)


METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")  # that an epoch is measured by

TABLE: dict[str, Hyperparameter] = {
    "model": _choice("cnn", "cnn", "dense", "linear", shapes_network=True),
    "filters": Hyperparameter(
        32,
        lambda v: _UNITS(v) or _is_list_of(_UNITS, 10)(v),
        f"a whole number from 1 to {MOST_UNITS:,} (doubled in each further block) or a list of"
        " one for each block",
        shapes_network=True,
    ),
    "kernel_size": _integer(3, 1, 1024, shapes_network=True),
    "conv_layers": _integer(2, 1, 10, shapes_network=True),  # of each block
    "blocks": _integer(2, 1, 10, shapes_network=True),
    "padding": _choice("valid", "valid", "same", shapes_network=True),
    "pooling": _choice("max", "max", "average", shapes_network=True),
    "activation": _choice(
        "relu",
        *("relu", "sigmoid", "tanh", "elu", "selu", "gelu", "silu", "leaky_relu", "softplus"),
        shapes_network=True,
    ),
    "dense_units": Hyperparameter(
        128,
        lambda v: _UNITS(v) or _is_list_of(_UNITS, 20)(v),
        f"a whole number from 1 to {MOST_UNITS:,} or a list of one for each dense layer",
        shapes_network=True,
    ),
    "dense_layers": _integer(1, 0, 20, shapes_network=True),
    "batch_norm": _choice(False, True, False, shapes_network=True),
    "dropout": Hyperparameter(0.2, _is_number(0, 1, or_equal=True), "a number from 0 to below 1"),
    "optimizer": _choice("adam", "adam", "sgd", "rmsprop", "adamw"),
    "momentum": Hyperparameter(0, _is_number(0, 1, or_equal=True), "a number from 0 to below 1"),
    "nesterov": _choice(False, True, False),
    "learning_rate": Hyperparameter(0.001, _is_number(0, math.inf), "a number above 0"),
    "lr_schedule": _choice("constant", "constant", "cosine", "linear", "exponential", "step"),
    "lr_final": _or_null(
        _is_number(0, 1),
        "null (0 for cosine and linear, 0.01 for exponential) or a share of the learning rate"
        " above 0 and below 1",
    ),
    "lr_step_epochs": _integer(1, 1, 10**6),
    "lr_step_factor": Hyperparameter(0.5, _is_number(0, 1), "a number above 0 and below 1"),
    "warmup_epochs": Hyperparameter(
        0, _is_number(0, 10**6, or_equal=True), "a number from 0 to below 1,000,000"
    ),
    "weight_decay": _or_null(
        _is_number(0, 1, or_equal=True),
        "null (the optimizer's own: 0.004 for adamw, else 0) or a number from 0 to below 1",
    ),
    "gradient_clip": _or_null(_is_number(0, math.inf), "null (never) or a number above 0"),
    "gradient_accumulation": _integer(1, 1, 10**6),
    "weight_average": _choice("none", "none", "ema"),
    "weight_average_decay": Hyperparameter(0.99, _is_number(0, 1), "a number above 0 and below 1"),
    "batch_size": _integer(64, 1, 10**6),
    "epochs": _integer(4, 1, 10**6),
    "early_stopping_patience": _or_null(
        _is_integer(1, 10**6), "null (never) or a whole number of epochs from 1 to 1,000,000"
    ),
    "early_stopping_metric": _choice(None, None, *METRICS),
    "early_stopping_goal": _choice(None, None, "minimize", "maximize"),
    "loss_limit": _or_null(_is_number(0, math.inf), "null (none) or a number above 0"),
    "augment": _choice("none", "none", "shift-rotate-zoom"),
    "augment_strength": Hyperparameter(1, _is_number(0, 10), "a number above 0 and below 10"),
    "validation_split": Hyperparameter(0.1, _is_number(0, 1), "a number above 0 and below 1"),
    "seed": _integer(0, 0, 2**63 - 1),
}

NETWORK_NAMES = tuple(name for name, known in TABLE.items() if known.shapes_network)
GEOMETRY_NAMES = ("model", "filters", "kernel_size", "conv_layers", "blocks", "padding")
COST_NAMES = (*NETWORK_NAMES, "batch_size", "epochs", "validation_split", "weight_average")


def _in_cnn(values: Mapping[str, object]) -> bool:
    return values["model"] == "cnn"


def _has_hidden_layers(values: Mapping[str, object]) -> bool:
    return values["model"] != "linear"


def _itself(value: object) -> object:
    return value


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_zero(value: object) -> bool:
    return value == 0


def _is_null(value: object) -> bool:
    return value is None


def _has_momentum(values: Mapping[str, object]) -> bool:
    return values["optimizer"] == "sgd" and not _is_zero(values["momentum"])


def _stops_early(values: Mapping[str, object]) -> bool:
    return not _is_null(values["early_stopping_patience"])


# A hyperparameter that is not here is always in use.
CONDITIONS: dict[str, Condition] = {
    **{
        name: Condition({"model": _itself}, _in_cnn)
        for name in ("filters", "kernel_size", "conv_layers", "padding", "pooling")
    },
    "blocks": Condition(
        {"model": _itself, "filters": _is_list},
        lambda v: _in_cnn(v) and not _is_list(v["filters"]),
    ),
    "dense_layers": Condition(
        {"model": _itself, "dense_units": _is_list, "dense_layers": _is_zero},
        lambda v: (
            _has_hidden_layers(v)
            and (_is_zero(v["dense_layers"]) or not _is_list(v["dense_units"]))
        ),
    ),
    "dense_units": Condition(
        {"model": _itself, "dense_layers": _is_zero},
        lambda v: _has_hidden_layers(v) and not _is_zero(v["dense_layers"]),
    ),
    **{
        name: Condition({"model": _itself}, _has_hidden_layers)
        for name in ("activation", "batch_norm", "dropout")
    },
    "momentum": Condition({"optimizer": _itself}, lambda v: v["optimizer"] == "sgd"),
    "nesterov": Condition({"optimizer": _itself, "momentum": _is_zero}, _has_momentum),
    "lr_final": Condition(
        {"lr_schedule": _itself}, lambda v: v["lr_schedule"] not in ("constant", "step")
    ),
    **{
        name: Condition({"lr_schedule": _itself}, lambda v: v["lr_schedule"] == "step")
        for name in ("lr_step_epochs", "lr_step_factor")
    },
    "weight_average_decay": Condition(
        {"weight_average": _itself}, lambda v: v["weight_average"] == "ema"
    ),
    "early_stopping_metric": Condition({"early_stopping_patience": _is_null}, _stops_early),
    "early_stopping_goal": Condition(
        {"early_stopping_patience": _is_null, "early_stopping_metric": _is_null},
        lambda v: _stops_early(v) and not _is_null(v["early_stopping_metric"]),
    ),
    "augment_strength": Condition({"augment": _itself}, lambda v: v["augment"] != "none"),
}


def defaults(image_side: int) -> Config:
    """Give every hyperparameter's default for images of this many pixels a side."""
    values = {name: known.default for name, known in TABLE.items()}
    if image_side < SMALL_IMAGE:
        values["padding"] = "same"
    return values


DEFAULTS = defaults(SMALL_IMAGE)


def complete(config: Mapping[str, object], image_side: int) -> Config:
    """Add the default of every hyperparameter that a configuration leaves out and uses."""
    full = defaults(image_side) | dict(config)
    return {
        name: value
        for name, value in full.items()
        if name not in CONDITIONS or CONDITIONS[name].holds(full)
    }


def weight_decay(config: Mapping[str, Any]) -> float:
    """Give the weight decay that a complete configuration has, said or its optimizer's own."""
    own = 0.004 if config["optimizer"] == "adamw" else 0.0  # as in Keras
    return own if config["weight_decay"] is None else float(config["weight_decay"])


def update_rule(config: Mapping[str, Any]) -> str:
    """Name the arithmetic of a complete configuration's updates: optimizer, or kind of sgd."""
    if not config.get("momentum"):
        return str(config["optimizer"])
    return "nesterov" if config["nesterov"] else "momentum"


def is_refined(config: Mapping[str, Any]) -> bool:
    """Whether more is done at an update than the optimizer does, which is compiled apart."""
    return (
        config["gradient_clip"] is not None
        or config["gradient_accumulation"] > 1
        or config["weight_average"] != "none"
    )


def deviations(config: Mapping[str, object], image_side: int) -> Config:
    """Give what a configuration changes against the defaults: the part that its id rests on."""
    return terms.deviations(config, defaults(image_side))


def check(values: Mapping[str, Sequence[object]], places: Mapping[str, str]) -> None:
    """Refuse unknown names and values out of their range.

    Args:
        values: each hyperparameter's list of values.
        places: where each was written, for the message.

    Raises:
        InputError: naming the place, the hyperparameter, what was expected and what was found.
    """
    for name, choices in values.items():
        known = TABLE.get(name)
        if known is None:
            raise terms.unknown(name, places[name], TABLE)
        for value in choices:
            if not known.check(value):
                raise InputError(
                    f"{places[name]}: {name}: expected {known.expected}, found {value!r}"
                )
