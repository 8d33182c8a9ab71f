"""What a trial's epochs came to, and which of them is the best."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from hpo.errors import ContractError, DivergedError
from hpo.trial import USUAL_AIM, Aim, Rung, usual_goal

SCORE = "score"  # the metric of objectives that name none
AVERAGE = "average_"  # before the name of a metric: what averaged weights came to


def measured(told: object, aim: Aim, epoch: int) -> dict[str, float]:
    """Read what an objective reports of an epoch: a number is the metric that is aimed at.

    Raises:
        ContractError: if it is no number and no mapping of numbers, or the metric is missing.
        DivergedError: if the metric is not finite.
    """
    metrics = {}
    for name, value in (told if isinstance(told, Mapping) else {aim.metric: told}).items():
        if not isinstance(name, str):
            raise ContractError(f"expected names of metrics, found {name!r}")
        if name != "epoch":  # which is counted here
            metrics[name] = _number(name, value)
    if aim.metric not in metrics and (aim.metric, len(metrics)) == (SCORE, 1):
        metrics[SCORE] = next(iter(metrics.values()))
    if aim.metric not in metrics:
        raise ContractError(
            f"expected the metric {aim.metric!r}, found"
            f" {', '.join(map(repr, metrics)) or 'no metric'}; --metric chooses another"
        )
    if not math.isfinite(metrics[aim.metric]):
        raise DivergedError(f"diverged: {aim.metric} is {metrics[aim.metric]} in epoch {epoch}")
    return metrics


def _number(name: str, value: object) -> float:
    """Read a number of any library: of Python, NumPy, or an array or tensor of one."""
    what = f"expected a number for {name!r}"
    if isinstance(value, str | bytes | bool) or value is None:
        raise ContractError(f"{what}, found {value!r:.80}")
    try:
        return float(value)  # type: ignore[arg-type]  # whatever has __float__
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ContractError(f"{what}, found {value!r:.80}") from None


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to, by the names of its metrics."""

    epoch: int  # from 1
    metrics: Mapping[str, float]

    def others(self, aim: Aim) -> dict[str, float]:
        """Give the metrics besides score and validation loss, as far as they are finite."""
        told = {aim.metric, "val_loss"}
        its = self.metrics.items()
        return {name: value for name, value in its if name not in told and math.isfinite(value)}

    def mark(self, aim: Aim) -> Mark:
        """Say what the weights that are kept of it come to: the last, or better averaged ones."""
        its = self.metrics
        last = Mark(its[aim.metric], its.get("val_loss", math.nan), is_average=False)
        if f"{AVERAGE}val_loss" not in its:
            return last
        score = its.get(AVERAGE + aim.metric, last.score)
        average = Mark(score, its[f"{AVERAGE}val_loss"], is_average=True)
        return min(last, average, key=lambda its: its.merit(aim))  # the first wins a tie


class Mark(NamedTuple):
    """The score of an epoch, and what decides between equal ones."""

    score: float
    val_loss: float
    is_average: bool  # whether the averaged weights have it

    def merit(self, aim: Aim) -> tuple[float, float]:
        """The smallest is the best."""
        return aim.sign * self.score, self.val_loss


@dataclass
class Progress:
    """How far a trial has come."""

    aim: Aim = USUAL_AIM
    history: list[Epoch] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def best(self) -> Epoch:
        """The best epoch; an earlier one wins a tie."""
        return self._best_of(self.n_epochs)

    def _best_of(self, n_epochs: int) -> Epoch:
        aim = self.aim
        return min(self.history[:n_epochs], key=lambda epoch: epoch.mark(aim).merit(aim))

    @property
    def n_epochs(self) -> int:
        """How many epochs are over."""
        return len(self.history)

    def at(self, epoch: int, *, tells_metrics: bool = False) -> Rung:
        """Say what it had come to after an epoch, with the other metrics if they are wanted."""
        best = self._best_of(epoch)
        score, val_loss, _ = best.mark(self.aim)
        metrics = best.others(self.aim) if tells_metrics else {}
        return Rung(epoch, score, None if math.isnan(val_loss) else val_loss, best.epoch, metrics)

    def n_epochs_since_best(self, metric: str | None = None, goal: str | None = None) -> int:
        """Count the epochs since one was better than all before.

        Args:
            metric: by which; without one it is what the best epoch is chosen by.
            goal: minimize or maximize; without one what is usual for the metric.
        """
        best = self.best
        if metric is not None:
            sign = Aim(metric, goal or usual_goal(metric)).sign
            best = min(self.history, key=lambda epoch: sign * epoch.metrics[metric])
        return len(self.history) - best.epoch

    def to_json(self) -> str:
        told = asdict(self)
        del told["aim"]  # the search's
        return json.dumps(told)

    @classmethod
    def from_json(cls, text: str, aim: Aim = USUAL_AIM) -> Progress:
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: if it is something else.
        """
        values = json.loads(text)
        history = [Epoch(**epoch) for epoch in values["history"]]
        return cls(aim, history, float(values["seconds"]))
