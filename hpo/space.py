"""A search space: lists of values whose combinations are counted and indexed, never built."""

from __future__ import annotations

import abc
import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import InputError
from hpo.rules import Condition, Constraint, Rules
from hpo.trial import Config, canonical

# Combinations of constrained hyperparameters are tried one by one, in about three seconds.
MOST_TRIED = 500_000
# Of more combinations than these, an even sample is projected.
MOST_PROJECTED = 100_000


class Combinations(abc.ABC):
    """Configurations in a fixed order, by index."""

    count: int
    names: Sequence[str]  # all that any of them has

    @abc.abstractmethod
    def __getitem__(self, index: int) -> Config:
        """Give the combination at an index, from 0."""

    @abc.abstractmethod
    def project(self, names: Iterable[str]) -> Combinations:
        """Give the distinct combinations of a few hyperparameters."""

    def __iter__(self) -> Iterator[Config]:
        return (self[index] for index in range(self.count))

    def _check(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise IndexError(f"expected an index from 0 to {self.count - 1}, found {index}")


class Listed(Combinations):
    """Distinct configurations, one by one."""

    def __init__(self, configs: Iterable[Config]) -> None:
        self._configs: list[Config] = _distinct(configs)
        self.count = len(self._configs)
        self.names = list(dict.fromkeys(name for config in self._configs for name in config))

    def __getitem__(self, index: int) -> Config:
        self._check(index)
        return self._configs[index]

    def project(self, names: Iterable[str]) -> Listed:
        return Listed(_projections(self, list(names)))


class Union(Combinations):
    """The combinations of several spaces after each other; equal ones stay."""

    def __init__(self, parts: Sequence[Combinations]) -> None:
        self._parts = parts
        self._ends = list(itertools.accumulate(part.count for part in parts))
        self.count = self._ends[-1]
        self.names = list(dict.fromkeys(name for part in parts for name in part.names))

    def __getitem__(self, index: int) -> Config:
        self._check(index)
        number = bisect.bisect_right(self._ends, index)
        part = self._parts[number]
        return part[index - (self._ends[number] - part.count)]

    def project(self, names: Iterable[str]) -> Listed:
        names = list(names)
        projected = (part.project(names) for part in self._parts)
        return Listed(config for part in projected for config in _projections(part, names))


@dataclass(frozen=True)
class _Axis:
    """Hyperparameters that vary together: tuples of their values, or one's values."""

    names: Sequence[str]
    choices: Sequence[Any]


@dataclass(frozen=True)
class _Part:
    """Combinations that use the same hyperparameters: all products of these axes."""

    axes: Sequence[_Axis]
    count: int


@dataclass
class Grid(Combinations):
    """All combinations of some lists of values, each once.

    A hyperparameter whose condition does not hold is left out of a combination, and what then
    is equal counts once. Combinations that use the same hyperparameters stand together, in the
    order of nested loops over the keys as they were written, where those of one constraint are
    one loop.

    Args:
        values: the values of each hyperparameter; equal ones (1 and 1.0) count once.
        conditions: the objective's, for the hyperparameters that are not always in use.
        defaults: values of what conditions depend on and `values` lacks.
        when: the user's conditions, see `Rules`.
        constraints: the user's; combinations that do not fulfil them are left out.

    Raises:
        InputError: if too much is to be tried for the constraints.
    """

    values: Mapping[str, Sequence[object]]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    when: Mapping[str, Condition] = field(default_factory=dict)
    constraints: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        self.values = {name: _distinct(choices) for name, choices in self.values.items()}
        self.names = list(self.values)
        self._rules = Rules(self.conditions, self.defaults, self.when, self.constraints)
        self._n_tried = 0
        self._parts = self._split()
        self._ends = list(itertools.accumulate(part.count for part in self._parts))
        self.count = self._ends[-1] if self._ends else 0

    def _split(self) -> list[_Part]:
        """Cut the grid into parts within which every hyperparameter is in use or is not."""
        deciding = [
            condition
            for conditions in (self.conditions, self.when)
            for name, condition in conditions.items()
            if name in self.values
        ]
        groups = {name: self._alike(name, deciding) for name in self.values}
        parts: dict[str, _Part] = {}
        for chosen in itertools.product(*groups.values()):
            values = dict(zip(groups, chosen, strict=True))
            used = self._rules.used({name: some[0] for name, some in values.items()})
            values = {name: values[name] for name in used}
            key = canonical(values)
            if key not in parts:
                axes = self._axes(values)
                parts[key] = _Part(axes, math.prod(len(axis.choices) for axis in axes))
        return [part for part in parts.values() if part.count]

    def _alike(self, name: str, conditions: Iterable[Condition]) -> list[list[object]]:
        """Group a hyperparameter's values by what of them matters to the conditions."""
        matters = [c.depends[name] for c in conditions if name in c.depends]
        groups: dict[str, list[object]] = {}
        for value in self.values[name]:
            groups.setdefault(canonical([of(value) for of in matters]), []).append(value)
        return list(groups.values())

    def _axes(self, values: Mapping[str, Sequence[object]]) -> list[_Axis]:
        """Join what constraints tie together, and keep what they allow."""
        ties = _ties([c for c in self.constraints if all(name in values for name in c.names)])
        axes: dict[str, _Axis] = {}
        for name in values:
            tied = next((tie for tie in ties if name in tie.names), None)
            if tied is None:
                axes[name] = _Axis([name], values[name])
                continue
            names = [other for other in values if other in tied.names]
            if names[0] == name:
                axes[name] = self._allowed({other: values[other] for other in names}, tied)
        return list(axes.values())

    def _allowed(self, values: Mapping[str, Sequence[object]], tie: Constraint) -> _Axis:
        names = list(values)
        self._n_tried += math.prod(map(len, values.values()))
        if self._n_tried > MOST_TRIED:
            raise InputError(
                f"{tie.place}: expected at most {MOST_TRIED:,} combinations of what is tied"
                f" together, found more of {', '.join(names)}"
            )
        tried = itertools.product(*values.values())
        kept = [some for some in tried if tie.holds(dict(zip(names, some, strict=True)))]
        return _Axis(names, [some[0] for some in kept] if len(names) == 1 else kept)

    def __getitem__(self, index: int) -> Config:
        """Give the combination at an index, from 0."""
        self._check(index)
        number = bisect.bisect_right(self._ends, index)
        part = self._parts[number]
        index -= self._ends[number] - part.count
        found: Config = {}
        for axis in reversed(part.axes):
            index, choice = divmod(index, len(axis.choices))
            chosen = axis.choices[choice]
            found.update(zip(axis.names, chosen if len(axis.names) > 1 else [chosen], strict=True))
        return {name: found[name] for name in self.values if name in found}

    def project(self, names: Iterable[str]) -> Combinations:
        """Give the distinct combinations of a few hyperparameters.

        Exact where what the objective's conditions of these depend on is among them.
        """
        asked = [name for name in self.values if name in set(names)]
        kept = self._deciding(asked)
        grid = Grid(
            {name: self.values[name] for name in self.values if name in kept},
            self.conditions,
            self.defaults,
            {name: condition for name, condition in self.when.items() if name in kept},
            [constraint for constraint in self.constraints if kept.issuperset(constraint.names)],
        )
        return grid if len(kept) == len(asked) else Listed(_projections(grid, asked))

    def _deciding(self, names: Iterable[str]) -> set[str]:
        """Add what the user's conditions and constraints on some hyperparameters depend on."""
        # Where a constraint cannot be fulfilled, it leaves out what brings it into use as well.
        tied = [self._with_depends(its.names, self.conditions) for its in self.constraints]
        kept, before = set(names), set[str]()
        while kept != before:
            before = kept
            kept = self._with_depends(kept, {}).union(*(tie for tie in tied if tie & kept))
        return kept

    def _with_depends(self, names: Iterable[str], conditions: Mapping[str, Condition]) -> set[str]:
        found = set(names) & self.values.keys()
        left = list(found)
        while left:
            name = left.pop()
            for its in (self.when, conditions):
                more = set(its[name].depends) & self.values.keys() if name in its else set()
                left += more - found
                found |= more
        return found


def _distinct(values: Iterable[Any]) -> list[Any]:
    first: dict[str, object] = {}
    for value in values:
        first.setdefault(canonical(value), value)
    return list(first.values())


def _projections(combinations: Combinations, names: Sequence[str]) -> Iterator[Config]:
    step = max(1, math.ceil(combinations.count / MOST_PROJECTED))
    for index in range(0, combinations.count, step):
        config = combinations[index]
        yield {name: config[name] for name in names if name in config}


def _ties(constraints: Iterable[Constraint]) -> list[Constraint]:
    """Join constraints that share a hyperparameter into one."""
    ties: list[tuple[set[str], list[Constraint]]] = []
    for constraint in constraints:
        names, joined = set(constraint.names), [constraint]
        for tie in [tie for tie in ties if tie[0] & names]:
            ties.remove(tie)
            names, joined = names | tie[0], tie[1] + joined
        ties.append((names, joined))
    return [Constraint(sorted(names), _all(joined), joined[0].place) for names, joined in ties]


def _all(constraints: Sequence[Constraint]) -> Callable[[Mapping[str, object]], bool]:
    return lambda values: all(constraint.holds(values) for constraint in constraints)
