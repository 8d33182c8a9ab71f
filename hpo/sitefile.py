"""A site's defaults for its jobs: a small YAML file, shipped with the program or one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hpo.errors import InputError
from hpo.job import Job

SHIPPED = Path(__file__).parent / "sites"
WITH_GPUS = "with_gpus"  # a part of the file: what is different for jobs with GPUs
_LISTS = ("mounts", "setup", "directives")
_OF_ONE_JOB = ("interactive", "arguments", "out")
_DEFAULTS = {f.name: f.default for f in fields(Job) if f.name not in _OF_ONE_JOB}


def names() -> list[str]:
    """Name the sites that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read(source: str, *, gpus_per_node: int | None) -> dict[str, Any]:
    """Read a site's defaults: some of `Job`'s fields.

    Args:
        gpus_per_node: as the command line says; None: as the file says.

    Raises:
        InputError: if there is no such site, or it holds something else.
    """
    path = Path(source)
    if not path.is_file() and "/" not in source:
        path = SHIPPED / f"{source}.yaml"
    if not path.is_file():
        raise InputError(
            f"--site {source}: expected a YAML file or one of {', '.join(names())}, found neither"
        )
    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InputError(f"{path}: expected YAML, found: {error}") from error
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: expected `name: value` lines, found {found!r:.40}")
    with_gpus = found.get(WITH_GPUS, {})
    if not isinstance(with_gpus, Mapping):
        raise InputError(
            f"{path}: {WITH_GPUS}: expected `name: value` lines, found {with_gpus!r:.40}"
        )
    usual, other = (
        {name: _checked(name, value, path) for name, value in part.items() if name != WITH_GPUS}
        for part in (found, with_gpus)
    )
    n_gpus = usual.get("gpus_per_node", 0) if gpus_per_node is None else gpus_per_node
    return usual | other if n_gpus else usual


def _checked(name: object, value: object, path: Path) -> object:
    if name not in _DEFAULTS:
        known = ", ".join([*_DEFAULTS, WITH_GPUS])
        raise InputError(f"{path}: expected one of {known}, found {name!r}")
    if name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"{path}: {name}: expected a list of texts, found {value!r:.40}")
        return tuple(value)
    kind = int if isinstance(_DEFAULTS[name], int) else str
    if not isinstance(value, kind) or isinstance(value, bool):
        words = {int: "a whole number", str: "a text"}[kind]
        raise InputError(f"{path}: {name}: expected {words}, found {value!r:.40}")
    return value
