"""Optuna's samplers, asked on rank 0.

A proposal depends on its number, the search seed and the results that have come back by then: on
one rank it is the same on every day, on several it depends on which trial ends first. What is with
a rank counts as running, which the samplers take into account, and nothing is proposed twice.

What they see is numbers: a list of numbers is an order of places, other lists are categories, a
normal distribution is the share that lies below. Probabilities of a list are not told to them.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from hpo import domain, draw, seeds
from hpo.domain import Choices, Domain, Normal, Range
from hpo.errors import InputError
from hpo.rules import Rules
from hpo.trial import Aim, Config, Result, Status, canonical
from hpo.written import Written

_NEEDS = {"tpe": (), "gp": ("torch",), "cmaes": ("cmaes",), "nsga2": ()}
_MOST_ASKED = 20  # times for one proposal that is new; then one is drawn at random
_ALTERNATIVE = "alternative"  # the parameter that chooses among a space's alternatives
_TAIL = 1e-6  # of a normal distribution


def check_installed(sampler: str) -> None:
    """Refuse a sampler that is not there, before anything is loaded.

    Raises:
        InputError: with the command that installs it.
    """
    packages = ("optuna", *_NEEDS[sampler])
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(
            f"--sampler {sampler}: expected {' and '.join(packages)} to be installed, found no"
            f" {lacking[0]}; pip install {' '.join(packages)}"
        )


class Advisor:
    """Proposes configurations that are new, from the results so far."""

    def __init__(
        self, written: Written, rules: Rules, *, sampler: str, seed: int, aim: Aim
    ) -> None:
        import optuna  # a second that only these samplers need

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna: Any = optuna
        self._written, self._rules = written, rules
        self._sampler, self._seed = sampler, seed
        self._study = optuna.create_study(direction=aim.goal)
        self._axes = _axes(written)
        self._under_way: dict[str, Any] = {}  # Optuna's trials, by configuration
        self._known: set[str] = set()

    def take_up(self, config: Config) -> None:
        """Hear of what an earlier start has proposed."""
        self._study.enqueue_trial(self._parameters(config))
        self._accept(config, self._ask(0))

    def propose(self) -> Config | None:
        """Give a configuration that was not proposed before; None if there is none."""
        for attempt in range(_MOST_ASKED):
            asked = self._ask(attempt)
            config = self._config(asked.params)
            if config is not None and canonical(config) not in self._known:
                self._accept(config, asked)
                return config
            self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
        n = len(self._known) + 1
        drawn = draw.configs(self._written, self._rules, sampler="random", n=n, seed=self._seed)
        config = next((its for its in drawn if canonical(its) not in self._known), None)
        if config is not None:
            self.take_up(config)
        return config

    def note(self, result: Result) -> None:
        """Learn from a result; of a trial that is pruned, what it had come to at first."""
        asked = self._under_way.pop(canonical(result.config), None)
        if asked is None:
            return
        states = self._optuna.trial.TrialState
        if result.status is Status.FAILED or result.score is None:
            self._study.tell(asked, state=states.FAIL)
        elif result.status is Status.PRUNED:
            asked.report(result.score, result.epochs)
            self._study.tell(asked, state=states.PRUNED)
        else:
            self._study.tell(asked, result.score)

    def _accept(self, config: Config, asked: Any) -> None:
        self._known.add(canonical(config))
        self._under_way[canonical(config)] = asked

    def _ask(self, attempt: int) -> Any:
        # A new one for each: what it draws then depends on the number, and not on this process.
        parts = ("model", self._sampler, self._seed, len(self._known), attempt)
        seed = int(seeds.generator(*parts).integers(2**31))
        distributions = self._optuna.distributions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in it
            self._study.sampler = self._new_sampler(seed)
            return self._study.ask(
                {name: axis.kind(distributions) for name, axis in self._axes.items()}
            )

    def _new_sampler(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        if self._sampler == "tpe":
            return samplers.TPESampler(seed=seed, constant_liar=True)
        if self._sampler == "gp":
            return samplers.GPSampler(seed=seed)
        if self._sampler == "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        return samplers.NSGAIISampler(seed=seed)

    def _config(self, parameters: Mapping[str, Any]) -> Config | None:
        number = parameters.get(_ALTERNATIVE, 0)
        values = {
            name: self._axes[axis].value(parameters[axis])
            for name, axis in _axes_of_part(self._written, number).items()
        }
        config = self._rules.used(values)
        return config if self._rules.allows(config) else None

    def _parameters(self, config: Config) -> dict[str, Any]:
        """Find the parameters of a configuration; what it does not use is left to be drawn."""
        for number in range(len(self._written.parts)):
            names = _axes_of_part(self._written, number)
            if not config.keys() <= names.keys():
                continue
            try:
                found = {names[n]: self._axes[names[n]].parameter(v) for n, v in config.items()}
            except (KeyError, ValueError, TypeError):
                continue  # it is of another alternative
            return found | ({_ALTERNATIVE: number} if _ALTERNATIVE in self._axes else {})
        return {}


@dataclass(frozen=True)
class _Axis:
    """A hyperparameter as Optuna sees it: a kind of number, and what each one stands for.

    Attributes:
        kind: makes Optuna's distribution; takes the module of these.
        parameter: the inverse of `value`, which raises where a value is not among its own.
    """

    kind: Callable[[Any], Any]
    value: Callable[[Any], object]
    parameter: Callable[[Any], Any]


def _axes(written: Written) -> dict[str, _Axis]:
    axes: dict[str, _Axis] = {}
    if len(written.alternatives) > 1:
        axes[_ALTERNATIVE] = _listed(list(range(len(written.alternatives))), is_ordered=False)
    for number, part in enumerate(written.parts):
        for name, axis in _axes_of_part(written, number).items():
            axes[axis] = _axis(part.domains[name])
    return axes


def _axes_of_part(written: Written, number: int) -> dict[str, str]:
    """Name the axis of each hyperparameter of an alternative: those of all share theirs."""
    own = written.alternatives[number].domains if written.alternatives else {}
    names = written.parts[number].domains
    return {name: f"{name} of {number}" if name in own else name for name in names}


def _axis(its: Domain) -> _Axis:
    if isinstance(its, Normal):
        return _Axis(
            lambda kinds: kinds.FloatDistribution(_TAIL, 1 - _TAIL),
            lambda share: domain.at(its, share),
            lambda value: _share_below(its, value),
        )
    if isinstance(its, Choices):
        values = list(its.values)
        if not _are_numbers(values):
            return _listed(values, is_ordered=False)
        return _listed(sorted(values, key=lambda value: float(str(value))), is_ordered=True)
    if domain.count(its) is None:
        return _Axis(
            lambda kinds: kinds.FloatDistribution(float(its.low), float(its.high), log=its.log),
            float,
            lambda value: _within(its, float(value)),
        )
    if its.is_integer and its.step is None:
        return _Axis(
            lambda kinds: kinds.IntDistribution(int(its.low), int(its.high), log=its.log),
            int,
            lambda value: _within(its, int(value)),
        )
    return _stepped(its)


def _stepped(its: Range) -> _Axis:
    last = (domain.count(its) or 1) - 1

    def place_of(value: Any) -> int:
        place = round((float(value) - its.low) / (its.step or 1))
        if not 0 <= place <= last or domain.nth(its, place) != value:
            raise ValueError(f"expected a value of {its}, found {value!r}")
        return place

    return _Axis(
        lambda kinds: kinds.IntDistribution(0, last),
        lambda place: domain.nth(its, place),
        place_of,
    )


def _listed(values: list[object], *, is_ordered: bool) -> _Axis:
    places = {canonical(value): place for place, value in enumerate(values)}

    def kind(kinds: Any) -> Any:
        if is_ordered:
            return kinds.IntDistribution(0, len(values) - 1)
        return kinds.CategoricalDistribution(range(len(values)))

    return _Axis(kind, lambda place: values[place], lambda value: places[canonical(value)])


def _are_numbers(values: list[object]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _within(its: Range, value: Any) -> Any:
    if not its.low <= value <= its.high:
        raise ValueError(f"expected a value of {its}, found {value!r}")
    return value


def _share_below(its: Normal, value: Any) -> float:
    """Give the share at which a value lies, nearly: `domain.at` rounds."""
    share = NormalDist(its.mean, its.std).cdf(math.log(value) if its.log else value)
    return min(max(share, _TAIL), 1 - _TAIL)
