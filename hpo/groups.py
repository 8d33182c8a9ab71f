"""The ranks that train one trial together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from hpo.world import World

T = TypeVar("T")


class Group:
    """Some ranks of the world: all of them run a trial, the leader speaks for them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rank = world.rank
        self.size = world.size

    @property
    def is_leader(self) -> bool:
        return self.rank == 0

    @property
    def comm(self) -> Any:
        """mpi4py's communicator of these ranks; None where there is no MPI."""
        return self._world.comm

    def broadcast(self, value: T) -> T:
        """Give every rank the leader's value (collective)."""
        return self._world.broadcast(value)

    def all_gather(self, value: T) -> list[T]:
        """Give every rank every rank's value, in rank order (collective)."""
        return self._world.all_gather(value)

    def mean(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Average metrics over the ranks, each counting alike; equal on all (collective)."""
        told = self.all_gather(dict(metrics))
        return {name: sum(its[name] for its in told) / len(told) for name in metrics}
