"""Loading the library that computes: seconds that other work can use."""

from __future__ import annotations

import gc
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType

from hpo import backend, quiet


class Library:
    """The engine's module, loaded in a thread of its own from `start` on, or by `get`."""

    def __init__(self) -> None:
        self._loading: Future[ModuleType] | None = None

    def start(self) -> None:
        """Begin to load it. Whoever leaves before it is loaded waits for that at the exit."""
        loader = ThreadPoolExecutor(1, "library")
        self._loading = loader.submit(_load, tells=False)  # it may fail for the exit alone
        loader.shutdown(wait=False)

    def get(self) -> ModuleType:
        """Give it, once it is loaded."""
        if self._loading is None or self._loading.exception() is not None:
            return _load()
        return self._loading.result()


def _load(*, tells: bool = True) -> ModuleType:
    engine: ModuleType
    with quiet.loading(tells=tells):
        if backend.chosen() == "tensorflow":
            from hpo import graph

            engine = graph
        else:
            from hpo import plain

            engine = plain
    gc.freeze()  # a million objects that stay: no collection need look at them again
    return engine
