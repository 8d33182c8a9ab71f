"""Finalists: the best trials, each trained again with other seeds on one validation set.

The winner of many trials is partly luck (of its seed), and where the split varies partly an easier
validation set. Means over other seeds on the same images are neither.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.trial import Aim, Merit, Result, Status, Trial, merit


@dataclass(frozen=True)
class Final:
    """A finalist: its trial of the space, its repeats, and what they came to so far."""

    trial: Trial
    repeats: tuple[Trial, ...]
    results: tuple[Result, ...]
    aim: Aim

    @property
    def is_over(self) -> bool:
        return len(self.results) == len(self.repeats)

    @property
    def scores(self) -> list[float]:
        return [its.score for its in self.results if its.score is not None]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores) if self.scores else math.nan

    @property
    def std(self) -> float:
        """The standard deviation over the repeats (of a sample); 0 of a single one."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def merit(self) -> Merit:
        """The smallest is the best: by mean, then by spread; what fails now and then is last."""
        if any(its.status is not Status.DONE for its in self.results) or not self.scores:
            return (math.inf, math.inf, self.trial.id)
        return (self.aim.sign * self.mean, self.std, self.trial.id)

    @property
    def best_repeat(self) -> tuple[Trial, Result]:
        """The repeat whose weights are kept."""
        return min(zip(self.repeats, self.results, strict=True), key=lambda pair: merit(pair[1]))


def winner(finals: Sequence[Final]) -> Final | None:
    """Give the best finalist once all have been repeated; None before, and if all have failed."""
    if not finals or not all(its.is_over for its in finals):
        return None
    best = min(finals, key=lambda its: its.merit)
    return None if math.isinf(best.merit[0]) else best
