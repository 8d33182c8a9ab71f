"""Runs side by side: what each of them took and gave, and how much faster one was than another.

How fast a run was is told by the configurations that both have finished: its wall time, or where
it has finished others too the part of it that these took by their seconds of training. So it does
not matter that one of them has searched more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from hpo import spacefile
from hpo.findings import Findings
from hpo.occupancy import Occupancy
from hpo.trial import MINIMIZE, Config, Result, Status, canonical


@dataclass(frozen=True)
class Progress:
    """The best score so far, after each trial that was trained to its end, over all starts."""

    wall_s: Sequence[float] = ()
    core_hours: Sequence[float] = ()
    best: Sequence[float] = ()


@dataclass(frozen=True)
class Side:
    """What is known of one run; None where its files do not tell.

    Attributes:
        data: its fingerprint; `data_path` is where it was.
        what: the objective and its version.
        varied: the hyperparameters that have more than one value.
        n_ranks: of each start, the same number once.
        wall_s: in which a start ran; starts side by side (shards) count once.
        training_s: of all trials, those of finalists too.
        busy_share: of the ranks' time, in which they worked on trials.
        cpu: of rank 0 at the last start, as are the versions.
    """

    name: str
    data_path: str
    data: str
    what: str
    metric: str
    goal: str
    n_trials: int
    n_finished: int
    n_failed: int
    n_pruned: int
    is_finished: bool
    varied: Sequence[str]
    best_score: float | None
    best_config: Config
    n_ranks: Sequence[int]
    hosts: Sequence[str]
    n_starts: int
    wall_s: float
    training_s: float
    busy_share: float | None
    queue_wait_s: float | None
    core_hours: float
    peak_memory_mb: int | None
    cpu: str
    versions: Mapping[str, str]
    progress: Progress = field(repr=False)
    results: Mapping[str, Result] = field(repr=False)  # by canonical complete configuration

    @property
    def n_done(self) -> int:
        return self.n_finished - self.n_failed - self.n_pruned

    @property
    def core_hours_per_trial(self) -> float | None:
        return self.core_hours / self.n_finished if self.n_finished else None

    @property
    def n_cores(self) -> float:
        """At work, on the average over the wall time."""
        return self.core_hours * 3600 / self.wall_s if self.wall_s else 0.0


@dataclass(frozen=True)
class Against:
    """What a run is against another one, which is the first.

    Attributes:
        n_common: configurations that both have finished.
        n_same: of these, trials with the same id; their scores should be equal.
        same_difference: the largest of scores of trials with the same id and number of epochs.
        other_difference: the same of other ids: other data, seed, backend, device or version.
        n_unlike: of the common ones, those that were not trained for equally many epochs or ended
            in different ways: their scores are not compared.
    """

    n_common: int
    n_same: int
    n_unlike: int
    same_difference: float | None
    other_difference: float | None
    speed_up: float | None
    efficiency: float | None


def side(found: Findings, name: str) -> Side:
    """Sum up a run."""
    its, standing, starts = found.record, found.standing, found.occupancies
    written = spacefile.of_run(its.space, str(found.run.search))
    best = standing.best
    available_s = sum(one.available_s for one in starts)
    busy_s = sum(one.busy_s for one in starts)
    waits_s = found.queue_waits.values()
    versions = dict(its.versions)
    return Side(
        name=name,
        data_path=str(its.data.get("path")),
        data=str(its.data.get("fingerprint", its.identity.get("data"))),
        what=canonical([its.identity.get(part) for part in ("objective", "version")]),
        metric=found.record.aim.metric,
        goal=found.record.aim.goal,
        n_trials=standing.n_trials,
        n_finished=len(standing.finished),
        n_failed=standing.n_failed,
        n_pruned=standing.n_pruned,
        is_finished=standing.is_finished,
        varied=written.varied,
        best_score=standing.best_score,
        best_config={} if best is None else best[0].config,
        n_ranks=list(dict.fromkeys(one.n_ranks for one in found.starts)),
        hosts=sorted({its.host for its in standing.results.values() if its.host}),
        n_starts=len(starts),
        wall_s=wall_s(starts),
        training_s=sum(result.seconds for result in standing.results.values()),
        busy_share=busy_s / available_s if available_s and busy_s else None,
        queue_wait_s=sum(waits_s) if waits_s else None,
        core_hours=core_hours(starts),
        peak_memory_mb=max((r.peak_memory_mb for _, r in found.records), default=0) or None,
        cpu=versions.pop("cpu", ""),
        versions=versions,
        progress=_progress(found),
        results={
            canonical(found.terms.complete(result.config)): result for result in standing.finished
        },
    )


def against(first: Side, its: Side) -> Against:
    """Compare a run with the first one."""
    common = first.results.keys() & its.results.keys()
    pairs = [(first.results[key], its.results[key]) for key in common]
    same = [(a, b) for a, b in pairs if a.id == b.id]
    others = [(a, b) for a, b in pairs if a.id != b.id]
    has_same_metric = (first.metric, first.goal) == (its.metric, its.goal)
    speed_up = None
    if (first.data, first.what) == (its.data, its.what):
        ours_s, theirs_s = _common_s(its, common), _common_s(first, common)
        speed_up = theirs_s / ours_s if ours_s and theirs_s else None
    by_cores = first.n_cores / its.n_cores if first.n_cores and its.n_cores else None
    return Against(
        n_common=len(common),
        n_same=len(same),
        n_unlike=sum(not _is_like(a, b) for a, b in pairs),
        same_difference=_largest(same) if has_same_metric else None,
        other_difference=_largest(others) if has_same_metric else None,
        speed_up=speed_up,
        efficiency=None if speed_up is None or by_cores is None else speed_up * by_cores,
    )


def wall_s(starts: Iterable[Occupancy], until_s: float = math.inf) -> float:
    """Give the time in which a start ran; of two at the same time, once."""
    total_s, over_s = 0.0, -math.inf
    for its in sorted(starts, key=lambda its: its.started.at_s):
        end_s = min(its.end_s, until_s)
        total_s += max(0.0, end_s - max(its.started.at_s, over_s))
        over_s = max(over_s, end_s)
    return total_s


def core_hours(starts: Iterable[Occupancy], until_s: float = math.inf) -> float:
    """Give what the starts have taken, by then."""
    return sum(
        max(0.0, min(its.end_s, until_s) - its.started.at_s)
        * (its.started.n_ranks * its.threads / 3600)
        for its in starts
    )


def _progress(found: Findings) -> Progress:
    done = [
        (its.ended_s, its.score)
        for its in found.standing.finished
        if its.status is Status.DONE and its.score is not None and its.ended_s
    ]
    done.sort()
    chosen = min if found.record.aim.goal == MINIMIZE else max
    starts = found.occupancies
    return Progress(
        wall_s=[wall_s(starts, at_s) for at_s, _ in done],
        core_hours=[core_hours(starts, at_s) for at_s, _ in done],
        best=list(accumulate((score for _, score in done), chosen)),
    )


def _common_s(its: Side, common: Iterable[str]) -> float:
    """Give the part of a run's wall time that some of its configurations took."""
    of_all_s = sum(result.seconds for result in its.results.values())
    of_these_s = sum(its.results[key].seconds for key in common)
    return its.wall_s * of_these_s / of_all_s if of_all_s else 0.0


def _is_like(one: Result, other: Result) -> bool:
    return (one.status, one.epochs) == (other.status, other.epochs)


def _largest(pairs: Iterable[tuple[Result, Result]]) -> float | None:
    return max(
        (
            abs(a.score - b.score)
            for a, b in pairs
            if _is_like(a, b) and a.score is not None and b.score is not None
        ),
        default=None,
    )
