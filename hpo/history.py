"""`jobs/`: the jobs that were submitted for a run, and the starts of its search."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from hpo.errors import InputError
from hpo.job import Job
from hpo.rundir import RunDir, write_whole


@dataclass(frozen=True)
class Submitted:
    """What was handed to the scheduler, and the ids that it gave: one for each link of a chain.

    Attributes:
        name: of its files: NAME.json, and NAME.sh, which is the job file.
        cwd: where it was submitted, from where its relative paths start.
        elements: of an array, those that were submitted again; empty: all, or no array.
    """

    name: str
    at_s: float
    ids: tuple[str, ...]
    job: Job
    cwd: str
    elements: tuple[int, ...] = ()


@dataclass(frozen=True)
class Started:
    """One start of the search; while it has no end it runs, or has been killed."""

    start: str
    at_s: float
    host: str
    n_ranks: int
    n_jobs: int  # trials to train
    scheduler_job: str = ""
    shard: tuple[int, int] | None = None
    ended_s: float | None = None
    exit_code: int | None = None

    @property
    def job_id(self) -> str | None:
        """The number of its job; None if that is not known, as launchers may hide it."""
        found = re.search(r"\d+", self.scheduler_job)
        return found and found[0]


_Kind = TypeVar("_Kind", Submitted, Started)


def note_submitted(run: RunDir, its: Submitted) -> None:
    _write(run, f"{its.name}.json", its)


def note_started(run: RunDir, its: Started) -> None:
    _write(run, f"start-{its.start}.json", its)


def note_ended(run: RunDir, its: Started, exit_code: int, at_s: float) -> None:
    note_started(run, replace(its, ended_s=at_s, exit_code=exit_code))


def submissions(run: RunDir) -> list[Submitted]:
    """Read all submissions, the oldest first."""
    return sorted(_read(run, "job-*.json", Submitted), key=lambda its: its.at_s)


def starts(run: RunDir) -> list[Started]:
    """Read all starts, the oldest first."""
    return sorted(_read(run, "start-*.json", Started), key=lambda its: its.at_s)


def got_on(run: RunDir, its: Started) -> bool:
    """Tell whether a start has finished a trial, or saved one on its way."""
    records = run.journal.glob(f"{its.start}-*.jsonl")
    return run.saved(its.start).exists() or any(path.stat().st_size for path in records)


def note_stuck(run: RunDir, at_s: float) -> None:
    """Note that a job has got nowhere, for the links of its chain that come after it."""
    run.jobs.mkdir(parents=True, exist_ok=True)
    write_whole(run.stuck, f"{at_s}\n")


def stuck_s(run: RunDir) -> float:
    """Give the time when a job last got nowhere; 0 if none ever did."""
    try:
        return float(run.stuck.read_text())
    except (OSError, ValueError):
        return 0.0


def _write(run: RunDir, name: str, its: Submitted | Started) -> None:
    run.jobs.mkdir(parents=True, exist_ok=True)
    write_whole(run.jobs / name, json.dumps(asdict(its), indent=1) + "\n")


def _read(run: RunDir, pattern: str, kind: type[_Kind]) -> Iterator[_Kind]:
    for path in run.jobs.glob(pattern):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if "job" in told:
                told["job"] = Job(**_known(told["job"], Job))
            yield kind(**_known(told, kind))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: expected what this program has written, found something else ({error})"
            ) from error


def _known(told: dict[str, Any], kind: type) -> dict[str, Any]:
    """Take the fields that this version knows; lists become tuples, as they were."""
    names = {field.name for field in fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in told.items()
        if name in names
    }
