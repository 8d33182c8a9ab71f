"""Run directories as a search leaves them, of whatever results a test wants."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo import history, journal, publish, record
from hpo.history import Started
from hpo.rundir import RunDir
from hpo.trial import Aim, Result, Status, Trial

START, BEGAN_S = "20260101T000000-abcdef", 1_767_225_600.0


def write(
    root: Path,
    space: Mapping[str, object],
    told: Callable[[Trial], Mapping[str, Any] | None],
    *,
    aim: Aim = Aim("score"),  # noqa: B008  # frozen
    options: Mapping[str, object] | None = None,
    identity: Mapping[str, object] | None = None,
    data: Mapping[str, object] | None = None,
    n_ranks: int = 2,
) -> RunDir:
    """Write a run of an objective that is known by its results alone.

    Args:
        told: of a trial, what its result is besides the usual (done after one second, one after
            the other on each rank); None: it has none. `series` are its metrics by epoch.
    """
    run = RunDir(root)
    run.make()
    its = record.Record(
        space=space,
        identity={
            "data": "none",
            "seed": 33,
            "device": "cpu",
            "objective": "test",
            "version": 1,
            **({} if aim == Aim() else {"metric": aim.metric, "goal": aim.goal}),
            **(identity or {}),
        },
        data=data or {"path": "none", "fingerprint": "none"},
        options={"seed": 33, "threads": 1, **(options or {})},
        objective={"defaults": {}},
    )
    its.write(run)
    ends = [BEGAN_S + 1.0] * n_ranks
    writers = [journal.Writer(run.journal, START, rank) for rank in range(n_ranks)]
    for trial in publish.trials(run, its):
        words = told(trial)
        if words is None:
            continue
        more = dict(words)
        rank = trial.index % n_ranks
        seconds = more.setdefault("seconds", 1.0)
        series = more.pop("series", {})
        usual: dict[str, Any] = {
            "rank": rank,
            "host": f"node{rank}",
            "epochs": 1,
            "best_epoch": 1,
            "metric": aim.metric,
            "goal": aim.goal,
            "peak_memory_mb": 900 + rank,
            "began_s": ends[rank],
            "ended_s": ends[rank] + seconds,
        }
        result = Result(trial.id, trial.config, **{"status": Status.DONE, **usual, **more})
        ends[rank] = result.ended_s
        writers[rank].append(result)
        if series:
            _write_epochs(run.epochs_of(trial.id), series)
    for writer in writers:
        writer.close()
    end_s = max(ends)
    started = Started(START, BEGAN_S, "node0", n_ranks, 1, ended_s=end_s, exit_code=0)
    history.note_started(run, started)
    return run


def _write_epochs(path: Path, series: Mapping[str, list[float]]) -> None:
    path.parent.mkdir(parents=True)
    columns = [range(1, len(next(iter(series.values()))) + 1), *series.values()]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["epoch", *series], *zip(*columns, strict=True)])
