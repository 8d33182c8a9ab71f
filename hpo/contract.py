"""The contract between a search and what it searches: an objective, and what a trial offers it.

docs/objectives.md tells it to users. The built-in networks (`classifier`), users' functions
(`function`) and other programs (`program`) are written against it; `worker` keeps it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hpo.epochs import SCORE
from hpo.errors import InputError
from hpo.groups import Group
from hpo.options import Options
from hpo.terms import OpenTerms, Terms
from hpo.trial import Config
from hpo.world import World

Metrics = Mapping[str, float]
Save = Callable[[Path], object]


class Leave(BaseException):
    """A trial is to end where it stands, as it is saved; let it through."""


class Data(Protocol):
    """What all trials of a search read."""

    @property
    def fingerprint(self) -> str:
        """A hash of its content: a trial's id rests on it."""

    @property
    def path(self) -> str:
        """Where it comes from."""

    def describe(self) -> dict[str, Any]:
        """Give what search.yaml says of it: plain values."""

    def words(self) -> str:
        """Say it to people, in half a line; empty if there is nothing to say."""


@dataclass(frozen=True)
class Setting:
    """How this rank computes.

    Attributes:
        device: cpu, or gpu: the one that this rank sees.
        threads: for each rank.
        seed: the search's.
        data: what `Objective.load` gave.
    """

    options: Options
    data: Any

    @property
    def device(self) -> str:
        return self.options.device

    @property
    def threads(self) -> int:
        return self.options.threads

    @property
    def seed(self) -> int:
        return self.options.seed


class Objective:
    """What is searched. Subclasses say what they know; `train` is all that must be there.

    Attributes:
        name: with `version`, part of every trial's id.
        version: another number or text where the same configuration gives another result.
        metric: by which trials are compared where nobody says another.
        goal: minimize or maximize; None for what is usual for the metric.
        metrics: all that it reports, if that is known. What is not known beforehand has its own
            columns in results.csv.
    """

    name: str
    version: int | str
    metric: str = SCORE
    goal: str | None = None
    metrics: tuple[str, ...] = ()

    def identity(self, options: Options) -> dict[str, object]:
        """Give what else ids rest on, besides data, seed, device, name and version."""
        return {}

    def check(self, options: Options) -> None:
        """Refuse options that mean nothing to it, before anything is read.

        Raises:
            InputError: naming the option.
        """

    def terms(self, data: Mapping[str, Any] | None = None) -> Terms:
        """Tell its hyperparameters.

        Args:
            data: what search.yaml says of the data, once they are read.
        """
        return OpenTerms()

    def load(self, world: World, options: Options) -> Data:
        """Read the data (collective).

        Raises:
            InputError: on every rank alike.
        """
        raise NotImplementedError

    def open(self, world: World, setting: Setting) -> None:
        """Prepare this rank for its first trial, once all input is checked (collective).

        Raises:
            InputError: on every rank alike.
        """

    def train(self, config: Config, trial: Context) -> object:
        """Train one trial.

        Args:
            config: complete, with its defaults.

        Returns:
            A number, metrics by name, or an iterator of either, one for each epoch. What a
            function returns, and what a generator returns at its end, is the last report.
        """
        raise NotImplementedError


def refuse(options: Options, names: Sequence[str], found: str) -> None:
    """Refuse options that mean something to the built-in networks only.

    Raises:
        InputError: for the first that was given.
    """
    for name in names:
        if getattr(options, name) != getattr(Options, name):
            raise InputError(f"--{name}: expected the built-in networks, found {found}")


class Reporter(Protocol):
    """Whoever hears what a trial reports: the worker."""

    def report(self, told: object, *, is_last: bool = False) -> None:
        """Take a report; raises `Leave` if the trial is to end here."""

    def restore(self, load: Save) -> bool:
        """Call `load` with the folder of the trial's checkpoint, if there is one."""

    def rewind(self, n_epochs: int) -> None:
        """Take back all reports but the first so many."""

    def ready(self) -> None:
        """Let the trial's seconds begin now."""

    @property
    def n_epochs(self) -> int: ...


class Context:
    """One trial, as its objective sees it.

    Attributes:
        id: the trial's.
        seed: 31 bits, from the search's seed and the trial.
        device: cpu, or gpu: the one that this rank sees.
        threads: that this rank should compute with.
        folder: the trial's own in the run directory; what is written there stays.
        data: arrays that were prepared once, by name; they are shared and cannot be written to.
        data_path: --data as it was given.
        group: the ranks that train this trial together, of which this is one.
    """

    def __init__(
        self,
        trial_id: str,
        *,
        seed: int,
        setting: Setting,
        folder: Path,
        group: Group,
        reporter: Reporter,
    ) -> None:
        self.id = trial_id
        self.seed = seed
        self.device = setting.device
        self.threads = setting.threads
        self.folder = folder
        self.data: Mapping[str, Any] = getattr(setting.data, "arrays", {})
        self.data_path = setting.options.data
        self.group = group
        self._reporter = reporter
        self._scratch: Path | None = None
        self.saves: Save | None = None  # how a checkpoint is made, if the objective has said it
        self.copies: Callable[[], object] | None = None  # the best epoch, if it wants to
        self.keeps: Save | None = None  # how the trained model is written, if it has said it

    def close(self) -> None:
        """Remove what ends with the trial."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def scratch(self) -> Path:
        """A folder on this node, removed when the trial ends."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="hpo-"))
        return self._scratch

    @property
    def epoch(self) -> int:
        """How many epochs are over; more than 0 at first where a checkpoint was restored."""
        return self._reporter.n_epochs

    def report(self, metrics: float | Metrics | None) -> None:
        """Tell what an epoch came to; None: nothing yet, but the trial may be stopped here.

        The same as a generator's `yield`.

        Raises:
            Leave: if the trial is to end here: the search stops, or prunes it.
        """
        self._reporter.report(metrics)

    def ready(self) -> None:
        """Say that all is built and compiled: the trial's seconds count from here."""
        self._reporter.ready()

    def checkpoint(self, save: Save, load: Save) -> bool:
        """Say how this trial is saved and restored; without it, one that is cut begins anew.

        Args:
            save: writes all that the trial needs into an empty folder. Called at a later report,
                when the search stops, when the trial is pruned, and every five minutes. The
                folder appears whole or not at all.
            load: reads it again; called at once, if the trial was saved before.

        Returns:
            Whether it was restored; `epoch` tells how far it was.
        """
        self.saves = save
        return self._reporter.restore(load)

    def rewind(self, n_epochs: int) -> None:
        """Take back all reports but the first so many: the trial goes on from there.

        For those that keep checkpoints of their own, which may be older than what was reported.
        """
        self._reporter.rewind(n_epochs)

    def on_best(self, copy: Callable[[], object]) -> None:
        """Say what to do with an epoch that is the trial's best so far: to copy its weights, say.

        Called in the report of such an epoch, before the trial is saved.
        """
        self.copies = copy

    def keep(self, save: Save) -> None:
        """Say how to write the trained model into an empty folder.

        Called once the trial has ended, if it is the best so far. That of the winner becomes
        `best_model/` in the run directory.
        """
        self.keeps = save


def drive(objective: Objective, config: Config, trial: Context, reporter: Reporter) -> None:
    """Run an objective to its end; all that it tells goes to the reporter.

    Raises:
        Leave: from the reporter, if the trial is to end before.
        Exception: whatever the objective raises.
    """
    last = objective.train(config, trial)
    if isinstance(last, Iterator):
        last = _exhaust(last, reporter)
    reporter.report(last, is_last=True)


def _exhaust(steps: Iterator[object], reporter: Reporter) -> object:
    """Report what an iterator yields; give what it returns."""
    try:
        while True:
            try:
                told = next(steps)
            except StopIteration as end:
                return end.value
            reporter.report(told)
    finally:
        close = getattr(steps, "close", None)
        if close is not None:
            close()
