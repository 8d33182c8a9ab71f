"""Which rank runs which trial when: both ends of the conversation on one screen.

`dynamic`: every rank, rank 0 too, asks for a trial whenever it is free. A manager thread beside
rank 0's own training answers; while it lives it is the only thread of rank 0 that calls MPI.

    worker                             manager
    FREE (my last result, or none) ──▶
                                   ◀── WORK (a trial)       or
                                   ◀── HOME (there is no more)
    RUNG (what it has come to)     ──▶
                                   ◀── MAY_GO_ON (yes, or no: save it, that was its result)
    (training)                     ◀── HOME (stop now; at any time, once)
    FREE (result, or none: saved)  ──▶

A rank that is free while others may yet bring work (a trial that may go on) gets its answer then.

`scatter`: rank 0 deals equal shares at the start and gathers the results at the end. Nobody speaks
between, so that a signal stops the ranks that get it (launchers send it to all).
"""

from __future__ import annotations

import enum
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol

from hpo.order import Job, Queue
from hpo.stopping import Stop
from hpo.trial import WORST, Merit, Result, Trial, merit
from hpo.world import Backoff, World

_logger = logging.getLogger(__name__)


class Tag(enum.IntEnum):
    FREE = 1  # to the manager: I am free; what became of my last trial
    WORK = 2  # to a worker: train this
    HOME = 3  # to a worker: leave, and save a trial that is under way
    RUNG = 4  # to the manager: my trial has come to a rung; may it go on?
    MAY_GO_ON = 5  # to a worker: whether it may


@dataclass(frozen=True)
class Free:
    """A worker's report. Without a result it has just begun, or was told to stop."""

    result: Result | None = None
    stopped: str | None = None  # why, if this rank itself was told to stop

    def __reduce__(self) -> tuple[Any, ...]:
        values = () if self.result is None else _VALUES_OF_RESULT(self.result)
        return _free_from, (self.stopped, *values)


@dataclass(frozen=True)
class Work:
    """A job, and the best that the manager knows of: worse ones' weights need no saving."""

    job: Job
    best: Merit

    def __reduce__(self) -> tuple[Any, ...]:
        _, *values = _VALUES_OF_JOB(self.job)
        return _work_from, (self.best, _VALUES_OF_TRIAL(self.job.trial), *values)


# Messages travel as their plain values: pickle takes two to three times as long for dataclasses
# in dataclasses, and while the manager is at it all ranks that are free wait.
_VALUES_OF_TRIAL, _VALUES_OF_JOB, _VALUES_OF_RESULT = (
    attrgetter(*kind.__slots__) for kind in (Trial, Job, Result)
)


def _free_from(stopped: str | None, *values: Any) -> Free:
    return Free(Result(*values) if values else None, stopped)


def _work_from(best: Merit, trial: tuple[Any, ...], *values: Any) -> Work:
    return Work(Job(Trial(*trial), *values), best)


class Link(Protocol):
    """The manager, as seen by what a worker trains."""

    def is_called_home(self) -> bool:
        """Whether to leave: asked now and then while training."""

    def may_go_on(self, result: Result) -> bool:
        """Whether a trial goes on from a rung: asked on each, with what it has come to."""


# Trains a job and journals its result; None if it was saved unfinished.
Evaluate = Callable[[Work, Link], Result | None]
OnResult = Callable[[Result], None]


def run(
    world: World,
    jobs: Queue,
    evaluate: Evaluate,
    *,
    stop: Stop,
    best: Merit = WORST,
    on_result: OnResult,
    schedule: str = "dynamic",
) -> None:
    """Train all jobs, or as many as can be until a stop (collective).

    Args:
        jobs: used on rank 0.
        on_result: called on rank 0 for every result: as it comes (dynamic; from the manager's
            thread), or at the end (scatter, for the other ranks' results).
    """
    if schedule == "dynamic" and not all(world.all_gather(world.allows_threads)):
        schedule = "scatter"
        if world.is_root:
            _logger.warning("MPI allows no second thread: trials are dealt at the start (scatter)")
    if schedule == "scatter":
        _scatter(world, jobs, evaluate, stop=stop, best=best, on_result=on_result)
    elif world.is_root:
        local = _LocalLink()
        manager = threading.Thread(
            target=_manage_or_fail,
            args=(world, local, jobs, stop, best, on_result),
            name="manager",
            daemon=True,  # an error in this rank's own training must not wait for it
        )
        manager.start()
        _work(local, evaluate, stop)
        manager.join()
        local.raise_error()
    else:
        _work(_RemoteLink(world), evaluate, stop)
    world.meet()


def _work(link: _LocalLink | _RemoteLink, evaluate: Evaluate, stop: Stop) -> None:
    """A worker: ask, train, ask again, until there is nothing more."""
    report = Free()
    while (work := link.ask(report)) is not None:
        result = evaluate(work, link)
        report = Free(result, stop.reason)
        if link.is_called_home():
            link.tell(report)
            return


class _Manager:
    """The manager: answers every rank until all have gone home."""

    def __init__(
        self,
        world: World,
        local: _LocalLink,
        jobs: Queue,
        stop: Stop,
        best: Merit,
        on_result: OnResult,
    ) -> None:
        self._world, self._local = world, local
        self._jobs, self._stop = jobs, stop
        self._best, self._on_result = best, on_result
        self._here = set(range(world.size))
        self._called: set[int] = set()  # told to stop in the middle of a trial
        self._free: list[int] = []

    def run(self) -> None:
        pause = Backoff()
        while self._here:
            if self._stop.is_requested():
                self._call_home()
            # Others first: each answer to this rank's own worker is a fight of two threads for one
            # interpreter, and with trials that short its core serves all better by answering.
            message = self._world.poll() or self._local.poll()
            if message is None:
                pause()
                continue
            pause.reset()
            self._hear(*message)
            self._serve()

    def _hear(self, rank: int, tag: int, report: Any) -> None:
        if tag == Tag.RUNG:
            if rank not in self._called:  # else our call has crossed it, and answers
                self._send(rank, Tag.MAY_GO_ON, self._jobs.may_go_on(report))
            return
        if report.result is not None:
            self._jobs.note(report.result)
            self._best = min(self._best, merit(report.result))
            self._on_result(report.result)
        if report.stopped:
            self._stop.request(report.stopped)
        if rank in self._called:  # its report and our call have crossed, or this is its farewell
            self._here.remove(rank)
        else:
            self._free.append(rank)

    def _serve(self) -> None:
        """Answer the free ranks; those that may find work in what others bring wait on."""
        free, self._free = self._free, []
        for rank in free:
            is_over = self._stop.is_requested()
            job = None if is_over else self._jobs.take(rank, self._stop.time_left_s())
            if job is not None:
                self._send(rank, Tag.WORK, Work(job, self._best))
            elif self._jobs.may_get_more and not is_over:
                self._free.append(rank)
            else:
                self._send(rank, Tag.HOME, None)
                self._here.remove(rank)

    def _call_home(self) -> None:
        self._serve()
        for rank in self._here - self._called:
            self._send(rank, Tag.HOME, None)
        self._called |= self._here

    def _send(self, rank: int, tag: Tag, value: Work | bool | None) -> None:
        if rank == 0:
            self._local.answers.put(value)
        else:
            self._world.send(value, to=rank, tag=tag)


def _manage_or_fail(world: World, local: _LocalLink, *others: Any) -> None:
    """Run the manager; its error becomes that of rank 0's worker, which ends the search."""
    try:
        _Manager(world, local, *others).run()
    except BaseException as error:
        local.answers.put(error)


def _scatter(
    world: World,
    jobs: Queue,
    evaluate: Evaluate,
    *,
    stop: Stop,
    best: Merit,
    on_result: OnResult,
) -> None:
    share = world.scatter(jobs.shares(world.size) if world.is_root else None)
    results = []
    for job in share:
        if stop.is_requested():
            break
        result = evaluate(Work(job, best), Alone(stop))
        if result is not None:
            results.append(result)
            best = min(best, merit(result))
            if world.is_root:
                jobs.note(result)
                on_result(result)
    gathered = world.gather((results, stop.reason))
    for theirs, stopped in (gathered or [])[1:]:
        for result in theirs:
            jobs.note(result)
            on_result(result)
        if stopped:
            stop.request(stopped)


class _LocalLink:
    """Rank 0's worker and the manager beside it: two queues."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[tuple[Tag, Free | Result]] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Work | bool | BaseException | None] = queue.SimpleQueue()
        self._is_called_home = False

    def ask(self, report: Free) -> Work | None:
        answer = self._answer(Tag.FREE, report)
        assert not isinstance(answer, bool)
        return answer

    def _answer(self, tag: Tag, report: Free | Result) -> Work | bool | None:
        self.reports.put((tag, report))
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def tell(self, report: Free) -> None:
        self.reports.put((Tag.FREE, report))

    def is_called_home(self) -> bool:
        # Nothing else comes while it trains, or an error.
        return self._is_called_home or not self.answers.empty()

    def may_go_on(self, result: Result) -> bool:
        answer = self._answer(Tag.RUNG, result)
        self._is_called_home = answer is None
        return answer is not False

    def raise_error(self) -> None:
        """Raise what the manager has raised since the worker went home."""
        while not self.answers.empty():
            answer = self.answers.get()
            if isinstance(answer, BaseException):
                raise answer

    def poll(self) -> tuple[int, Tag, Any] | None:
        """Take the worker's report, on the manager's side."""
        return None if self.reports.empty() else (0, *self.reports.get())


class _RemoteLink:
    """Another rank's worker, over MPI."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_called_home = False

    def ask(self, report: Free) -> Work | None:
        self.tell(report)
        work: Work | None = self._world.receive(source=0)[2]
        return work

    def tell(self, report: Free) -> None:
        self._world.send(report, to=0, tag=Tag.FREE)

    def is_called_home(self) -> bool:
        self._is_called_home |= self._world.poll(source=0, tag=Tag.HOME) is not None
        return self._is_called_home

    def may_go_on(self, result: Result) -> bool:
        self._world.send(result, to=0, tag=Tag.RUNG)
        _, tag, answer = self._world.receive(source=0)
        self._is_called_home |= tag == Tag.HOME
        return answer is not False


@dataclass(frozen=True)
class Alone:
    """The link of a worker that nobody speaks to while it trains."""

    stop: Stop

    def is_called_home(self) -> bool:
        return self.stop.is_requested()

    def may_go_on(self, result: Result) -> bool:
        return True
