"""What report.html shows, as plain values: pure functions of what a run's files tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hpo import importance
from hpo.findings import Findings
from hpo.occupancy import Occupancy
from hpo.report import last_line, yaml_value
from hpo.trial import Result, Status, merit_so_far

MAX_CURVES = 300  # more lines in one picture tell nothing
MAX_POINTS = 200  # of one curve
_NOT_SHOWN = ("in_space", "threads")


def facts(found: Findings, mistakes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Gather all that the page's script draws.

    Args:
        mistakes: those of the winner, see `bestmodel.mistakes`.
    """
    table, standing = found.table, found.standing
    varied = [name for name in table.configs.values() if _varies(found, name)]
    ids = [str(row[0]) for row in table.rows]
    place = {name: i for i, name in enumerate(ids)}
    columns = [name for name in table.columns if name not in _NOT_SHOWN]
    kept = [list(table.columns).index(name) for name in columns]
    best = standing.best
    return {
        **asdict(found.record.aim),
        "columns": columns,
        "configs": list(table.configs.values()),
        "varied": varied,
        "rows": [[_cell(row[at]) for at in kept] for row in table.rows],
        "best": None if best is None else place.get(best[0].id),
        "importance": _importance(found),
        "curves": _curves(found, ids),
        "starts": [_start(its, place) for its in found.occupancies if its.worked],
        "winner": mistakes,
    }


def _cell(value: object) -> object:
    """Give a value as JSON has it, and people read it."""
    if isinstance(value, Status):
        return value.value
    if value is None or isinstance(value, str | int) and not isinstance(value, bool):
        return last_line(value) if isinstance(value, str) and "\n" in value else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return yaml_value(value)


def _varies(found: Findings, name: str) -> bool:
    at = list(found.table.columns).index(name)
    return len({str(row[at]) for row in found.table.rows}) > 1


def _importance(found: Findings) -> dict[str, Any] | None:
    """Find what scores depend on."""
    counts = found.standing.counts
    results = [counts[trial.id] for trial in found.standing.trials if trial.id in counts]
    places, scores, told = importance.comparable(
        [its.score if its.status is Status.DONE else None for its in results],
        [{rung.epoch: rung.score for rung in its.rungs} for its in results],
    )
    its = importance.of([results[place].config for place in places], scores)
    if its is None:
        return None
    return {
        "main": [[name, round(share, 4)] for name, share in its.main.items()],
        "pairs": [[*names, round(share, 4)] for names, share in its.pairs.items()],
        "method": its.method,
        "fit": round(its.fit, 3),
        "of": told,
    }


def _curves(found: Findings, ids: Sequence[str]) -> dict[str, Any]:
    """Read the epochs of the best trials, and of an even sample of the others."""
    results = found.standing.results
    order = sorted(ids, key=lambda name: merit_so_far(results[name]))
    half = MAX_CURVES // 2
    chosen, others = order[:half], order[half:]
    step = max(1, math.ceil(len(others) / (MAX_CURVES - half)))
    chosen += others[::step]
    place = {name: i for i, name in enumerate(ids)}
    shown: list[dict[str, Any]] = [
        {"row": place[name], "series": {metric: _thinned(its) for metric, its in series.items()}}
        for name in chosen
        if (series := found.epochs(name))
    ]
    metrics = list(dict.fromkeys(name for curve in shown for name in curve["series"]))
    return {"metrics": metrics, "shown": shown, "n": len(ids)}


def _thinned(series: Sequence[float]) -> list[list[object]]:
    """Give [epoch, value] of at most so many epochs, the first and the last among them."""
    step = max(1, math.ceil(len(series) / MAX_POINTS))
    chosen = sorted({*range(0, len(series), step), len(series) - 1} - {-1})
    return [[i + 1, _cell(float(series[i]))] for i in chosen]


def _start(its: Occupancy, place: Mapping[str, int]) -> dict[str, Any]:
    """Say who worked on what when, in seconds since the start."""
    ranks = sorted({result.rank for result in its.worked})
    return {
        "at_s": round(its.started.at_s),
        "wall_s": round(its.wall_s, 2),
        "ranks": ranks,
        "n_groups": its.n_groups,
        "efficiency": round(its.efficiency, 4),
        "hosts": _hosts(its.worked),
        "worked": [
            [
                ranks.index(result.rank),
                round(result.began_s - its.started.at_s, 2),
                round(result.ended_s - its.started.at_s, 2),
                place.get(result.id),
                result.status.value,
            ]
            for result in its.worked
        ],
    }


def _hosts(worked: Sequence[Result]) -> dict[int, str]:
    return {result.rank: result.host for result in worked}
