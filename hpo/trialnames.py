"""Short names of trials for people, by what varies: `lr1em3_batchsize64`.

Numbers are written with what file systems and trackers allow everywhere: p for the point, m for
minus. Two numbers have one name only if they are equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

MOST_CHARS = 120  # a folder's name, with the trial's id, has to fit into 255 bytes
NOTHING_VARIES = "trial"
_SHORT = {"learning_rate": "lr"}
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
_PLAIN_EXPONENTS = range(-4, 16)  # of ten, in which a number is written without one


def of_trial(config: Mapping[str, object], varied: Sequence[str]) -> str:
    """Name a trial.

    Args:
        varied: the hyperparameters that tell it from others; what it does not have is left out.
    """
    short = short_names(varied)
    parts = [short[name] + of_value(config[name]) for name in varied if name in config]
    return ("_".join(parts) or NOTHING_VARIES)[:MOST_CHARS]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Shorten names of hyperparameters; those that would be one keep theirs."""
    short = {name: _SHORT.get(name) or re.sub(r"[^A-Za-z0-9]+", "", name) for name in names}
    taken = [its.lower() for its in short.values()]
    return {
        name: its if its and taken.count(its.lower()) == 1 else _UNFIT.sub("-", name)
        for name, its in short.items()
    }


def of_value(value: object) -> str:
    """Write a value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _of_number(value)
    if isinstance(value, list | tuple):
        return "x".join(map(of_value, value))
    return _UNFIT.sub("-", str(value))


def _of_number(value: float) -> str:
    number = Decimal(repr(value))
    if not number.is_finite():
        return str(number).lower().replace("-", "m")
    if number == 0:
        return "0"
    sign, digits, exponent = number.normalize().as_tuple()
    assert isinstance(exponent, int)
    whole = "".join(map(str, digits))
    first = exponent + len(whole) - 1  # the power of ten of the first digit
    if first not in _PLAIN_EXPONENTS or (len(whole) == 1 and first < -1):
        text = whole[0] + (f"p{whole[1:]}" if whole[1:] else "") + f"e{first}"
    else:
        text = f"{abs(number):f}".rstrip("0").rstrip(".") if exponent < 0 else str(abs(int(value)))
    return ("m" if sign else "") + text.replace(".", "p").replace("-", "m")
