"""Whom a finished search trains again: the best with other seeds, the winner on all images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo import sampling
from hpo.finals import Final
from hpo.record import Record
from hpo.report import Standing
from hpo.terms import Terms
from hpo.trial import Aim, Config, Result, Status, Trial, canonical, merit_so_far

_ON_ALL_IMAGES: Config = {"validation_split": 0, "early_stopping_patience": None}


def chosen(now: Standing, options: Mapping[str, Any], run: Record, terms: Terms) -> list[Final]:
    """Choose the finalists of a search whose trials are all finished, and their repeats.

    All have the same seeds, which no trial had, and the largest validation set of the space: as
    splits are nested, it holds the images that any trial was validated on.
    """
    scored = [result for result in now.finished if result.status is not Status.FAILED]
    best: dict[str, Result] = {}
    # Those that were trained to their end, then those that pruning has let come the furthest.
    for result in sorted(
        scored, key=lambda its: (its.status is Status.PRUNED, -_far(its), merit_so_far(its))
    ):
        # What differs in these alone comes to the same repeats.
        its = {**result.config, "seed": 0, "validation_split": 0}
        best.setdefault(canonical(its), result)
    first_ones = list(best.values())[: int(options["finalists"])]
    if not first_ones:
        return []
    everyone = [terms.complete(trial.config) for trial in now.trials]
    splits = [config["validation_split"] for config in everyone if "validation_split" in config]
    same = {"validation_split": max(splits)} if splits else {}
    first = 1 + max(config.get("seed", 0) for config in everyone)
    by_id = {trial.id: trial for trial in now.trials}
    found = []
    for result in first_ones:
        configs = [
            {**result.config, **same, "seed": seed}
            for seed in range(first, first + int(options["repeats"]))
        ]
        repeats = tuple(
            sampling.trial(config, n, terms, run.identity) for n, config in enumerate(configs)
        )
        results = tuple(now.results[its.id] for its in repeats if its.id in now.results)
        aim = Aim(result.metric, result.goal)
        found.append(Final(by_id[result.id], repeats, results, aim))
    return found


def _far(result: Result) -> int:
    return result.epochs if result.status is Status.PRUNED else 0


def refit(now: Standing, run: Record, terms: Terms) -> Trial | None:
    """Give the winner of a finished search as a trial on all images, for its best epochs.

    There is nothing to validate on, so that nothing stops it early; a schedule of learning rates
    is that of all its epochs.
    """
    if now.best is None:
        return None
    its, result = now.best if now.final is None else now.final.best_repeat
    config = {**its.config, **_ON_ALL_IMAGES, "stop_after": result.best_epoch}
    return sampling.trial(config, its.index, terms, run.identity)
