"""The engine, and each image built once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import images
import pytest


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[images.Engine]:
    """Give an engine with the base image."""
    if reason := images.lacking():
        pytest.skip(reason)
    try:
        engine = images.Engine(tmp_path_factory.mktemp("engine"))
    except images.NoBaseError as error:
        pytest.skip(str(error))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def built(engine: images.Engine) -> Callable[[str], str]:
    """Give a function that builds an image of this project once, and gives its name."""

    @cache
    def build(name: str) -> str:
        engine.build(name)
        return f"localhost/{name}:latest"

    return build


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a directory to mount, which anybody may write to."""
    path = tmp_path / "store"
    path.mkdir()
    path.chmod(0o777)
    return path
