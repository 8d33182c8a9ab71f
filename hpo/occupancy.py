"""Which rank worked on which trial when, and what of the ranks' time that was."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpo.history import Started, Submitted
from hpo.journal import Written
from hpo.trial import Result


@dataclass(frozen=True)
class Occupancy:
    """One start of a search, and what its ranks did.

    Attributes:
        worked: every time that a rank worked on a trial to a result, by its begin. What a rank
            worked on when it was stopped or killed has no result and is not among it, nor is what
            versions before 0.2 have trained.
        n_groups: of ranks, each of which trains a trial: with one rank for each, the ranks.
        threads: of each rank.
    """

    started: Started
    worked: Sequence[Result]
    n_groups: int
    threads: int

    @property
    def end_s(self) -> float:
        """When it ended; of one that runs or was killed, its last result."""
        ends = [its.ended_s for its in self.worked]
        return self.started.ended_s or max([self.started.at_s, *ends])

    @property
    def wall_s(self) -> float:
        return self.end_s - self.started.at_s

    @property
    def busy_s(self) -> float:
        """Seconds of all ranks together, from getting a trial to having its result on disk."""
        return sum(its.ended_s - its.began_s for its in self.worked)

    @property
    def available_s(self) -> float:
        return self.wall_s * self.n_groups

    @property
    def efficiency(self) -> float:
        """The share of the ranks' time in which they worked on trials."""
        return self.busy_s / self.available_s if self.available_s > 0 else 0.0

    @property
    def core_hours(self) -> float:
        return self.wall_s * self.started.n_ranks * self.threads / 3600


def of_starts(
    starts: Iterable[Started],
    records: Iterable[Written],
    *,
    ranks_per_trial: int = 1,
    threads: int = 1,
) -> list[Occupancy]:
    """Tell of each start what its ranks did."""
    worked: defaultdict[str, list[Result]] = defaultdict(list)
    for start, result in records:
        if result.began_s:
            worked[start].append(result)
    return [
        Occupancy(
            its,
            sorted(worked[its.start], key=lambda result: result.began_s),
            its.n_ranks // ranks_per_trial,
            threads,
        )
        for its in starts
    ]


def queue_waits(its: Submitted, occupancies: Iterable[Occupancy]) -> dict[str, float]:
    """Tell how long each start of a submission has waited, in seconds, by the start's name.

    That is since it was submitted, or since the start before it had ended, of the same element
    where it is an array: a job that was requeued waits again, as does a link of a chain.
    """
    numbers = {re.split(r"[_[]", name)[0] for name in its.ids}
    over_s: dict[str, float] = {}
    waits = {}
    for one in sorted(occupancies, key=lambda one: one.started.at_s):
        started = one.started
        if started.job_id not in numbers or started.at_s < its.at_s:
            continue
        element = started.scheduler_job if its.job.array else ""
        waits[started.start] = max(0.0, started.at_s - over_s.get(element, its.at_s))
        over_s[element] = max(one.end_s, over_s.get(element, 0.0))
    return waits
