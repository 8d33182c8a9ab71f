"""The ranks that train one trial together, and what they say to each other.

Whatever they do together, each first tells the others where it is: so a rank that has failed, or
ended the trial, leaves none of them waiting.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from hpo.world import World

T = TypeVar("T")


class Place(enum.Enum):
    """Where a rank is when it meets the others of its group."""

    CALL = 1  # the objective's own: `Group.all_gather`
    REPORT = 2  # of the trial
    END = 3


class Told(NamedTuple):
    """What a rank says there."""

    place: Place
    value: Any = None
    error: str | None = None
    is_of_another: bool = False  # whether the error only follows from another rank's
    stop: str | None = None  # why, if this rank was told to stop


def cause(told: Sequence[Told]) -> str | None:
    """Give what went wrong, if anything did, from a rank where it began."""
    failed = [its for its in told if its.error]
    return min(failed, key=lambda its: its.is_of_another).error if failed else None


class MemberError(Exception):
    """Another rank of the group is not where it should be: most often it has failed."""


class Group:
    """Some ranks of the world: all of them run a trial, the leader speaks for them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rank = world.rank
        self.size = world.size
        self._comm: Any = None

    @property
    def is_leader(self) -> bool:
        return self.rank == 0

    @property
    def comm(self) -> Any:
        """mpi4py's communicator of these ranks, for one's own use; None where there is no MPI."""
        if self._comm is None and self._world.comm is not None:
            self._comm = self._world.comm.Dup()
        return self._comm

    def all_gather(self, value: T) -> list[T]:
        """Give every rank every rank's value, in rank order (collective).

        Raises:
            MemberError: if another rank has ended the trial.
        """
        if self.size == 1:
            return [value]
        told = self.meet(Told(Place.CALL, value))
        return [its.value for its in told]

    def broadcast(self, value: T) -> T:
        """Give every rank the leader's value (collective).

        Raises:
            MemberError: if another rank has ended the trial.
        """
        return self.all_gather(value)[0]

    def mean(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Average metrics over the ranks, each counting alike; equal on all (collective).

        Raises:
            MemberError: if another rank has ended the trial.
        """
        told = self.all_gather({name: float(value) for name, value in metrics.items()})
        return {name: sum(its[name] for its in told) / len(told) for name in metrics}

    # --- the search's own: see `attempt` ---

    def meet(self, mine: Told) -> list[Told]:
        """Hear where all ranks are (collective).

        Raises:
            MemberError: if they are not at one place, on those that have not ended the trial.
        """
        told = self._world.all_gather(mine)
        places = {its.place for its in told}
        if len(places) > 1 and mine.place is not Place.END:
            wrong = cause(told)
            ended = "a rank of its group ended the trial before the others"
            apart = "the ranks of its group were not at the same step"
            raise MemberError(wrong or (ended if Place.END in places else apart))
        return told

    def tell(self, value: T) -> T:
        """Give every rank the leader's value, once all have met (collective)."""
        return self._world.broadcast(value)
