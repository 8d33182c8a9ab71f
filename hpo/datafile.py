"""Image files in the formats that people have, told by their content and not by their names."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from hpo import arrayfile, csvfile
from hpo.errors import InputError
from hpo.imagefile import Layout, head

BUNDLED = "scikit-learn's digits"
UNREADABLE = (OSError, EOFError, zlib.error)  # gzip raises all three


def default_path() -> str:
    """Name the data of a search that names none: ./train.csv if it is there, else the digits."""
    return "train.csv" if Path("train.csv").exists() else BUNDLED


def absolute(path: str) -> str:
    """Name the data so that it is found from anywhere."""
    return path if path == BUNDLED else os.path.abspath(path)


def layout(path: str, *, labelled: bool = True) -> Layout:
    """Look at the head of a file.

    Args:
        path: as the user gave it, or `BUNDLED`.
        labelled: whether the images must have labels; if not, a label column is passed over.

    Raises:
        InputError: if it is no file of images, or its images are not square.
    """
    if path == BUNDLED:
        return arrayfile.digits_layout(path)
    try:
        magic = head(path, 4)
        if not magic:
            raise InputError(f"{path}: expected images, found an empty file")
        kinds = {arrayfile.ZIP: arrayfile.npz_layout, arrayfile.IDX_IMAGES: arrayfile.idx_layout}
        found = kinds.get(magic, csvfile.layout)(path, labelled)
    except UNREADABLE as error:
        raise InputError(f"{path}: expected a file of images, found {reason(error)}") from error
    side = found.side
    if side == 0 or side**2 != found.n_pixels:
        raise InputError(
            f"{path}: expected square images, found {found.n_pixels} pixels,"
            f" between {side}×{side} and {side + 1}×{side + 1}"
        )
    return found


def reason(error: Exception) -> str:
    """Say in few words why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(getattr(error, "strerror", None) or error)
