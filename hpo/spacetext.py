"""A search space as people read it: in lines on a terminal, or as a YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo import spaceyaml
from hpo.report import yaml_value
from hpo.written import Written

_MOST_SHOWN = 20
_MOST_ROWS = 10


def lines(written: Written) -> list[str]:
    """Give a line for each hyperparameter, constraint and alternative."""
    found = spaceyaml.described(written)
    constraints = found.pop(spaceyaml.CONSTRAINTS, [])
    alternatives = found.pop(spaceyaml.ALTERNATIVES, [])
    width = max((len(name) for name in found), default=0)
    told = [f"  {name:<{width}}  {_short(its)}" for name, its in found.items()]
    told += [f"  where {text}" for text in constraints]  # type: ignore[attr-defined]  # a list
    return told + list(_rows(alternatives))


def yaml(written: Written) -> str:
    """Write a space as a file that reads back as the same one."""
    found = spaceyaml.described(written)
    constraints = found.pop(spaceyaml.CONSTRAINTS, None)
    alternatives: Any = found.pop(spaceyaml.ALTERNATIVES, None)
    text = ""
    if written.settings:
        said = ", ".join(f"{name} {yaml_value(its)}" for name, its in written.settings.items())
        text += f"# {written.name} also says: {said}\n"
    text += "".join(f"{_key(name)}: {_flow(its)}\n" for name, its in found.items())
    if constraints is not None:
        text += f"{spaceyaml.CONSTRAINTS}: {_flow(constraints)}\n"
    if alternatives is not None:
        text += f"{spaceyaml.ALTERNATIVES}:\n"
        text += "".join(f"  - {_flow(part)}\n" for part in alternatives)
    return text


def _short(its: object) -> str:
    """Show a list without its brackets and its end, and anything else as in a file."""
    if not isinstance(its, list):
        return _flow(its)
    shown = ", ".join(yaml_value(value) for value in its[:_MOST_SHOWN])
    return shown + (f", … ({len(its):,} values)" if len(its) > _MOST_SHOWN else "")


def _rows(alternatives: Any) -> Iterator[str]:
    for part in alternatives[:_MOST_ROWS]:
        yield "  - " + " · ".join(f"{name} {_short(its)}" for name, its in part.items())
    if len(alternatives) > _MOST_ROWS:
        yield f"  - … ({len(alternatives):,} in all)"


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_flow(its)}" for key, its in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return yaml_value(value)


def _key(name: object) -> str:
    return yaml_value(str(name))
