"""The files that the stand-in's scheduler and its commands share."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import reader
from reader import Job

FINISHED = ("DONE", "EXIT")


@dataclass(frozen=True)
class Cluster:
    """The hosts, and how long one of LSF's minutes lasts."""

    hosts: tuple[str, ...]
    slots_per_host: int
    minute_s: float

    def place(self, job: Job, busy: Sequence[str]) -> list[str] | None:
        """Choose a host for each task, given one host per busy slot; None where there is none."""
        free = {host: self.slots_per_host - busy.count(host) for host in self.hosts}
        at_most, at_least = self.slots_per_host, 1
        if job.resources.hosts:
            at_least = at_most = job.n_tasks
        if job.resources.ptile:
            at_least = at_most = job.resources.ptile
        chosen: list[str] = []
        for host, n_free in free.items():
            n_here = min(n_free, at_most, job.n_tasks - len(chosen))
            if n_here >= at_least:
                chosen += [host] * n_here
        return chosen if len(chosen) == job.n_tasks else None


@dataclass(frozen=True)
class Submission:
    """One call of bsub; text is the file it read, None if the words name a command."""

    words: list[str]
    text: str | None
    directory: str
    environment: dict[str, str]

    def job(self) -> Job:
        if self.text is None:
            return reader.read_command(self.words)
        return reader.read(self.text, self.words)


@dataclass(frozen=True)
class State:
    """What became of a job or an array's element."""

    stat: str = "PEND"
    exit_code: int | None = None
    hosts: tuple[str, ...] = ()
    n_runs: int = 0

    def is_finished(self) -> bool:
        return self.stat in FINISHED


class Spool:
    """A directory: each job has its own, with what was submitted and a state per element.

    bsub makes it whole; the states are then the scheduler's, and bkill leaves requests beside.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mail = folder / "mail"
        self.launches = folder / "blaunch.log"
        self._jobs = folder / "jobs"

    def create(self, cluster: Cluster) -> None:
        for path in (self._jobs, self.mail):
            path.mkdir(parents=True)
        _write(self.folder / "cluster.json", asdict(cluster))

    def cluster(self) -> Cluster:
        found = _read(self.folder / "cluster.json")
        return Cluster(tuple(found["hosts"]), found["slots_per_host"], found["minute_s"])

    def submit(self, submission: Submission, indices: Sequence[int]) -> int:
        """Keep a job with its elements, and give its ID."""
        draft = self._jobs / f"draft.{os.getpid()}"
        draft.mkdir()
        _write(draft / "submission.json", asdict(submission))
        for index in indices:
            _write(draft / f"{index}.json", asdict(State()))
        job_id = 1 + max(self.ids(), default=0)
        while True:
            try:
                draft.rename(self._jobs / str(job_id))  # fails where another bsub was faster
                return job_id
            except OSError:
                job_id += 1

    def ids(self) -> list[int]:
        return sorted(int(path.name) for path in self._jobs.iterdir() if path.name.isdecimal())

    def submission(self, job_id: int) -> Submission:
        return Submission(**_read(self._jobs / str(job_id) / "submission.json"))

    def submitted_s(self, job_id: int) -> float:
        return (self._jobs / str(job_id) / "submission.json").stat().st_mtime

    def path(self, job_id: int, index: int, suffix: str) -> Path:
        return self._jobs / str(job_id) / f"{index}.{suffix}"

    def states(self, job_id: int) -> dict[int, State]:
        """Give the states by index, 0 outside arrays; none for an unknown job."""
        files = (self._jobs / str(job_id)).glob("*.json")
        indices = sorted(int(path.stem) for path in files if path.stem.isdecimal())
        return {index: self.state(job_id, index) for index in indices}

    def state(self, job_id: int, index: int) -> State:
        found = _read(self.path(job_id, index, "json"))
        return State(**found | {"hosts": tuple(found["hosts"])})

    def keep(self, job_id: int, index: int, state: State) -> None:
        _write(self.path(job_id, index, "json"), asdict(state))

    def request(self, job_id: int, index: int, what: str) -> None:
        """Ask the scheduler for a signal by its name, or to `kill`."""
        self.path(job_id, index, f"{what}.request").touch()

    def requests(self, job_id: int, index: int) -> Iterator[str]:
        """Take what was asked for."""
        for path in sorted(self.path(job_id, index, "").parent.glob(f"{index}.*.request")):
            path.unlink()
            yield path.name.split(".")[1]

    def named(self, name: str) -> list[int]:
        """Find the jobs that a dependency means: an ID, a name or `name*`."""
        if name.isdecimal():
            return [job_id for job_id in self.ids() if job_id == int(name)]
        names = {job_id: self.submission(job_id).job().name or "" for job_id in self.ids()}
        if name.endswith("*"):
            return [job_id for job_id, own in names.items() if own.startswith(name[:-1])]
        return [job_id for job_id, own in names.items() if own == name]


def append(source: Path, target: Path, *, overwrites: bool) -> None:
    with source.open("rb") as read, target.open("wb" if overwrites else "ab") as written:
        shutil.copyfileobj(read, written)


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _write(path: Path, value: object) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(value))
    beside.replace(path)
