"""Progress on rank 0: a live view on a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from types import TracebackType

from hpo.duration import duration as duration
from hpo.liveview import MOST_FINISHED, View, n_shown
from hpo.snapshot import Best, Finished, Snapshot, Training, settings_of
from hpo.terminal import Screen, Terminal
from hpo.trial import WORST, Merit, Result, Status, merit

PLAIN_EVERY_S = 30.0
LIVE_EVERY_S = 1.0
LARGEST_SHARE = 0.01  # of the time, for drawing: file systems may be slow


class Progress:
    """Shows how far the search is, from entering to leaving the context."""

    def __init__(
        self,
        n_total: int,
        n_ranks: int,
        *,
        varied: Collection[str],
        load: Callable[[], tuple[float, int]],
        training: Callable[[int], Sequence[Training]] = lambda n: (),
        quiet: bool = False,
        name: str = "",
    ) -> None:
        """Prepare to show.

        Args:
            varied: the hyperparameters that have more than one value, shown of each trial.
            load: gives the core-seconds that are left and the number of busy ranks.
            training: gives what the first so many busy ranks train.
            name: of the run directory.
        """
        self._n_total, self._n_ranks = n_total, n_ranks
        self._n_failed = 0
        self._counted: dict[str, Status] = {}  # by id: a pruned trial may come again
        self._best: tuple[Merit, Best | None] = (WORST, None)
        self._finished: deque[Finished] = deque(maxlen=MOST_FINISHED)
        self._peak_memory_mb = 0
        self._varied = varied
        self._load, self._training = load, training
        self._name = name
        self._began_s = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._quiet = quiet
        self._screen: Screen | None = None

    def count(self, result: Result) -> None:
        """Take in a result; those of earlier starts before the context is entered."""
        self._counted[result.id] = result.status
        self._n_failed += result.status is Status.FAILED
        self._finished.appendleft(Finished.of(result, self._varied))
        self._peak_memory_mb = max(self._peak_memory_mb, result.peak_memory_mb)
        if merit(result) < self._best[0]:
            assert result.score is not None
            settings = settings_of(result.config, self._varied)
            best = Best(result.id, result.score, result.config, settings)
            self._best = (merit(result), best)

    def snapshot(self, n_training: int = 0) -> Snapshot:
        """Give what there is to show.

        Args:
            n_training: of so many ranks it is shown what they train.
        """
        left_s, n_busy = self._load()
        n_done = len(self._counted)
        n_pruned = sum(status is Status.PRUNED for status in list(self._counted.values()))
        is_under_way = n_done < self._n_total or (n_pruned > 0 and n_busy > 0)
        return Snapshot(
            n_done,
            self._n_failed,
            n_pruned,
            self._n_total,
            n_busy,
            self._n_ranks,
            left_s / self._n_ranks if is_under_way else None,
            time.monotonic() - self._began_s,
            self._best[1],
            tuple(self._finished),
            self._training(n_training) if n_training else (),
            self._peak_memory_mb,
            name=self._name,
        )

    def line(self) -> str:
        """Say it in one line."""
        return self.snapshot().line()

    def say(self, text: str) -> None:
        """Print a line above the live view."""
        if self._screen is None:
            print(text, flush=True)
        else:
            self._screen.say(text)

    def __enter__(self) -> Progress:
        if not self._quiet:
            terminal = Terminal.find()
            self._screen = None if terminal is None else Screen(terminal)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._screen is not None:
            self._screen.clear()

    def _tick(self) -> None:
        pause_s = PLAIN_EVERY_S if self._screen is None else 0.0
        while not self._over.wait(pause_s):
            began_s = time.monotonic()
            with contextlib.suppress(OSError):  # nobody reads it any more; the search goes on
                self._show()
            if self._screen is not None:
                took_s = time.monotonic() - began_s
                pause_s = max(LIVE_EVERY_S, took_s / LARGEST_SHARE)

    def _show(self) -> None:
        if self._screen is None:
            print(f"{time.strftime('%H:%M:%S')} {self.line()}", flush=True)
            return
        n_lines = self._screen.room()[1]
        self._screen.draw(View(self.snapshot(n_shown(n_lines)), time.time(), n_lines))
