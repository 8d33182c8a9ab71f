"""The data set: read in shares by all ranks, checked, standardised, and whole on every rank."""

from __future__ import annotations

import hashlib
import itertools
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpo import sharedmemory
from hpo.datafile import UNREADABLE, layout, reason
from hpo.errors import InputError
from hpo.imagefile import Layout, Part
from hpo.world import World

SHARE_FROM_BYTES = 256 << 20  # above, one copy per node
ALIGNMENT = 64  # bytes; TensorFlow then uses the array as it lies, without a copy


@dataclass(frozen=True)
class Dataset:
    """Labelled square images.

    `images` is uint8 of shape (n, side²), `labels` int32 of shape (n,). `mean` and `std` are
    over all pixels of all images. `fingerprint` is a hash of images and labels, the same for
    any file format.
    """

    path: str
    images: np.ndarray
    labels: np.ndarray
    side: int
    n_classes: int
    mean: float
    std: float
    fingerprint: str

    @property
    def n_images(self) -> int:
        return len(self.labels)

    def words(self) -> str:
        return f"{self.n_images:,} images of {self.side}×{self.side} from {self.path}"

    def describe(self) -> dict[str, object]:
        """Give what search.yaml says of the data."""
        return {
            "path": self.path,
            "fingerprint": self.fingerprint,
            "images": self.n_images,
            "side": self.side,
            "classes": self.n_classes,
            "mean": self.mean,
            "std": self.std,
        }


def load(world: World, path: str, on_head: Callable[[Layout], None] = lambda _: None) -> Dataset:
    """Read and check a data set, each rank its share of the rows (collective).

    Args:
        on_head: called on every rank once the file's head is found good, before all is read.

    Raises:
        InputError: on every rank the same, for the first thing in the file that is wrong.
    """
    found = world.on_root(lambda: layout(path))
    on_head(found)
    parts = _read(found, world.rank, world.size)
    rows = _agree_on_rows(world, found, parts)
    n_images = sum(n for _, n in rows)
    memory, is_writer = allocate(world, n_images * found.n_pixels)
    images = memory.reshape(-1, found.n_pixels)
    labels = np.empty(n_images, np.int32)
    _exchange(world, parts, rows, images, labels, is_writer=is_writer)
    mean, std = _moments(world, parts)
    fingerprint = world.broadcast(
        _fingerprint(images, labels, found.side) if world.is_root else ""
    )
    # The largest label tells the number of classes, as in Kaggle's and MNIST's files.
    n_classes = int(labels.max(initial=0)) + 1
    if n_classes > n_images:
        raise InputError(
            f"{path}: expected at least as many images as classes ({n_classes}, as the largest"
            f" label is {n_classes - 1}), found {n_images}"
        )
    if labels.min() == labels.max():
        raise InputError(f"{path}: expected at least two classes, found only label {labels[0]}")
    return Dataset(path, images, labels, found.side, n_classes, mean, std, fingerprint)


def load_unlabelled(path: str, side: int) -> np.ndarray:
    """Read images to be answered for: uint8 of shape (n, side²); labels are passed over.

    Raises:
        InputError: if the file is wrong, or its images have another size.
    """
    found = layout(path, labelled=False)
    if found.side != side:
        raise InputError(
            f"{path}: expected {side}×{side} images like those of the training data,"
            f" found {found.side}×{found.side}"
        )
    parts = _read(found, 0, 1)
    _check(found, [(part.number, part.n_lines, part.error, part.line) for part in parts])
    images = np.concatenate([np.empty((0, side * side), np.uint8)] + [p.images for p in parts])
    if not len(images):
        raise InputError(f"{path}: expected images, found none after the header")
    return images


def load_alone(path: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Read a data set in this process alone.

    Returns:
        Images (uint8 of shape (n, side²)), labels (int32 of shape (n,)) and their fingerprint.

    Raises:
        InputError: if the file is wrong.
    """
    found = layout(path)
    parts = _read(found, 0, 1)
    _check(found, [(part.number, part.n_lines, part.error, part.line) for part in parts])
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts]).astype(np.int32)
    return images, labels, _fingerprint(images, labels, found.side)


def _read(of: Layout, rank: int, size: int) -> list[Part]:
    """Read a rank's share; what cannot be read is a value, as the other ranks wait for it."""
    try:
        return list(of.parts(rank, size))
    except (*UNREADABLE, InputError) as error:
        host = f" on {socket.gethostname()}" if size > 1 else ""
        return [Part.wrong(f"expected a whole file, found{host}: {reason(error)}")]


def _agree_on_rows(world: World, of: Layout, parts: list[Part]) -> list[tuple[int, int]]:
    """Learn who holds which part: (rank, images) in the file's order.

    Raises:
        InputError: for the first error in the file's order, on every rank the same.
    """
    mine = [(p.number, p.n_lines, p.error, p.line, world.rank, len(p.images)) for p in parts]
    told = itertools.chain.from_iterable(world.all_gather(mine))
    everyone = sorted(told, key=lambda of_part: of_part[0])
    _check(of, [of_part[:4] for of_part in everyone])
    rows = [of_part[4:] for of_part in everyone]
    if not sum(n for _, n in rows):
        after = " after the header" if of.n_head_lines else ""
        raise InputError(f"{of.path}: expected images, found none{after}")
    return rows


def _check(of: Layout, told: list[tuple[int, int, str | None, int]]) -> None:
    line_before = of.n_head_lines
    for _, n_lines, error, line in told:
        if error is not None:
            place = f"{of.path}:{line_before + line}" if line else of.path
            raise InputError(f"{place}: {error}")
        line_before += n_lines


def _exchange(
    world: World,
    parts: list[Part],
    rows: list[tuple[int, int]],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    is_writer: bool,
) -> None:
    """Give every part to every rank, in the file's order (collective)."""
    mine = iter(parts)
    start = 0
    for owner, n in rows:
        part = next(mine) if owner == world.rank else None
        here = images[start : start + n]
        if part is not None:
            received = np.ascontiguousarray(part.images)
            labels[start : start + n] = part.labels
        else:
            received = here if is_writer else np.empty_like(here)
        world.broadcast_array(received, owner)
        world.broadcast_array(labels[start : start + n], owner)
        if is_writer and received is not here:
            here[:] = received
        start += n
    world.meet()  # nobody may use a shared copy before its writer has filled it


def _moments(world: World, parts: list[Part]) -> tuple[float, float]:
    """Give mean and standard deviation of all pixels, from integer sums: exact, for any N."""
    counts = np.zeros(256, np.int64)
    for part in parts:
        counts += np.bincount(part.images.reshape(-1), minlength=256)
    histogram = [sum(shares) for shares in zip(*world.all_gather(counts.tolist()), strict=True)]
    n = sum(histogram)
    total = sum(value * count for value, count in enumerate(histogram))
    squares = sum(value**2 * count for value, count in enumerate(histogram))
    variance = (n * squares - total * total) / (n * n)  # an exact integer above the bar
    return total / n, math.sqrt(variance) or 1.0


def _fingerprint(images: np.ndarray, labels: np.ndarray, side: int) -> str:
    told = hashlib.sha256(f"{len(labels)} {side} ".encode())
    told.update(images.data)
    told.update(labels.astype("<i4").data)
    return told.hexdigest()[:16]


def allocate(world: World, n_bytes: int) -> tuple[np.ndarray, bool]:
    """Make room for data: one's own, or one copy per node that its ranks share (collective).

    Returns:
        The bytes (uint8), and whether this rank fills them.
    """
    if n_bytes >= SHARE_FROM_BYTES and _can_share(world, n_bytes):
        memory, is_writer = world.shared_bytes(n_bytes + ALIGNMENT)
    else:
        memory, is_writer = np.empty(n_bytes + ALIGNMENT, np.uint8), True
    return memory[-memory.ctypes.data % ALIGNMENT :][:n_bytes], is_writer


def _can_share(world: World, n_bytes: int) -> bool:
    """Whether every node's shared memory has room (collective).

    Looked at before it is touched: where there is too little (containers often have 64 MB),
    MPICH dies of SIGBUS and Open MPI hangs.
    """
    return world.size > 1 and all(
        world.all_gather(sharedmemory.room().free_bytes > n_bytes + (16 << 20))
    )
