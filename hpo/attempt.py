"""One try of a trial: hears what it reports, and lets it go on, or saved, or not at all.

All ranks of a group run the trial, and meet at each of its reports; the leader, whose `Attempt`
this is, decides for them. What the others do is below, in `Follower`.

    leader                              members of its group
    order (or none: go home)       ──▶  `follow`
    at a report, or at the end     ◀─▶  where I am, what went wrong, whether I am to stop
    decision                       ──▶  go on, or leave; how far the trial is
"""

from __future__ import annotations

import enum
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hpo import lock
from hpo.checkpoint import Checkpoint
from hpo.contract import Context, Leave, Objective, Reporter, Save, Setting, drive
from hpo.epochs import Epoch, Progress, measured
from hpo.errors import CommandError, ContractError, FilesError, LockLostError
from hpo.groups import Group, MemberError, Place, Told, cause
from hpo.rundir import write_folder
from hpo.stopping import Stop
from hpo.trial import Aim, Config
from hpo.usage import Usage

CHECKPOINT_EVERY_S = 300.0  # what a kill without warning may cost a long trial
MAX_ERROR_CHARS = 4000  # of a traceback, its end


@dataclass(frozen=True)
class Order:
    """What the members of a group are to do: run this trial beside their leader."""

    trial_id: str
    config: Config
    seed: int
    folder: Path
    saved: Path | None
    n_epochs: int

    def context(self, setting: Setting, group: Group, reporter: Reporter) -> Context:
        """Give what the trial's objective gets on this rank."""
        return Context(
            self.trial_id,
            seed=self.seed,
            setting=setting,
            folder=self.folder,
            group=group,
            reporter=reporter,
        )


class Decision(NamedTuple):
    """What the leader answers."""

    leaves: bool
    n_epochs: int = 0
    is_best: bool = False


@dataclass(frozen=True)
class Hooks:
    """What a worker does while a trial is under way.

    Attributes:
        is_called_home: whether the search wants this rank to stop.
        check_held: raises if the run directory belongs to another start.
        may_go_on: asked after each epoch, with the progress; False prunes.
        on_epoch: told after every epoch.
        on_stop: told why another rank of the group was told to stop.
        on_saved: told when a checkpoint is on disk.
        say: writes to the trial's log.
    """

    is_called_home: Callable[[], bool]
    check_held: Callable[[], None]
    may_go_on: Callable[[Progress], bool]
    on_epoch: Callable[[Progress], None]
    on_stop: Callable[[str], None]
    on_saved: Callable[[], None]
    say: Callable[[str], None]


class Ending(enum.Enum):
    """How a try came to its end, where it raised nothing."""

    FINISHED = 1
    PRUNED = 2
    STOPPED = 3


class _OwnError(Exception):
    """Raised by an objective while it was called back: its failure and not the search's."""

    def __init__(self, raised: Exception) -> None:
        super().__init__(raised)
        self.raised = raised


class Attempt:
    """The leader's side of a try; `Reporter` of its context."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        hooks: Hooks,
        *,
        group: Group,
        aim: Aim,
        usage: Usage,
        is_measured: bool = True,
    ) -> None:
        """Take up a trial where its checkpoint left it.

        Args:
            is_measured: whether its metrics count; they do not where there is nothing to validate
                on.
        """
        self._checkpoint, self._hooks = checkpoint, hooks
        self._group, self._usage, self._is_measured = group, usage, is_measured
        self.progress = Progress(aim)
        self._ending = Ending.FINISHED
        self._is_restored = False
        self.is_to_begin_anew = False  # as its checkpoint cannot be read
        self._failure: Exception | None = None  # of the search itself, not of the trial
        self._context: Context | None = None
        self._saved: Path | None = None
        try:
            found = checkpoint.read()
            if found is not None:
                self.progress, self._saved = Progress.from_json(found[0], aim), found[1]
        except (ValueError, KeyError, TypeError) as error:
            hooks.say(f"its checkpoint cannot be read and is left aside: {error}")
        self._is_preparing = True
        self._clock_s = self._saved_s = self._checked_s = time.monotonic()

    @property
    def n_epochs(self) -> int:
        return self.progress.n_epochs

    @property
    def _is_best(self) -> bool:
        history = self.progress.history
        return bool(history) and (not self._is_measured or self.progress.best is history[-1])

    def run(
        self,
        objective: Objective,
        config: Config,
        trial_id: str,
        *,
        seed: int,
        setting: Setting,
        folder: Path,
    ) -> Ending:
        """Run the trial to its end, or to where it is to stop.

        Raises:
            FilesError, LockLostError: if the search cannot go on.
            Exception: whatever the objective raises, or `MemberError`.
        """
        order = Order(trial_id, config, seed, folder, self._saved, self.n_epochs)
        self._group.tell(order)
        self._context = context = order.context(setting, self._group, self)
        error: Exception | None = None
        try:
            drive(objective, dict(config), context, self)
        except Leave:
            error = self._failure
        except Exception as raised:
            error = self._failure or raised
        others = self._end(error)
        if others is not None and (error is None or isinstance(error, MemberError)):
            raise MemberError(others)
        if error is not None:
            raise error
        return self._ending

    def keep(self, path: Path) -> None:
        """Write what the objective keeps of the trained trial: an empty folder if nothing."""
        keeps = None if self._context is None else self._context.keeps
        write_folder(path, keeps or (lambda folder: None))

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *_: object) -> None:
        if self._context is not None:
            self._context.close()

    # --- what the context asks and tells ---

    def ready(self) -> None:
        if self._is_preparing:
            now_s = time.monotonic()
            self._usage.compile_s += now_s - self._clock_s
            self._clock_s, self._is_preparing = now_s, False

    def restore(self, load: Save) -> bool:
        if self._saved is None:
            return False
        try:
            load(self._saved)
        except Exception as error:
            # What it has restored of its state, nobody knows: it is begun again without.
            self._hooks.say(f"its checkpoint cannot be read and is left aside: {error}")
            self._checkpoint.forget()
            self.is_to_begin_anew = True
            raise
        self._hooks.say(f"goes on after epoch {self.n_epochs}")
        self._is_restored = True
        return True

    def rewind(self, n_epochs: int) -> None:
        del self.progress.history[n_epochs:]
        self._hooks.say(f"goes back to the end of epoch {n_epochs}")

    def report(self, told: object, *, is_last: bool = False) -> None:
        if is_last and told is None and self.n_epochs:
            return  # all has been reported
        self._count()
        self._meet()
        leaves = True
        try:
            if told is not None or is_last:
                self._hear(told)
            leaves = not is_last and self._leaves(is_between=told is not None)
        except _OwnError as error:
            raise error.raised from None
        except (OSError, LockLostError) as error:
            self._failure = error if isinstance(error, LockLostError) else FilesError(error)
        finally:
            self._decide(leaves=leaves)
        self._clock_s = time.monotonic()
        if leaves:
            raise Leave

    def _count(self) -> None:
        self._is_preparing = False
        took_s = time.monotonic() - self._clock_s
        self.progress.seconds += took_s
        self._usage.train_s += took_s

    def _hear(self, told: object) -> None:
        """Take in an epoch."""
        if told is None:
            raise ContractError("expected a result, found that nothing was returned or reported")
        if self._saved is not None and not self._is_restored:
            # It has begun anew, as it has not said how it is restored.
            self._saved, self.progress = None, Progress(self.progress.aim)
        number = self.n_epochs + 1
        if self._is_measured:
            metrics = measured(told, self.progress.aim, number)
        else:
            metrics = dict(told) if isinstance(told, Mapping) else {}
        self.progress.history.append(Epoch(number, metrics))
        self._hooks.on_epoch(self.progress)
        copies = None if self._context is None else self._context.copies
        if copies is not None and self._is_best:
            try:
                copies()
            except Exception as error:
                raise _OwnError(error) from error

    def _leaves(self, *, is_between: bool) -> bool:
        """Save the trial if it is time to; tell whether it is to end here."""
        if self._is_stopped():
            return True
        if not is_between:
            return False
        if not self._hooks.may_go_on(self.progress):
            self._save()
            self._ending = Ending.PRUNED
            return True
        return self._is_stopped()  # it may have been called home instead

    def _is_stopped(self) -> bool:
        now_s, hooks = time.monotonic(), self._hooks
        is_stopping = hooks.is_called_home()
        is_to_save = is_stopping or now_s - self._saved_s > CHECKPOINT_EVERY_S
        if is_to_save or now_s - self._checked_s > lock.RENEW_S:
            hooks.check_held()
            self._checked_s = now_s
        if is_to_save:
            is_saved = self._save()
            self._saved_s = now_s
        if is_stopping:
            how = "stopped and saved" if is_saved else "stopped, to begin anew,"
            hooks.say(f"{how} in epoch {self.n_epochs + 1}")
            self._ending = Ending.STOPPED
        return is_stopping

    def _save(self) -> bool:
        saves = None if self._context is None else self._context.saves
        if saves is None:
            return False

        def save(folder: Path) -> None:
            try:
                saves(folder)
            except Exception as error:
                raise _OwnError(error) from error

        self._checkpoint.write(self.progress.to_json(), save)
        self._hooks.on_saved()
        return True

    # --- the other ranks of the group ---

    def _meet(self) -> None:
        """Hear where the others are; all should be at a report.

        Raises:
            MemberError: if one of them is not.
        """
        if self._group.size > 1:
            self._heed(self._group.meet(Told(Place.REPORT)))

    def _decide(self, *, leaves: bool) -> None:
        if self._group.size > 1:
            self._group.tell(Decision(leaves, self.n_epochs, self._is_best))

    def _end(self, error: BaseException | None) -> str | None:
        """Wait until the others have come to their end; give what went wrong there."""
        if self._group.size == 1:
            return None
        told = _end(self._group, _ended(error))
        self._heed(told)
        return cause(told[1:])

    def _heed(self, told: list[Told]) -> None:
        for stop in filter(None, (its.stop for its in told)):
            self._hooks.on_stop(stop)


class Follower:
    """A member's side of a try; `Reporter` of its context."""

    def __init__(self, group: Group, order: Order, stop: Stop) -> None:
        self._group, self._order, self._stop = group, order, stop
        self._decision = Decision(False, order.n_epochs)
        self.context: Context | None = None

    @property
    def n_epochs(self) -> int:
        return self._decision.n_epochs

    def ready(self) -> None:
        pass

    def restore(self, load: Save) -> bool:
        if self._order.saved is None:
            return False
        load(self._order.saved)
        return True

    def rewind(self, n_epochs: int) -> None:
        self._decision = self._decision._replace(n_epochs=n_epochs)

    def report(self, told: object, *, is_last: bool = False) -> None:
        if is_last and told is None and self.n_epochs:
            return
        self._group.meet(Told(Place.REPORT, stop=self._stop.reason))
        self._decision = self._group.tell(self._decision)
        copies = None if self.context is None else self.context.copies
        if copies is not None and told is not None and self._decision.is_best:
            copies()
        if self._decision.leaves:
            raise Leave

    def end(self, error: BaseException | None) -> None:
        _end(self._group, _ended(error)._replace(stop=self._stop.reason))


def _end(group: Group, mine: Told) -> list[Told]:
    """Meet until all have come to the trial's end."""
    while True:
        told = group.meet(mine)
        if all(its.place is Place.END for its in told):
            return told


def follow(group: Group, objective: Objective, setting: Setting, stop: Stop) -> None:
    """Run the trials of a group's leader beside it, until there are no more."""
    while (order := group.tell(_NO_ORDER)) is not None:
        follower = Follower(group, order, stop)
        follower.context = context = order.context(setting, group, follower)
        error: BaseException | None = None
        try:
            drive(objective, dict(order.config), context, follower)
        except Leave:
            pass
        except Exception as raised:
            error = raised
        follower.end(error)
        context.close()


_NO_ORDER: Order | None = None


def dismiss(group: Group) -> None:
    """Send the members of a group home (its leader)."""
    group.tell(_NO_ORDER)


def _ended(error: BaseException | None) -> Told:
    if error is None:
        return Told(Place.END)
    return Told(Place.END, error=words(error), is_of_another=isinstance(error, MemberError))


def words(error: BaseException) -> str:
    """Say what was raised and where; of another program, its own words matter."""
    is_told = isinstance(error, CommandError)
    text = str(error) if is_told else "".join(traceback.format_exception(error))
    return text[-MAX_ERROR_CHARS:]
