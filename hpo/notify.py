"""`--notify COMMAND`: a program of the user's that hears of the end, a stop, the first failure.

It is run by rank 0, without a shell, and finds what there is to tell in its environment. What it
prints goes to the search's log. Whatever goes wrong with it is a warning.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from hpo import launcher
from hpo.errors import ExitCode, InputError
from hpo.process import Process, ending
from hpo.report import Standing, last_line
from hpo.snapshot import Best, Snapshot
from hpo.trial import Aim, Result, Status

_logger = logging.getLogger(__name__)

LIMIT_S = 60.0
GRACE_S = 2.0
MAX_OUTPUT_BYTES = 10_000  # its end
MAX_ERROR_CHARS = 2_000

FINISHED, STOPPED, FAILED, TRIAL_FAILED = "finished", "stopped", "failed", "trial-failed"
_EVENTS = {ExitCode.DONE: FINISHED, ExitCode.STOPPED: STOPPED}


@dataclass(frozen=True)
class Tally:
    """How far a search is, and its best trial; among those done are the failed and pruned."""

    n_done: int
    n_failed: int
    n_pruned: int
    n_trials: int
    best: Best | None

    @classmethod
    def of_snapshot(cls, its: Snapshot) -> Tally:
        return cls(its.n_done, its.n_failed, its.n_pruned, its.n_total, its.best)

    @classmethod
    def of_standing(cls, now: Standing) -> Tally:
        best = None
        if now.best is not None:
            assert now.best_score is not None
            trial = now.best[0]
            best = Best(trial.id, now.best_score, trial.config, trial.config)
        return cls(len(now.finished), now.n_failed, now.n_pruned, now.n_trials, best)


def check(command: str | None) -> None:
    """Refuse a command that cannot be run here.

    Raises:
        InputError: saying why.
    """
    if command is None:
        return
    words = _words(command)
    if shutil.which(words[0]) is None:
        where = "that is executable" if "/" in words[0] else "on PATH"
        raise InputError(f"--notify: expected a program, found no {words[0]!r} {where}")


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--notify: expected a command, found {command!r} ({error})") from None
    if not words or not words[0]:
        raise InputError(f"--notify: expected a command, found {command!r}")
    return words


class Notifier:
    """Runs the command at each event."""

    def __init__(self, command: str | None, out: str, aim: Aim) -> None:
        self._words = [] if command is None else _words(command)
        self._always = {
            "HPO_OUT": os.path.abspath(out),
            "HPO_METRIC": aim.metric,
            "HPO_GOAL": aim.goal,
        }
        self._first: threading.Thread | None = None

    def trial_failed(self, result: Result, tally: Tally) -> None:
        """Tell of a failed trial, if it is the first, beside all else."""
        if not self._words or self._first is not None:
            return
        more = {
            "HPO_TRIAL_ID": result.id,
            "HPO_CONFIG": json.dumps(result.config),
            "HPO_ERROR": last_line(result.error),
        }
        words = (TRIAL_FAILED, tally, more)
        self._first = threading.Thread(target=self._run, args=words, name="notify", daemon=True)
        self._first.start()

    def ended(self, code: ExitCode, now: Standing, reason: str | None = None) -> None:
        """Tell how the search has ended; returns when the command has."""
        failed = [its for its in now.finished if its.status is Status.FAILED]
        error = last_line(failed[-1].error) if failed and code is ExitCode.FAILED else ""
        more = {"HPO_EXIT_CODE": str(int(code)), "HPO_ERROR": error, "HPO_REASON": reason or ""}
        self._tell(_EVENTS.get(code, FAILED), now, more)

    def crashed(self, error: Exception, now: Standing) -> None:
        """Tell of an error that ends the search; returns when the command has."""
        code = getattr(error, "exit_code", ExitCode.FAILED)
        text = f"{type(error).__name__}: {last_line(str(error))}"
        self._tell(FAILED, now, {"HPO_EXIT_CODE": str(int(code)), "HPO_ERROR": text})

    def _tell(self, event: str, now: Standing, more: Mapping[str, str]) -> None:
        if not self._words:
            return
        if self._first is not None:
            self._first.join()  # one after the other; it has its own limit
        self._run(event, Tally.of_standing(now), more)

    def _run(self, event: str, tally: Tally, more: Mapping[str, str]) -> None:
        facts = {"HPO_EVENT": event, **self._always, **_facts(tally), **more}
        environ = {name: value.replace("\0", "?") for name, value in facts.items()}
        environ["HPO_ERROR"] = environ["HPO_ERROR"][:MAX_ERROR_CHARS]
        try:
            wrong, output = _run(self._words, launcher.without() | environ)
        except (OSError, ValueError) as error:
            wrong, output = str(error), ""
        _logger.info(
            "--notify (%s): %s%s", event, wrong or "done", f"\n{output}" if output else ""
        )
        if wrong:
            _logger.warning("--notify (%s): %s: %s", event, shlex.join(self._words), wrong)


def _facts(tally: Tally) -> dict[str, str]:
    best = tally.best
    return {
        "HPO_N_DONE": str(tally.n_done),
        "HPO_N_FAILED": str(tally.n_failed),
        "HPO_N_PRUNED": str(tally.n_pruned),
        "HPO_N_TRIALS": str(tally.n_trials),
        "HPO_BEST_SCORE": "" if best is None else repr(best.score),
        "HPO_BEST_TRIAL_ID": "" if best is None else best.trial_id,
        "HPO_BEST_CONFIG": "" if best is None else json.dumps(best.config),
        "HPO_EXIT_CODE": "",
        "HPO_ERROR": "",
        "HPO_REASON": "",
        "HPO_TRIAL_ID": "",
        "HPO_CONFIG": "",
    }


def _run(words: list[str], environ: Mapping[str, str]) -> tuple[str, str]:
    """Run a command; give what went wrong, if anything did, and what it printed."""
    with tempfile.TemporaryFile() as output:
        with Process(words, environ, stdout=output, stderr=output) as process:
            while (code := process.wait()) is None and process.seconds < LIMIT_S:
                pass
            if code is None:
                process.stop(GRACE_S)
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - MAX_OUTPUT_BYTES))
        text = output.read().decode(errors="replace").rstrip()
    if code is None:
        return f"ended, as it took longer than {LIMIT_S:g} s", text
    return "" if code == 0 else ending(code), text
