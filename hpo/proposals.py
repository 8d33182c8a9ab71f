"""What a model-based sampler has proposed: on disk before anyone trains it, in order."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hpo.errors import InputError
from hpo.trial import Config

_NO_MORE = b"null"


class Proposals:
    """One file, one JSON line each; only rank 0 of the search that holds the lock appends."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Config]:
        """Read them all; a torn last line was handed to nobody.

        Raises:
            InputError: if a line in the middle is broken.
        """
        found: list[Config] = []
        for number, line in enumerate(self._lines(), start=1):
            if line == _NO_MORE:
                break
            try:
                found.append(dict(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{self._path}:{number}: expected a configuration, found {line[:40]!r}"
                ) from error
        return found

    @property
    def is_over(self) -> bool:
        """Whether the sampler has found nothing more to propose."""
        return self._lines()[-1:] == [_NO_MORE]

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().split(b"\n")[:-1]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def append(self, config: Config) -> None:
        """Put one on disk; what was torn before it is cut off."""
        self._write(json.dumps(config).encode())

    def end(self) -> None:
        """Note that there are no more."""
        self._write(_NO_MORE)

    def _write(self, line: bytes) -> None:
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
