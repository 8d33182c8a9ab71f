"""An objective that is any program: `--command "python train.py {spec}"`.

The rank that trains a trial starts its program and waits for what it tells, see `metriclines`. A
trial that is stopped or pruned is one whose program is ended; to go on, it is started again, and
finds what it has saved.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpo import launcher, prepared
from hpo.commandfiles import CommandFiles
from hpo.contract import Context, Objective, Setting, refuse
from hpo.epochs import SCORE
from hpo.errors import CommandError, ContractError, InputError
from hpo.metriclines import GapError, Record, Report
from hpo.options import Options
from hpo.prepared import Prepared
from hpo.process import Process, ending
from hpo.space import Combinations
from hpo.template import Template, refuse_unused, word_of
from hpo.terms import OpenTerms, Terms
from hpo.trial import Config
from hpo.world import World

STOPS_WITHIN_S = 0.5  # a search hears within this time that it is to stop
MAX_LINE_CHARS = 200  # of its last line in a one-line message

# What names in braces stand for, unless the space has a hyperparameter of that name; the same
# values are in the program's environment.
OWN = {
    "spec": "HPO_SPEC",
    "trial": "HPO_TRIAL_DIR",
    "id": "HPO_TRIAL_ID",
    "seed": "HPO_SEED",
    "checkpoint": "HPO_CHECKPOINT",
    "metrics": "HPO_METRICS",
    "data": "HPO_DATA",
}

Told = Mapping[str, float] | None


@dataclass(frozen=True)
class CommandTerms(OpenTerms):
    """Any hyperparameters, if they have all that the command's text names."""

    template: Template = field(kw_only=True)

    def check(self, values: Mapping[str, Sequence[object]], places: Mapping[str, str]) -> None:
        super().check(values, places)
        self.template.check_names(values)

    def check_fit(self, grid: Combinations) -> None:
        for name in self.template.hyperparameters:
            if any(name not in config for config in grid.project([name])):
                refuse_unused(name)


class Program(Objective):
    """What a command does with a configuration."""

    name = "command"

    def __init__(self, text: str, version: int | str | None = None) -> None:
        """Take a command.

        Raises:
            InputError: if the text is none, or its program cannot be found.
        """
        self._template = Template(text, OWN)
        self._template.check_program()
        self.version = self._template.version() if version is None else version
        self._rank, self._metric = 0, SCORE
        self._limit_min: float | None = None

    def check(self, options: Options) -> None:
        refuse(options, ("test", "refit"), "--command")
        if options.ranks_per_trial > 1:
            raise InputError(
                f"--ranks-per-trial {options.ranks_per_trial}: expected 1 with --command, as a"
                " program is started by one rank; it may start others by itself"
            )
        if "data" in self._template.names and options.data is None:
            raise InputError("--command: expected --data, as it has {data}")

    def terms(self, data: Mapping[str, object] | None = None) -> Terms:
        return CommandTerms(template=self._template)

    def load(self, world: World, options: Options) -> Prepared:
        return world.on_root(lambda: prepared.of_path(options.data))

    def open(self, world: World, setting: Setting) -> None:
        self._rank = world.rank
        self._metric = setting.options.aim.metric
        self._limit_min = setting.options.trial_time_limit_min

    def train(self, config: Config, trial: Context) -> Generator[Told, None, Told]:
        # There is nothing to save: the program does it, and `CommandFiles` knows what it told.
        trial.checkpoint(_leave_it, _leave_it)
        files = CommandFiles(trial.folder)
        try:
            last = yield from self._start(config, trial, files)
        except GapError:  # nobody knows what a lost report was
            files.end()
            trial.rewind(0)
            last = yield from self._start(config, trial, files)
        files.end()
        return last

    def _start(
        self, config: Config, trial: Context, files: CommandFiles
    ) -> Generator[Told, None, Told]:
        """Start the program, or start it again to go on, and report what it tells."""
        own = _own(files, trial)
        words = self._template.fill(own | config)
        heading = f"on host {os.uname().nodename}: {shlex.join(words)}"
        record = files.begin(config, self._metric, heading)
        if files.is_over:
            trial.ready()
            return (yield from _rest(record.history, trial))
        environ = self._environ(own, len(record.history))
        with files.opened() as (output, errors):
            process = Process(words, environ, stdout=output, stderr=errors)
        trial.ready()
        with process:
            try:
                return (yield from self._hear(process, files, record, trial))
            except GeneratorExit:
                files.pause(process.seconds, is_over=process.stop() == 0)
                raise

    def _environ(self, own: Mapping[str, object], n_epochs: int) -> dict[str, str]:
        told = {OWN[name]: word_of(value) for name, value in own.items()}
        told |= {"HPO_EPOCH": str(n_epochs), "HPO_RANK": str(self._rank)}
        # A Python program's lines are to come as it prints them.
        return {"PYTHONUNBUFFERED": "1"} | launcher.without() | told

    def _hear(
        self, process: Process, files: CommandFiles, record: Record, trial: Context
    ) -> Generator[Told, None, Told]:
        """Report what the program tells until it ends; give the last report, if it is left."""
        history, is_heard, n_before = record.history, False, len(record.history)
        asked_s = time.monotonic()
        while (code := process.wait()) is None:
            is_heard |= _take(files.lines(), record, trial)
            # Before it has told where it goes on, nobody knows what of the past still holds.
            while is_heard and trial.epoch < len(history):
                asked_s = time.monotonic()
                yield history[trial.epoch].metrics
            self._check_time(process, files)
            if time.monotonic() > asked_s + STOPS_WITHIN_S:
                asked_s = time.monotonic()
                yield None
        is_heard |= _take(files.lines(is_over=True), record, trial)
        self._check_end(code, record, files)
        if n_before and not is_heard:  # its last start may have saved the end, and not told it
            raise GapError(f"nothing came after epoch {history[-1].epoch:g}")
        return (yield from _rest(history, trial))

    def _check_end(self, code: int, record: Record, files: CommandFiles) -> None:
        """Let a program have ended well, with something told."""
        if code:
            raise CommandError(_failure(ending(code), files))
        if not record.history:
            others = ", ".join(map(repr, record.others))
            found = f"only {others}; --metric chooses another" if others else "none"
            expected = f"expected a line of JSON with the metric {self._metric!r}"
            raise ContractError(_failure(f"{expected}, found {found}", files))

    def _check_time(self, process: Process, files: CommandFiles) -> None:
        limit_min = self._limit_min
        if limit_min is None or files.seconds + process.seconds < 60 * limit_min:
            return
        process.stop()
        raise ContractError(
            _failure(f"took longer than {limit_min:g} minutes (--trial-time-limit)", files)
        )


def _rest(history: Sequence[Report], trial: Context) -> Generator[Told, None, Told]:
    """Report what is left of all that a program has told; give the last of it."""
    while trial.epoch < len(history) - 1:
        yield history[trial.epoch].metrics
    return history[-1].metrics if trial.epoch < len(history) else None


def _take(lines: Iterator[str], record: Record, trial: Context) -> bool:
    """Hear some lines; tell whether there was a report among them."""
    is_heard = False
    for line in lines:
        n_kept = record.take(line)
        if n_kept is None:
            continue
        is_heard = True
        if n_kept < trial.epoch:
            trial.rewind(n_kept)
    return is_heard


def _own(files: CommandFiles, trial: Context) -> dict[str, object]:
    """Give what the names in braces stand for in a trial."""
    own: dict[str, object] = {
        "spec": files.spec,
        "trial": files.folder,
        "id": trial.id,
        "seed": trial.seed,
        "checkpoint": files.checkpoint,
        "metrics": files.metrics,
    }
    return own if trial.data_path is None else own | {"data": trial.data_path}


def _failure(what: str, files: CommandFiles) -> str:
    """Say what went wrong in the last line, which tables show, after the program's last lines."""
    files.end()
    name, lines = files.last_lines()
    if not lines:
        return what
    return "\n".join([f"{name} ends:", *lines, f"{what}: {lines[-1].strip():.{MAX_LINE_CHARS}}"])


def _leave_it(folder: Path) -> None:
    """Save and load nothing."""
