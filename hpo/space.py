"""A search space: lists of values whose combinations are counted and indexed, never built."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.trial import Config, canonical


@dataclass(frozen=True)
class Condition:
    """When a hyperparameter is in use, from the values of those it depends on."""

    depends: tuple[str, ...]
    holds: Callable[[Mapping[str, object]], bool]


@dataclass(frozen=True)
class _Part:
    """The combinations that share the values of all controlling hyperparameters."""

    fixed: Config
    free: tuple[str, ...]
    count: int


def _distinct(values: Iterable[object]) -> list[object]:
    return list({canonical(value): value for value in reversed(list(values))}.values())[::-1]


@dataclass
class Grid:
    """All combinations of some lists of values, each once.

    A hyperparameter whose condition does not hold is left out of a combination, and what then
    is equal counts once. Where such conditions rest on hyperparameters of the grid, these vary
    slowest; otherwise the order is that of nested loops over the keys as they were written.

    Args:
        values: the values of each hyperparameter; equal ones (1 and 1.0) count once.
        conditions: for the hyperparameters that are not always in use.
        defaults: values of what conditions depend on and `values` lacks.
    """

    values: Mapping[str, Sequence[object]]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = {name: _distinct(choices) for name, choices in self.values.items()}
        self._parts = self._split()
        self._ends = list(itertools.accumulate(part.count for part in self._parts))
        self.count = self._ends[-1]

    def _split(self) -> list[_Part]:
        """Cut the grid into parts within which every hyperparameter is in use or is not."""
        conditional = [name for name in self.values if name in self.conditions]
        depended = {on for name in conditional for on in self.conditions[name].depends}
        controlling = [name for name in self.values if name in depended]
        parts: dict[str, _Part] = {}
        for chosen in itertools.product(*(self.values[name] for name in controlling)):
            setting = dict(self.defaults) | dict(zip(controlling, chosen, strict=True))
            unused = {n for n in conditional if not self.conditions[n].holds(setting)}
            fixed = {name: setting[name] for name in controlling if name not in unused}
            free = tuple(n for n in self.values if n not in depended and n not in unused)
            count = math.prod(len(self.values[name]) for name in free)
            parts.setdefault(canonical(fixed), _Part(fixed, free, count))
        return list(parts.values())

    def __getitem__(self, index: int) -> Config:
        """Give the combination at an index, from 0."""
        if not 0 <= index < self.count:
            raise IndexError(f"expected an index from 0 to {self.count - 1}, found {index}")
        number = bisect.bisect_right(self._ends, index)
        part = self._parts[number]
        index -= self._ends[number] - part.count
        config = dict(part.fixed)
        for name in reversed(part.free):
            choices = self.values[name]
            index, choice = divmod(index, len(choices))
            config[name] = choices[choice]
        return {name: config[name] for name in self.values if name in config}

    def __iter__(self) -> Iterator[Config]:
        return (self[index] for index in range(self.count))

    def project(self, names: Iterable[str]) -> Grid:
        """Give the distinct combinations of a few hyperparameters.

        Exact where what these hyperparameters' conditions depend on is among them.
        """
        kept = {name: self.values[name] for name in self.values if name in set(names)}
        return Grid(kept, self.conditions, self.defaults)
