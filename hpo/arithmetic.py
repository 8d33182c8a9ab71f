"""Arithmetic on what strangers have written: no result is larger than people need."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpo.errors import InputError

MOST_ITEMS = 10_000  # of a list with all that is in it, and characters of a text
MOST_BITS = 1024  # of a whole number; a float holds no larger ones either
_MOST_DIGITS = 400  # that `round` is asked for


class Array(tuple[int | float, ...]):
    """Numbers that operators take one by one, as NumPy's arrays do, but never wrap around."""


def size(value: object) -> int:
    """Count the values in a value."""
    if isinstance(value, list | tuple):
        return 1 + sum(map(size, value))
    return len(value) if isinstance(value, str) else 1


def checked(value: Any) -> Any:
    """Give a result back if it is a plain value of a sensible size.

    Raises:
        InputError: if it is not.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"expected finite numbers, found {value}")
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise InputError(f"expected whole numbers of at most {MOST_BITS} bits, found a larger one")
    if value is not None and not isinstance(value, bool | int | float | str | list | tuple):
        raise InputError(f"expected numbers, texts and lists, found a {type(value).__name__}")
    if isinstance(value, Array):
        for item in value:
            checked(item)
    if size(value) > MOST_ITEMS:
        raise InputError(f"expected at most {MOST_ITEMS:,} values, found more")
    return value


def binary(symbol: str, left: Any, right: Any) -> Any:
    """Apply an operator to numbers, arrays, or (`+` and `*` only) texts and lists."""
    if isinstance(left, Array) or isinstance(right, Array):
        return _each(symbol, left, right)
    if _is_number(left) and _is_number(right):
        if symbol == "**":
            _check_power(left, right)
        return checked(_OPERATORS[symbol](left, right))
    if symbol == "+" and type(left) is type(right) and isinstance(left, str | list | tuple):
        return checked(left + right)
    if symbol == "*" and isinstance(right, str | list | tuple):
        left, right = right, left
    if symbol == "*" and isinstance(left, str | list | tuple) and isinstance(right, int):
        if size(left) * max(right, 0) > MOST_ITEMS:
            raise InputError(f"expected at most {MOST_ITEMS:,} values, found more")
        return left * right
    kinds = f"{type(left).__name__} {symbol} {type(right).__name__}"
    raise InputError(f"expected numbers at {symbol}, found {kinds}")


def call(name: str, arguments: list[Any], named: Mapping[str, Any]) -> Any:
    """Call a function of the whitelist."""
    made = FUNCTIONS[name](*arguments, **named)
    return checked(Array(made.tolist()) if isinstance(made, np.ndarray) else made)


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _check_power(base: float, exponent: float) -> None:
    if not (isinstance(base, int) and isinstance(exponent, int)):
        return  # floats overflow by themselves
    if base.bit_length() * exponent > MOST_BITS + base.bit_length():
        raise InputError(f"expected powers of at most {MOST_BITS} bits, found larger ones")


def _each(symbol: str, left: Any, right: Any) -> Array:
    lengths = {len(side) for side in (left, right) if isinstance(side, Array)}
    if len(lengths) > 1:
        raise InputError(f"expected arrays of one length at {symbol}, found {sorted(lengths)}")
    n = lengths.pop()
    lefts = left if isinstance(left, Array) else [left] * n
    rights = right if isinstance(right, Array) else [right] * n
    return Array(binary(symbol, one, other) for one, other in zip(lefts, rights, strict=True))


def _range(*bounds: int) -> list[int]:
    found = range(*bounds)
    if found[MOST_ITEMS:]:
        raise InputError(f"expected a range of at most {MOST_ITEMS:,} values, found more")
    return list(found)


def _round(number: float, ndigits: int | None = None) -> float:
    if ndigits is not None and abs(ndigits) > _MOST_DIGITS:
        raise InputError(f"expected round to at most {_MOST_DIGITS} digits, found {ndigits}")
    return round(number, ndigits)


def _sum(items: list[float]) -> float:
    return sum(items)


def _arange(start: float, stop: float | None = None, step: float = 1) -> np.ndarray:
    start, stop = (0, start) if stop is None else (start, stop)
    _check_numbers(start, stop, step)
    if step == 0 or (stop - start) / step > MOST_ITEMS:
        raise InputError(f"expected np.arange of at most {MOST_ITEMS:,} values, found more")
    return np.arange(start, stop, step)


def _spaced(space: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def call(
        start: float, stop: float, num: int = 50, endpoint: bool = True, **base: float
    ) -> np.ndarray:
        _check_numbers(start, stop, num, *base.values())
        if not isinstance(num, int) or not 0 <= num <= MOST_ITEMS:
            raise InputError(f"expected num from 0 to {MOST_ITEMS:,}, found {num}")
        return space(start, stop, num, endpoint, **base)

    return call


def _logspace(
    start: float, stop: float, num: int = 50, endpoint: bool = True, base: float = 10
) -> np.ndarray:
    return _spaced(np.logspace)(start, stop, num, endpoint, base=base)


def _check_numbers(*values: object) -> None:
    for value in values:
        if not _is_number(value):
            raise InputError(f"expected numbers, found {value!r:.40}")


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "float": float,
    "int": int,
    "range": _range,
    "round": _round,
    "abs": abs,
    "len": len,
    "max": max,
    "min": min,
    "sum": _sum,
    "np.arange": _arange,
    "np.linspace": _spaced(np.linspace),
    "np.logspace": _logspace,
    "np.geomspace": _spaced(np.geomspace),
}
