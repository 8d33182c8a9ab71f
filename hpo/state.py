"""`state/`: what each rank is doing now, and the trials that were in flight when a rank died."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hpo.lock import holders
from hpo.rundir import RunDir, write_whole
from hpo.trial import Config
from hpo.usage import memory_bytes

LATE_FROM_DEATHS = 2  # such a trial goes to the end of the queue
LONE_FROM_DEATHS = 3  # such a trial runs with no other beside it: one dead rank kills all
FAILED_FROM_DEATHS = 5  # such a trial may be what kills its ranks


class RankState:
    """One rank's small file, replaced whole at each change."""

    def __init__(self, run: RunDir, start: str, rank: int, host: str) -> None:
        self._path = run.rank_state(start, rank)
        self._told: dict[str, Any] = {"start": start, "rank": rank, "host": host}
        self._told_s = 0.0
        self._saved = run.saved(start)

    def trains(self, trial_id: str, config: Config, n_epochs: int | None) -> None:
        """Note a trial before it begins: if this rank dies now, the trial is known.

        Args:
            n_epochs: those that it has, if that is known.
        """
        now_s = time.time()
        self._write(
            trial=trial_id,
            config=config,
            epoch=0,
            epochs=n_epochs,
            is_saved=False,
            since=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now_s)),
            since_s=round(now_s, 3),
        )

    def epoch(self, epoch: int) -> None:
        """Note how far the trial has come, once a second at most."""
        if time.monotonic() - self._told_s >= 1:
            self._write(epoch=epoch)

    def saved(self) -> None:
        """Note that the trial has been saved: a death after that has not cost all of it."""
        self._write(is_saved=True)
        self._saved.touch()

    def rests(self) -> None:
        """Note that nothing is in flight."""
        self._path.unlink(missing_ok=True)

    def _write(self, **news: object) -> None:
        self._told |= news | {"memory_mb": memory_bytes() // 1_000_000}
        self._told_s = time.monotonic()
        write_whole(self._path, json.dumps(self._told), durable=False)


def running(run: RunDir) -> list[dict[str, Any]]:
    """Read what all ranks say they are doing."""
    return [told for path in _rank_files(run) if (told := _told(path))]


def some(run: RunDir, start: str, ranks: Iterable[int], n: int) -> Iterator[dict[str, Any]]:
    """Read what the first ranks of a start that train say they are doing.

    Args:
        ranks: those that may train, in order.
        n: so many are wanted. Of thousands no more files are tried than twice that.
    """
    for rank in islice(ranks, 2 * n + 2):
        if n == 0:
            return
        if told := _told(run.rank_state(start, rank)):
            n -= 1
            yield told


def n_busy(run: RunDir, start: str) -> int:
    """Count the ranks of a start that train, without reading what."""
    return sum(path.name.rpartition("-")[0] == start for path in _rank_files(run))


def bury(run: RunDir) -> None:
    """Set aside the files of ranks whose start holds no lock any more: they have died.

    A file is renamed, so that each death counts once, whenever this itself is killed.
    """
    held = {holder.start for holder in holders(run.state).values()}
    for path in _rank_files(run):
        if path.name.rpartition("-")[0] not in held:
            if _told(path).get("is_saved"):
                path.unlink()  # a long trial that gets on, however often its job is killed
            else:
                path.replace(run.died / path.name)


def clear(run: RunDir) -> None:
    """Throw the directory away after a finished search; keep what a running shard has there."""
    for path in [*run.died.glob("*.json"), *run.state.glob(".*")]:
        path.unlink(missing_ok=True)
    for folder in (run.died, run.state):
        with contextlib.suppress(OSError):  # another start's files are in it
            folder.rmdir()


def deaths(run: RunDir) -> Counter[str]:
    """Count for each trial the deaths of ranks that it was in flight at."""
    return Counter(trial for path in run.died.glob("*.json") if (trial := _trial_of(path)))


def forgive(run: RunDir, trial_ids: set[str]) -> None:
    """Forget the deaths of some trials: they are to be tried again."""
    for path in list(run.died.glob("*.json")):
        if _trial_of(path) in trial_ids:
            path.unlink()


def _rank_files(run: RunDir) -> list[Path]:
    """List the ranks' files, without those that are just being written beside them."""
    return sorted(path for path in run.state.glob("*.json") if not path.name.startswith("."))


def _trial_of(path: Path) -> str | None:
    trial = _told(path).get("trial")
    return None if trial is None else str(trial)


def _told(path: Path) -> dict[str, Any]:
    """Read a rank's file; nothing of one that is just being removed, or was torn.

    They are written without fsync: the machine itself may have gone down.
    """
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
