"""A search at one moment, as plain values: what the live view and the plain line show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.duration import duration
from hpo.report import compact, last_line
from hpo.trial import Config, Result, Status


@dataclass(frozen=True)
class Finished:
    """A trial that has come to its end, with those of its settings that vary."""

    status: Status
    score: float | None
    seconds: float
    rank: int
    settings: Config
    error: str = ""  # its last line

    @classmethod
    def of(cls, result: Result, varied: Collection[str]) -> Finished:
        return cls(
            *(result.status, result.score, result.seconds, result.rank),
            settings_of(result.config, varied),
            last_line(result.error),
        )


@dataclass(frozen=True)
class Training:
    """What a rank trains.

    Attributes:
        epoch: that it is at, from 1.
        n_epochs: of the trial; None if that is not known.
        since_s: since 1970.
    """

    rank: int
    host: str
    settings: Config
    epoch: int
    n_epochs: int | None
    since_s: float
    memory_mb: int

    @classmethod
    def of(cls, told: Mapping[str, Any], varied: Collection[str]) -> Training:
        """Read what a rank says of itself in `state/`."""
        epoch, n_epochs = int(told["epoch"]) + 1, told.get("epochs")
        return cls(
            int(told["rank"]),
            str(told["host"]),
            settings_of(told.get("config", {}), varied),
            epoch if n_epochs is None else min(epoch, n_epochs),
            n_epochs,
            float(told.get("since_s", 0.0)),
            int(told.get("memory_mb", 0)),
        )


@dataclass(frozen=True)
class Best:
    """The best trial so far."""

    trial_id: str
    score: float
    config: Config
    settings: Config  # those that vary


@dataclass(frozen=True)
class Snapshot:
    """How far a search is.

    Attributes:
        left_s: the seconds that it will still take; None if nothing is left.
        finished: the last ones, the latest first.
        training: as many ranks as there is room to show, in their order.
        peak_memory_mb: of the rank that has taken most.
    """

    n_done: int
    n_failed: int
    n_pruned: int
    n_total: int
    n_busy: int
    n_ranks: int
    left_s: float | None
    elapsed_s: float | None = None
    best: Best | None = None
    finished: Sequence[Finished] = ()
    training: Sequence[Training] = ()
    peak_memory_mb: int = 0
    name: str = field(default="", kw_only=True)  # of the run directory

    def line(self) -> str:
        """Say it in one line."""
        parts = [f"{self.n_done:,}/{self.n_total:,}", f"{self.n_failed:,} failed"]
        if self.n_pruned:
            parts.append(f"{self.n_pruned:,} pruned")
        if self.left_s is not None:
            parts.append(f"{duration(self.left_s)} left")
            parts.append(f"{self.n_busy}/{self.n_ranks} ranks busy")
        if self.best is not None:
            parts.append(f"best {self.best.score:.4f} ({compact(self.best.settings)})")
        return " · ".join(parts)


def settings_of(config: Mapping[str, Any], varied: Collection[str]) -> Config:
    """Take the hyperparameters that have more than one value."""
    return {name: value for name, value in config.items() if name in varied}
