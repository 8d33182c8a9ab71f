"""A queue of trials that climb from rung to rung: pruning, as the order sees it.

What is handed out is a trial's way to its next rung. A trial that was stopped there waits, and
comes back with the way that follows once the pruner lets it go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hpo import pruning
from hpo.order import NO_SOURCE, Job, Line, Queue, Source
from hpo.pruning import Member, Pruner
from hpo.trial import Result, Status


class Climb(Queue):
    """A queue whose trials have to ask whether they may go on."""

    def __init__(
        self,
        jobs: Iterable[Job],
        pruner: Pruner,
        results: Iterable[Result],
        source: Source = NO_SOURCE,
    ) -> None:
        """Take in what is to be trained.

        Args:
            jobs: all that may be trained, those that stand on a rung included.
            results: all that earlier starts have left of the pruner's trials.
        """
        self._pruner = pruner
        self._jobs = {job.trial.id: job for job in jobs}
        self._results = {result.id: result for result in results}
        self._rescued: set[str] = set()  # goes to its end whatever the pruner says
        for result in self._results.values():
            pruner.note(result)
        self._queued: set[str] = set()  # those that wait to go on
        begun = {name for name in self._results if self._is_stopped(name)}
        first = (_way(job, 0) for name, job in self._jobs.items() if name not in begun)
        super().__init__(first, source)
        self.n_jobs = len(self._jobs) + source.n_left
        self._resume()

    def _take(self, rank: int, time_left_s: float) -> Job | None:
        job = super()._take(rank, time_left_s)
        if job is None and not len(self):
            ahead = self._pruner.likeliest(self._is_free) or self._lost_winner()
            if ahead is not None:
                self._continue(ahead)
                job = super()._take(rank, time_left_s)
        return job

    def add(self, job: Job) -> None:
        if job.trial.id not in self._jobs:  # a new one
            self._pruner.add(Member(job.trial.id, job.trial.index, job.epochs))
            rungs = self._pruner.asks_at(job.trial.id)
            job = replace(job, rungs=rungs, keeps_weights=True)
            self._jobs[job.trial.id] = job
            job = _way(job, 0)
        super().add(job)

    def _remove(self, line: Line, place: int) -> Job:
        job = super()._remove(line, place)
        self._queued.discard(job.trial.id)
        return job

    def _lost_winner(self) -> str | None:
        """Name a trial that must go to its end as no other did, once all else is over."""
        if self._taken:
            return None
        outcomes = {name: self._pruner.outcome(its) for name, its in self._results.items()}
        counted = {name: its for name, its in outcomes.items() if its is not None}
        lost = pruning.without_winner(counted, self._results)
        if lost is None or lost not in self._jobs:
            return None
        self._rescued.add(lost)
        return lost

    def may_go_on(self, result: Result) -> bool:
        with self._guard:
            goes_on = self._pruner.may_go_on(result) or result.id in self._rescued
            self._resume()
            job = self._taken.get(result.id)
            if goes_on and job is not None:
                way = _way(self._jobs[result.id], result.epochs)
                longer_s = job.predicted_s + way.predicted_s
                self._taken[result.id] = replace(job, predicted_s=longer_s)
            return goes_on

    def note(self, result: Result) -> None:
        with self._guard:
            before = self._results.get(result.id)
            spent_s = before.seconds if before is not None else 0.0
            super().note(replace(result, seconds=max(0.0, result.seconds - spent_s)))
            self._results[result.id] = result
            self._pruner.note(result)
            # Its word may have come while it was being saved.
            if self._is_free(result.id) and self._pruner.goes_on(result.id):
                self._continue(result.id)
            self._resume()

    def _resume(self) -> None:
        for trial_id in self._pruner.ready():
            if self._is_free(trial_id):
                self._continue(trial_id)

    def _continue(self, trial_id: str) -> None:
        self._queued.add(trial_id)
        self.add(_way(self._jobs[trial_id], self._results[trial_id].epochs))

    def _is_free(self, trial_id: str) -> bool:
        """Tell whether a trial stands on a rung, and neither waits here nor is with a rank."""
        return (
            self._is_stopped(trial_id)
            and trial_id not in self._taken
            and trial_id not in self._queued
        )

    def _is_stopped(self, trial_id: str) -> bool:
        result = self._results.get(trial_id)
        return result is not None and result.status is Status.PRUNED and trial_id in self._jobs

    @property
    def may_get_more(self) -> bool:
        return bool(self._taken)

    @property
    def n_unfinished(self) -> int:
        """How many trials do not count yet."""
        with self._guard:
            stopped = (its for name, its in self._results.items() if self._is_free(name))
            n_open = sum(self._pruner.outcome(its) is None for its in stopped)
            return super().n_unfinished + n_open


def _way(job: Job, begin: int) -> Job:
    """Give the part of a trial from an epoch to the next rung, or to its end."""
    end = next((rung for rung in job.rungs if rung > begin), job.epochs)
    share = max(0, end - begin) / job.epochs
    return replace(job, predicted_s=job.predicted_s * share, begin=begin)
