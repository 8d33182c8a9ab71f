"""What pictures show of a table of `hpo.load`: trials with scores, and values as places.

Words of users may hold `$`, which matplotlib takes for formulas: `label` escapes it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo import importance
from hpo.errors import InputError
from hpo.importance import Importance
from hpo.report import yaml_value
from hpo.trial import MINIMIZE, canonical

if TYPE_CHECKING:
    import pandas as pd

MAX_HYPERPARAMETERS = 12  # in one picture, those that vary first
MAX_LEVELS = 12  # values that stand beside each other; of more an axis is drawn
MAX_CELLS = 8  # of a heat map, to a side
_LONGEST_WORD, _LONGEST_NAME = 18, 22
_LOG_RATIO = 50  # of the largest value to the smallest, from which an axis may be logarithmic
_LEAST_APART = 0.05  # of an axis, between two marks
_LEAST_RATIO = 1.5  # of one power to the next
_LOW = 0.25  # of a range: where half of its values lie below, they crowd at its begin


class Scale:
    """A hyperparameter's values as places from 0 to 1, and the marks of its axis."""

    def __init__(self, values: Sequence[object]) -> None:
        self.marks: list[tuple[float, str]]
        if not is_axis(values):
            labels, codes = levels(values)
            n = max(len(labels) - 1, 1)
            first = 0.5 if len(labels) == 1 else 0.0
            self.places = codes / n + first
            every = math.ceil(len(labels) / MAX_LEVELS)
            self.marks = [(at / n + first, its) for at, its in enumerate(labels)][::every]
            return
        numbers = numbers_of(values)
        known = np.unique(numbers[np.isfinite(numbers)])
        as_drawn = np.log if is_log(numbers) else np.asarray
        low, high = float(as_drawn(known[0])), float(as_drawn(known[-1]))
        self.places = _share(as_drawn(numbers), low, high)
        places = _share(as_drawn(known), low, high)
        if len(known) <= MAX_CELLS and np.all(np.diff(places) >= _LEAST_APART):
            self.marks = [(float(p), f"{v:.4g}") for p, v in zip(places, known, strict=True)]
        else:
            between = low + np.linspace(0, 1, 5) * (high - low)
            marked = np.exp(between) if is_log(numbers) else between
            self.marks = [(at / 4, f"{value:.3g}") for at, value in enumerate(marked)]


def _share(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.full(np.shape(values), 0.5) if low == high else (values - low) / (high - low)


class Cells:
    """A hyperparameter's values as rows or columns of a heat map: each one's, or parts of many."""

    def __init__(self, values: Sequence[object]) -> None:
        labels, self.codes = levels(values)
        self.labels = [label(text) for text in labels]
        if len(labels) <= MAX_CELLS or not is_axis(values):
            return
        numbers = numbers_of(values)
        edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, MAX_CELLS + 1)))
        places = np.searchsorted(edges, numbers, side="right") - 1
        self.codes = np.where(np.isfinite(numbers), np.clip(places, 0, len(edges) - 2), -1)
        self.labels = [f"{low:.2g} – {high:.2g}" for low, high in itertools.pairwise(edges)]


def searched(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the trials of the present space.

    Raises:
        InputError: if there are none, or this is no table of `hpo.load`.
    """
    if not {"metric", "goal", "hyperparameters"} <= frame.attrs.keys():
        raise InputError("expected a table of hpo.load, found another")
    its = frame[frame["in_space"].astype(bool)]
    if its.empty:
        raise InputError("expected a finished trial, found none")
    return its


def with_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Give those that have a score.

    Raises:
        InputError: if there are none.
    """
    its = searched(frame)
    its = its[np.isfinite(scores(its)) & (its["status"] != "failed")]
    if its.empty:
        raise InputError("expected a trial with a score, found that all have failed")
    return its


def scores(its: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = its["score"].to_numpy(float)
    return found


def has_status(its: pd.DataFrame, status: str) -> np.ndarray:
    found: np.ndarray = its["status"].to_numpy() == status
    return found


def numbers_of(values: Any) -> np.ndarray:
    """Give numbers; NaN for none."""
    return np.array([math.nan if its is None else its for its in values], float)


def is_minimized(its: pd.DataFrame) -> bool:
    return bool(its.attrs["goal"] == MINIMIZE)


def merits(its: pd.DataFrame) -> np.ndarray:
    """Give scores so that the smallest is the best."""
    return scores(its) if is_minimized(its) else -scores(its)


def winner(its: pd.DataFrame) -> int | None:
    """Find the place of the run's winner, or where that is not here, of the best of those here.

    Finalists choose a winner that need not have the best score.
    """
    for place in np.flatnonzero(its["id"].to_numpy() == its.attrs.get("best")):
        return int(place)
    return _top(its)


def _top(its: pd.DataFrame) -> int | None:
    """Find the place of the best score of those that were trained to their end."""
    able = has_status(its, "done") & np.isfinite(scores(its))
    return int(np.argmin(np.where(able, merits(its), math.inf))) if able.any() else None


def best_so_far(its: pd.DataFrame) -> pd.Series:
    done = its["score"].astype(float).where(its["status"] == "done")
    return (done.cummin() if is_minimized(its) else done.cummax()).ffill()


def metric(its: pd.DataFrame) -> str:
    return label(its.attrs["metric"])


def headline(its: pd.DataFrame) -> str:
    """Say what came out."""
    at, top, n = winner(its), _top(its), len(its)
    of = f"{n:,} trial{'s' if n > 1 else ''}"
    if at is None or top is None:
        return f"No {metric(its)} yet: {of}, none trained to its end"
    score = f"{scores(its)[at]:.4g}"
    if merits(its)[at] > merits(its)[top]:
        return f"The finalists' winner of {of} has {metric(its)} {score}"
    return f"The best {metric(its)} of {of}: {score}"


def values(its: pd.DataFrame, name: str) -> list[object]:
    """Give a column's values; None where a trial has none.

    Raises:
        InputError: if there is no such column.
    """
    if name not in its.columns:
        known = ", ".join(its.attrs["hyperparameters"])
        raise InputError(f"expected one of {known}, found {name!r}")
    return [None if isinstance(v, float) and math.isnan(v) else v for v in its[name].tolist()]


def varied(its: pd.DataFrame) -> list[str]:
    """Name the hyperparameters that vary, or all if none does."""
    known = list(its.attrs["hyperparameters"])
    found = [name for name in known if len(set(map(canonical, values(its, name)))) > 1]
    return (found or known)[:MAX_HYPERPARAMETERS]


def is_axis(values: Sequence[object]) -> bool:
    """Tell numbers from categories; a few of which some are missing are categories, too."""
    known = [value for value in values if value is not None]
    if not known or not all(map(_is_number, known)):
        return False
    return len(known) == len(values) or len(set(map(canonical, known))) > MAX_LEVELS


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def levels(values: Sequence[object]) -> tuple[list[str], np.ndarray]:
    """Give what distinct values are called, in order, and which of them each value is."""
    of_key = {canonical(value): value for value in values}
    order = sorted(of_key, key=lambda key: _before(of_key[key]))
    place = {key: at for at, key in enumerate(order)}
    return [_word(of_key[key]) for key in order], np.array([place[canonical(v)] for v in values])


def _before(value: object) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    return (1, float(str(value)), "") if _is_number(value) else (2, 0.0, canonical(value))


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return shortened(value if isinstance(value, str) else yaml_value(value), _LONGEST_WORD)


def label(text: object) -> str:
    return str(text).replace("$", r"\$")


def name_label(name: str) -> str:
    return label(shortened(name, _LONGEST_NAME))


def shortened(text: str, n: int) -> str:
    return text if len(text) <= n else text[: n - 1] + "…"


def is_log(numbers: np.ndarray) -> bool:
    """Tell whether numbers are powers, or lie over decades and mostly at their begin."""
    known = np.unique(numbers[np.isfinite(numbers)])
    if len(known) < 2 or known[0] <= 0:
        return False
    ratios = known[1:] / known[:-1]
    if len(known) > 2 and ratios[0] >= _LEAST_RATIO and np.allclose(ratios, ratios[0], rtol=0.01):
        return True
    is_crowded = np.median(known) < known[0] + _LOW * (known[-1] - known[0])
    return bool(known[-1] / known[0] >= _LOG_RATIO and is_crowded)


def depends(frame: pd.DataFrame) -> tuple[Importance, str]:
    """Find what scores depend on, and say of which trials, as `importance.comparable` does.

    Raises:
        InputError: if there is too little to say.
    """
    its = with_scores(frame)
    names = list(its.attrs["hyperparameters"])
    whole = np.where(has_status(its, "done"), scores(its), math.nan)
    places, found, told = importance.comparable(list(whole), list(its["rungs"]))
    compared = its.iloc[places]
    columns = [values(compared, name) for name in names]
    configs = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    ]
    its_importance = importance.of(configs, found)
    if its_importance is None or not its_importance.main:
        raise InputError(
            f"expected {importance.MIN_TRIALS} trials or more with different scores, and"
            f" {importance.MIN_TRIALS_EACH} for each hyperparameter, found {len(compared)}"
        )
    return its_importance, told


def important_pair(frame: pd.DataFrame) -> tuple[str, str]:
    """Choose two hyperparameters: the most important ones, or the first that vary.

    Raises:
        InputError: if fewer than two vary.
    """
    names = varied(with_scores(frame))
    if len(names) < 2:
        raise InputError("expected two hyperparameters that vary, found fewer")
    with contextlib.suppress(InputError):  # of too few trials
        names = list(dict.fromkeys([*depends(frame)[0].main, *names]))
    return names[0], names[1]


def front(costs: np.ndarray, its_merits: np.ndarray) -> np.ndarray:
    """Find those that none beats in both, by their costs; the smaller is the better of each."""
    found, best = [], math.inf
    for at in np.lexsort((its_merits, costs)):
        if its_merits[at] < best:
            found.append(at)
            best = its_merits[at]
    return np.array(found, int)
