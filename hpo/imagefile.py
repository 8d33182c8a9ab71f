"""What all readers of image files share: a file's layout, and the parts that ranks read."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

LARGEST_LABEL = 2**31 - 1  # int32
LONG_BYTES = 4 << 20  # from this size on, reading a file takes time that something else can use
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Part:
    """Some consecutive images of a file.

    `images` is uint8 of shape (n, pixels); `labels` int64 of shape (n,), empty where the file
    has none. `error` says what was found instead; `line` is where (from 1, within the part), or 0
    where the place is the whole file.
    """

    number: int
    n_lines: int
    images: np.ndarray
    labels: np.ndarray
    error: str | None = None
    line: int = 0

    @classmethod
    def wrong(cls, error: str, number: int = 0) -> Part:
        """Give a part that only says what is wrong with the file."""
        nothing = np.empty((0, 0), np.uint8)
        return cls(number, 0, nothing, np.empty(0, np.int64), error)


@dataclass(frozen=True)
class Layout:
    """What a file says of itself before its images are read.

    `read` gives a rank's parts, from its number and that of all ranks: parts r, r + n, … of a
    division that is the same for every n.
    """

    path: str
    n_pixels: int
    read: Callable[[Layout, int, int], Iterator[Part]]
    label_column: int | None = None  # None if there are no labels, or nobody wants them
    n_head_lines: int = 0

    def parts(self, rank: int, size: int) -> Iterator[Part]:
        """Read and check the share of one rank of `size`."""
        return self.read(self, rank, size)

    @property
    def is_long(self) -> bool:
        path = Path(self.path)
        return path.exists() and path.stat().st_size >= LONG_BYTES

    @property
    def side(self) -> int:
        return math.isqrt(self.n_pixels)


def opened(path: str) -> IO[bytes]:
    """Open a file that may be gzipped, whatever its name says."""
    with Path(path).open("rb") as file:
        is_gzip = file.read(2) == _GZIP
    if is_gzip:
        return gzip.GzipFile(path)  # type: ignore[return-value]  # typeshed's is no IO
    return Path(path).open("rb")


def head(path: str, n_bytes: int) -> bytes:
    """Read the first bytes, unzipped."""
    with opened(path) as file:
        return file.read(n_bytes)
