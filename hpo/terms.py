"""What is known of an objective's hyperparameters without running it: the base of all plans."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hpo.errors import InputError
from hpo.rules import Condition
from hpo.space import Combinations
from hpo.trial import Config, plain


class Estimate(NamedTuple):
    """A first guess of a trial's time, which the times seen of its kind correct.

    Trials of a kind share what is compiled, and their guesses are wrong by the same factor.
    """

    kind: str
    seconds: float


class Terms(Protocol):
    """An objective's hyperparameters."""

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """When each is in use."""

    @property
    def defaults(self) -> Config:
        """Those that a configuration may leave out."""

    def check(self, values: Mapping[str, Sequence[object]], places: Mapping[str, str]) -> None:
        """Refuse names and values that the objective does not take.

        Args:
            values: each hyperparameter's values.
            places: where each was written, for the message.

        Raises:
            InputError: naming the place, the hyperparameter, what was expected and what was found.
        """

    def check_fit(self, grid: Combinations) -> None:
        """Refuse a grid with a combination that the data do not allow.

        Raises:
            InputError: naming the hyperparameter.
        """

    def complete(self, config: Mapping[str, object]) -> Config:
        """Add the default of every hyperparameter that a configuration leaves out and uses."""

    def deviations(self, config: Mapping[str, object]) -> Config:
        """Give what a configuration changes against the defaults: what its id rests on."""

    def epochs(self, config: Mapping[str, object]) -> int:
        """Say how many epochs a trial has at most."""

    def estimate(self, config: Mapping[str, object]) -> Estimate:
        """Guess how long a trial takes."""


@dataclass(frozen=True)
class OpenTerms:
    """Hyperparameters of which no more is known than defaults, or nothing.

    Attributes:
        cost: guesses the seconds of a complete configuration.
    """

    defaults: Config = field(default_factory=dict)
    cost: Callable[[Config], float] | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def check(self, values: Mapping[str, Sequence[object]], places: Mapping[str, str]) -> None:
        for name in values:
            if self.defaults and name not in self.defaults:
                raise unknown(name, places[name], self.defaults)

    def check_fit(self, grid: Combinations) -> None:
        pass

    def complete(self, config: Mapping[str, object]) -> Config:
        return self.defaults | dict(config)

    def deviations(self, config: Mapping[str, object]) -> Config:
        return deviations(config, self.defaults)

    def epochs(self, config: Mapping[str, object]) -> int:
        its = self.complete(config).get("epochs")
        return its if isinstance(its, int) and its > 0 else 1

    def estimate(self, config: Mapping[str, object]) -> Estimate:
        if self.cost is None:
            return Estimate("", float(self.epochs(config)))
        return Estimate("", float(self.cost(self.complete(config))))


def deviations(config: Mapping[str, object], usual: Mapping[str, object]) -> Config:
    """Give what a configuration changes against defaults."""
    return {
        name: value
        for name, value in config.items()
        if name not in usual
        or plain(value) != plain(usual[name])
        # bool is an int to Python, but `true` is not 1 to anyone else
        or isinstance(value, bool) != isinstance(usual[name], bool)
    }


def unknown(name: str, place: str, known: Collection[str]) -> InputError:
    """Make the error of a name that is not among the known ones."""
    return InputError(f"{place}: unknown hyperparameter {name!r}; {nearest(name, known)}")


def nearest(name: str, known: Collection[str]) -> str:
    """Say which name was meant, or which there are."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
