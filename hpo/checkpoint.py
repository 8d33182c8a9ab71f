"""A trial's checkpoint: a folder of its objective's, and a note of how far it was, as one."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from hpo.rundir import write_folder, write_whole


class Checkpoint:
    """The last one of a trial; the note names its folder, so that both change at once."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def write(self, progress: str, save: Callable[[Path], object]) -> None:
        """Replace it.

        Args:
            progress: how far the trial is, for `read`.
            save: writes what the trial needs into a folder.
        """
        folder = self._note.with_name(f"{self._note.stem}-{secrets.token_hex(4)}")
        write_folder(folder, save)
        write_whole(self._note, json.dumps({"folder": folder.name, "progress": progress}))
        self._remove(but=folder.name)

    def read(self) -> tuple[str, Path] | None:
        """Give how far it was, and its folder; None if there is none.

        Raises:
            ValueError, KeyError, TypeError: if the note is none of this program's.
        """
        try:
            told = json.loads(self._note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        folder = self._note.with_name(str(told["folder"]))
        return (str(told["progress"]), folder) if folder.is_dir() else None

    def forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._note.unlink()
            self._remove()

    def _remove(self, but: str = "") -> None:
        for folder in self._note.parent.glob(f"{self._note.stem}-*"):
            if folder.name != but:
                shutil.rmtree(folder, ignore_errors=True)
