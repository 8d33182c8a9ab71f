"""How much of what trials came to is due to which hyperparameter: functional ANOVA.

Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance"
(ICML 2014): a random forest learns the scores, and the variance of its predictions is split into
shares of single hyperparameters and of pairs. The forest is scikit-learn's; its averages are
taken over configurations whose values are drawn independently from those that were tried.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.trial import canonical

METHOD = "functional ANOVA of a random forest (Hutter et al. 2014)"
MIN_TRIALS = 12
MIN_TRIALS_EACH = 3  # of each hyperparameter that varies
N_TREES = 64
N_DRAWN = 256  # configurations that averages are taken over
MAX_LEVELS = 8  # of a hyperparameter, in averages; values between are taken together
MAX_PAIRED = 6  # hyperparameters whose pairs are looked at, the most important ones


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of predicted scores, from 0 to 1.

    Attributes:
        main: of single hyperparameters, the largest first.
        pairs: of what two do together beyond what each does alone, the largest first.
        fit: the forest's R² on trials that a tree has not seen; near 0 nothing here means much.
    """

    main: dict[str, float]
    pairs: dict[tuple[str, str], float]
    fit: float
    method: str = METHOD


def comparable(
    whole: Sequence[float | None], rungs: Sequence[Mapping[int, float]]
) -> tuple[list[int], list[float], str]:
    """Choose scores that trials can be compared by, after equally many epochs.

    They are those of the trials that were trained to their end; or, where a pruner has stopped
    most, of all that it first looked at after one epoch, that of the most trials.

    Args:
        whole: scores of trials trained to their end; None or NaN of others.
        rungs: best scores by epochs after which a pruner looked.

    Returns:
        The places of the trials, their scores, and in words what these are.
    """
    done = [i for i, score in enumerate(whole) if score is not None and not math.isnan(score)]
    firsts = [min(its, default=0) for its in rungs]  # epochs
    for epoch, n_trials in Counter(filter(None, firsts)).most_common(1):
        if n_trials > 2 * len(done):
            asked = [i for i, first in enumerate(firsts) if first == epoch]
            after = f"epoch {epoch}" if epoch > 1 else "the first epoch"
            return asked, [rungs[i][epoch] for i in asked], f"{n_trials:,} trials after {after}"
    scores = [score for score in whole if score is not None and not math.isnan(score)]
    return done, scores, f"{len(done):,} trials trained to their end"


def of(configs: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> Importance | None:
    """Find what the scores of some trials depend on; None where there is too little to say.

    Args:
        configs: a trial's need not have all hyperparameters: not to use one is a value, too.
    """
    usable = [i for i, score in enumerate(scores) if math.isfinite(score)]
    told = np.array([scores[i] for i in usable])
    names, codes = _encoded([configs[i] for i in usable], told)
    if len(told) < max(MIN_TRIALS, MIN_TRIALS_EACH * len(names)) or not names or not told.std():
        return None
    from sklearn.ensemble import RandomForestRegressor  # a second, where it is not loaded yet

    forest = RandomForestRegressor(N_TREES, oob_score=True, random_state=0)
    with warnings.catch_warnings():  # of a trial that every tree has seen, which is left out
        warnings.simplefilter("ignore", UserWarning)
        forest.fit(codes, told)
    return _split(names, codes, forest)


def _encoded(
    configs: Sequence[Mapping[str, Any]], scores: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Write what varies as numbers whose order a tree can cut: shape (trials, hyperparameters)."""
    names, columns = [], []
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config.get(name) for config in configs]
        keys = [canonical(value) for value in values]
        if len(set(keys)) < 2:
            continue
        of_key = dict(zip(keys, values, strict=True))
        if all(_is_number(value) for value in values if value is not None):
            # What is not used comes before all numbers.
            order = sorted(of_key, key=lambda key: _before(of_key[key]))
        else:
            means = {key: scores[[k == key for k in keys]].mean() for key in of_key}
            order = sorted(of_key, key=lambda key: (means[key], key))
        places = {key: place for place, key in enumerate(order)}
        names.append(name)
        columns.append([places[key] for key in keys])
    return names, np.array(columns, np.float32).T.reshape(len(configs), len(names))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _before(value: float | None) -> float:
    return -math.inf if value is None else value


def _split(names: list[str], codes: np.ndarray, forest: Any) -> Importance:
    """Split the variance of a forest's predictions."""
    random = np.random.default_rng(0)
    drawn = np.stack([random.choice(column, N_DRAWN) for column in codes.T], axis=1)
    levels = [_levels(column) for column in codes.T]
    everywhere = forest.predict(drawn)
    total = everywhere.var()
    if not total:
        return Importance(dict.fromkeys(names, 0.0), {}, float(forest.oob_score_))
    single = [_averages(forest, drawn, levels, [i]) for i in range(len(names))]
    shares = [
        float(np.average(effect**2, weights=levels[i][1]) / total)
        for i, effect in enumerate(_centred(its, levels[i][1]) for i, its in enumerate(single))
    ]
    order = sorted(range(len(names)), key=lambda i: (-shares[i], names[i]))
    pairs = {}
    for i, j in itertools.combinations(order[:MAX_PAIRED], 2):
        table = _averages(forest, drawn, levels, [i, j]).reshape(len(levels[i][0]), -1)
        weights = np.outer(levels[i][1], levels[j][1])
        rows = np.average(table, axis=1, weights=levels[j][1])[:, None]
        columns = np.average(table, axis=0, weights=levels[i][1])[None, :]
        beyond = table - rows - columns + np.average(table, weights=weights)
        pairs[names[i], names[j]] = float(np.average(beyond**2, weights=weights) / total)
    return Importance(
        {names[i]: min(shares[i], 1.0) for i in order},
        dict(sorted(pairs.items(), key=lambda pair: -pair[1])),
        float(forest.oob_score_),
    )


def _levels(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give values of a hyperparameter to look at, and how often each was tried."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) > MAX_LEVELS:
        parts = np.array_split(np.sort(column), MAX_LEVELS)
        return np.array([np.median(part) for part in parts]), np.array([len(p) for p in parts])
    return values, counts


def _averages(
    forest: Any,
    drawn: np.ndarray,
    levels: list[tuple[np.ndarray, np.ndarray]],
    places: list[int],
) -> np.ndarray:
    """Predict the mean score for each combination of some hyperparameters' levels."""
    cells = list(itertools.product(*(levels[place][0] for place in places)))
    asked = np.tile(drawn, (len(cells), 1))
    for at, place in enumerate(places):
        asked[:, place] = np.repeat([cell[at] for cell in cells], len(drawn))
    means: np.ndarray = forest.predict(asked).reshape(len(cells), len(drawn)).mean(axis=1)
    return means


def _centred(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    centred: np.ndarray = values - np.average(values, weights=weights)
    return centred
