"""`hpo.load`: a run as one pandas table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import findings

if TYPE_CHECKING:
    import pandas as pd


def load(path: str | Path) -> pd.DataFrame:
    """Read a run directory, of a search that runs or not, as a table with a row for each trial.

    Its columns are those of results.csv (docs/reports.md), each of one kind where its values are,
    with whole tracebacks in `error`; and besides them
    - `began`, `ended`: when a rank took the trial up, the last time, and had its result (UTC)
    - `peak_memory_mb`: of that rank until then
    - `rungs`: where a pruner looked at it: its best score by that epoch, by epoch
    - `history`: a table with a row for each epoch and a column for each metric, indexed by
      `epoch`, from 1

    Its `attrs` hold `metric`, `goal`, `best` (the winner's id, as in best_params.txt), and
    `hyperparameters` and `metrics`: the names of the columns with them.

    Raises:
        hpo.errors.InputError: if it is no run directory, or a file in it cannot be read.
    """
    return of(findings.read(path))


def of(found: findings.Findings) -> pd.DataFrame:
    """Give the same table of what was read."""
    import pandas as pd

    table, results = found.table, found.standing.results
    frame = pd.DataFrame(table.rows, columns=list(table.columns)).set_index("id", drop=False)
    frame["status"] = [its.value for its in frame["status"]]
    for name in ("began", "ended"):
        seconds = [getattr(results[its], f"{name}_s") or None for its in frame.index]
        frame[name] = pd.to_datetime(pd.Series(seconds, frame.index, float), unit="s", utc=True)
    frame["peak_memory_mb"] = [results[its].peak_memory_mb for its in frame.index]
    rungs = [{rung.epoch: rung.score for rung in results[its].rungs} for its in frame.index]
    frame["rungs"] = pd.Series(rungs, frame.index, object)
    frame["history"] = pd.Series(
        [_history(found, its) for its in frame.index], frame.index, object
    )
    frame.index.name = None
    frame.attrs = {
        **asdict(found.record.aim),
        "best": None if found.standing.best is None else found.standing.best[0].id,
        "hyperparameters": list(table.configs.values()),
        "metrics": list(table.metrics.values()),
    }
    return frame


def _history(found: findings.Findings, trial_id: str) -> pd.DataFrame:
    import pandas as pd

    series = found.epochs(trial_id)
    n_epochs = max(map(len, series.values()), default=0)
    return pd.DataFrame(series, index=pd.RangeIndex(1, n_epochs + 1, name="epoch"))
