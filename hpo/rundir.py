"""The run directory: where each file of a run lies, and how a file appears whole."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path


def write_whole(
    path: Path, write: str | bytes | Callable[[Path], object], *, durable: bool = True
) -> None:
    """Write a file so that readers see the old one or the new one, never a part.

    Args:
        write: the content, or a function that writes it to the path it is given.
        durable: whether it must be on disk before this returns.
    """
    # A random name keeps two writers apart, on two hosts too; the suffix stays last, as Keras and
    # NumPy choose the format by it.
    beside = beside_of(path)
    try:
        if callable(write):
            write(beside)
        else:
            beside.write_bytes(write.encode() if isinstance(write, str) else write)
        if durable:
            with beside.open("rb") as file:
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Fill a folder so that it is there whole or not at all, and on disk before this returns.

    Whoever looks while an earlier one is replaced may find none.

    Args:
        write: writes its files into the empty folder that it is given.
    """
    beside = beside_of(path)
    try:
        beside.mkdir(parents=True)
        write(beside)
        for file in beside.rglob("*"):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        shutil.rmtree(path, ignore_errors=True)
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def beside_of(path: Path) -> Path:
    """Name a file that nobody else writes, hidden in the same directory."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")


def stamp() -> str:
    """Name something of this moment: names sort by age, and chance keeps two of a second apart."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}"


class RunDir:
    """All paths of one run."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.best_params = self.root / "best_params.txt"
        self.best_model = self.root / "best_model.keras"
        self.best_folder = self.root / "best_model"
        self.best_mistakes = self.root / "best_mistakes.json"
        self.report = self.root / "report.html"
        self.results = self.root / "results.csv"
        self.search = self.root / "search.yaml"
        self.submission = self.root / "submission.csv"
        self.log = self.root / "search.log"
        self.logs = self.root / "logs"
        self.journal = self.root / "journal"
        self.models = self.root / "models"
        self.trials = self.root / "trials"
        self.jobs = self.root / "jobs"
        self.state = self.root / "state"
        self.died = self.state / "died"
        self.tracking = self.root / "tracking"

    def model(self, trial_id: str) -> Path:
        """Name the folder of what a trained trial has kept; empty if it keeps nothing."""
        return self.models / trial_id

    def forget_model(self, trial_id: str) -> None:
        shutil.rmtree(self.model(trial_id), ignore_errors=True)

    def trial(self, trial_id: str) -> Path:
        return self.trials / trial_id

    def log_of(self, trial_id: str) -> Path:
        return self.trial(trial_id) / "trial.log"

    def log_of_shard(self, shard: tuple[int, int] | None) -> Path:
        """Name the log of a whole search, or of one shard: shards run side by side."""
        return self.log if shard is None else self.root / f"search-{shard[0]}-of-{shard[1]}.log"

    def rank_log(self, start: str, rank: int | str) -> Path:
        """Name what lines of a process wait in until they are taken over into the search's log."""
        return self.logs / f"{start}-{rank}.log"

    def epochs_of(self, trial_id: str) -> Path:
        return self.trial(trial_id) / "epochs.csv"

    def checkpoint(self, trial_id: str) -> Path:
        return self.trial(trial_id) / "checkpoint.json"

    def proposals(self, space: str) -> Path:
        return self.root / "proposals" / f"{space}.jsonl"

    def rank_state(self, start: str, rank: int) -> Path:
        return self.state / f"{start}-{rank}.json"

    @property
    def stuck(self) -> Path:
        return self.jobs / "stuck"

    def saved(self, start: str) -> Path:
        return self.jobs / f"saved-{start}"

    def make(self) -> None:
        """Make the directories that every run has."""
        for folder in (self.jobs, self.journal, self.models, self.trials, self.died):
            folder.mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return str(self.root)
