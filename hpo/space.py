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
    """When a hyperparameter is in use.

    Attributes:
        depends: the hyperparameters that decide, each with what of its value matters: values
            for which that is equal decide alike.
        holds: the decision, from all values.
    """

    depends: Mapping[str, Callable[[object], object]]
    holds: Callable[[Mapping[str, object]], bool]


@dataclass(frozen=True)
class _Part:
    """Combinations that use the same hyperparameters: all products of these values."""

    values: Mapping[str, Sequence[object]]
    count: int


def _distinct(values: Iterable[object]) -> list[object]:
    first: dict[str, object] = {}
    for value in values:
        first.setdefault(canonical(value), value)
    return list(first.values())


@dataclass
class Grid:
    """All combinations of some lists of values, each once.

    A hyperparameter whose condition does not hold is left out of a combination, and what then
    is equal counts once. Combinations that use the same hyperparameters stand together, in the
    order of nested loops over the keys as they were written.

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
        conditional = {
            name: self.conditions[name] for name in self.values if name in self.conditions
        }
        groups = {name: self._alike(name, conditional.values()) for name in self.values}
        parts: dict[str, _Part] = {}
        for chosen in itertools.product(*groups.values()):
            values = dict(zip(groups, chosen, strict=True))
            setting = dict(self.defaults) | {name: some[0] for name, some in values.items()}
            for name, condition in conditional.items():
                if not condition.holds(setting):
                    del values[name]
            count = math.prod(map(len, values.values()))
            parts.setdefault(canonical(values), _Part(values, count))
        return list(parts.values())

    def _alike(self, name: str, conditions: Iterable[Condition]) -> list[list[object]]:
        """Group a hyperparameter's values by what of them matters to the conditions."""
        matters = [c.depends[name] for c in conditions if name in c.depends]
        groups: dict[str, list[object]] = {}
        for value in self.values[name]:
            groups.setdefault(canonical([of(value) for of in matters]), []).append(value)
        return list(groups.values())

    def __getitem__(self, index: int) -> Config:
        """Give the combination at an index, from 0."""
        if not 0 <= index < self.count:
            raise IndexError(f"expected an index from 0 to {self.count - 1}, found {index}")
        number = bisect.bisect_right(self._ends, index)
        part = self._parts[number]
        index -= self._ends[number] - part.count
        config: Config = {}
        for name, choices in reversed(list(part.values.items())):
            index, choice = divmod(index, len(choices))
            config[name] = choices[choice]
        return dict(reversed(config.items()))

    def __iter__(self) -> Iterator[Config]:
        return (self[index] for index in range(self.count))

    def project(self, names: Iterable[str]) -> Grid:
        """Give the distinct combinations of a few hyperparameters.

        Exact where what these hyperparameters' conditions depend on is among them.
        """
        kept = {name: self.values[name] for name in self.values if name in set(names)}
        return Grid(kept, self.conditions, self.defaults)
