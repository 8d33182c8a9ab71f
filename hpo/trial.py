"""`Trial`, `Result` and `Status`: plain values that travel between ranks and into the journal."""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

Config = dict[str, Any]  # values are what the user wrote; checked at the door


class Status(enum.Enum):
    DONE = "done"  # trained to its end; has a score
    PRUNED = "pruned"  # stopped on a rung, behind others; can go on from its saved state
    FAILED = "failed"  # raised, diverged or was killed too often; has an error


def plain(value: object) -> object:
    """Reduce a value to what its identity rests on: 1.0 is 1, a tuple is a list, keys sorted."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value, key=str)}
    return value


def canonical(value: object) -> str:
    """Write a value as JSON, equal for equal values."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*parts: object) -> str:
    """Hash plain values to 64 hexadecimal digits."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def trial_id(deviations: Mapping[str, object], identity: Mapping[str, object]) -> str:
    """Name a trial by all that determines its result.

    Args:
        deviations: the configuration without the values that are defaults.
        identity: what all trials of a search share (data, seed, backend, objective, …).
    """
    return digest(deviations, identity)[:16]


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination to train. `index` is its place in the grid, for people only."""

    id: str
    index: int
    config: Config


class Rung(NamedTuple):
    """What a trial has come to by an epoch after which pruning looks at it: its best so far."""

    epoch: int
    score: float
    val_loss: float | None
    best_epoch: int
    metrics: Config = {}  # of that epoch, where an objective's are not known


MAXIMIZE, MINIMIZE = "maximize", "minimize"


@dataclass(frozen=True)
class Aim:
    """By which metric trials are compared, and which of its values are better."""

    metric: str = "val_accuracy"
    goal: str = MAXIMIZE

    @property
    def sign(self) -> int:
        """Times a score, the smallest is the best."""
        return 1 if self.goal == MINIMIZE else -1


USUAL_AIM = Aim()
_FALLING = ("loss", "error", "mse", "rmse", "mae", "perplexity")


def usual_goal(metric: str) -> str:
    """Guess what is better: a loss or an error is to fall, all else to rise."""
    return MINIMIZE if metric.lower().endswith(_FALLING) else MAXIMIZE


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a trial. `score` and `val_loss` are those of `best_epoch` (from 1).

    `metric` is what the score is, `goal` whether higher or lower ones are better. `rungs` are in
    order of epochs. `metrics` are all of the best epoch, where an objective's are not known.
    `began_s` and `ended_s` (since 1970) are when its rank took it up, the last time, and had its
    result; `seconds` are those of training, of all times. `peak_memory_mb` is the rank's.
    """

    id: str
    config: Config
    status: Status
    score: float | None = None
    val_loss: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    rank: int = 0
    host: str = ""
    threads: int = 1
    attempt: int = 1
    error: str | None = None
    metric: str = Aim.metric
    goal: str = Aim.goal
    rungs: tuple[Rung, ...] = ()
    metrics: Config = field(default_factory=dict)
    began_s: float = 0.0
    ended_s: float = 0.0
    peak_memory_mb: int = 0

    def at(self, epoch: int) -> Result:
        """Give what it was when it was looked at after an epoch, as if it had been pruned there.

        Raises:
            ValueError: if it was not looked at then.
        """
        rungs = tuple(rung for rung in self.rungs if rung.epoch <= epoch)
        if not rungs or rungs[-1].epoch != epoch:
            raise ValueError(f"expected a rung after epoch {epoch}, found {self.rungs}")
        _, score, val_loss, best_epoch, metrics = rungs[-1]
        return replace(
            self,
            status=Status.PRUNED,
            score=score,
            val_loss=val_loss,
            best_epoch=best_epoch,
            epochs=epoch,
            error=None,
            rungs=rungs,
            metrics=metrics,
        )

    def to_line(self) -> str:
        """Write the result as one line of JSON, without the newline."""
        record = asdict(self) | {"status": self.status.value}
        record["rungs"] = tuple(rung if rung[-1] else rung[:-1] for rung in self.rungs)
        for name in _OFTEN_PLAIN:
            if record[name] == getattr(_PLAINEST, name):
                del record[name]
        return json.dumps(record, allow_nan=False)

    @classmethod
    def from_line(cls, line: str | bytes) -> Result:
        """Read what `to_line` wrote.

        Raises:
            ValueError: if the line is not such a record. Keys that this version does not know
                are skipped, so that an older program can read a newer journal.
        """
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError(f"expected a JSON object, found {type(record).__name__}")
        known = {its.name for its in fields(cls)}
        try:
            values = {key: value for key, value in record.items() if key in known}
            rungs = tuple(Rung(*rung) for rung in record.get("rungs", ()))
            result = cls(**values | {"status": Status(record["status"]), "rungs": rungs})
            merit_so_far(result)  # what has no order is no record
            return result
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected a trial's record, found {line!r:.80}") from error


_PLAINEST = Result("", {}, Status.DONE)
# What most records do not need, or those of earlier versions did not have.
_OFTEN_PLAIN = ("metric", "goal", "rungs", "metrics", "began_s", "ended_s", "peak_memory_mb")

Merit = tuple[float, float, str]
WORST: Merit = (math.inf, math.inf, "")


def merit(result: Result) -> Merit:
    """Give the key by which finished results are compared: the smallest is the best.

    The best score, then the lower validation loss, then the id; NaN is below everything, as is
    what was not trained to its end.
    """
    if result.status is not Status.DONE:
        return (math.inf, math.inf, result.id)
    return merit_so_far(result)


def merit_so_far(result: Result) -> Merit:
    """Give the same key for what a trial has come to, pruned or not."""
    score = result.score
    if result.status is Status.FAILED or score is None or math.isnan(score):
        return (math.inf, math.inf, result.id)
    loss = result.val_loss
    loss = math.inf if loss is None or math.isnan(loss) else loss
    return (Aim(goal=result.goal).sign * score, loss, result.id)
