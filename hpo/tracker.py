"""The contract between a run and those who show it elsewhere: what a tracker is, and is told."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from hpo.domain import Domain
from hpo.epochfile import Series
from hpo.errors import InputError
from hpo.record import Record
from hpo.rundir import RunDir
from hpo.trial import Aim, Result

NAMES = ("wandb", "mlflow", "tensorboard")  # of their packages too
_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|SECRET", re.IGNORECASE)
_LEAST_SECRET_CHARS = 6  # what is shorter may be any word


@dataclass(frozen=True)
class Search:
    """What a tracker is told of a search before its trials.

    Attributes:
        name: the same at every start: the run directory's, and something of its first start.
        suffix: that something; it tells this search from others with the same trials.
        domains: what each hyperparameter that varies may be.
        made_with: versions and the program's commit.
        is_live: whether it runs on this machine now.
    """

    run: RunDir
    record: Record
    name: str
    suffix: str
    aim: Aim
    domains: Mapping[str, Sequence[Domain]]
    made_with: Mapping[str, str]
    is_live: bool = False

    @property
    def folder(self) -> Path:
        """Where trackers keep what is not on a server."""
        return self.run.tracking


@dataclass(frozen=True)
class ToldTrial:
    """A trial that has a result.

    Attributes:
        name: for people, by what varies.
        config: complete.
        epochs: each metric of each epoch; NaN where there was none.
    """

    id: str
    name: str
    config: Mapping[str, object]
    result: Result
    epochs: Series

    def steps(self) -> list[dict[str, float]]:
        """Give the metrics of each epoch that there are."""
        n_epochs = max(map(len, self.epochs.values()), default=0)
        return [
            {name: its[at] for name, its in self.epochs.items() if its[at] == its[at]}
            for at in range(n_epochs)
        ]

    def facts(self) -> dict[str, object]:
        """Give what is known of its result, by name."""
        its = self.result
        told = {
            "score": its.score,
            "val_loss": its.val_loss,
            "best_epoch": its.best_epoch,
            "epochs": its.epochs,
            "seconds": its.seconds,
            "rank": its.rank,
            "host": its.host,
            "attempt": its.attempt,
            "status": its.status.value,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Best:
    """The winner so far, as the run directory's files show it.

    Attributes:
        files: of the run that are worth keeping, those that are there.
        mistakes: what its model gets wrong, if that was found out.
    """

    trial_id: str
    score: float
    name: str
    model: Path | None
    files: Sequence[Path]
    mistakes: Mapping[str, object] | None


class Tracker(Protocol):
    """Shows a search somewhere; whatever goes wrong there is raised."""

    @property
    def destination(self) -> str:
        """Where it tells, once it is open; what was told elsewhere is not known there."""

    def open(self, search: Search) -> None:
        """Begin, or go on."""

    def tell(self, trial: ToldTrial) -> None:
        """Show a trial; one that was shown before, with another result, is shown anew."""

    def conclude(self, best: Best) -> None:
        """Show the winner."""

    def close(self) -> None:
        """Leave nothing open."""

    def words(self) -> str:
        """Say in a line where all of it is, and what to do with it."""


def names(text: str) -> list[str]:
    """Read names of trackers with commas between.

    Raises:
        argparse.ArgumentTypeError: naming one that there is none of.
    """
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found or [text]:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(
                f"expected {', '.join(NAMES[:-1])} or {NAMES[-1]}, found {name!r}"
            )
    return found


def check_installed(wanted: Sequence[str], option: str = "--track") -> None:
    """Refuse trackers whose packages are missing.

    Raises:
        InputError: with the command that installs the first.
    """
    for name in wanted:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:  # a folder `wandb` here is no package
            raise InputError(
                f"{option} {name}: expected the package {name}, found none; pip install {name}"
            )


def without_secrets(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Leave out passwords and keys of the environment."""
    hidden = {value for name, value in environ.items() if _SECRET.search(name)}
    for value in environ.values():
        if "://" in value and "@" in value:
            hidden.add(_password(value))
    for secret in sorted(hidden, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET_CHARS:
            text = text.replace(secret, "***")
    return text


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
