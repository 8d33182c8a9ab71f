"""What all command lines share: refusals in one line, and the default of the run directory."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any, NoReturn

from hpo import launcher
from hpo.errors import InputError

USUAL_OUT = "results"


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving, and speaks on one rank only."""

    speaks: Callable[[], bool] = staticmethod(launcher.is_first)  # asked only where it prints
    hint = "--help lists the options"

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} ({self.hint})")

    def _print_message(self, message: str, file: Any = None) -> None:
        if self.speaks():
            super()._print_message(message, file)


def default_out() -> str:
    """Name the directory for those who name none: HPO_OUT's, as set in container images."""
    return os.environ.get("HPO_OUT") or USUAL_OUT


def at_least(lowest: int) -> Callable[[str], int]:
    """Give a reader of whole numbers."""

    def read(text: str) -> int:
        try:
            value = int(text)
            if value < lowest:
                raise ValueError
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {lowest}, found {text!r}"
            ) from None
        return value

    return read
