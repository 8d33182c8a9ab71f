"""A search space as somebody wrote it, whatever the format: what all readers give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hpo import domain, expression
from hpo.domain import Domain
from hpo.errors import InputError
from hpo.rules import Condition, Constraint, Rules
from hpo.space import Combinations, Grid, Union
from hpo.trial import canonical

When = Mapping[str, Sequence[object]]  # of each deciding hyperparameter the values that allow


@dataclass(frozen=True)
class Part:
    """Hyperparameters that vary independently, and the places where they stand."""

    domains: Mapping[str, Domain]
    places: Mapping[str, str]


@dataclass(frozen=True)
class Written:
    """A search space, and where each of its keys stands.

    Attributes:
        domains: what each hyperparameter may be, in the order in which they were written.
        places: file and line of each.
        name: of the file, or what else the space is called.
        when: for those that are not always in use, the values of others that allow them.
        constraints: expressions that must hold, each with its place.
        alternatives: each combination has one of these beside `domains`; the rows of a table.
        settings: what the file says about the search itself, as its options are called:
            sampler, trials, metric, goal, pruner, eta, min_epochs.
    """

    domains: Mapping[str, Domain]
    places: Mapping[str, str]
    name: str
    when: Mapping[str, When] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    alternatives: Sequence[Part] = ()
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def parts(self) -> list[Part]:
        """The space as several without alternatives: combinations stand in this order."""
        return [
            Part({**self.domains, **its.domains}, {**self.places, **its.places})
            for its in self.alternatives or [Part({}, {})]
        ]

    @property
    def all_domains(self) -> dict[str, list[Domain]]:
        """What each hyperparameter may be in any part."""
        found: dict[str, list[Domain]] = {name: [its] for name, its in self.domains.items()}
        for part in self.alternatives:
            for name, its in part.domains.items():
                found.setdefault(name, []).append(its)
        return found

    @property
    def names(self) -> list[str]:
        """All hyperparameters, in order."""
        return list(self.all_domains)

    @property
    def values(self) -> dict[str, list[object]]:
        """All values of each hyperparameter, where they are finitely many.

        Raises:
            InputError: if they are not.
        """
        lists = _lists(Part(self.domains, self.places))
        for part in self.alternatives:
            for name, values in _lists(part).items():
                lists.setdefault(name, []).extend(values)
        return lists

    @property
    def continuous(self) -> list[str]:
        """The hyperparameters that no list of values can stand for."""
        return [
            name
            for name, some in self.all_domains.items()
            if any(domain.count(its) is None for its in some)
        ]

    @property
    def varied(self) -> list[str]:
        """The hyperparameters that have more than one value."""
        return [
            name
            for name, some in self.all_domains.items()
            if len({canonical(value) for its in some for value in domain.ends(its)}) > 1
        ]

    def replaced(self, key: str, its: Domain, place: str) -> Written:
        """Give the same space with one hyperparameter replaced or added."""
        alternatives = [
            Part({name: its for name, its in part.domains.items() if name != key}, part.places)
            for part in self.alternatives
        ]
        return replace(
            self,
            domains={**self.domains, key: its},
            places={**self.places, key: place},
            alternatives=alternatives,
        )

    def rules(self, conditions: Mapping[str, Condition], defaults: Mapping[str, object]) -> Rules:
        """Give what makes values of this space a configuration of an objective.

        Raises:
            InputError: if conditions depend on each other in a circle.
        """
        when = {name: _condition(self.when[name]) for name in self._when_in_order()}
        constraints = [_constraint(text, place) for text, place in self.constraints.items()]
        return Rules(conditions, defaults, when, constraints)

    def grid(
        self, conditions: Mapping[str, Condition], defaults: Mapping[str, object]
    ) -> Combinations:
        """Give all combinations.

        Raises:
            InputError: if a hyperparameter has no end of values, or no combination is allowed.
        """
        its = self.rules(conditions, defaults)
        grids = [
            Grid(_lists(part), conditions, defaults, its.when, its.constraints)
            for part in self.parts
        ]
        grids = [grid for grid in grids if grid.count]
        if not grids:
            raise InputError(
                f"{next(iter(self.constraints.values()), self.name)}: expected constraints that"
                " allow a combination, found that none is left"
            )
        return Union(grids) if self.alternatives else grids[0]

    def check(self) -> None:
        """Refuse conditions and constraints that say nothing about this space.

        Raises:
            InputError: naming place, hyperparameter and what is wrong.
        """
        known = self.all_domains
        for name, when in self.when.items():
            for other, allowing in when.items():
                self._check_condition(f"{self.places[name]}: {name}", other, allowing)
        self._when_in_order()
        for text, place in self.constraints.items():
            names = _constraint(text, place).names
            for name in names:
                if name not in known:
                    raise InputError(
                        f"{place}: constraints: expected names of {', '.join(known)},"
                        f" found {name} in {text!r}"
                    )
            if not names:
                raise InputError(f"{place}: constraints: expected some names, found {text!r}")

    def _check_condition(self, place: str, other: str, allowing: Sequence[object]) -> None:
        known = self.all_domains
        if other not in known:
            raise InputError(
                f"{place}: when: expected one of {', '.join(known)}, found {other}, which is not"
                " in the space"
            )
        if any(domain.count(its) is None for its in known[other]):
            raise InputError(
                f"{place}: when: expected a hyperparameter with a list of values or a step,"
                f" found {other}, which is continuous"
            )
        values = [value for its in known[other] for value in domain.values(its) or []]
        for value in allowing:
            if canonical(value) not in map(canonical, values):
                raise InputError(
                    f"{place}: when: expected one of {other}'s values, found {value!r}"
                )

    def _when_in_order(self) -> list[str]:
        """Order the conditional hyperparameters: each after those that it depends on."""
        left, ordered = dict(self.when), list[str]()
        while left:
            free = [name for name, when in left.items() if not when.keys() & left.keys()]
            if not free:
                name = next(iter(left))
                raise InputError(
                    f"{self.places[name]}: {name}: expected conditions without a cycle, found"
                    f" that {' and '.join(left)} depend on each other"
                )
            ordered += free
            left = {name: when for name, when in left.items() if name not in free}
        return ordered


def _lists(part: Part) -> dict[str, list[object]]:
    lists = {}
    for name, its in part.domains.items():
        place = f"{part.places.get(name, '')}: {name}".removeprefix(": ")
        try:
            values = domain.values(its)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        if values is None:
            kind = "a normal distribution" if isinstance(its, domain.Normal) else "a range"
            raise InputError(
                f"{place}: expected a list of values or a step, or --sampler random;"
                f" found {kind} without end"
            )
        lists[name] = values
    return lists


def _condition(when: When) -> Condition:
    depends = {name: _is_among(values) for name, values in when.items()}
    return Condition(
        depends,
        lambda used: all(name in used and allows(used[name]) for name, allows in depends.items()),
    )


def _is_among(values: Sequence[object]) -> Callable[[object], bool]:
    known = set(map(canonical, values))
    return lambda value: canonical(value) in known


def _constraint(text: str, place: str) -> Constraint:
    def holds(values: Mapping[str, object]) -> bool:
        try:
            found = rule.value(values)
        except InputError as error:
            raise InputError(f"{place}: constraints: {text!r}: {error}") from error
        if not isinstance(found, bool):
            raise InputError(
                f"{place}: constraints: expected true or false, found {found!r} from {text!r}"
            )
        return found

    try:
        rule = expression.parsed(text)
    except InputError as error:
        raise InputError(f"{place}: constraints: {error}") from error
    return Constraint(rule.names, holds, f"{place}: constraints")
