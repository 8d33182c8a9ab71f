"""Optuna's samplers, asked on rank 0: the only module that imports Optuna.

A proposal depends on its number, the search seed and the results that have come back by then: on
one rank it is the same on every day, on several it depends on which trial ends first. What is with
a rank counts as running, which the samplers take into account, and nothing is proposed twice.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo import domain, draw, seeds
from hpo.domain import Choices, Domain, Range
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
        self._study.enqueue_trial(_parameters(self._axes, self._written, config))
        self._accept(config, self._ask())

    def propose(self) -> Config | None:
        """Give a configuration that was not proposed before; None if there is none."""
        for _ in range(_MOST_ASKED):
            asked = self._ask()
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
        if result.status is Status.DONE:
            self._study.tell(asked, result.score)
        elif result.status is Status.PRUNED:
            asked.report(result.score, result.epochs)
            self._study.tell(asked, state=states.PRUNED)
        else:
            self._study.tell(asked, state=states.FAIL)

    def _accept(self, config: Config, asked: Any) -> None:
        self._known.add(canonical(config))
        self._under_way[canonical(config)] = asked

    def _ask(self) -> Any:
        number = len(self._study.trials)
        # A new one for each: what it draws then depends on the number, and not on this process.
        seed = int(seeds.generator("model", self._sampler, self._seed, number).integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in it
            self._study.sampler = self._new_sampler(seed)
            return self._study.ask({name: axis.kind(self) for name, axis in self._axes.items()})

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

    def category(self, n: int) -> Any:
        return self._optuna.distributions.CategoricalDistribution(range(n))

    def whole(self, low: int, high: int, *, log: bool = False) -> Any:
        return self._optuna.distributions.IntDistribution(low, high, log=log)

    def number(self, low: float, high: float, *, log: bool = False) -> Any:
        return self._optuna.distributions.FloatDistribution(low, high, log=log)


@dataclass(frozen=True)
class _Axis:
    """A hyperparameter as Optuna sees it: a kind of number, and what each one stands for."""

    kind: Callable[[Advisor], Any]
    value: Callable[[Any], object]
    parameter: Callable[[object], Any]


def _axes(written: Written) -> dict[str, _Axis]:
    axes: dict[str, _Axis] = {}
    n = len(written.alternatives)
    if n > 1:
        axes[_ALTERNATIVE] = _Axis(lambda its: its.category(n), int, lambda v: int(str(v)))
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
    if isinstance(its, Range) and domain.count(its) is None:
        low, high, log = float(its.low), float(its.high), its.log
        return _Axis(lambda a: a.number(low, high, log=log), float, lambda v: float(str(v)))
    if isinstance(its, Range) and its.is_integer and its.step is None:
        first, last, log = int(its.low), int(its.high), its.log
        return _Axis(lambda a: a.whole(first, last, log=log), int, lambda v: int(str(v)))
    values = domain.values(its)
    if values is None:  # a normal distribution
        return _Axis(
            lambda a: a.number(_TAIL, 1 - _TAIL),
            lambda share: domain.at(its, share),
            lambda _: 0.5,  # where it lies is not known any more
        )
    if isinstance(its, Choices) and not _are_numbers(values):
        return _listed(values, lambda a: a.category(len(values)))
    values.sort(key=lambda value: float(str(value)))
    return _listed(values, lambda a: a.whole(0, len(values) - 1))


def _listed(values: list[object], kind: Callable[[Advisor], Any]) -> _Axis:
    places = {canonical(value): place for place, value in enumerate(values)}
    return _Axis(kind, lambda place: values[place], lambda value: places[canonical(value)])


def _are_numbers(values: list[object]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _parameters(axes: Mapping[str, _Axis], written: Written, config: Config) -> dict[str, Any]:
    """Find the parameters of a configuration that was proposed; what it does not use is open."""
    for number in range(len(written.parts)):
        names = _axes_of_part(written, number)
        try:
            found = {
                axis: axes[axis].parameter(config[name])
                for name, axis in names.items()
                if name in config
            }
        except (KeyError, ValueError):
            continue  # another alternative's
        return found | ({_ALTERNATIVE: number} if _ALTERNATIVE in axes else {})
    return {}
