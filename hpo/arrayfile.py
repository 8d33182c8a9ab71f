"""Images as arrays: NumPy's .npz, the idx files of MNIST, and scikit-learn's bundled digits."""

from __future__ import annotations

import importlib.util
import math
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from hpo.errors import InputError
from hpo.imagefile import LARGEST_LABEL, Layout, Part, head, opened

PART_ROWS = 8192
ZIP, IDX_IMAGES, IDX_LABELS = b"PK\x03\x04", b"\x00\x00\x08\x03", b"\x00\x00\x08\x01"
IMAGES_HEAD_BYTES, LABELS_HEAD_BYTES = 16, 8


def npz_layout(path: str, labelled: bool) -> Layout:
    arrays = _npz_arrays(path)
    images = arrays.get("x", np.empty(0))
    if images.ndim < 2 or (labelled and "y" not in arrays):
        raise InputError(
            f"{path}: expected arrays x (images) and y (labels), found "
            + (", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none")
        )
    if images.ndim > 2 and images.shape[1] != images.shape[2]:
        raise InputError(f"{path}: expected square images, found {images.shape[1:]}")
    if images.ndim > 3 and images.shape[3:] != (1,):
        raise InputError(f"{path}: expected images of one channel, found {images.shape[1:]}")
    return Layout(path, math.prod(images.shape[1:]), _npz_parts, 0 if labelled else None)


def _npz_arrays(path: str) -> dict[str, np.ndarray]:
    try:
        # Opened here, as NumPy leaves a file open that turns out to be no archive.
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile, RuntimeError) as error:  # RuntimeError: encrypted
        raise InputError(f"{path}: expected arrays of numbers, found {error}") from error
    return {name: a for name, a in members.items() if isinstance(a, np.ndarray)}


def _npz_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    arrays = _npz_arrays(of.path)
    images = arrays["x"].reshape(len(arrays["x"]), of.n_pixels)
    labels = None if of.label_column is None else arrays["y"].reshape(-1)
    return _parts(images, labels, rank, size)


def idx_layout(path: str, labelled: bool) -> Layout:
    start = head(path, IMAGES_HEAD_BYTES)
    if len(start) < IMAGES_HEAD_BYTES:
        raise InputError(f"{path}: expected an idx file of images, found only {len(start)} bytes")
    _, _, n_rows, n_columns = np.frombuffer(start, ">u4").tolist()
    if n_rows != n_columns or not n_rows:
        raise InputError(f"{path}: expected square images, found {n_rows}×{n_columns}")
    labels = _labels_path(path)
    if labelled and (not Path(labels).is_file() or head(labels, 4) != IDX_LABELS):
        raise InputError(f"{path}: expected its labels in {labels}, found no such idx file")
    return Layout(path, n_rows * n_columns, _idx_parts, 0 if labelled else None)


def _labels_path(path: str) -> str:
    """Name the labels beside MNIST's images: train-images-idx3-ubyte, train-labels-idx1-ubyte."""
    name = Path(path).name.replace("images", "labels").replace("idx3", "idx1")
    return str(Path(path).with_name(name))


def _idx_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    try:
        images = _idx_values(of.path, IMAGES_HEAD_BYTES, of.n_pixels).reshape(-1, of.n_pixels)
        labels = None
        if of.label_column is not None:
            labels = _idx_values(_labels_path(of.path), LABELS_HEAD_BYTES, 1)
    except InputError as error:
        return iter([Part.wrong(str(error))])
    return _parts(images, labels, rank, size)


def _idx_values(path: str, head_bytes: int, item_bytes: int) -> np.ndarray:
    """Read an idx file's values, as many as its head says."""
    with opened(path) as file:
        start, values = file.read(head_bytes), file.read()
    n_items = int.from_bytes(start[4:8], "big")
    if len(start) < head_bytes or len(values) != n_items * item_bytes:
        raise InputError(
            f"expected {n_items} × {item_bytes} bytes in {path}, as its head says,"
            f" found {len(values)}"
        )
    return np.frombuffer(values, np.uint8)


def digits_layout(path: str) -> Layout:
    return Layout(path, 64, _digits_parts, 0)


def _digits_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    table = _digits_table()
    return _parts(table[:, :-1], table[:, -1], rank, size)


def _digits_table() -> np.ndarray:
    """Give the rows of scikit-learn's digits, labels last, without a second for importing it."""
    found = importlib.util.find_spec("sklearn")
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0] if folders else "", "datasets", "data", "digits.csv.gz")
    if path.exists():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


def _parts(images: np.ndarray, labels: np.ndarray | None, rank: int, size: int) -> Iterator[Part]:
    if labels is not None and len(labels) != len(images):
        found = f"found {len(labels)} and {len(images)}"
        yield Part.wrong(f"expected as many labels as images, {found}")
        return
    for number, start in enumerate(range(0, len(images), PART_ROWS)):
        if number % size == rank:
            end = start + PART_ROWS
            yield _part(number, images[start:end], () if labels is None else labels[start:end])


def _part(number: int, images: np.ndarray, labels: ArrayLike) -> Part:
    named = np.asarray(labels)
    for what, array, highest in (("pixel", images, 255), ("label", named, LARGEST_LABEL)):
        wrong = _wrong(array, highest)
        if wrong is not None:
            line, found = wrong
            error = f"expected {what}s that are whole numbers from 0 to {highest}, found {found}"
            return replace(Part.wrong(error, number), n_lines=len(images), line=line)
    return Part(number, len(images), images.astype(np.uint8), named.astype(np.int64))


def _wrong(array: np.ndarray, highest: int) -> tuple[int, object] | None:
    """Find the first element that is not a whole number from 0 to `highest`: its row, itself."""
    if array.dtype.kind not in "biuf":
        return 1, f"{array.dtype} values"
    bad = ~((array >= 0) & (array <= highest) & (array == np.floor(array)))
    if not bad.any():
        return None
    row = int(np.argmax(bad.reshape(len(array), -1).any(axis=1)))
    return row + 1, array[row][bad[row]].flat[0] if array.ndim > 1 else array[row]
