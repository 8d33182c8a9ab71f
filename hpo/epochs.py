"""What a trial's epochs came to, which of them is the best, and how far the trial is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from hpo.engine import Tally
from hpo.trial import Rung


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

    @property
    def is_average_better(self) -> bool:
        """Whether the averaged weights beat the last ones, so that it is them that are kept."""
        loss, accuracy = self.average_val_loss, self.average_val_accuracy
        if loss is None or accuracy is None:
            return False
        return (-accuracy, loss) < (-self.val_accuracy, self.val_loss)

    @property
    def score(self) -> float:
        """The validation accuracy of the weights that are kept."""
        return self._kept("val_accuracy")

    @property
    def score_loss(self) -> float:
        """Their validation loss."""
        return self._kept("val_loss")

    @property
    def merit(self) -> tuple[float, float]:
        """The smallest is the best; an earlier epoch wins a tie."""
        return (-self.score, self.score_loss)

    def _kept(self, name: str) -> float:
        return self.metrics[f"average_{name}" if self.is_average_better else name]


@dataclass
class Progress:
    """How far a trial has come: everything but the network's own state."""

    history: list[Epoch] = field(default_factory=list)
    trained: Tally = Tally()  # of the epoch that is under way
    validated: Tally = Tally()
    averaged: Tally = Tally()  # validated with the averaged weights
    seconds: float = 0.0

    @property
    def best(self) -> Epoch:
        return min(self.history, key=lambda epoch: epoch.merit)

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
        best = min(self.history[:epoch], key=lambda epoch: epoch.merit)
        return Rung(epoch, best.score, best.score_loss, best.epoch)

    def n_epochs_since_best(self, metric: str | None = None, goal: str | None = None) -> int:
        """Count the epochs since one was better than all before.

        Args:
            metric: by which; without one it is what the best epoch is chosen by.
            goal: minimize or maximize; without one a loss is to fall and all else to rise.
        """
        best = self.best
        if metric is not None:
            sign = 1 if (goal or _usual_goal(metric)) == "minimize" else -1
            best = min(self.history, key=lambda epoch: sign * epoch.metrics[metric])
        return len(self.history) - best.epoch

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        values = json.loads(text)
        history = [Epoch(**epoch) for epoch in values["history"]]
        # Checkpoints of earlier versions have no `averaged`.
        tallies = {
            name: Tally(**values.get(name, {})) for name in ("trained", "validated", "averaged")
        }
        return cls(**values | tallies | {"history": history})


def _usual_goal(metric: str) -> str:
    return "minimize" if metric.endswith("loss") else "maximize"
