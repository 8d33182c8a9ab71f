"""W&B's sweep files: their distributions, and what they say about the search.

https://docs.wandb.ai/guides/sweeps/sweep-config-keys has the keys and their meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from hpo import spaceyaml
from hpo.document import Document
from hpo.domain import Domain, Normal, Range
from hpo.errors import InputError
from hpo.spaceyaml import number
from hpo.written import Written

_METHODS = {"grid": "grid", "random": "random", "bayes": "tpe"}
_ETA = 3  # theirs, where the file says none

Parameter = Mapping[str, Any]


def is_sweep(found: Mapping[Any, Any]) -> bool:
    """Tell a sweep from a job specification: it has a method, or parameters as W&B has them."""
    parameters = found.get("parameters")
    if not isinstance(parameters, Mapping):
        return False
    known = {"value", "values", "min", "max", "distribution", "parameters"}
    its = list(parameters.values())
    return "method" in found or any(isinstance(p, Mapping) and known & p.keys() for p in its)


def space(document: Document) -> Written:
    """Read a sweep.

    Raises:
        InputError: naming file, line and key.
    """
    domains: dict[str, Domain] = {}
    places: dict[str, str] = {}
    _collect(document.part("parameters"), "", domains, places)
    if not domains:
        raise InputError(f"{document.place('parameters')}: expected parameters, found none")
    return Written(domains, places, document.name, settings=_settings(document))


def _collect(
    document: Document, prefix: str, domains: dict[str, Domain], places: dict[str, str]
) -> None:
    for key, found, place in document.items():
        name = prefix + spaceyaml.checked_name(key, place)
        if not isinstance(found, Mapping):
            raise InputError(
                f"{place}: {name}: expected value, values, or min and max, found {found!r:.60}"
            )
        if isinstance(found.get("parameters"), Mapping):
            _collect(document.part(key, "parameters"), f"{name}.", domains, places)
            continue
        domains[name], places[name] = _read(found, f"{place}: {name}"), place


def _read(found: Parameter, place: str) -> Domain:
    return spaceyaml.made(place, lambda: _domain(found))


def _domain(found: Parameter) -> Domain:
    distribution = found.get("distribution") or _usual(found)
    make = _DISTRIBUTIONS.get(distribution) if isinstance(distribution, str) else None
    if make is None:
        raise InputError(
            f"distribution: expected one of {', '.join(_DISTRIBUTIONS)}, found {distribution!r}"
        )
    return make(found)


def _usual(found: Parameter) -> str:
    """Name the distribution that W&B takes where none is named."""
    if "values" in found:
        return "categorical"
    if "value" in found:
        return "constant"
    low, high = _bounds(found)
    return "int_uniform" if isinstance(low, int) and isinstance(high, int) else "uniform"


def _needed(found: Parameter, key: str) -> Any:
    if key not in found:
        raise InputError(f"expected {key}, found {', '.join(map(str, found)) or 'none'}")
    return found[key]


def _bounds(found: Parameter) -> tuple[int | float, int | float]:
    low, high = (number(_needed(found, key), key) for key in ("min", "max"))
    if low > high:
        raise InputError(f"expected min up to max, found min {low} above max {high}")
    return low, high


def _categorical(found: Parameter) -> Domain:
    values = _needed(found, "values")
    if not isinstance(values, list):
        raise InputError(f"values: expected a list, found {values!r:.60}")
    wanted = {key: found[key] for key in ("values", "probabilities") if key in found}
    return spaceyaml.read(wanted, "values")


def _constant(found: Parameter) -> Domain:
    return spaceyaml.choices([_needed(found, "value")], "value")


def _int_uniform(found: Parameter) -> Domain:
    return Range(*_bounds(found), is_integer=True)


def _uniform(found: Parameter) -> Domain:
    return Range(*_bounds(found))


def _q_uniform(found: Parameter) -> Domain:
    return _multiples(found, *_bounds(found), log=False)


def _log_uniform(found: Parameter) -> Domain:
    return Range(*_exponentials(found), log=True)


def _q_log_uniform(found: Parameter) -> Domain:
    return _multiples(found, *_exponentials(found), log=True)


def _inv_log_uniform(found: Parameter) -> Domain:
    low, high = _exponentials(found)  # of log(1/X)
    return Range(1 / high, 1 / low, log=True)


def _log_uniform_values(found: Parameter) -> Domain:
    return Range(*_bounds(found), log=True)


def _q_log_uniform_values(found: Parameter) -> Domain:
    return _multiples(found, *_bounds(found), log=True)


def _normal(found: Parameter, *, log: bool = False, has_step: bool = False) -> Domain:
    mean = number(found.get("mu", 0), "mu")
    std = number(found.get("sigma", 1), "sigma")
    return Normal(mean, std, log, _step(found) if has_step else None)


def _exponentials(found: Parameter) -> tuple[float, float]:
    low, high = _bounds(found)
    if not -700 < low <= high < 700:
        raise InputError(f"expected exponents of e as min and max, found {low} and {high}")
    return math.exp(low), math.exp(high)


def _step(found: Parameter) -> int | float:
    step = number(found.get("q", 1), "q")
    if not 0 < step < math.inf:
        raise InputError(f"q: expected a number above 0, found {step}")
    return step


def _multiples(found: Parameter, low: float, high: float, *, log: bool) -> Domain:
    """Give the multiples of q between two bounds, as W&B rounds to them."""
    step = _step(found)
    if not math.isfinite(low / step) or not math.isfinite(high / step):
        raise InputError(f"expected finite min and max, found {low} and {high}")
    if log and low <= 0:
        raise InputError(f"expected a min above 0, as it is logarithmic, found {low}")
    first, last = round(low / step), round(high / step)
    first = max(first, 1) if log else first
    last = max(first, last)
    return Range(first * step, last * step, log, step, isinstance(step, int))


_DISTRIBUTIONS: dict[str, Callable[[Parameter], Domain]] = {
    "constant": _constant,
    "categorical": _categorical,
    "categorical_w_probabilities": _categorical,
    "int_uniform": _int_uniform,
    "uniform": _uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "q_log_uniform": _q_log_uniform,
    "q_log_uniform_values": _q_log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,  # the same distribution
    "normal": _normal,
    "q_normal": lambda found: _normal(found, has_step=True),
    "log_normal": lambda found: _normal(found, log=True),
    "q_log_normal": lambda found: _normal(found, log=True, has_step=True),
}


def _settings(document: Document) -> dict[str, object]:
    """Read what a sweep says about the search, in the words of this program's options."""
    found = document.value
    method = found.get("method")
    if method not in _METHODS:
        raise InputError(
            f"{document.place('method')}: method: expected {', '.join(_METHODS)}, found {method!r}"
        )
    settings: dict[str, object] = {"sampler": _METHODS[method]}
    if "run_cap" in found:
        settings["trials"] = _whole(document, "run_cap")
    if "metric" in found:
        settings |= _metric(document)
    if "early_terminate" in found:
        settings |= _pruner(document)
    return settings


def _metric(document: Document) -> dict[str, object]:
    metric, place = document.value["metric"], document.place("metric")
    if not isinstance(metric, Mapping) or not isinstance(metric.get("name"), str):
        raise InputError(f"{place}: metric: expected a name and a goal, found {metric!r:.60}")
    goal = metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        place = document.place("metric", "goal")
        raise InputError(f"{place}: metric: goal: expected minimize or maximize, found {goal!r}")
    return {"metric": metric["name"], "goal": goal}


def _pruner(document: Document) -> dict[str, object]:
    found, place = document.value["early_terminate"], document.place("early_terminate")
    kind = found.get("type") if isinstance(found, Mapping) else found
    if kind != "hyperband":
        raise InputError(f"{place}: early_terminate: type: expected hyperband, found {kind!r}")
    eta = number(found.get("eta", _ETA), f"{place}: early_terminate: eta")
    if not 1 < eta < math.inf:
        raise InputError(f"{place}: early_terminate: eta: expected a number above 1, found {eta}")
    if "min_iter" in found:
        least = _whole(document, "early_terminate", "min_iter")
    elif "max_iter" in found and "s" in found:
        # Its brackets end at max_iter / eta, … / eta² and so on, s of them.
        most, n = (_whole(document, "early_terminate", key) for key in ("max_iter", "s"))
        least = next(
            (int(most / eta**k) for k in range(min(n, 60), 0, -1) if most >= eta**k), most
        )
    else:
        raise InputError(
            f"{place}: early_terminate: expected min_iter, or max_iter and s,"
            f" found {', '.join(map(str, found))}"
        )
    return {"pruner": "hyperband", "eta": eta, "min_epochs": least}


def _whole(document: Document, *path: str) -> int:
    value: Any = document.value
    for key in path:
        value = value[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(
            f"{document.place(*path)}: {': '.join(path)}: expected a whole number from 1,"
            f" found {value!r}"
        )
    return value
