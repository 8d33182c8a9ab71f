"""Successive halving, with the same answer for every number of ranks, and without idle ones.

Of the trials on a rung the best go on to the next, which has `eta` times the epochs. That one of
them goes on is settled as soon as no trial that is still to come to its rung could take its
place: so ranks finish in any order, and the same trials go on. A rank that finds nothing settled
trains the likeliest ahead; what that gives counts once it is settled, and not at all otherwise.

K. Jamieson, A. Talwalkar, AISTATS 2016. Without waiting for a rung to fill: L. Li et al., "A
System for Massively Parallel Hyperparameter Tuning", MLSys 2020, whose answer depends on who
comes first.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Callable, Sequence

from hpo.trial import Merit


class Fate(enum.Enum):
    OPEN = "open"  # it goes on, or that depends on others
    OUT = "out"  # others were better on its rung
    TO_THE_END = "to the end"  # it is one of those that are trained to their end


def rungs(epochs: int, first: int, eta: int) -> tuple[int, ...]:
    """Give the epochs after which trials of so many are compared: first, first·eta, …"""
    found = []
    while first < epochs:
        found.append(first)
        first *= eta
    return tuple(found)


class Ladder:
    """Trials with equally many epochs, and who of them stands where.

    Rung k is an index into `rungs`; a trial *belongs* on rung k if it is settled that it is one of
    the `n_on[k]` trials to come that far. All belong on rung 0, those on rung `len(rungs)` are
    trained to their end.
    """

    def __init__(self, n_trials: int, rungs: Sequence[int], eta: int) -> None:
        self.rungs = tuple(rungs)
        self.n_on = [n_trials]
        for _ in rungs:
            self.n_on.append(max(1, self.n_on[-1] // eta))
        self._reported: list[dict[str, Merit]] = [{} for _ in rungs]
        self._stand: list[list[Merit]] = [[] for _ in rungs]  # of those who belong, best first
        self._belongs: list[set[str]] = [set() for _ in self.n_on]

    def belongs(self, trial_id: str, rung: int) -> bool:
        return rung == 0 or trial_id in self._belongs[rung]

    def has_reported(self, trial_id: str, rung: int) -> bool:
        return trial_id in self._reported[rung]

    def goes_on(self, trial_id: str) -> bool:
        """Tell whether it is settled that a trial goes on from the rung that it has come to."""
        rung = max(
            (rung for rung, reported in enumerate(self._reported) if trial_id in reported),
            default=-1,
        )
        return self.belongs(trial_id, rung + 1)

    def report(self, rung: int, merit: Merit) -> list[str]:
        """Note what a trial has come to on a rung; the first word counts.

        Returns:
            The trials of which it is settled now that they go on, one for each rung they climb.
        """
        trial_id = merit[2]
        if trial_id in self._reported[rung]:
            return []
        self._reported[rung][trial_id] = merit
        return self._settle(rung, merit) if self.belongs(trial_id, rung) else []

    def _settle(self, rung: int, merit: Merit) -> list[str]:
        stand = self._stand[rung]
        place = bisect_left(stand, merit)
        stand.insert(place, merit)
        # All that are still to come may be better than those who stand here.
        n_settled = self.n_on[rung + 1] - self._n_to_come(rung)
        if n_settled <= 0:
            return []
        winner = merit if place < n_settled else stand[n_settled - 1]
        trial_id = winner[2]
        self._belongs[rung + 1].add(trial_id)
        if rung + 1 < len(self.rungs) and self.has_reported(trial_id, rung + 1):
            return [trial_id, *self._settle(rung + 1, self._reported[rung + 1][trial_id])]
        return [trial_id]

    def _n_to_come(self, rung: int) -> int:
        return self.n_on[rung] - len(self._stand[rung])

    def fate(self, trial_id: str) -> tuple[Fate, int]:
        """Say what is settled of a trial, and on which rung it is now."""
        for rung, reported in enumerate(self._reported):
            if self.belongs(trial_id, rung + 1):
                continue
            merit = reported.get(trial_id)
            if merit is None or bisect_left(self._stand[rung], merit) < self.n_on[rung + 1]:
                return Fate.OPEN, rung
            return Fate.OUT, rung
        return Fate.TO_THE_END, len(self.rungs)

    def likeliest(self, is_free: Callable[[str], bool]) -> str | None:
        """Name a trial that may yet go on, and that nobody trains; from the highest rung down."""
        for rung in reversed(range(len(self.rungs))):
            if not self._n_to_come(rung):
                continue
            for _, _, trial_id in self._stand[rung][: self.n_on[rung + 1]]:
                is_ahead = rung + 1 < len(self.rungs) and self.has_reported(trial_id, rung + 1)
                if not is_ahead and not self.belongs(trial_id, rung + 1) and is_free(trial_id):
                    return trial_id
        return None
