"""A command's text: its words, the names in braces, and what they stand for in a trial."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from hpo.errors import ContractError, InputError
from hpo.trial import digest

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template:
    """A command whose words may have names in braces: `python train.py --lr {learning_rate}`."""

    def __init__(self, text: str, own: Collection[str]) -> None:
        """Read a command; no shell will see it.

        Args:
            own: the names that stand for something in every trial.

        Raises:
            InputError: if the text is no command.
        """
        self.text = text
        self._own = own
        try:
            self.words = shlex.split(text)
        except ValueError as error:
            raise InputError(f"--command: expected words as in a shell, found {error}") from None
        if not self.words or not self.words[0]:
            raise InputError(f"--command: expected a program and its arguments, found {text!r}")
        found = (name for word in self.words for name in _names(word))
        self.names = list(dict.fromkeys(found))

    @property
    def hyperparameters(self) -> list[str]:
        """The names in braces that only a configuration can fill."""
        return [name for name in self.names if name not in self._own]

    def check_program(self) -> None:
        """Refuse a program that cannot be started here.

        Raises:
            InputError: saying which.
        """
        program = self.words[0]
        if _names(program) or shutil.which(_filled(program, {})) is not None:
            return
        program = _filled(program, {})
        if "/" not in program:
            raise InputError(f"--command: expected a program, found no {program!r} on PATH")
        wrong = "is no executable file (chmod +x)" if Path(program).exists() else "does not exist"
        raise InputError(f"--command: expected a program, found that {program!r} {wrong}")

    def check_names(self, known: Collection[str]) -> None:
        """Refuse a name that is no hyperparameter of the space either.

        Raises:
            InputError: listing those that there are.
        """
        for name in self.hyperparameters:
            if name not in known:
                raise InputError(
                    f"--command: unknown name {{{name}}}; known are"
                    f" {', '.join([*known, *(n for n in self._own if n not in known)])}"
                    " ({{ and }} stand for braces)"
                )

    def fill(self, values: Mapping[str, object]) -> list[str]:
        """Give the words of one trial.

        Raises:
            ContractError: if a name has no value.
        """
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ContractError(_unused(missing[0]))
        return [_filled(word, values) for word in self.words]

    def version(self) -> str:
        """Hash the words, and the content of those that are files."""
        files = [_hash(word) for word in self.words if not _names(word) and Path(word).is_file()]
        return digest("command", self.words, files)[:16]


def refuse_unused(name: str) -> None:
    """Refuse a space of which not every combination fills a name.

    Raises:
        InputError: always.
    """
    raise InputError(f"--command: {_unused(name)}")


def _unused(name: str) -> str:
    return (
        f"expected a value for {{{name}}} in every configuration, found one that does not use it;"
        " the file {spec} has what is used"
    )


def _names(word: str) -> list[str]:
    """Give the names in braces of one word.

    Raises:
        InputError: if a brace has no partner.
    """
    names = []
    for match in _BRACES.finditer(word):
        if match[0] in "{}":
            raise InputError(
                f"--command: expected a name in braces, found {match[0]!r} alone in {word!r}"
                " ({{ and }} stand for braces)"
            )
        if match[1] is not None:
            names.append(match[1])
    return names


def _filled(word: str, values: Mapping[str, object]) -> str:
    def meaning(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else word_of(values[match[1]])

    return _BRACES.sub(meaning, word)


def word_of(value: object) -> str:
    """Write a value as a program's argument: text as it is, all else as JSON."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    return json.dumps(value, ensure_ascii=False)


def _hash(path: str) -> str:
    found = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while part := file.read(1 << 20):
                found.update(part)
    except OSError as error:
        raise InputError(f"--command: expected {path} to be readable: {error}") from error
    return found.hexdigest()
