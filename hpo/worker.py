"""What a rank does with one trial: train it, try again, save it, put its result on disk."""

from __future__ import annotations

import csv
import time
import traceback
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo import journal, lock
from hpo.arrays import UNREADABLE, save_arrays
from hpo.epochs import Epoch, Progress
from hpo.errors import DivergedError, LockLostError
from hpo.report import settings_text
from hpo.rundir import RunDir, write_whole
from hpo.schedule import IsCalledHome, Work
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
        self._saved: list[Merit] = []  # trials of this rank whose weights are in models/

    def evaluate(self, work: Work, is_called_home: IsCalledHome) -> Result | None:
        """Train a trial and journal its result; None if it was stopped and saved instead.

        Raises:
            LockLostError: if another start has taken over the run directory.
        """
        with self.usage.counts("work_s"):
            return self._evaluate(work, is_called_home)

    def _evaluate(self, work: Work, is_called_home: IsCalledHome) -> Result | None:
        trial, attempt = work.job.trial, work.job.attempt
        lock.check_held(*self._held)
        self._state.trains(trial.id)
        folder = _Folder(self._run, trial)
        last = attempt + self._retries
        while True:
            folder.say(f"attempt {attempt} on host {self._signature.host}")
            tried = self._try(trial, attempt, folder, is_called_home)
            if tried is None:
                self._state.rests()
                return None
            if tried.is_final or attempt == last:
                break
            attempt += 1
        self._publish(tried, work.best)
        score = "" if tried.result.score is None else f": score {tried.result.score}"
        folder.say(f"{tried.result.status.value}{score}")
        folder.forget_checkpoint()
        self._state.rests()
        return tried.result

    def _try(
        self, trial: Trial, attempt: int, folder: _Folder, is_called_home: IsCalledHome
    ) -> _Tried | None:
        """Train a trial once; what it raises is a value, as the search goes on."""
        training: Training | None = None
        try:
            training = self._begin(trial, folder)
            if not self._train(training, folder, is_called_home):
                return None
            best = training.progress.best
            if best.is_average_better:
                folder.say(f"in epoch {best.epoch} the averaged weights are the better ones")
            done = {"score": best.score, "val_loss": best.score_loss, "best_epoch": best.epoch}
            result = self._result(trial, attempt, training, Status.DONE, **done)
            return _Tried(result, training.best_weights, is_final=True)
        except (OSError, LockLostError):
            raise  # of this program's own files, not of the trial
        except DivergedError as error:
            result = self._result(trial, attempt, training, Status.FAILED, error=str(error))
            return _Tried(result, [], is_final=True)  # trying again would give the same
        except Exception as error:
            text = "".join(traceback.format_exception(error))[-MAX_ERROR_CHARS:]
            folder.say(text)
            folder.forget_checkpoint()
            result = self._result(trial, attempt, training, Status.FAILED, error=text)
            return _Tried(result, [], is_final=False)

    def train_for_weights(self, trial: Trial) -> None:
        """Train a finished trial once more, to have its weights; its result stays as it is.

        Like any other it is saved and continued when it is stopped.
        """
        self._state.trains(trial.id)
        folder = _Folder(self._run, trial)
        folder.say("trained once more, for its weights")
        training = self._begin(trial, folder)
        if self._train(training, folder, self._stop.is_requested):
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

    def _train(self, training: Training, folder: _Folder, is_called_home: IsCalledHome) -> bool:
        """Train to the end, or save the trial when the search is to stop and give False."""
        saved_s = checked_s = time.monotonic()
        while not training.is_finished():
            now_s = time.monotonic()
            is_stopping = self._stop.is_requested() or is_called_home()
            is_to_save = is_stopping or now_s - saved_s > CHECKPOINT_EVERY_S
            if is_to_save or now_s - checked_s > lock.RENEW_S:
                lock.check_held(*self._held)
                checked_s = now_s
            if is_to_save:
                training.save(folder.checkpoint)
                self._state.saved()
                saved_s = now_s
            if is_stopping:
                folder.say(f"stopped and saved in epoch {len(training.progress.history) + 1}")
                return False
            epoch = training.advance()
            if epoch is not None:
                folder.add(epoch)
                self._state.epoch(epoch.epoch)
        return True

    def _result(
        self,
        trial: Trial,
        attempt: int,
        training: Training | None,
        status: Status,
        **outcome: Any,
    ) -> Result:
        progress = training.progress if training else Progress()
        return replace(
            self._signature,
            id=trial.id,
            config=trial.config,
            status=status,
            epochs=len(progress.history),
            seconds=round(progress.seconds, 3),
            attempt=attempt,
            **outcome,
        )

    def _publish(self, tried: _Tried, best: Merit) -> None:
        """Put the result on disk; before it, its weights if it may be the winner."""
        result, mine = tried.result, merit(tried.result)
        is_best = result.status is Status.DONE and mine < min([best, *self._saved])
        if is_best:
            save_arrays(self._run.weights(result.id), best=tried.weights)
        lock.check_held(*self._held)
        self._writer.append(result)
        if is_best:
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
