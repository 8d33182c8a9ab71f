"""Reads the values of bsub's options, each by itself."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import expressions
import resources

MAX_INDEX = 1000  # MAX_JOB_ARRAY_SIZE's default bounds the index itself
MAX_EXIT_CODE = 128  # more than that is 128 + a signal
UNCATCHABLE = {"KILL", "STOP"}


@dataclass(frozen=True)
class Array:
    """The indices of an array, and how many elements may run at a time."""

    indices: tuple[int, ...]
    limit: int | None = None


def _plain(pattern: str, what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {what}, found {value!r}")
        return value

    return check


def _minutes(value: str) -> int:
    found = re.fullmatch(r"(?:(\d+):)?(\d+)", value)
    minutes = int(found[1] or 0) * 60 + int(found[2]) if found else 0
    if not minutes:
        raise ValueError(f"expected [HOURS:]MINUTES above 0, found {value!r}")
    return minutes


def _count(value: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", value):
        raise ValueError(f"expected a positive whole number, found {value!r}")
    return int(value)


def _name(value: str) -> tuple[str, Array | None]:
    """Read `name`, `name[1-100]%10` or `name[2,5,7-9]`."""
    item = r"\d+(?:-\d+(?::\d+)?)?"
    pattern = rf"([A-Za-z0-9._-]+)(?:\[({item}(?:,{item})*)\](?:%(\d+))?)?"
    found = re.fullmatch(pattern, value)
    if not found:
        raise ValueError(f"expected NAME or NAME[FIRST-LAST,…][%LIMIT], found {value!r}")
    if found[2] is None:
        return found[1], None
    indices = [index for written in found[2].split(",") for index in _range(written)]
    if len(indices) > len(set(indices)):
        raise ValueError(f"expected each index once, found {value!r}")
    if found[3] is not None and int(found[3]) < 1:
        raise ValueError(f"expected a positive %LIMIT, found {value!r}")
    return found[1], Array(tuple(sorted(indices)), int(found[3]) if found[3] else None)


def _range(written: str) -> range:
    """Read `7`, `1-100` or `1-100:2`."""
    bounds, _, step = written.partition(":")
    first, _, last = bounds.partition("-")
    if not 1 <= int(first) <= int(last or first) <= MAX_INDEX or step == "0":
        raise ValueError(f"expected 1 <= FIRST <= LAST <= {MAX_INDEX}, found {written!r}")
    return range(int(first), int(last or first) + 1, int(step or 1))


def _signal(value: str) -> str:
    known = {name.name.removeprefix("SIG") for name in signal.Signals} - UNCATCHABLE
    if value not in known:
        raise ValueError(f"expected a signal to catch, as URG or USR2, found {value!r}")
    return value


def _exit_codes(value: str) -> frozenset[int]:
    """Read `99`, `66 99`, `all ~0 ~1`, `99 EXCLUDE(9 10)`."""
    found = re.fullmatch(r"([^()]*?)(?: *EXCLUDE\(([^()]+)\))?", value.strip())
    if not found:
        raise ValueError(f"expected CODE … [EXCLUDE(CODE …)], found {value!r}")
    words = found[1].split()
    if words[:1] == ["all"]:
        codes = set(range(MAX_EXIT_CODE + 1)) - {_code(word, "~") for word in words[1:]}
    else:
        codes = {_code(word) for word in words}
    codes |= {_code(word) for word in (found[2] or "").split()}
    if not codes or 0 in codes:
        raise ValueError(f"expected codes of failures (as 'all ~0'), found {value!r}")
    return frozenset(codes)


def _code(word: str, mark: str = "") -> int:
    if not re.fullmatch(rf"{mark}\d+", word) or int(word.removeprefix(mark)) > 255:
        raise ValueError(f"expected {mark}CODE from 0 to 255, found {word!r}")
    code = int(word.removeprefix(mark))
    if code > MAX_EXIT_CODE:
        raise ValueError(f"expected codes up to {MAX_EXIT_CODE}: {code} is 128 + a signal")
    return code


def _image(value: str) -> str:
    part = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    image = rf"(?:[\w.-]+(?::\d+)?/)?{part}(?:/{part})*(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]{{64}})?"
    found = re.fullmatch(rf"docker\(({image})\)", value)
    if not found:
        raise ValueError(f"expected docker([REGISTRY/]IMAGE[:TAG]), found {value!r}")
    return found[1]


def _path(value: str) -> str:
    if re.search(r"%(?![JI])", value):
        raise ValueError(f"expected no pattern but %J and %I, found {value!r}")
    return value


VALUES: dict[str, Callable[[str], Any]] = {
    "-J": _name,
    "-G": _plain(r"[\w.-]+", "a user group"),
    "-g": _plain(r"(/[\w.-]+)+", "/USER/GROUP"),
    "-q": _plain(r"[\w.-]+", "one queue"),
    "-n": _count,
    "-R": resources.resources,
    "-M": resources.memory_bytes,
    "-W": _minutes,
    "-wt": _minutes,
    "-wa": _signal,
    "-Q": _exit_codes,
    "-a": _image,
    "-gpu": resources.gpu,
    **dict.fromkeys(("-o", "-oo", "-e", "-eo"), _path),
    "-u": _plain(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "USER@HOST"),
    "-w": expressions.dependency,
    "-cwd": _path,
    **dict.fromkeys(("-P", "-app", "-sla"), _plain(r"[\w.-]+", "a name")),
    "-m": _plain(r"[\w.+-]+( [\w.+-]+)*", "HOST …"),
}
