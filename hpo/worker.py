"""What a rank does with one trial: train it, try again, save it, put its result on disk."""

from __future__ import annotations

import csv
import time
import traceback
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from hpo import journal, lock
from hpo.arrays import UNREADABLE, save_arrays
from hpo.epochs import Epoch, Progress
from hpo.errors import DivergedError, LockLostError
from hpo.order import Job
from hpo.report import settings_text
from hpo.rundir import RunDir, write_whole
from hpo.schedule import Alone, Link, Work
from hpo.state import RankState
from hpo.stopping import Stop
from hpo.train import Trainer, Training
from hpo.trial import Merit, Result, Status, Trial, merit

MAX_ERROR_CHARS = 4000  # of a traceback, its end
CHECKPOINT_EVERY_S = 300.0  # what a kill without warning may cost a long trial


class Worker:
    """Trains what it is given, one trial after the other."""

    def __init__(
        self,
        run: RunDir,
        trainer: Trainer,
        writer: journal.Writer,
        state: RankState,
        *,
        stop: Stop,
        held: tuple[Path, str],
        signature: Result,
        retries: int,
    ) -> None:
        """Prepare to train.

        Args:
            held: the lock's file and the start that must hold it.
            signature: a result whose rank, host and threads all of this worker's results bear.
        """
        self._run = run
        self._trainer = trainer
        self._writer = writer
        self._state = state
        self._stop = stop
        self._held = held
        self._signature = signature
        self._retries = retries
        self.usage = trainer.usage
        self.dataset = trainer.dataset
        self._saved: list[Merit] = []  # trials of this rank whose weights are in models/

    def evaluate(self, work: Work, link: Link) -> Result | None:
        """Train a trial and journal its result; None if it was stopped and saved instead.

        Raises:
            LockLostError: if another start has taken over the run directory.
        """
        with self.usage.counts("work_s"):
            return self._evaluate(work, link)

    def _evaluate(self, work: Work, link: Link) -> Result | None:
        job, attempt = work.job, work.job.attempt
        lock.check_held(*self._held)
        self._state.trains(job.trial.id)
        folder = _Folder(self._run, job.trial)
        last = attempt + self._retries
        while True:
            folder.say(f"attempt {attempt} on host {self._signature.host}")
            tried = self._try(job, attempt, folder, link)
            if tried is None:
                self._state.rests()
                return None
            if tried.is_final or attempt == last:
                break
            attempt += 1
        self._publish(tried, work)
        score = "" if tried.result.score is None else f": score {tried.result.score}"
        folder.say(f"{tried.result.status.value}{score}")
        if tried.result.status is not Status.PRUNED:
            folder.forget_checkpoint()
        self._state.rests()
        return tried.result

    def _try(self, job: Job, attempt: int, folder: _Folder, link: Link) -> _Tried | None:
        """Train a trial once; what it raises is a value, as the search goes on."""
        training: Training | None = None
        try:
            training = self._begin(job.trial, folder)
            status = self._train(training, job, folder, link)
            if status is None:
                return None
            best = training.progress.best
            if best.mark(training.progress.aim).is_average:
                folder.say(f"in epoch {best.epoch} the averaged weights are the better ones")
            result = self._result(job, attempt, training, status)
            return _Tried(result, training.best_weights, is_final=True)
        except (OSError, LockLostError):
            raise  # of this program's own files, not of the trial
        except DivergedError as error:
            result = self._result(job, attempt, training, Status.FAILED, str(error))
            return _Tried(result, [], is_final=True)  # trying again would give the same
        except Exception as error:
            text = "".join(traceback.format_exception(error))[-MAX_ERROR_CHARS:]
            folder.say(text)
            folder.forget_checkpoint()
            result = self._result(job, attempt, training, Status.FAILED, text)
            return _Tried(result, [], is_final=False)

    def train_for_weights(self, trial: Trial) -> None:
        """Train a finished trial once more, to have its weights; its result stays as it is.

        Like any other it is saved and continued when it is stopped.
        """
        self._state.trains(trial.id)
        folder = _Folder(self._run, trial)
        folder.say("trained once more, for its weights")
        training = self._begin(trial, folder)
        if self._train(training, Job(trial, "", 0.0), folder, Alone(self._stop)):
            save_arrays(self._run.weights(trial.id), best=training.best_weights)
            folder.forget_checkpoint()
        self._state.rests()

    def _begin(self, trial: Trial, folder: _Folder) -> Training:
        checkpoint = self._run.checkpoint(trial.id)
        if checkpoint.exists():
            try:
                training = self._trainer.begin(trial, checkpoint)
            except (*UNREADABLE, TypeError) as error:
                folder.say(f"its checkpoint cannot be read and is left aside: {error}")
            else:
                folder.rewrite(training.progress.history)
                folder.say(f"goes on after epoch {len(training.progress.history)}")
                return training
        folder.rewrite([])
        return self._trainer.begin(trial)

    def _train(self, training: Training, job: Job, folder: _Folder, link: Link) -> Status | None:
        """Train to the end or a rung; None if the trial was saved as the search is to stop."""
        saved_s = checked_s = time.monotonic()
        asked = job.begin
        while not training.is_finished():
            now_s = time.monotonic()
            is_stopping = self._stop.is_requested() or link.is_called_home()
            is_to_save = is_stopping or now_s - saved_s > CHECKPOINT_EVERY_S
            if is_to_save or now_s - checked_s > lock.RENEW_S:
                lock.check_held(*self._held)
                checked_s = now_s
            if is_to_save:
                self._save(training, folder)
                saved_s = now_s
            if is_stopping:
                folder.say(f"stopped and saved in epoch {training.progress.n_epochs + 1}")
                return None
            rung = training.progress.rung
            if rung in job.rungs and rung > asked:
                asked = rung
                so_far = self._result(job, job.attempt, training, Status.PRUNED)
                if not link.may_go_on(so_far):
                    self._save(training, folder)
                    return Status.PRUNED
                continue  # it may have been called home instead
            epoch = training.advance()
            if epoch is not None:
                folder.add(epoch)
                self._state.epoch(epoch.epoch)
        return Status.DONE

    def _save(self, training: Training, folder: _Folder) -> None:
        training.save(folder.checkpoint)
        self._state.saved()

    def _result(
        self,
        job: Job,
        attempt: int,
        training: Training | None,
        status: Status,
        error: str | None = None,
    ) -> Result:
        progress = training.progress if training else Progress()
        rungs = tuple(progress.at(epoch) for epoch in job.rungs if epoch <= progress.n_epochs)
        result = replace(
            self._signature,
            id=job.trial.id,
            config=job.trial.config,
            status=status,
            epochs=progress.n_epochs,
            seconds=round(progress.seconds, 3),
            attempt=attempt,
            error=error,
            rungs=rungs,
        )
        if status is Status.FAILED:
            return result
        _, score, val_loss, best_epoch = progress.at(progress.n_epochs)
        return replace(result, score=score, val_loss=val_loss, best_epoch=best_epoch)

    def _publish(self, tried: _Tried, work: Work) -> None:
        """Put the result on disk; before it, its weights if it may be the winner."""
        result, mine = tried.result, merit(tried.result)
        is_done = result.status is Status.DONE
        is_best = is_done and mine < min([work.best, *self._saved])
        if is_best or (is_done and work.job.keeps_weights):
            save_arrays(self._run.weights(result.id), best=tried.weights)
        lock.check_held(*self._held)
        self._writer.append(result)
        if is_best and not work.job.keeps_weights:
            for _, _, beaten in self._saved:
                self._run.weights(beaten).unlink(missing_ok=True)
            self._saved = [mine]


@dataclass(frozen=True)
class _Tried:
    """What came of training a trial once; another try is of use unless `is_final`."""

    result: Result
    weights: list[np.ndarray]
    is_final: bool


class _Folder:
    """The files of one trial."""

    def __init__(self, run: RunDir, trial: Trial) -> None:
        self._root = run.trial(trial.id)
        self.checkpoint = run.checkpoint(trial.id)
        self._log = run.log_of(trial.id)
        self._epochs = self._root / "epochs.csv"
        self._root.mkdir(parents=True, exist_ok=True)
        write_whole(self._root / "config.yaml", settings_text(trial.config), durable=False)

    def say(self, text: str) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text.rstrip()}\n")

    def rewrite(self, history: list[Epoch]) -> None:
        """Begin epochs.csv anew, with the epochs that a checkpoint holds."""
        with self._epochs.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(
                [[field.name for field in fields(Epoch)], *map(astuple, history)]
            )

    def add(self, epoch: Epoch) -> None:
        with self._epochs.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(asdict(epoch).values())

    def forget_checkpoint(self) -> None:
        self.checkpoint.unlink(missing_ok=True)
