"""This program's own form of a search space, read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hpo import domain
from hpo.document import Document, check_value
from hpo.domain import Choices, Domain, Normal, Range
from hpo.errors import InputError
from hpo.written import Part, When, Written

# Keys that are no hyperparameters.
CONSTRAINTS = "constraints"
ALTERNATIVES = "alternatives"
Made = TypeVar("Made", bound=Domain)
# Any of these makes a mapping a domain and no group of hyperparameters.
DOMAIN_KEYS = frozenset({"value", "values", "min", "max", "mean", "std"})
_FORMS = (
    {"value"},
    {"values", "probabilities"},
    {"min", "max", "log", "step"},
    {"mean", "std", "log", "step"},
)
_NEEDED = ({"value"}, {"values"}, {"min", "max"}, {"mean", "std"})


def space(document: Document) -> Written:
    """Read a mapping of names to values, ranges and conditions.

    Raises:
        InputError: naming file, line and key.
    """
    if not isinstance(document.value, Mapping):
        raise InputError(
            f"{document.name}: expected a dictionary of lists, found {document.value!r:.60}"
        )
    domains, places, when = {}, {}, {}
    for key, value, place in document.items():
        if key in (CONSTRAINTS, ALTERNATIVES):
            continue
        name = checked_name(key, place)
        if isinstance(value, Mapping) and "when" in value:
            when[name] = _when(value["when"], f"{place}: {name}")
            value = {other: its for other, its in value.items() if other != "when"}
        domains[name], places[name] = read(value, f"{place}: {name}"), place
    alternatives = _alternatives(document, domains)
    if not domains and not alternatives:
        raise InputError(f"{document.name}: expected at least one hyperparameter, found none")
    constraints = _constraints(document)
    return Written(domains, places, document.name, when, constraints, alternatives)


def described(written: Written) -> dict[str, object]:
    """Write a space as a plain value that reads back as the same one."""
    found: dict[str, object] = {}
    for name, its in written.domains.items():
        plain = domain.described(its)
        if name in written.when:
            plain = {"values": plain} if isinstance(plain, list) else plain
            when = {other: list(values) for other, values in written.when[name].items()}
            plain = {**plain, "when": when}  # type: ignore[dict-item]  # a dictionary now
        found[name] = plain
    if written.constraints:
        found[CONSTRAINTS] = list(written.constraints)
    if written.alternatives:
        found[ALTERNATIVES] = [
            {name: domain.described(its) for name, its in part.domains.items()}
            for part in written.alternatives
        ]
    return found


def checked_name(key: object, place: str) -> str:
    """Give a hyperparameter's name.

    Raises:
        InputError: if it is none.
    """
    if not isinstance(key, str) or not key:
        raise InputError(f"{place}: expected a hyperparameter's name, found {key!r}")
    return key


def choices(values: list[Any], place: str) -> Choices:
    """Make a domain of a list of values.

    Raises:
        InputError: if there are none, or they cannot be a hyperparameter's.
    """
    for value in values:
        check_value(value, place)
    return made(place, lambda: Choices(tuple(values)))


def made(place: str, make: Callable[[], Made]) -> Made:
    """Make a domain, naming the place if there is no such one."""
    try:
        return make()
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def read(value: Any, place: str) -> Domain:
    """Read what one hyperparameter may be: a value, a list, or what `domain.described` gives.

    Raises:
        InputError: beginning with the place.
    """
    if not isinstance(value, Mapping):
        return choices(value if isinstance(value, list) else [value], place)
    keys = value.keys()
    form = next((f for f, n in zip(_FORMS, _NEEDED, strict=True) if n <= keys <= f), None)
    if form is None:
        raise InputError(
            f"{place}: expected a list, {{min, max}} with log and step as wanted, {{mean, std}},"
            f" {{values, probabilities}} or {{value}}, found {', '.join(map(str, keys)) or 'none'}"
        )
    if "value" in keys:
        return choices([value["value"]], place)
    if "values" in keys:
        return _choices(value, place)
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool):
        raise InputError(f"{place}: log: expected true or false, found {log!r}")
    numbers = [number(value[key], f"{place}: {key}") for key in keys if key != "log"]
    if "mean" in keys:
        return made(place, lambda: Normal(value["mean"], value["std"], log, step))
    is_integer = all(isinstance(its, int) for its in numbers)
    return made(place, lambda: Range(value["min"], value["max"], log, step, is_integer))


def number(value: object, place: str) -> int | float:
    """Give a number.

    Raises:
        InputError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{place}: expected a number, found {value!r}")
    return value


def _choices(value: Mapping[str, Any], place: str) -> Choices:
    values, shares = value["values"], value.get("probabilities")
    plain = choices(values if isinstance(values, list) else [values], place)
    if shares is None:
        return plain
    if not isinstance(shares, list):
        raise InputError(f"{place}: probabilities: expected a list, found {shares!r}")
    its = tuple(number(share, f"{place}: probabilities") for share in shares)
    return made(place, lambda: Choices(plain.values, its))


def _when(found: object, place: str) -> When:
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"{place}: when: expected `{{other: value or list}}`, found {found!r}")
    return {
        str(name): values if isinstance(values, list) else [values]
        for name, values in found.items()
    }


def _constraints(document: Document) -> dict[str, str]:
    found = document.value.get(CONSTRAINTS, [])
    texts = found if isinstance(found, list) else [found]
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            place = document.place(CONSTRAINTS, index)
            raise InputError(f"{place}: {CONSTRAINTS}: expected expressions, found {text!r}")
    return {text: document.place(CONSTRAINTS, index) for index, text in enumerate(texts)}


def _alternatives(document: Document, common: Mapping[str, Domain]) -> list[Part]:
    found = document.value.get(ALTERNATIVES, [])
    if not isinstance(found, list) or not all(isinstance(its, Mapping) for its in found):
        place = document.place(ALTERNATIVES)
        raise InputError(
            f"{place}: {ALTERNATIVES}: expected a list of spaces, found {found!r:.60}"
        )
    parts = []
    for index in range(len(found)):
        domains, places = {}, {}
        for key, value, place in document.items(ALTERNATIVES, index):
            name = checked_name(key, place)
            if name in common:
                raise InputError(
                    f"{place}: {name}: expected it in the alternatives or beside them, found it"
                    " in both"
                )
            domains[name], places[name] = read(value, f"{place}: {name}"), place
        parts.append(Part(domains, places))
    return parts
