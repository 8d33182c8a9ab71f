"""`Trial`, `Result` and `Status`: plain values that travel between ranks and into the journal."""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

Config = dict[str, Any]  # values are what the user wrote; checked at the door


class Status(enum.Enum):
    DONE = "done"  # trained to its end; has a score
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


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a trial. `score` and `val_loss` are those of `best_epoch` (from 1)."""

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

    def to_line(self) -> str:
        """Write the result as one line of JSON, without the newline."""
        return json.dumps(asdict(self) | {"status": self.status.value}, allow_nan=False)

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
        known = {field.name for field in fields(cls)}
        try:
            values = {key: value for key, value in record.items() if key in known}
            result = cls(**values | {"status": Status(record["status"])})
            merit(result)  # what has no order is no record
            return result
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected a trial's record, found {line!r:.80}") from error


Merit = tuple[float, float, str]
WORST: Merit = (math.inf, math.inf, "")


def merit(result: Result) -> Merit:
    """Give the key by which results are compared: the smallest is the best.

    The highest score, then the lower validation loss, then the id; NaN is below everything.
    """
    score = result.score
    if result.status is not Status.DONE or score is None or math.isnan(score):
        return (math.inf, math.inf, result.id)
    loss = result.val_loss
    return (-score, math.inf if loss is None or math.isnan(loss) else loss, result.id)
