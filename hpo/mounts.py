"""Paths outside a container and inside it, through mounts written SRC:DST or SRC:DST:ro."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath


def inside(mounts: Iterable[str], path: str, *, to_write: bool = False) -> str | None:
    """Give the path in the container of one outside; None if no mount shows it.

    Args:
        to_write: only through mounts that can be written to.
    """
    pairs = [mount.split(":") for mount in mounts]
    return _moved(path, [(p[0], p[1]) for p in pairs if not (to_write and "ro" in p[2:])])


def outside(mounts: Iterable[str], path: str) -> str | None:
    """Give the path outside of one in the container; None if it comes by no mount."""
    pairs = [mount.split(":") for mount in mounts]
    return _moved(path, [(p[1], p[0]) for p in pairs])


def _moved(path: str, folders: Sequence[tuple[str, str]]) -> str | None:
    path = posixpath.normpath(path)
    holding = [pair for pair in folders if is_below(path, pair[0])]
    if not holding:
        return None
    old, new = max(holding, key=lambda pair: len(pair[0]))
    return posixpath.normpath(posixpath.join(new, posixpath.relpath(path, old)))


def is_below(path: str, folder: str) -> bool:
    """Tell whether a path is a folder, or lies in it."""
    return PurePosixPath(path).is_relative_to(posixpath.normpath(folder))
