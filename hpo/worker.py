"""What a rank does with one trial: train it, try again, keep its model, put its result on disk."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hpo import journal, lock, seeds
from hpo.attempt import Attempt, Ending, Hooks, words
from hpo.checkpoint import Checkpoint
from hpo.contract import Objective, Setting
from hpo.epochfile import EpochFile
from hpo.epochs import Progress
from hpo.errors import ContractError, DivergedError, FilesError, LockLostError
from hpo.groups import Group
from hpo.order import Job
from hpo.ranklog import of_trial
from hpo.report import settings_text
from hpo.rundir import RunDir, write_whole
from hpo.schedule import Alone, Link, Work
from hpo.state import RankState
from hpo.stopping import Stop
from hpo.terms import Terms
from hpo.trial import Aim, Merit, Result, Status, Trial, merit
from hpo.usage import Usage, peak_memory_bytes

_logger = logging.getLogger(__name__)


class Worker:
    """Trains what it is given, one trial after the other."""

    def __init__(
        self,
        run: RunDir,
        objective: Objective,
        terms: Terms,
        setting: Setting,
        writer: journal.Writer,
        state: RankState,
        *,
        group: Group,
        stop: Stop,
        held: tuple[Path, str],
        signature: Result,
        retries: int,
    ) -> None:
        """Prepare to train.

        Args:
            group: the ranks that train with this one, their leader.
            held: the lock's file and the start that must hold it.
            signature: a result whose rank, host, threads, metric and goal all of this worker's
                results bear.
        """
        self._run = run
        self._objective, self.terms, self._setting = objective, terms, setting
        self._writer = writer
        self._state = state
        self._group = group
        self._stop = stop
        self._held = held
        self._signature = signature
        self._aim = Aim(signature.metric, signature.goal)
        self._retries = retries
        self.usage = Usage()
        self._saved: list[Merit] = []  # trials of this rank whose models are in models/

    def evaluate(self, work: Work, link: Link) -> Result | None:
        """Train a trial and journal its result; None if it was stopped instead.

        Raises:
            FilesError: if a file of the run directory cannot be written.
            LockLostError: if another start has taken over the run directory.
        """
        with self.usage.counts("work_s"), of_trial(work.job.trial.id):
            return self._evaluate(work, link)

    def _evaluate(self, work: Work, link: Link) -> Result | None:
        job, number = work.job, work.job.attempt
        lock.check_held(*self._held)
        self._note_trial(job.trial)
        began_s = time.time()
        folder = _Folder(self._run, job.trial)
        last = number + self._retries
        while True:
            folder.say(f"attempt {number} on host {self._signature.host}", logging.DEBUG)
            with self._attempt(job, folder, link) as attempt:
                tried = self._try(attempt, job, number, folder)
                if tried is None:
                    self._state.rests()
                    return None
                if attempt.is_to_begin_anew:
                    continue
                if tried.is_final or number == last:
                    result = replace(tried.result, began_s=round(began_s, 3))
                    result = self._publish(result, work, attempt, folder)
                    break
            number += 1
        score = "" if result.score is None else f": score {result.score}"
        folder.say(f"{result.status.value}{score}", logging.DEBUG)  # rank 0 tells of results
        if result.status is not Status.PRUNED:
            folder.checkpoint.forget()
        self._state.rests()
        return result

    def _try(self, attempt: Attempt, job: Job, number: int, folder: _Folder) -> _Tried | None:
        """Train a trial once; what it raises is a value, as the search goes on."""
        try:
            ending = self._train(attempt, job.trial, folder)
        except (FilesError, LockLostError):
            raise
        except (DivergedError, ContractError) as error:
            failed = self._result(job, number, attempt.progress, Status.FAILED, str(error))
            return _Tried(failed, is_final=True)  # trying again would give the same
        except Exception as error:
            text = words(error)
            folder.say(text)
            folder.checkpoint.forget()
            failed = self._result(job, number, attempt.progress, Status.FAILED, text)
            return _Tried(failed, is_final=False)
        if ending is Ending.STOPPED:
            return None
        status = Status.PRUNED if ending is Ending.PRUNED else Status.DONE
        best = attempt.progress.best
        if best.mark(self._aim).is_average:
            folder.say(
                f"in epoch {best.epoch} the averaged weights are the better ones", logging.DEBUG
            )
        return _Tried(self._result(job, number, attempt.progress, status), is_final=True)

    def train_for_model(self, trial: Trial) -> None:
        """Train a finished trial once more, to have its model; its result stays as it is.

        Like any other it is saved and continued when it is stopped.
        """
        self._note_trial(trial)
        folder = _Folder(self._run, trial)
        alone = Alone(self._stop)
        with (
            of_trial(trial.id),
            self._attempt(Job(trial, "", 0.0), folder, alone, is_measured=False) as attempt,
        ):
            folder.say("trained once more, for its model")
            if self._train(attempt, trial, folder) is Ending.FINISHED:
                attempt.keep(self._run.model(trial.id))
                folder.checkpoint.forget()
        self._state.rests()

    def _attempt(
        self, job: Job, folder: _Folder, link: Link, *, is_measured: bool = True
    ) -> Attempt:
        asked = job.begin

        def may_go_on(progress: Progress) -> bool:
            nonlocal asked
            rung = progress.n_epochs
            if rung not in job.rungs or rung <= asked:
                return True
            asked = rung
            return link.may_go_on(self._result(job, job.attempt, progress, Status.PRUNED))

        def on_epoch(progress: Progress) -> None:
            folder.add(progress)
            self._state.epoch(progress.n_epochs)
            if _logger.isEnabledFor(logging.DEBUG):
                _logger.debug("epoch %d: %s", progress.n_epochs, _metrics_text(progress))

        def on_saved() -> None:
            self._state.saved()
            _logger.debug("saved")

        hooks = Hooks(
            is_called_home=lambda: self._stop.is_requested() or link.is_called_home(),
            check_held=lambda: lock.check_held(*self._held),
            may_go_on=may_go_on,
            on_epoch=on_epoch,
            on_stop=self._stop.request,
            on_saved=on_saved,
            say=folder.say,
        )
        return Attempt(
            *(folder.checkpoint, hooks),
            group=self._group,
            aim=self._aim,
            usage=self.usage,
            is_measured=is_measured,
        )

    def _note_trial(self, trial: Trial) -> None:
        epochs = self.terms.complete(trial.config).get("epochs")
        n_epochs = epochs if isinstance(epochs, int) else None
        self._state.trains(trial.id, trial.config, n_epochs)

    def _train(self, attempt: Attempt, trial: Trial, folder: _Folder) -> Ending:
        folder.rewrite(attempt.progress)
        return attempt.run(
            *(self._objective, self.terms.complete(trial.config), trial.id),
            seed=seeds.trial_seed(trial.id, self._setting.seed),
            setting=self._setting,
            folder=folder.root,
        )

    def _result(
        self,
        job: Job,
        number: int,
        progress: Progress,
        status: Status,
        error: str | None = None,
    ) -> Result:
        at = partial(progress.at, tells_metrics=not self._objective.metrics)
        rungs = tuple(at(epoch) for epoch in job.rungs if epoch <= progress.n_epochs)
        result = replace(
            self._signature,
            id=job.trial.id,
            config=job.trial.config,
            status=status,
            epochs=progress.n_epochs,
            seconds=round(progress.seconds, 3),
            attempt=number,
            error=error,
            rungs=rungs,
        )
        if status is Status.FAILED:
            return result
        _, score, val_loss, best_epoch, metrics = at(progress.n_epochs)
        return replace(
            *(result,), score=score, val_loss=val_loss, best_epoch=best_epoch, metrics=metrics
        )

    def _publish(self, result: Result, work: Work, attempt: Attempt, folder: _Folder) -> Result:
        """Put the result on disk; before it, its model if it may be the winner."""
        mine = merit(result)
        is_done = result.status is Status.DONE
        is_best = is_done and mine < min([work.best, *self._saved])
        if is_best or (is_done and work.job.keeps_weights):
            try:
                attempt.keep(self._run.model(result.id))
            except Exception as error:
                folder.say(text := words(error))
                unscored = replace(result, score=None, val_loss=None, best_epoch=None)
                result = replace(unscored, status=Status.FAILED, error=text)
                is_best = False
        lock.check_held(*self._held)
        result = replace(
            result, ended_s=round(time.time(), 3), peak_memory_mb=peak_memory_bytes() // 1_000_000
        )
        self._writer.append(result)
        if is_best and not work.job.keeps_weights:
            for _, _, beaten in self._saved:
                self._run.forget_model(beaten)
            self._saved = [mine]
        return result


@dataclass(frozen=True)
class _Tried:
    """What came of training a trial once; another try is of use unless `is_final`."""

    result: Result
    is_final: bool


class _Folder:
    """The files of one trial."""

    def __init__(self, run: RunDir, trial: Trial) -> None:
        self.root = run.trial(trial.id)
        self.checkpoint = Checkpoint(run.checkpoint(trial.id))
        self._log = run.log_of(trial.id)
        self._epochs = EpochFile(run.epochs_of(trial.id))
        self.root.mkdir(parents=True, exist_ok=True)
        write_whole(self.root / "config.yaml", settings_text(trial.config), durable=False)

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Write to the trial's log, and to the search's."""
        _logger.log(level, "%s", text)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text.rstrip()}\n")

    def rewrite(self, progress: Progress) -> None:
        """Write epochs.csv anew."""
        self._epochs.rewrite([epoch.metrics for epoch in progress.history])

    def add(self, progress: Progress) -> None:
        """Add the last epoch."""
        self._epochs.add([epoch.metrics for epoch in progress.history])


def _metrics_text(progress: Progress) -> str:
    metrics = progress.history[-1].metrics
    return ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
