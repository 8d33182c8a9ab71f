"""The data of a search that are an artifact: brought by rank 0, seen by all ranks."""

from __future__ import annotations

from pathlib import Path

from hpo import artifacts
from hpo.errors import InputError
from hpo.world import World


def local(world: World, path: str | None) -> str | None:
    """Give the path under which all ranks find the data (collective).

    Raises:
        InputError: on every rank alike, if an artifact cannot be had, or not all see it.
    """
    if path is None or not artifacts.is_artifact(path):
        return path
    found = world.on_root(lambda: artifacts.fetch(path))
    told = world.all_gather((world.host, Path(found).exists()))
    blind = sorted({host for host, sees in told if not sees})
    if blind:
        raise InputError(
            f"--data {path}: expected a cache that all nodes share, found hosts that do not see"
            f" {found}: {', '.join(blind)}; HPO_CACHE in the environment names another folder"
        )
    return found
