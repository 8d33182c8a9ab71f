"""Which hyperparameters a combination uses, and which combinations are allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hpo.trial import Config


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
class Constraint:
    """What must hold between hyperparameters wherever all of `names` are in use."""

    names: Sequence[str]
    holds: Callable[[Mapping[str, object]], bool]
    place: str = "constraints"  # where it stands, for messages


@dataclass(frozen=True)
class Rules:
    """What makes a combination of values a configuration.

    Attributes:
        conditions: the objective's own; they see the defaults of what is not in a combination.
        defaults: the objective's.
        when: the user's, each after those of the hyperparameters that it depends on; what is not
            in use fulfils none.
        constraints: the user's.
    """

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    when: Mapping[str, Condition] = field(default_factory=dict)
    constraints: Sequence[Constraint] = ()

    def used(self, values: Mapping[str, object]) -> Config:
        """Leave out what a combination does not use."""
        wanted = self._wanted(values)
        setting = {**self.defaults, **wanted}
        used = {
            name: value
            for name, value in wanted.items()
            if name not in self.conditions or self.conditions[name].holds(setting)
        }
        return self._wanted(used)

    def allows(self, config: Mapping[str, object]) -> bool:
        """Tell whether a configuration fulfils all constraints between what it uses."""
        return all(
            constraint.holds(config)
            for constraint in self.constraints
            if all(name in config for name in constraint.names)
        )

    def _wanted(self, values: Mapping[str, object]) -> Config:
        wanted = dict(values)
        for name, condition in self.when.items():
            if name in wanted and not condition.holds(wanted):
                del wanted[name]
        return wanted
