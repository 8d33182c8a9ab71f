"""One search at a time in a run directory: a lock file with a heartbeat.

`state/lock` for a whole search, `state/lock-I-of-N` for a shard. A holder that is alive renews
its file every ten seconds. Whoever finds a lock of this very machine asks for the process; of
another machine it watches the file, as clocks of two machines cannot be compared.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hpo import launcher, proc
from hpo.errors import InputError, LockLostError
from hpo.rundir import beside_of, write_whole

_logger = logging.getLogger(__name__)

RENEW_S = 10.0
STALE_S = 60.0
READ_TRIES, READ_AGAIN_S = 5, 0.2
ORPHAN_S = 3.0  # a launcher's ranks may outlive it by a second or two


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, and how to find out whether they live."""

    start: str
    host: str
    pid: int
    born: str  # the process's start time: a process number alone may be in use again
    namespace: str  # process numbers of another container mean nothing here
    job: str  # the scheduler's job, or nothing
    since: str
    space: str = ""  # a digest: shards of one search are shares of one space
    beat: int = 0

    @classmethod
    def here(cls, start: str, space: str = "") -> Holder:
        """Describe this process."""
        return cls(
            start,
            space=space,
            host=os.uname().nodename,
            pid=os.getpid(),
            born=_born(os.getpid()),
            namespace=_namespace(),
            job=launcher.scheduler_job(),
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
        )

    def is_here(self) -> bool:
        """Whether the holder's process can be looked for on this machine."""
        return bool(self.namespace) and (self.host, self.namespace) == (
            os.uname().nodename,
            _namespace(),
        )

    def is_running_here(self) -> bool:
        return bool(self.born) and _born(self.pid) == self.born


class Lock:
    """A held lock, renewed by a thread until `release`."""

    def __init__(self, path: Path, start: str, space: str = "") -> None:
        self.path = path
        self._holder = Holder.here(start, space)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)

    @classmethod
    def acquire(
        cls, state: Path, start: str, shard: tuple[int, int] | None = None, space: str = ""
    ) -> Lock:
        """Take the lock of a run directory, or of one shard of its search.

        Args:
            space: a digest of the space; shards of another one are not this search's.

        Raises:
            InputError: if another search, or the same shard, is running there.
        """
        path = state / (f"lock-{shard[0]}-of-{shard[1]}" if shard else "lock")
        lock = cls(path, start, space)
        while not lock._create():
            remove_dead(lock.path)
        lock._thread.start()
        for other in holders(state):
            if other == path or (shard and lock._is_sibling(other, shard[1])):
                continue
            try:
                remove_dead(other)
            except InputError:
                lock.release()
                raise
        return lock

    def _is_sibling(self, other: Path, n_shards: int) -> bool:
        """Tell whether a lock is another shard's of this search: they run side by side."""
        holder = holder_of(other)
        is_shard = other.name.endswith(f"-of-{n_shards}")
        return is_shard and holder is not None and holder.space == self._holder.space

    def _create(self) -> bool:
        """Make the file, whole from the beginning; give False if there is one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)  # may just have been thrown away
        text = json.dumps(asdict(self._holder))
        beside = beside_of(self.path)
        try:
            beside.write_text(text)
            try:
                os.link(beside, self.path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                return self._create_exclusively(text)
        finally:
            beside.unlink(missing_ok=True)
        return True

    def _create_exclusively(self, text: str) -> bool:
        try:
            with self.path.open("x") as file:
                file.write(text)
        except FileExistsError:
            return False
        return True

    def _renew(self) -> None:
        while not self._released.wait(RENEW_S):
            try:
                if not is_held_by(self.path, self._holder.start):
                    return
                self._holder = replace(self._holder, beat=self._holder.beat + 1)
                write_whole(self.path, json.dumps(asdict(self._holder)))
            except (OSError, InputError) as error:
                # A shared file system's hiccup; the next beat may succeed.
                _logger.warning("%s: not renewed: %s", self.path, error)

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        self._released.set()
        if self._thread.is_alive():
            self._thread.join()
        if is_held_by(self.path, self._holder.start):
            self.path.unlink(missing_ok=True)


def holders(state: Path) -> dict[Path, Holder]:
    """Find all locks of a run directory, and who holds them."""
    found = {path: holder_of(path) for path in sorted(state.glob("lock*"))}
    return {path: holder for path, holder in found.items() if holder is not None}


def alive(state: Path) -> dict[str, Holder]:
    """Find the starts that hold a lock and, as far as can be told, live; who holds it for each."""
    return {
        holder.start: holder
        for path, holder in holders(state).items()
        if is_alive(path) and not is_silent(path)
    }


def holder_of(path: Path) -> Holder | None:
    """Read who holds a lock; None if nobody does.

    Raises:
        InputError: if the file is no lock.
        OSError: if it cannot be read, also not after a while.
    """
    try:
        return Holder(**json.loads(_read(path)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected a lock of this program, found something else; if no search is"
            " running in this directory, delete the file"
        ) from error


def _read(path: Path) -> str:
    """Read a file that is replaced now and then: on NFS it can be stale for a moment."""
    for _ in range(READ_TRIES - 1):
        try:
            return path.read_text()
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(READ_AGAIN_S)
    return path.read_text()


def is_held_by(path: Path, start: str) -> bool:
    """Tell whether a start (all its ranks) still owns the lock."""
    holder = holder_of(path)
    return holder is not None and holder.start == start


def check_held(path: Path, start: str) -> None:
    """Stop a rank whose start has lost the lock.

    Raises:
        LockLostError: if another start holds it, or nobody.
    """
    try:
        is_held = is_held_by(path, start)
    except InputError:
        is_held = False
    if not is_held:
        raise LockLostError(f"{path}: this search's lock is gone; another start has taken over")


def is_alive(path: Path, *, patience_s: float = 0.0) -> bool:
    """Tell whether a lock's holder lives.

    Args:
        patience_s: how long to watch the file of a holder on another machine for a renewal.
    """
    holder = holder_of(path)
    if holder is None:
        return False
    if holder.is_here():
        end = time.monotonic() + min(patience_s, ORPHAN_S)
        while holder.is_running_here() and is_held_by(path, holder.start):
            if time.monotonic() >= end:
                return True
            time.sleep(0.1)
        return False
    if holder.job and holder.job == launcher.scheduler_job():
        return False  # this very job was started again: its earlier ranks are gone
    if patience_s:
        _logger.warning(
            "%s: held by host %s; watching for up to %.0f s whether it lives",
            *(path, holder.host, patience_s),
        )
    end = time.monotonic() + patience_s
    while holder_of(path) == holder:
        if time.monotonic() >= end:
            return patience_s == 0.0
        time.sleep(0.5)
    return holder_of(path) is not None


def is_silent(path: Path) -> bool:
    """Tell whether a lock of another machine looks as if its holder had died without a word.

    For people only: the clocks of two machines may differ by more than this allows for.
    """
    holder = holder_of(path)
    if holder is None or holder.is_here():
        return False
    try:
        return time.time() - path.stat().st_mtime > 3 * STALE_S
    except FileNotFoundError:
        return True


def remove_dead(path: Path) -> None:
    """Take a dead holder's lock out of the way.

    Raises:
        InputError: if its holder lives.
    """
    holder = holder_of(path)
    if holder is None:
        return
    if not is_alive(path, patience_s=STALE_S):
        aside = beside_of(path)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return  # somebody else was quicker
        if holder_of(aside) != holder:  # and has taken it over: put theirs back
            aside.rename(path)
        aside.unlink(missing_ok=True)
        return
    job = f", job {holder.job}" if holder.job else ""
    raise InputError(
        f"{path.parent.parent}: a search is running here since {holder.since} (host {holder.host},"
        f" process {holder.pid}{job}); wait for it, stop it, or give another --out"
    )


def _born(pid: int) -> str:
    """Give a running process's start time, in clock ticks since boot; nothing if it is gone."""
    try:
        _, fields = proc.stat(pid)
    except OSError:
        return ""
    return "" if fields[proc.STATE] in "ZX" else fields[proc.BEGUN_TICKS]


def _namespace() -> str:
    """Name this boot and this container's process numbers; nothing where /proc is missing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
