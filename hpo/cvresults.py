"""`hpo.cv_results`: a run in the shape of scikit-learn's `GridSearchCV.cv_results_`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo import findings
from hpo.errors import InputError
from hpo.rundir import write_whole
from hpo.trial import Aim, Config, Result, Status


def cv_results(path: str | Path) -> dict[str, Any]:
    """Read a run directory as scikit-learn tells of a search with one split.

    It has the finished trials of the present space, in grid order. As with scikit-learn's scorers
    the greater score is the better one: where the goal is to minimize, scores are negated. A
    failed trial's is NaN. A pruned trial's is what it had come to, but it ranks after all that
    were trained to their end, as it could not win. `mean_fit_time` includes validation.

    Raises:
        hpo.errors.InputError: if it is no run directory, or a file in it cannot be read.
    """
    found = findings.read(path)
    return of(found.standing.finished, found.record.aim)


def of(results: Sequence[Result], aim: Aim) -> dict[str, Any]:
    """Give results as arrays by the names that scikit-learn has for them."""
    scores = np.array([_score(its, aim) for its in results], float)
    zeros = np.zeros(len(results))
    return {
        "mean_fit_time": np.array([its.seconds for its in results], float),
        "std_fit_time": zeros,
        "mean_score_time": zeros.copy(),
        "std_score_time": zeros.copy(),
        **_parameters([its.config for its in results]),
        "params": [dict(its.config) for its in results],
        "split0_test_score": scores,
        "mean_test_score": scores.copy(),
        "std_test_score": np.where(np.isnan(scores), math.nan, 0.0),
        "rank_test_score": _ranks(results, scores),
    }


def save(path: str | Path, out: Path) -> int:
    """Write a run's as JSON: null for NaN and for what a trial does not use; give their number.

    Raises:
        InputError: if it is no run directory, or the file cannot be written.
    """
    found = cv_results(path)
    text = json.dumps({name: _plain(its) for name, its in found.items()}, allow_nan=False)
    try:
        write_whole(out, text + "\n")
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}") from error
    return len(found["params"])


def _score(its: Result, aim: Aim) -> float:
    if its.status is Status.FAILED or its.score is None:
        return math.nan
    return -aim.sign * its.score


def _ranks(results: Sequence[Result], scores: np.ndarray) -> np.ndarray:
    """Rank from 1; equals share the better rank."""
    places = [_place(its, float(score)) for its, score in zip(results, scores, strict=True)]
    ranks: dict[tuple[int, float], int] = {}
    for rank, place in enumerate(sorted(places), start=1):
        ranks.setdefault(place, rank)
    return np.array([ranks[place] for place in places], np.int32)


def _place(its: Result, score: float) -> tuple[int, float]:
    if math.isnan(score):
        return (2, 0.0)
    return (0 if its.status is Status.DONE else 1, -score)


def _parameters(configs: Sequence[Config]) -> dict[str, np.ma.MaskedArray[Any, Any]]:
    """Give each hyperparameter's values, masked where it is not in use."""
    found = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        used = {at: config[name] for at, config in enumerate(configs) if name in config}
        column = np.ma.MaskedArray(np.empty(len(configs), _type(list(used.values()))), mask=True)
        for at, value in used.items():
            column[at] = value
        found[f"param_{name}"] = column
    return found


def _type(values: list[object]) -> np.dtype[Any]:
    """Find the type that scikit-learn takes: NumPy's, but texts and lists stay what they are."""
    try:
        guess = np.array(values)
    except ValueError:  # lists of different lengths
        return np.dtype(object)
    is_single = guess.ndim == 1 and guess.dtype.kind != "U"
    return guess.dtype if is_single else np.dtype(object)


def _plain(its: Any) -> Any:
    if isinstance(its, np.ndarray):
        its = its.tolist()  # None where masked
    return [None if isinstance(value, float) and math.isnan(value) else value for value in its]
