"""Which rank runs which trial when: both ends of the conversation on one screen.

`dynamic`: every rank, rank 0 too, asks for a trial whenever it is free. A manager thread beside
rank 0's own training answers; while it lives it is the only thread of rank 0 that calls MPI.

    worker                             manager
    FREE (my last result, or none) ──▶
                                   ◀── WORK (a trial)       or
                                   ◀── HOME (there is no more)
    (training)                     ◀── HOME (stop now; at any time, once)
    FREE (result, or none: saved)  ──▶

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
from typing import Any

from hpo.order import Job, Queue
from hpo.stopping import Stop
from hpo.trial import WORST, Merit, Result, Trial, merit
from hpo.world import Backoff, World

_logger = logging.getLogger(__name__)


class Tag(enum.IntEnum):
    FREE = 1  # to the manager: I am free; what became of my last trial
    WORK = 2  # to a worker: train this
    HOME = 3  # to a worker: leave, and save a trial that is under way


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


IsCalledHome = Callable[[], bool]
# Trains a job and journals its result; None if it was saved unfinished. Asks now and then
# whether it is called home.
Evaluate = Callable[[Work, IsCalledHome], Result | None]
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
        result = evaluate(work, link.is_called_home)
        report = Free(result, stop.reason)
        if link.is_called_home():
            link.tell(report)
            return


def _manage(
    world: World,
    local: _LocalLink,
    jobs: Queue,
    stop: Stop,
    best: Merit,
    on_result: OnResult,
) -> None:
    """The manager: answer every rank until all have gone home."""
    here = set(range(world.size))
    called: set[int] = set()
    pause = Backoff()

    def send(rank: int, work: Work | None) -> None:
        if rank == 0:
            local.answers.put(work)
        else:
            world.send(work, to=rank, tag=Tag.HOME if work is None else Tag.WORK)

    while here:
        if stop.is_requested():
            for rank in here - called:
                send(rank, None)
            called |= here
        # Others first: each answer to this rank's own worker is a fight of two threads for one
        # interpreter, and with trials that short its core serves all better by answering.
        message = world.poll(tag=Tag.FREE) or local.poll()
        if message is None:
            pause()
            continue
        pause.reset()
        rank, _, report = message
        if report.result is not None:
            jobs.note(report.result)
            best = min(best, merit(report.result))
            on_result(report.result)
        if report.stopped:
            stop.request(report.stopped)
        if rank in called:  # its report and our call have crossed, or this is its farewell
            here.remove(rank)
            continue
        job = None if stop.is_requested() else jobs.take(rank, stop.time_left_s())
        send(rank, None if job is None else Work(job, best))
        if job is None:
            here.remove(rank)


def _manage_or_fail(world: World, local: _LocalLink, *others: Any) -> None:
    """Run the manager; its error becomes that of rank 0's worker, which ends the search."""
    try:
        _manage(world, local, *others)
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
        result = evaluate(Work(job, best), stop.is_requested)
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
        self.reports: queue.SimpleQueue[Free] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Work | BaseException | None] = queue.SimpleQueue()

    def ask(self, report: Free) -> Work | None:
        self.reports.put(report)
        answer = self.answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def tell(self, report: Free) -> None:
        self.ask(report)  # the answer is there: that it was called home

    def is_called_home(self) -> bool:
        return not self.answers.empty()  # nothing else comes while it trains, or an error

    def raise_error(self) -> None:
        """Raise what the manager has raised since the worker went home."""
        while not self.answers.empty():
            answer = self.answers.get()
            if isinstance(answer, BaseException):
                raise answer

    def poll(self) -> tuple[int, int, Free] | None:
        """Take the worker's report, on the manager's side."""
        return None if self.reports.empty() else (0, Tag.FREE, self.reports.get())


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
