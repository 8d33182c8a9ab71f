"""Whether this process runs in a container, and what of it is lost when that ends."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # Docker's, Podman's
LAYERS = ("overlay", "aufs")  # file systems that an image's layers are seen through


def loses(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path lies in this container's own layer, which goes when it ends."""
    if not any(mark.exists() for mark in MARKS):
        return False
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return False
    return is_in_layer(os.path.realpath(path), mounts)


def is_in_layer(path: str, mounts: Iterable[str]) -> bool:
    """Tell whether the mount that holds a path, of /proc/self/mounts' lines, is an image's."""
    points = [line.split()[1:3] for line in mounts]
    holding = [(point, kind) for point, kind in points if Path(path).is_relative_to(point)]
    return max(holding, key=lambda found: len(found[0]), default=("", ""))[1] in LAYERS
