"""Images in Kaggle's CSV: a header with a label column, a row of pixels for each image."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

import numpy as np

from hpo.errors import InputError
from hpo.imagefile import LARGEST_LABEL, Layout, Part, opened

PART_BYTES = 8 << 20
BLOCK_BYTES = 1 << 18  # of a part that is parsed at once: what that takes stays in the cache


def layout(path: str, labelled: bool) -> Layout:
    with opened(path) as file:
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
    return Layout(path, n_pixels, _parts, label, n_head_lines=1)


def _parts(of: Layout, rank: int, size: int) -> Iterator[Part]:
    with opened(of.path) as file:
        file.readline()  # the header
        for number, text in enumerate(_whole_lines(file, PART_BYTES)):
            if number % size == rank:
                yield _parse(of, number, text)


def _whole_lines(file: IO[bytes], n_bytes: int) -> Iterator[bytes]:
    """Cut a file into blocks of about so many bytes that end with a line's end."""
    while text := file.read(n_bytes):
        yield text + (b"" if text.endswith(b"\n") else file.readline())


def _parse(of: Layout, number: int, text: bytes) -> Part:
    n_lines = text.count(b"\n") + (not text.endswith(b"\n"))
    n_columns = of.n_pixels + (of.label_column is not None)
    table, line, error = _parse_digits(of, text, n_columns), 0, None
    if table is None:
        table = _parse_integers(of, text, n_columns)
    if table is None:
        table, line, error = _parse_slowly(of, text, n_columns)
    labels = np.empty(0, np.int64)
    if of.label_column is not None:
        labels = table[:, of.label_column].astype(np.int64)
        table = np.delete(table, of.label_column, axis=1)
    return Part(number, n_lines, table.astype(np.uint8), labels, error, line)


def _parse_digits(of: Layout, text: bytes, n_columns: int) -> np.ndarray | None:
    """Parse rows that are nothing but small numbers and commas; None if there is anything else.

    Kaggle's files are, and a fifth of pandas's time, and none for loading it, is what a search
    that could train already has to wait.
    """
    lines = io.BytesIO(text.replace(b"\r\n", b"\n"))
    blocks = [np.empty((0, n_columns), np.uint16)]
    for block in _whole_lines(lines, BLOCK_BYTES):
        table = _digits(block if block.endswith(b"\n") else block + b"\n", n_columns)
        if table is None:
            return None
        blocks.append(table)
    table = np.concatenate(blocks)
    return table if _is_in_range(of, table) else None


def _digits(text: bytes, n_columns: int) -> np.ndarray | None:
    """Read numbers of up to three digits, uint16 of shape (n, n_columns), from whole lines."""
    characters = np.frombuffer(text, np.uint8)
    digits = characters - np.uint8(ord("0"))
    ends = np.flatnonzero(digits > 9).astype(np.int32)
    between = characters[ends]
    lengths = ends.copy()
    lengths[1:] -= ends[:-1] + 1
    if len(ends) % n_columns or lengths.min() < 1 or lengths.max() > 3:
        return None
    between = between.reshape(-1, n_columns)
    if (between[:, :-1] != ord(",")).any() or (between[:, -1] != ord("\n")).any():
        return None
    digits[ends] = 0
    values = digits.astype(np.uint16)
    values[1:] += np.uint16(10) * digits[:-1]
    # A digit three before the end is the number's own only if the one between is a digit, too.
    hundreds = np.flatnonzero(lengths == 3)
    last = ends - 1
    table: np.ndarray = values[last]
    table[hundreds] += np.uint16(100) * digits[last[hundreds] - 2]
    return table.reshape(-1, n_columns)


def _parse_integers(of: Layout, text: bytes, n_columns: int) -> np.ndarray | None:
    """Parse rows of integers in their range; None if there is anything else, wherever it is."""
    import pandas as pd  # half a second that most commands do not need

    if not text.strip():
        return np.empty((0, n_columns), np.int64)
    try:
        with np.errstate(invalid="ignore"):  # pandas warns of inf on its way to refusing it
            table = pd.read_csv(io.BytesIO(text), header=None, dtype=np.int64).to_numpy()
    except (ValueError, OverflowError):
        return None
    if table.shape[1] != n_columns:
        return None
    return table if _is_in_range(of, table) else None


def _is_in_range(of: Layout, table: np.ndarray) -> bool:
    highest = np.full(table.shape[1], 255)
    if of.label_column is not None:
        highest[of.label_column] = LARGEST_LABEL
    return bool(table.min(initial=0) >= 0 and (table.max(axis=0, initial=0) <= highest).all())


def _parse_slowly(of: Layout, text: bytes, n_columns: int) -> tuple[np.ndarray, int, str | None]:
    """Parse row by row, up to the first that is not as it should be, and say what is wrong."""
    rows: list[list[int]] = []
    line, error = 0, None
    for number, row in enumerate(text.split(b"\n"), start=1):
        if row.strip():
            try:
                rows.append(_numbers(of, row.decode("utf-8", "replace"), n_columns))
            except ValueError as wrong:
                line, error = number, str(wrong)
                break
    return np.array(rows, np.int64).reshape(-1, n_columns), line, error


def _numbers(of: Layout, row: str, n_columns: int) -> list[int]:
    """Read one row; ValueError says what is wrong with it."""
    fields = row.strip().split(",")
    if len(fields) != n_columns:
        raise ValueError(f"expected {n_columns} values, found {len(fields)}")
    return [
        _number(field, "label", "a whole number from 0", LARGEST_LABEL)
        if column == of.label_column
        else _number(field, f"column {column + 1}", "a pixel from 0 to 255", 255)
        for column, field in enumerate(fields)
    ]


def _number(field: str, where: str, wanted: str, highest: int) -> int:
    text = field.strip().strip('"')
    try:
        value = float(text)
        # Python reads 1_0 as 10; nobody else does.
        is_good = "_" not in text and value.is_integer() and 0 <= value <= highest
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(f"{where}: expected {wanted}, found {field.strip()[:40]!r}")
    return int(value)
