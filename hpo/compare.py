"""`hpo compare`: several runs in one table, and in one picture."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.duration import precise
from hpo.errors import ExitCode, InputError
from hpo.report import compact

if TYPE_CHECKING:
    from hpo.sidebyside import Against, Side

FORMATS = ("text", "json")
_UNKNOWN = "–"
_MOST_HOSTS = 3  # that are named
_IS_FIRST = "first"
_SPEED_UP = (
    "speed-up: wall time of the first run by that of this one, of each the part that the"
    " configurations in both took (by seconds of training); efficiency: the same by cores"
)


def add_parser(commands: Any) -> None:
    compare = commands.add_parser("compare", help="show several runs side by side")
    compare.add_argument("dirs", nargs="+", metavar="DIR", help="two or more run directories")
    compare.add_argument("--format", choices=FORMATS, default="text")
    compare.add_argument(
        "--figure", metavar="FILE", help="draw them, too: FILE.png or FILE.svg (needs matplotlib)"
    )
    compare.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from hpo import findings, pictures, sidebyside  # with NumPy

    if len(arguments.dirs) < 2:
        raise InputError(f"expected two run directories or more, found {arguments.dirs[0]} alone")
    if arguments.figure is not None:
        pictures.check_file(arguments.figure)
    sides = [sidebyside.side(findings.read(path), path) for path in arguments.dirs]
    pairs = [sidebyside.against(sides[0], its) for its in sides[1:]]
    if arguments.format == "json":
        print(json.dumps(plain(sides, pairs), indent=1, ensure_ascii=False))
    else:
        _show(rows(sides, pairs))
        print("\n".join(notes(sides, pairs)))
    if arguments.figure is not None:
        pictures.write_comparison(sides, Path(arguments.figure))
        print(f"a picture is in {arguments.figure}", file=sys.stderr)
    return ExitCode.DONE


def rows(sides: Sequence[Side], pairs: Sequence[Against]) -> list[list[str]]:
    """Give a row for each thing that is told of all runs, and a column for each run."""

    def told(name: str, of: Callable[[Side], str]) -> list[str]:
        return [name, *map(of, sides)]

    def paired(name: str, of: Callable[[Against], str]) -> list[str]:
        return [name, _IS_FIRST, *map(of, pairs)]

    return [
        told("", lambda its: its.name),
        told("data", lambda its: its.data_path),
        told("space", lambda its: f"{its.n_trials:,} trials of {', '.join(its.varied) or 'one'}"),
        told("finished", _finished),
        told(*_best(sides)),
        told("  with", lambda its: compact(_settings(its)) or _UNKNOWN),
        told("ranks", lambda its: ", ".join(map(str, its.n_ranks)) or _UNKNOWN),
        told("hosts", _hosts),
        told("CPU", lambda its: its.cpu or _UNKNOWN),
        told("starts", lambda its: str(its.n_starts)),
        told("wall time", lambda its: precise(its.wall_s)),
        told("training, all trials", lambda its: precise(its.training_s)),
        paired("speed-up", lambda its: _number(its.speed_up, "{:.2f}×")),
        paired("efficiency", lambda its: _number(its.efficiency, "{:.0%}")),
        told("ranks busy", lambda its: _number(its.busy_share, "{:.0%}")),
        told(
            "queue wait", lambda its: _UNKNOWN if (s := its.queue_wait_s) is None else precise(s)
        ),
        told("core-hours", lambda its: f"{its.core_hours:.3g}"),
        told("  for a trial", lambda its: _number(its.core_hours_per_trial, "{:.3g}")),
        told("memory of a rank", _memory),
        paired("in both runs", lambda its: f"{its.n_common:,} configurations"),
        *_versions(sides),
    ]


def notes(sides: Sequence[Side], pairs: Sequence[Against]) -> list[str]:
    """Say what the table's numbers stand on, and whether scores agree."""
    first = sides[0]
    told = []
    if len({(its.metric, its.goal) for its in sides}) > 1:
        told.append("the metrics differ: best scores are not to be compared")
    if len({its.data for its in sides}) > 1:
        told.append(
            "the data differ: scores stand on other data, and where they do there is no speed-up"
        )
    elif len({its.what for its in sides}) > 1:
        told.append("the objective or its version differ: where they do there is no speed-up")
    told += [
        f"{its.name} against {first.name}: {_agreement(first, its, pair)}"
        for its, pair in zip(sides[1:], pairs, strict=True)
    ]
    return [*told, _SPEED_UP] if any(its.speed_up for its in pairs) else told


def plain(sides: Sequence[Side], pairs: Sequence[Against]) -> dict[str, Any]:
    """Give all as plain values."""
    hidden = ("progress", "results")
    told = []
    for number, its in enumerate(sides):
        one = {name: value for name, value in vars(its).items() if name not in hidden}
        one["core_hours_per_trial"] = its.core_hours_per_trial
        one["against_first"] = vars(pairs[number - 1]) if number else None
        told.append(one)
    return {"runs": told, "notes": notes(sides, pairs)}


def _show(table: Sequence[Sequence[str]]) -> None:
    """Show it with lines on a terminal, and elsewhere in columns of plain text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    head, *body = table
    shown = Table(box=box.SIMPLE_HEAD)
    for name in head:
        shown.add_column(Text(name), overflow="fold")
    for row in body:
        shown.add_row(*map(Text, row))
    console.print(shown)


def _finished(its: Side) -> str:
    parts = [f"{its.n_done:,} done", f"{its.n_failed:,} failed"]
    parts += [f"{its.n_pruned:,} pruned"] if its.n_pruned else []
    left = its.n_trials - its.n_finished
    return ", ".join(parts + ([f"{left:,} to come"] if left else []))


def _best(sides: Sequence[Side]) -> tuple[str, Callable[[Side], str]]:
    """Head the row of best scores, with each run's own metric where they differ."""
    aims = {(its.metric, its.goal) for its in sides}

    def score(its: Side) -> str:
        if its.best_score is None:
            return _UNKNOWN
        aim = "" if len(aims) == 1 else f" ({its.metric}, {its.goal})"
        return f"{its.best_score:.4f}{aim}"

    return (f"best {sides[0].metric}" if len(aims) == 1 else "best score"), score


def _settings(its: Side) -> dict[str, object]:
    return {name: its.best_config[name] for name in its.varied if name in its.best_config}


def _hosts(its: Side) -> str:
    n = len(its.hosts)
    return f"{n:,}" if n > _MOST_HOSTS else ", ".join(its.hosts) or _UNKNOWN


def _number(value: float | None, form: str) -> str:
    return _UNKNOWN if value is None else form.format(value)


def _memory(its: Side) -> str:
    return _UNKNOWN if its.peak_memory_mb is None else f"{its.peak_memory_mb / 1000:.2f} GB"


def _versions(sides: Sequence[Side]) -> list[list[str]]:
    """Give those that differ."""
    names = dict.fromkeys(name for its in sides for name in its.versions)
    found = [[name, *(its.versions.get(name, _UNKNOWN) for its in sides)] for name in names]
    return [row for row in found if len(set(row[1:])) > 1]


def _agreement(first: Side, its: Side, pair: Against) -> str:
    if not pair.n_common:
        return "no configuration is in both"
    parts = [f"{pair.n_common:,} configurations in both, {pair.n_same:,} of them the same trials"]
    if pair.same_difference is not None:
        parts.append(
            "whose scores are equal"
            if pair.same_difference == 0
            else f"whose scores differ by up to {pair.same_difference:.3g}"
        )
    if pair.other_difference is not None:
        parts.append(
            f"the scores of the others by up to {pair.other_difference:.3g} (other data, seed,"
            " device, backend or version)"
        )
    if pair.n_unlike:
        parts.append(f"{pair.n_unlike:,} trained for another number of epochs in each")
    return ", ".join(parts)
