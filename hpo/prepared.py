"""Arrays that an objective prepares once, on every rank: shared by the ranks of a node."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpo.data import ALIGNMENT, allocate
from hpo.errors import InputError
from hpo.world import World

_CHUNK_BYTES = 32 << 20  # told at once
NOTHING = "none"  # the fingerprint of no data


@dataclass(frozen=True)
class Prepared:
    """Named arrays; none of them can be written to."""

    path: str
    fingerprint: str
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        shapes = {name: list(array.shape) for name, array in self.arrays.items()}
        return {"path": self.path, "fingerprint": self.fingerprint, "arrays": shapes}

    def words(self) -> str:
        return ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())


class _Head(NamedTuple):
    """What the ranks are told of an array before its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int


def share(world: World, path: str, arrays: Mapping[str, Any] | None) -> Prepared:
    """Give every rank the root's arrays (collective).

    Args:
        arrays: on the root.

    Raises:
        InputError: on every rank alike, if one of them is no array of plain values.
    """
    checked: dict[str, np.ndarray] = {}

    def plan() -> tuple[str, list[_Head], int]:
        checked.update(_checked(arrays or {}))
        heads, n_bytes = [], 0
        for name, array in checked.items():
            heads.append(_Head(name, array.dtype.str, array.shape, n_bytes))
            n_bytes += math.ceil(array.nbytes / ALIGNMENT) * ALIGNMENT
        return _fingerprint(checked), heads, n_bytes

    fingerprint, heads, n_bytes = world.on_root(plan)
    memory, is_writer = allocate(world, n_bytes)
    for head in heads:
        ours = checked[head.name] if world.is_root else None
        _fill(world, memory, head, ours, is_writer=is_writer)
    world.meet()  # nobody may read a shared copy before its writer has filled it
    views = {head.name: _view(memory, head) for head in heads}
    return Prepared(path, fingerprint, views)


def _fill(
    world: World, memory: np.ndarray, head: _Head, ours: np.ndarray | None, *, is_writer: bool
) -> None:
    """Tell one array's bytes, piece by piece (collective)."""
    n_bytes = _n_bytes(head)
    source = None if ours is None else ours.reshape(-1).view(np.uint8)
    for begin in range(0, n_bytes, _CHUNK_BYTES):
        size = min(_CHUNK_BYTES, n_bytes - begin)
        here = memory[head.start + begin :][:size]
        if source is not None:
            piece = np.ascontiguousarray(source[begin : begin + size])
        else:
            piece = here if is_writer else np.empty(size, np.uint8)
        world.broadcast_array(piece, 0)
        if is_writer and piece is not here:
            here[:] = piece


def _n_bytes(head: _Head) -> int:
    return math.prod(head.shape) * np.dtype(head.dtype).itemsize


def _view(memory: np.ndarray, head: _Head) -> np.ndarray:
    array = memory[head.start :][: _n_bytes(head)].view(head.dtype).reshape(head.shape)
    array.flags.writeable = False
    return array


def _checked(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(arrays, Mapping):
        raise InputError(f"prepare: expected arrays by name, found {type(arrays).__name__}")
    found = {}
    for name, value in arrays.items():
        array = np.ascontiguousarray(value)
        if not isinstance(name, str) or array.dtype.hasobject or array.dtype.names:
            raise InputError(
                f"prepare: expected arrays of numbers or text by name, found {name!r} of"
                f" {array.dtype}"
            )
        found[name] = array.reshape(np.shape(value))  # ascontiguousarray makes 0-d ones 1-d
    return found


def _fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    told = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        told.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        told.update(array.reshape(-1).view(np.uint8).data)
    return told.hexdigest()[:16]


def of_path(path: str | None) -> Prepared:
    """Fingerprint data that an objective reads itself: a file's content, a folder's listing.

    Raises:
        InputError: if there is nothing.
    """
    if path is None:
        return Prepared("none", NOTHING)
    told = hashlib.sha256()
    try:
        if Path(path).is_dir():
            for file in sorted(p for p in Path(path).rglob("*") if p.is_file()):
                told.update(f"{file.relative_to(path)} {file.stat().st_size}\n".encode())
        else:
            with Path(path).open("rb") as content:
                while piece := content.read(_CHUNK_BYTES):
                    told.update(piece)
    except OSError as error:
        raise InputError(
            f"--data {path}: expected a file or a folder, found: {error.strerror}"
        ) from error
    return Prepared(os.path.abspath(path), told.hexdigest()[:16])
