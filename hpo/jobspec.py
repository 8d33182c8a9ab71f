"""Job specifications: `parameters` whose lists are multiplied, LIST keys, expressions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from hpo import expression, spaceyaml
from hpo.document import Document
from hpo.domain import Domain
from hpo.errors import InputError
from hpo.written import Part, Written

LIST = "LIST"
MOST_ALTERNATIVES = 10_000


def space(document: Document) -> Written:
    """Read the parameters of a job specification; what else it holds is passed over.

    Raises:
        InputError: naming file, line and key.
    """
    parameters = document.part("parameters")
    place = document.place("parameters")
    if not isinstance(parameters.value, Mapping) or not parameters.value:
        raise InputError(
            f"{place}: parameters: expected `name: [value, …]` lines,"
            f" found {parameters.value!r:.60}"
        )
    common, lists = _split(parameters)
    parts = list(itertools.islice(_products(lists), MOST_ALTERNATIVES + 1)) if lists else []
    if len(parts) > MOST_ALTERNATIVES:
        raise InputError(
            f"{place}: parameters: expected at most {MOST_ALTERNATIVES:,} alternatives in all"
            f" {LIST} keys, found more"
        )
    for part in parts:
        _check_once(common, part)
    return Written(common.domains, common.places, document.name, alternatives=parts)


def _split(document: Document) -> tuple[Part, list[list[Part]]]:
    """Tell ordinary parameters from LIST keys, each as its expanded alternatives."""
    domains: dict[str, Domain] = {}
    places: dict[str, str] = {}
    lists = []
    for key, value, place in document.items():
        name = spaceyaml.checked_name(key, place)
        if name.startswith(LIST):
            lists.append(_alternatives(document, name, value, place))
            continue
        domains[name], places[name] = _domain(value, f"{place}: {name}"), place
    return Part(domains, places), lists


def _alternatives(document: Document, key: str, found: object, place: str) -> list[Part]:
    is_list = isinstance(found, list) and all(isinstance(its, Mapping) and its for its in found)
    if not is_list or not found:
        raise InputError(
            f"{place}: {key}: expected a list of alternatives, each with parameters of its own,"
            f" found {found!r:.60}"
        )
    parts: list[Part] = []
    for index in range(len(found)):  # type: ignore[arg-type]  # a list
        common, lists = _split(document.part(key, index))
        for part in _products(lists):
            _check_once(common, part)
            parts.append(_merged(common, part))
            if len(parts) > MOST_ALTERNATIVES:
                raise InputError(
                    f"{place}: {key}: expected at most {MOST_ALTERNATIVES:,} alternatives,"
                    " found more"
                )
    return parts


def _products(lists: list[list[Part]]) -> Iterator[Part]:
    """Combine one alternative of each list with those of the others."""
    for chosen in itertools.product(*lists):
        part = Part({}, {})
        for other in chosen:
            _check_once(part, other)
            part = _merged(part, other)
        yield part


def _merged(one: Part, other: Part) -> Part:
    return Part({**one.domains, **other.domains}, {**one.places, **other.places})


def _check_once(one: Part, other: Part) -> None:
    for name in one.domains.keys() & other.domains.keys():
        raise InputError(
            f"{other.places[name]}: {name}: expected it once in a combination, found it in"
            f" {one.places[name]} too"
        )


def _domain(value: Any, place: str) -> Domain:
    value = _computed(value, place)
    items = value if isinstance(value, list) else [value]
    return spaceyaml.choices([_computed(item, place) for item in items], place)


def _computed(value: Any, place: str) -> Any:
    if not isinstance(value, str) or not expression.is_computed(value):
        return value
    try:
        return expression.evaluate(value)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
