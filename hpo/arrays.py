"""Weights on disk: lists of arrays and a note in one .npz file, which cannot hold code."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpo.rundir import write_whole

# What NumPy raises, one or the other, for a file that is damaged or not of its kind.
UNREADABLE = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


WEIGHTS = "weights.npz"  # of the best epoch, among what a trial keeps


def save_arrays(path: Path, note: str = "", **lists: Sequence[np.ndarray]) -> None:
    """Write lists of arrays and a note as one .npz file, whole or not at all."""
    named = {f"{name}_{i:04}": a for name, arrays in lists.items() for i, a in enumerate(arrays)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(
        path, lambda beside: np.savez(beside, allow_pickle=False, note=np.array(note), **named)
    )


def load_arrays(path: Path) -> tuple[str, dict[str, list[np.ndarray]]]:
    """Read what `save_arrays` wrote; a list that was empty is missing."""
    lists: dict[str, list[np.ndarray]] = {"state": [], "best": []}
    with np.load(path, allow_pickle=False) as file:
        for name in sorted(set(file.files) - {"note"}):
            lists[name.rpartition("_")[0]].append(file[name])
        return str(file["note"]), lists
