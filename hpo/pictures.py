"""A run's figures as files: all that there is something to draw for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo import canvas, figures, findings, frame
from hpo.errors import InputError
from hpo.sidebyside import Side

FORMATS = ("png", "svg")


def write(path: str | Path, folder: Path, form: str) -> tuple[list[Path], list[str]]:
    """Draw a run into a folder; give the files, and why others were left out.

    Raises:
        InputError: if it is no run, matplotlib is missing, or a file cannot be written.
    """
    canvas.check_installed()
    found = findings.read(path)
    table = frame.of(found)
    # By the name of their files, in the order in which one would look at them.
    drawn: Mapping[str, Callable[[], Any]] = {
        "history": lambda: figures.history(table),
        "hyperparameters": lambda: figures.hyperparameters(table),
        "parallel": lambda: figures.parallel(table),
        "importances": lambda: figures.importances(table),
        "interaction": lambda: figures.interaction(table),
        "curves": lambda: figures.curves(table),
        "cost": lambda: figures.cost(table),
        "timeline": lambda: figures.timeline(found),
        "confusion": lambda: figures.confusion(found),
        "worst-mistakes": lambda: figures.worst_mistakes(found),
    }
    written, left_out = [], []
    for name, draw in drawn.items():
        try:
            figure = draw()
        except InputError as error:
            left_out.append(f"{name}: {error}")
            continue
        written.append(folder / f"{name}.{form}")
        canvas.save(figure, written[-1])
    return written, left_out


def write_comparison(sides: Sequence[Side], path: Path) -> None:
    """Draw runs against each other into a file."""
    canvas.save(figures.comparison(sides), path)


def check_file(name: str) -> None:
    """Refuse a picture's name before anything is drawn.

    Raises:
        InputError: if it is of no known format, or matplotlib is missing.
    """
    if Path(name).suffix[1:] not in FORMATS:
        raise InputError(f"--figure: expected FILE.png or FILE.svg, found {name!r}")
    canvas.check_installed()
