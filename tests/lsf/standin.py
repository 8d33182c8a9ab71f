"""Stands in for LSF: real bsub, bjobs, bkill and blaunch, whose jobs run on this machine.

    with Lsf(tmp_path / "lsf", hosts=("hostA", "hostB")) as lsf:
        job_id = lsf.submit(text, cwd=tmp_path)
        (state,) = lsf.wait(job_id).values()

It refuses what `reader` refuses. Host names that mean nothing here make MPICH's Hydra start its
proxies through blaunch, which runs them on this machine.
"""

from __future__ import annotations

import operator
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from element import Element
from expressions import Condition, Dependency, Logic
from spool import Cluster, Spool, State

TICK_S = 0.02
COMMANDS = Path(__file__).with_name("commands.py")
COMPARED: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
STATS = {
    "done": ("DONE",),
    "ended": ("DONE", "EXIT"),
    "exit": ("EXIT",),
    "post_done": ("DONE",),
    "post_err": ("EXIT",),
    "started": ("RUN", "DONE", "EXIT"),
    "start": ("RUN", "DONE", "EXIT"),
    "run": ("RUN",),
    "pend": ("PEND",),
    "hold": (),
}


class Lsf:
    """A cluster of host names; its scheduler is a thread, its states are files."""

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[str] = ("hostA",),
        *,
        slots_per_host: int = 8,
        minute_s: float = 60.0,
    ) -> None:
        self.cluster = Cluster(tuple(hosts), slots_per_host, minute_s)
        self.spool = Spool(folder.absolute())
        self.spool.create(self.cluster)
        self.bin = self.spool.folder / "bin"
        self.bin.mkdir()
        for name in ("bsub", "bjobs", "bkill", "blaunch"):
            # Without site packages, which take half the time of a command.
            words = [sys.executable, "-S", str(COMMANDS), name, str(self.spool.folder)]
            (self.bin / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            (self.bin / name).chmod(0o755)
        self._known: set[int] = set()
        self._waiting: list[Element] = []
        self._running: list[Element] = []
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # --- for tests ---

    def environment(self, **more: str) -> dict[str, str]:
        """Give this process's variables with the commands first in PATH."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path} | more

    def run(
        self, *words: object, cwd: Path, text: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the commands to its end; text is its standard input."""
        return subprocess.run(
            [self.bin / str(words[0]), *map(str, words[1:])],
            cwd=cwd,
            env=self.environment(**env),
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
        )

    def submit(self, text: str, *words: object, cwd: Path, **env: str) -> int:
        """Submit a job file as `bsub WORDS < FILE` does; give the job's ID."""
        done = self.run("bsub", *words, cwd=cwd, text=text, **env)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split("<")[1].split(">")[0])

    def states(self, job_id: int) -> dict[int, State]:
        """Give the states by index, 0 outside arrays."""
        self._raise()
        return self.spool.states(job_id)

    def wait(
        self,
        job_id: int,
        is_reached: Callable[[State], bool] = State.is_finished,
        *,
        timeout_s: float = 60.0,
    ) -> dict[int, State]:
        """Wait until all elements have finished, or have come to something else."""
        deadline_s = time.monotonic() + timeout_s
        while not all(map(is_reached, (states := self.states(job_id)).values())):
            assert time.monotonic() < deadline_s, f"job {job_id} after {timeout_s} s: {states}"
            time.sleep(TICK_S)
        return states

    def stop(self) -> None:
        """End all jobs; leave no process."""
        self._stopped.set()
        self._thread.join()
        for element in self._running:
            element.stop()
        self._raise()

    def __enter__(self) -> Lsf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    # --- the scheduler ---

    def _serve(self) -> None:
        try:
            while not self._stopped.wait(TICK_S):
                self._tick()
        except BaseException as error:
            self._error = error  # for the thread that asks next

    def _tick(self) -> None:
        for job_id in sorted(set(self.spool.ids()) - self._known):
            self._accept(job_id)
        for element in [*self._running, *self._waiting]:
            element.tick()
        self._sort()
        for element in list(self._waiting):
            self._start(element)

    def _accept(self, job_id: int) -> None:
        self._known.add(job_id)
        for index in self.spool.states(job_id):
            self._waiting.append(Element(self.spool, self.cluster, job_id, index))

    def _sort(self) -> None:
        requeued = [element for element in self._running if element.state.stat == "PEND"]
        self._running = [element for element in self._running if element.state.stat == "RUN"]
        waiting = [element for element in self._waiting if element.state.stat == "PEND"]
        self._waiting = requeued + waiting  # LSB_REQUEUE_TO_BOTTOM=0

    def _start(self, element: Element) -> None:
        job = element.job
        if job.dependency is not None and not self._holds(job.dependency, element.index):
            return
        siblings = [other for other in self._running if other.job_id == element.job_id]
        if job.array and job.array.limit and len(siblings) >= job.array.limit:
            return
        busy = [host for other in self._running for host in other.state.hosts]
        hosts = self.cluster.place(job, busy)
        if hosts is not None:
            element.start(hosts)
            self._waiting.remove(element)
            self._running.append(element)

    # --- dependencies ---

    def _holds(self, dependency: Dependency, index: int) -> bool:
        """Say whether a dependency of the element with this index is met."""
        if isinstance(dependency, Condition):
            job_ids = self.spool.named(dependency.job)
            return all(self._is_met(dependency, job_id, index) for job_id in job_ids)
        terms = [self._holds(term, index) for term in dependency.terms]
        if isinstance(dependency, Logic) and dependency.operator == "!":
            return not terms[0]
        return all(terms) if dependency.operator == "&&" else any(terms)

    def _is_met(self, condition: Condition, job_id: int, own_index: int) -> bool:
        states = self.spool.states(job_id)
        if condition.index:
            index = own_index if condition.index == "*" else int(condition.index)
            states = {index: states[index]}
        stats = STATS[condition.kind.removeprefix("num")]
        here = [state for state in states.values() if state.stat in stats]
        if condition.kind.startswith("num"):
            wanted = len(states) if condition.number is None else condition.number
            return COMPARED[condition.operator or "=="](len(here), wanted)
        if condition.number is not None:
            compare = COMPARED[condition.operator]
            here = [state for state in here if compare(state.exit_code or 0, condition.number)]
        return len(here) == len(states)
