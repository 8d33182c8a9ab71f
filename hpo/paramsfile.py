"""A params.yaml as users of DVC and Hydra have it: nested groups, one value for each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo import spaceyaml
from hpo.document import Document
from hpo.domain import Domain
from hpo.errors import InputError
from hpo.written import Written

_HYDRAS_OWN = ("defaults", "hydra")


def is_params(found: Mapping[Any, Any]) -> bool:
    """Tell it from this program's own YAML: it has groups, which are no ranges."""
    return any(
        isinstance(value, Mapping) and not (spaceyaml.DOMAIN_KEYS | {"when"}) & value.keys()
        for value in found.values()
    )


def space(document: Document) -> Written:
    """Read groups as dotted names; a list is one value, which `--set` varies.

    Raises:
        InputError: naming file, line and key.
    """
    domains: dict[str, Domain] = {}
    places: dict[str, str] = {}
    _collect(document, (), domains, places)
    if not domains:
        raise InputError(f"{document.name}: expected at least one hyperparameter, found none")
    return Written(domains, places, document.name)


def _collect(
    document: Document,
    path: tuple[str, ...],
    domains: dict[str, Domain],
    places: dict[str, str],
) -> None:
    for key, value, place in document.items(*path):
        if not path and key in _HYDRAS_OWN:
            continue
        name = ".".join([*path, spaceyaml.checked_name(key, place)])
        if isinstance(value, Mapping):
            _collect(document, (*path, key), domains, places)
        elif name in domains:
            raise InputError(f"{place}: {name}: expected it once, found it in {places[name]} too")
        else:
            domains[name], places[name] = spaceyaml.choices([value], f"{place}: {name}"), place
