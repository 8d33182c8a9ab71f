"""Image files in the formats that people have, read in parts by the ranks that share the work.

Kaggle's CSV (`label,pixel0,…`, plain or gzipped), NumPy's .npz with `x` and `y`, the idx files of
MNIST, and scikit-learn's bundled digits. Formats are told by content, not by name.

A reader splits a file into parts that do not depend on the number of ranks; rank r of n parses
and checks the parts r, r + n, …
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hpo.errors import InputError

BUNDLED = "scikit-learn's digits"
PART_BYTES = 8 << 20
PART_ROWS = 8192
LARGEST_LABEL = 2**31 - 1  # int32
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_IDX_IMAGES, _IDX_LABELS = b"\x00\x00\x08\x03", b"\x00\x00\x08\x01"


@dataclass(frozen=True)
class Part:
    """Some consecutive images of a file.

    `images` is uint8 of shape (n, pixels); `labels` int64 of shape (n,), empty where the file
    has none. `error` says what was found instead, `line` is where (from 1, within the part).
    """

    number: int
    n_lines: int
    images: np.ndarray
    labels: np.ndarray
    error: str | None = None
    line: int = 0


@dataclass(frozen=True)
class Layout:
    """What a file says of itself before its images are read."""

    path: str
    kind: str
    n_pixels: int
    label_column: int | None = None
    n_head_lines: int = 0

    def parts(self, rank: int, size: int) -> Iterator[Part]:
        """Read this rank's share."""
        return {"csv": _csv_parts, "npz": _npz_parts, "idx": _idx_parts, "digits": _digits_parts}[
            self.kind
        ](self, rank, size)

    @property
    def side(self) -> int:
        return math.isqrt(self.n_pixels)


def layout(path: str, *, labelled: bool = True) -> Layout:
    """Look at the head of a file.

    Args:
        path: as the user gave it, or `BUNDLED`.
        labelled: whether the images must have labels; if not, a label column is passed over.

    Raises:
        InputError: if it is no file of images, or its images are not square.
    """
    if path == BUNDLED:
        return Layout(path, "digits", 64)
    try:
        head = _head(path, 4)
        if not head:
            raise InputError(f"{path}: expected images, found an empty file")
        kinds = {_ZIP: _npz_layout, _IDX_IMAGES: _idx_layout}
        found = kinds.get(head, _csv_layout)(path, labelled)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: expected a file of images, found {_reason(error)}") from error
    if found.side**2 != found.n_pixels:
        raise InputError(
            f"{path}: expected square images, found {found.n_pixels} pixels,"
            f" between {found.side}×{found.side} and {found.side + 1}×{found.side + 1}"
        )
    return found


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else text


def _opened(path: str) -> BinaryIO:
    with Path(path).open("rb") as file:
        is_gzip = file.read(2) == _GZIP
    return gzip.open(path, "rb") if is_gzip else Path(path).open("rb")  # type: ignore[return-value]


def _head(path: str, n_bytes: int) -> bytes:
    with _opened(path) as file:
        return file.read(n_bytes)


# --- CSV ---


def _csv_layout(path: str, labelled: bool) -> Layout:
    with _opened(path) as file:
        first = file.readline(PART_BYTES)
    if b"\x00" in first:
        raise InputError(f"{path}: expected CSV, .npz or idx images, found a binary file")
    try:
        text = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected CSV, .npz or idx images, found a file that is not text"
        ) from error
    names = [name.strip().strip('"').lower() for name in text.split(",")]
    label = names.index("label") if "label" in names else None
    if labelled and label is None:
        raise InputError(
            f"{path}:1: expected a header with a label column (label,pixel0,…),"
            f" found {text[:40]!r}{'…' if len(text) > 40 else ''}"
        )
    if all(name.replace(".", "", 1).isdigit() for name in names):
        raise InputError(f"{path}:1: expected a header (pixel0,pixel1,…), found {text[:40]!r}")
    n_pixels = len(names) - (label is not None)
    if n_pixels == 0:
        raise InputError(f"{path}:1: expected pixel columns, found {text[:40]!r}")
    return Layout(path, "csv", n_pixels, label, n_head_lines=1)


def _csv_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    with _opened(of.path) as file:
        file.readline()  # the header
        for number, text in enumerate(_whole_lines(file)):
            if number % size == rank:
                yield _parse(of, number, text)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Cut a file into blocks that end with a line's end."""
    while text := file.read(PART_BYTES):
        yield text + (b"" if text.endswith(b"\n") else file.readline())


def _parse(of: Layout, number: int, text: bytes) -> Part:
    n_lines = text.count(b"\n") + (not text.endswith(b"\n"))
    n_columns = of.n_pixels + (of.label_column is not None)
    table, line, error = _parse_fast(of, text, n_columns), 0, None
    if table is None:
        table, line, error = _parse_slowly(of, text, n_columns)
    labels = np.empty(0, np.int64)
    if of.label_column is not None:
        labels = table[:, of.label_column]
        table = np.delete(table, of.label_column, axis=1)
    return Part(number, n_lines, table.astype(np.uint8), labels, error, line)


def _parse_fast(of: Layout, text: bytes, n_columns: int) -> np.ndarray | None:
    """Parse rows of integers in their range; None if there is anything else, wherever it is."""
    import pandas as pd  # half a second that most commands do not need

    if not text.strip():
        return np.empty((0, n_columns), np.int64)
    try:
        table = pd.read_csv(io.BytesIO(text), header=None, dtype=np.int64).to_numpy()
    except (ValueError, OverflowError):
        return None
    if table.shape[1] != n_columns or table.min() < 0:
        return None
    above = np.flatnonzero((table > 255).any(axis=0))
    return table if np.all(above == of.label_column) else None


def _parse_slowly(of: Layout, text: bytes, n_columns: int) -> tuple[np.ndarray, int, str | None]:
    """Parse row by row, up to the first that is not as it should be, and say what is wrong."""
    rows: list[list[int]] = []
    for line, row in enumerate(text.split(b"\n"), start=1):
        if not row.strip():
            continue
        fields = next(csv.reader([row.decode("utf-8", "replace").strip()]))
        error = None
        if len(fields) != n_columns:
            error = f"expected {n_columns} values, found {len(fields)}"
        else:
            numbers = [_number(of, column, field) for column, field in enumerate(fields)]
            error = next((n for n in numbers if isinstance(n, str)), None)
        if error is not None:
            return np.array(rows, np.int64).reshape(-1, n_columns), line, error
        rows.append(numbers)  # type: ignore[arg-type]  # no str is left in it
    return np.array(rows, np.int64).reshape(-1, n_columns), 0, None


def _number(of: Layout, column: int, field: str) -> int | str:
    """Read one value, or say what is wrong with it."""
    is_label = column == of.label_column
    where = "label" if is_label else f"column {column + 1}"
    wanted = "a whole number from 0" if is_label else "a pixel from 0 to 255"
    highest = LARGEST_LABEL if is_label else 255
    try:
        value = float(field)
        if not math.isfinite(value) or value != int(value) or not 0 <= value <= highest:
            raise ValueError
    except ValueError:
        return f"{where}: expected {wanted}, found {field.strip()[:40]!r}"
    return int(value)


# --- arrays ---


def _npz_layout(path: str, labelled: bool) -> Layout:
    arrays = _npz_arrays(path)
    images = arrays.get("x", np.empty(0))
    if images.ndim < 2 or (labelled and "y" not in arrays):
        raise InputError(
            f"{path}: expected arrays x (images) and y (labels), found "
            + (", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none")
        )
    if images.ndim > 2 and images.shape[1] != images.shape[2]:
        raise InputError(f"{path}: expected square images, found {images.shape[1:]}")
    n_pixels = math.prod(images.shape[1:])
    return Layout(path, "npz", n_pixels, 0 if labelled else None)


def _npz_arrays(path: str) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected arrays of numbers, found {error}") from error


def _npz_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    arrays = _npz_arrays(of.path)
    images = arrays["x"].reshape(len(arrays["x"]), -1)
    labels = None if of.label_column is None else arrays["y"].reshape(-1)
    return _array_parts(images, labels, rank, size)


def _idx_layout(path: str, labelled: bool) -> Layout:
    n_rows, n_columns = np.frombuffer(_head(path, 16), ">u4")[2:].tolist()
    if n_rows != n_columns:
        raise InputError(f"{path}: expected square images, found {n_rows}×{n_columns}")
    if labelled:
        labels = _idx_labels_path(path)
        if not Path(labels).is_file() or _head(labels, 4) != _IDX_LABELS:
            raise InputError(f"{path}: expected its labels in {labels}, found no such idx file")
    return Layout(path, "idx", n_rows * n_columns, 0 if labelled else None)


def _idx_labels_path(path: str) -> str:
    """Name the labels beside MNIST's images: train-images-idx3-ubyte, train-labels-idx1-ubyte."""
    name = Path(path).name.replace("images", "labels").replace("idx3", "idx1")
    return str(Path(path).with_name(name))


def _idx_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    with _opened(of.path) as file:
        images = np.frombuffer(file.read()[16:], np.uint8)
    labels = None
    if of.label_column is not None:
        with _opened(_idx_labels_path(of.path)) as file:
            labels = np.frombuffer(file.read()[8:], np.uint8)
    n_images = len(images) // of.n_pixels
    images = images[: n_images * of.n_pixels].reshape(n_images, of.n_pixels)
    return _array_parts(images, labels, rank, size)


def _digits_parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    from sklearn.datasets import load_digits  # a second that other data do not need

    digits = load_digits()
    return _array_parts(digits.data, digits.target, rank, size)


def _array_parts(
    images: np.ndarray, labels: np.ndarray | None, rank: int, size: int
) -> Iterator[Part]:
    error: str | None
    if labels is not None and len(labels) != len(images):
        error = f"expected as many labels as images, found {len(labels)} and {len(images)}"
        yield Part(0, 0, np.empty((0, 0), np.uint8), np.empty(0, np.int64), error, 1)
        return
    for number, start in enumerate(range(0, len(images), PART_ROWS)):
        if number % size != rank:
            continue
        some = images[start : start + PART_ROWS]
        named = np.empty(0, np.int64) if labels is None else labels[start : start + PART_ROWS]
        error, line = None, 0
        for what, array, highest in (("pixel", some, 255), ("label", named, LARGEST_LABEL)):
            wrong = _wrong(array, highest)
            if wrong is not None:
                error, line = f"expected {what}s from 0 to {highest}, found {wrong[1]}", wrong[0]
                break
        if error is not None:
            some, named = np.zeros_like(some, np.uint8), np.zeros_like(named, np.int64)
        yield Part(number, len(some), some.astype(np.uint8), named.astype(np.int64), error, line)


def _wrong(array: np.ndarray, highest: int) -> tuple[int, object] | None:
    """Find the first element that is not a whole number from 0 to `highest`: its row, itself."""
    if array.dtype.kind not in "biuf":
        return 1, f"{array.dtype} values"
    bad = ~((array >= 0) & (array <= highest) & (array == np.floor(array)))
    if not bad.any():
        return None
    row = int(np.argmax(bad.reshape(len(array), -1).any(axis=1)))
    return row + 1, array[row][bad[row]].flat[0] if array.ndim > 1 else array[row]
