"""Who may go on training: decisions from plain numbers, and what they make of results.

Each pruner hears of results and of trials that have come to a rung, and answers. What it knows can
be made again from the journal: `settled` does that for whoever reads a run directory.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from hpo.halving import Fate, Ladder, rungs
from hpo.trial import Result, Rung, Status, merit_so_far

NAMES = ("none", "median", "asha", "hyperband", "patience")
COMPARING = ("median", "asha", "hyperband")  # those that need to hear of all trials
N_TO_COMPARE = 5  # trials that must have come as far before the median prunes
_SPREAD = (math.sqrt(5) - 1) / 2  # multiples of it fill the unit interval evenly


@dataclass(frozen=True)
class Pruning:
    """Which pruner, and its numbers; of `options`, by the same names."""

    pruner: str = "none"
    eta: int = 3  # asha, hyperband: one in so many goes on
    min_epochs: int = 1  # no trial is looked at before
    patience: int = 3  # epochs without a better score

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Pruning:
        """Take them from among other options; those that a record lacks are the defaults."""
        said = ((f.name, options.get(f.name)) for f in fields(cls))
        return cls(**{name: value for name, value in said if value is not None})


@dataclass(frozen=True)
class Member:
    """A trial as pruning sees it."""

    id: str
    index: int
    epochs: int  # to its end, as its configuration says


class Pruner(Protocol):
    """What the queue asks and tells."""

    def add(self, member: Member) -> None:
        """Hear of a trial that was not known before."""

    def asks_at(self, trial_id: str) -> tuple[int, ...]:
        """Give the epochs after which a trial has to ask."""

    def may_go_on(self, result: Result) -> bool:
        """Answer a trial under way that has come to its last rung."""

    def note(self, result: Result) -> None:
        """Hear what became of a trial, or how far it has come."""

    def goes_on(self, trial_id: str) -> bool:
        """Tell whether a trial that was stopped is to go on from where it stands."""

    def ready(self) -> list[str]:
        """Name the trials that go on since this was asked last."""

    def likeliest(self, is_free: Callable[[str], bool]) -> str | None:
        """Name a trial that may be named by `ready` later, to train it ahead."""

    def outcome(self, result: Result) -> Result | None:
        """Give what a result counts as; None while that is open."""


def pruner(rules: Pruning, members: Iterable[Member], most_epochs: int | None = None) -> Pruner:
    """Make the pruner of a search, which has heard of nothing yet.

    Args:
        most_epochs: of any trial, where how many have how many is not known beforehand.
    """
    if rules.pruner in ("asha", "hyperband"):
        return _Halving(rules, {member.id: member for member in members}.values(), most_epochs)
    if rules.pruner in ("median", "patience"):
        return _Stopping(rules, members)
    return _Nothing()


def settled(
    rules: Pruning,
    members: Sequence[Member],
    results: Mapping[str, Result],
    most_epochs: int | None = None,
) -> dict[str, Result]:
    """Give what counts of the members' results, by id: all that is not open.

    Args:
        most_epochs: see `pruner`.
    """
    if rules.pruner == "none":
        return {name: its for name, its in results.items() if its.status is not Status.PRUNED}
    its = pruner(rules, members, most_epochs)
    known = {member.id: results[member.id] for member in members if member.id in results}
    for result in known.values():
        its.note(result)
    counted = {name: outcome for name in known if (outcome := its.outcome(known[name]))}
    if len(counted) == len({member.id for member in members}):
        lost = without_winner(counted, results)
        if lost is not None:
            del counted[lost]
    return counted


def without_winner(counted: dict[str, Result], results: Mapping[str, Result]) -> str | None:
    """Name the pruned trial that has to go to its end, as no other did: there must be a winner.

    One that did so, or tried, is put among what counts.
    """
    while not any(result.status is Status.DONE for result in counted.values()):
        pruned = [result for result in counted.values() if result.status is Status.PRUNED]
        if not pruned:
            return None
        best = min(pruned, key=merit_so_far).id
        if results[best].status is Status.PRUNED:
            return best
        counted[best] = results[best]
    return None


class _Nothing:
    """Every trial is trained to its end."""

    def add(self, member: Member) -> None:
        pass

    def asks_at(self, trial_id: str) -> tuple[int, ...]:
        return ()

    def may_go_on(self, result: Result) -> bool:
        return True

    def note(self, result: Result) -> None:
        pass

    def goes_on(self, trial_id: str) -> bool:
        return False

    def ready(self) -> list[str]:
        return []

    def likeliest(self, is_free: Callable[[str], bool]) -> str | None:
        return None

    def outcome(self, result: Result) -> Result | None:
        # One that an earlier start has pruned goes on from where it is.
        return None if result.status is Status.PRUNED else result


class _Stopping(_Nothing):
    """A trial that falls behind is stopped for good: median, patience.

    The median compares a trial's best so far with that of all who have come as far; a trial of a
    parallel search may or may not find another there, so that its answer depends on the order.
    D. Golovin et al., "Google Vizier", KDD 2017.
    """

    def __init__(self, rules: Pruning, members: Iterable[Member]) -> None:
        self._rules = rules
        self._epochs = {member.id: member.epochs for member in members}
        self._seen: dict[int, dict[str, float]] = defaultdict(dict)  # epoch to first merits

    def add(self, member: Member) -> None:
        self._epochs[member.id] = member.epochs

    def asks_at(self, trial_id: str) -> tuple[int, ...]:
        return tuple(range(self._rules.min_epochs, self._epochs[trial_id]))

    def may_go_on(self, result: Result) -> bool:
        self.note(result)
        last = result.rungs[-1]
        if self._rules.pruner == "patience":
            return last.epoch - last.best_epoch < self._rules.patience
        others = [score for name, score in self._seen[last.epoch].items() if name != result.id]
        if len(others) < N_TO_COMPARE:
            return True
        return self._seen[last.epoch][result.id] <= statistics.median(others)

    def note(self, result: Result) -> None:
        for rung in result.rungs:
            self._seen[rung.epoch][result.id] = _merit_at(result, rung)[0]

    def outcome(self, result: Result) -> Result | None:
        return result


class _Halving(_Nothing):
    """Successive halving: one ladder (asha), or several that begin after more epochs (hyperband).

    Trials with another number of epochs have ladders of their own: what is equal of theirs, the
    epochs trained, is not the same part of a schedule. Where it is not known how many there will
    be of each, all share the ladder of the longest; a shorter one leaves it at its end.
    L. Li et al., "Hyperband", JMLR 2018.
    """

    def __init__(self, rules: Pruning, members: Iterable[Member], most_epochs: int | None) -> None:
        self._rules = rules
        self._most_epochs = most_epochs
        known = list(members)
        places = Counter(self._place(member) for member in known)
        self._ladders = {
            (epochs, first): Ladder(n, rungs(epochs, first, rules.eta), rules.eta)
            for (epochs, first), n in places.items()
        }
        self._ladder: dict[str, Ladder] = {}
        self._epochs: dict[str, int] = {}
        self._ready: list[str] = []
        for member in known:
            self.add(member)

    def add(self, member: Member) -> None:
        self._ladder[member.id] = self._ladders[self._place(member)]
        self._epochs[member.id] = member.epochs

    def _place(self, member: Member) -> tuple[int, int]:
        """Name the ladder of a trial by its epochs and those of its first rung."""
        epochs = self._most_epochs or member.epochs
        return epochs, self._begin(member.index, epochs)

    def _begin(self, index: int, epochs: int) -> int:
        firsts = rungs(epochs, self._rules.min_epochs, self._rules.eta)
        if self._rules.pruner == "asha" or not firsts:
            return self._rules.min_epochs
        # Bracket s prunes s times, and has so many trials that all brackets cost about the same.
        n = len(firsts)
        weights = [math.ceil((n + 1) / (s + 1) * self._rules.eta**s) for s in range(n, -1, -1)]
        place = (index * _SPREAD % 1) * sum(weights)
        for first, weight in zip((*firsts, epochs), weights, strict=True):
            if place < weight:
                return first
            place -= weight
        return epochs

    def asks_at(self, trial_id: str) -> tuple[int, ...]:
        return tuple(n for n in self._ladder[trial_id].rungs if n < self._epochs[trial_id])

    def may_go_on(self, result: Result) -> bool:
        self._note_rungs(result)
        ladder = self._ladder[result.id]
        goes_on = ladder.belongs(result.id, ladder.rungs.index(result.rungs[-1].epoch) + 1)
        self._ready = [name for name in self._ready if name != result.id]
        return goes_on

    def note(self, result: Result) -> None:
        self._note_rungs(result)
        if result.status is not Status.PRUNED:  # it ended before a rung, or was trained ahead
            for rung in range(len(self._ladder[result.id].rungs)):
                self._report(rung, result)

    def _note_rungs(self, result: Result) -> None:
        at = {epochs: rung for rung, epochs in enumerate(self._ladder[result.id].rungs)}
        for rung in result.rungs:
            if rung.epoch in at:
                self._report(at[rung.epoch], result.at(rung.epoch))

    def _report(self, rung: int, result: Result) -> None:
        ladder = self._ladder[result.id]
        self._ready += ladder.report(rung, merit_so_far(result))

    def goes_on(self, trial_id: str) -> bool:
        return self._ladder[trial_id].goes_on(trial_id)

    def ready(self) -> list[str]:
        found, self._ready = dict.fromkeys(self._ready), []
        return [name for name in found if self.goes_on(name)]

    def likeliest(self, is_free: Callable[[str], bool]) -> str | None:
        found = (ladder.likeliest(is_free) for ladder in self._ladders.values())
        return next((name for name in found if name is not None), None)

    def outcome(self, result: Result) -> Result | None:
        ladder = self._ladder[result.id]
        fate, rung = ladder.fate(result.id)
        if fate is Fate.TO_THE_END:
            return None if result.status is Status.PRUNED else result
        epoch = ladder.rungs[rung]
        if all(known.epoch != epoch for known in result.rungs):
            # It failed before it came there, or was trained to its end without pruning.
            return None if result.status is Status.PRUNED else result
        return result.at(epoch) if fate is Fate.OUT else None


def _merit_at(result: Result, rung: Rung) -> tuple[float, float, str]:
    return merit_so_far(result.at(rung.epoch))
