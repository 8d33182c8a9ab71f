"""What may reach a terminal: any text, but not what TensorFlow prints while it loads."""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SILENT = "3"  # TensorFlow's word for: fatal errors only


def show_anything() -> None:
    """Let a terminal that lacks a character show a question mark: no text may stop a search."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def say_no_more() -> None:
    """Print nothing from here on, as nobody reads it; at the exit, too, there is no complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def loading(*, tells: bool = True) -> Iterator[None]:
    """Load Keras and its backend; what they write to standard error is shown only on failure.

    It is shown, too, to whoever sets TF_CPP_MIN_LOG_LEVEL. Other threads may go on: what Python
    prints to sys.stderr gets through.

    Args:
        tells: whether it is shown on failure.
    """
    is_wanted = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _SILENT) != _SILENT
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # whatever ~/.keras says
    usual = sys.stderr
    usual.flush()
    saved = os.dup(2)
    with (
        tempfile.TemporaryFile() as heard,
        os.fdopen(os.dup(2), "w", buffering=1, errors="replace") as through,
    ):
        os.dup2(heard.fileno(), 2)
        sys.stderr = through
        try:
            yield
        except BaseException:
            is_wanted = is_wanted or tells
            raise
        finally:
            if is_wanted:
                heard.seek(0)
                os.write(saved, heard.read())
            through.flush()
            sys.stderr = usual
            os.dup2(saved, 2)
            os.close(saved)


class Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Logs to whatever sys.stderr is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr
