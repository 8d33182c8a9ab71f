"""What a model-based sampler has proposed: on disk before anyone trains it, in order."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hpo.errors import InputError
from hpo.trial import Config


class Proposals:
    """One file, one JSON line each; only rank 0 of the search that holds the lock appends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Config]:
        """Read them all; a torn last line was handed to nobody.

        Raises:
            InputError: if a line in the middle is broken.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return []
        found: list[Config] = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{self._path}:{number}: expected a configuration, found {line[:40]!r}"
                ) from error
        return found

    def append(self, config: Config) -> None:
        """Put one on disk; what was torn before it is cut off."""
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(config).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
