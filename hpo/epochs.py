"""What a trial's epochs came to, which of them is the best, and how far the trial is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from hpo.engine import Tally
from hpo.trial import USUAL_AIM, Aim, Rung, usual_goal


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; losses are means over images, accuracies shares."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    average_val_loss: float | None = None  # of the averaged weights, where there are any
    average_val_accuracy: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """All that was measured, by name."""
        told = asdict(self)
        del told["epoch"]
        return {name: value for name, value in told.items() if value is not None}

    def mark(self, aim: Aim) -> Mark:
        """Say what the weights that are kept of it come to: the last, or better averaged ones."""
        metrics = self.metrics
        last = Mark(metrics[aim.metric], self.val_loss, is_average=False)
        if self.average_val_loss is None:
            return last
        score = metrics.get(f"average_{aim.metric}", last.score)
        average = Mark(score, self.average_val_loss, is_average=True)
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
    """How far a trial has come: everything but the network's own state."""

    aim: Aim = USUAL_AIM
    history: list[Epoch] = field(default_factory=list)
    trained: Tally = Tally()  # of the epoch that is under way
    validated: Tally = Tally()
    averaged: Tally = Tally()  # validated with the averaged weights
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

    @property
    def rung(self) -> int:
        """After which epoch it stands; 0 within one."""
        is_between = self.trained == self.validated == self.averaged == Tally()
        return self.n_epochs if is_between else 0

    def at(self, epoch: int) -> Rung:
        """Say what it had come to after an epoch."""
        best = self._best_of(epoch)
        score, val_loss, _ = best.mark(self.aim)
        return Rung(epoch, score, val_loss, best.epoch)

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
        values = json.loads(text)
        history = [Epoch(**epoch) for epoch in values["history"]]
        # Checkpoints of earlier versions have no `averaged`.
        tallies = {
            name: Tally(**values.get(name, {})) for name in ("trained", "validated", "averaged")
        }
        return cls(**values | tallies | {"history": history, "aim": aim})
