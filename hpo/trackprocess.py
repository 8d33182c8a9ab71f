"""The process beside rank 0 that tells the trackers: in nobody's way, and gone with its search."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from hpo import launcher, tracking
from hpo.process import Process
from hpo.rundir import RunDir, stamp

PATIENCE_S = 60.0  # at the end of a search
STOP_PATIENCE_S = 10.0
LEAST_PATIENCE_S = 3.0


class TrackProcess:
    """Runs `python -m hpo track DIR --follow`; nothing of it can hurt the search."""

    def __init__(self, run: RunDir, start: str, wanted: Sequence[str]) -> None:
        """Start it; without trackers there is none.

        Args:
            start: of the search, whose log has its warnings.
        """
        self._run, self._wanted = run, wanted
        self._process: Process | None = None
        self._lacking: str | None = None
        self._mark = run.tracking / f".search-{stamp()}"  # it is there while the search runs
        if not wanted:
            return
        try:
            tracking.forget_summary(run)
            self._mark.touch()
            words = [word for name in wanted for word in ("--track", name)]
            with (run.tracking / tracking.LOG).open("ab") as log:
                self._process = Process(
                    [
                        *(sys.executable, "-m", "hpo", "track", str(run)),
                        *("--follow", str(self._mark)),
                        *("--log", str(run.rank_log(start, "trackers"))),
                        *words,
                    ],
                    launcher.for_module() | {"PYTHONUNBUFFERED": "1"},
                    stdout=log,
                    stderr=log,
                )
        except OSError as error:
            self._lacking = str(error)

    def end(self, *, is_finished: bool, left_s: float) -> list[str]:
        """Let it tell the rest, and give lines for people on what it has told.

        Args:
            left_s: until the job ends.
        """
        if not self._wanted:
            return []
        rest = f"{tracking.command(self._run, self._wanted)} tells the rest"
        if self._process is None:
            return [f"trackers could not be told: {self._lacking}; {rest}"]
        patience_s = PATIENCE_S if is_finished else STOP_PATIENCE_S
        self._mark.unlink(missing_ok=True)
        until_s = time.monotonic() + max(LEAST_PATIENCE_S, min(patience_s, left_s))
        while self._process.wait() is None and time.monotonic() < until_s:
            pass
        self.kill()
        lines = tracking.summary(self._run)
        return lines or [f"trackers have not been told all; {rest}"]

    def kill(self) -> None:
        """Leave nothing of it."""
        if self._process is not None:
            self._process.stop(0.0)
        self._mark.unlink(missing_ok=True)
