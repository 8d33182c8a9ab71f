"""One search at a time in a run directory, and a dead one's lock stops nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hpo import lock
from hpo.errors import InputError, LockLostError
from hpo.lock import Holder, Lock

pytestmark = pytest.mark.usefixtures("unscheduled")

ROOT = Path(__file__).parent.parent
LONG_S = 30.0  # no test waits so long, unless what it tests is broken
HOLD = """
import sys
from pathlib import Path
from hpo.lock import Lock
shard = tuple(map(int, sys.argv[2].split("/"))) if sys.argv[2] else None
held = Lock.acquire(Path(sys.argv[1]), "theirs", shard)
print(held.path.name, flush=True)
sys.stdin.read()
held.release()
"""
Shard = tuple[int, int] | None


@contextmanager
def holder(state: Path, shard: Shard = None) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock until it is told to release it."""
    argument = f"{shard[0]}/{shard[1]}" if shard else ""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state), argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate(timeout=LONG_S)


def write_elsewhere(path: Path, **differently: object) -> Holder:
    """Write the lock of a search on another machine."""
    its = Holder(
        start="theirs",
        host="elsewhere",
        pid=1,
        born="1",
        namespace="another",
        job="",
        since="2026-01-02 03:04:05",
    )
    its = replace(its, **differently)
    beside = path.with_name(f"beside-{path.name}")
    beside.write_text(json.dumps(asdict(its)))
    beside.replace(path)
    return its


def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    pause = threading.Event()
    for _ in range(1000):
        if happened():
            return
        pause.wait(0.005)
    raise AssertionError("it never happened")


def names(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "state"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def acquire(state: Path) -> Iterator[Callable[..., Lock]]:
    """Give a function that takes the lock; it is released after the test."""
    held: list[Lock] = []

    def take(shard: Shard = None, start: str = "mine") -> Lock:
        held.append(Lock.acquire(state, start, shard))
        return held[-1]

    yield take
    for each in held:
        each.release()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse a living holder at once."""
    monkeypatch.setattr(lock, "ORPHAN_S", 0.0)


# --- who is refused ---


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        (None, None),
        (None, (1, 2)),
        ((1, 2), None),
        ((1, 2), (1, 2)),
        ((1, 2), (2, 3)),
        ((1, 2), (1, 12)),
        ((1, 12), (1, 2)),
    ],
)
def test_acquire_beside_a_living_process_is_refused(state, acquire, impatient, theirs, mine):
    with holder(state, theirs) as process:
        before = names(state)
        with pytest.raises(InputError) as refused:
            acquire(mine)
        [path] = state.glob("lock*")
        its = lock.holder_of(path)
        assert its is not None
        assert str(refused.value) == (
            f"{state.parent}: a search is running here since {its.since}"
            f" (host {os.uname().nodename}, process {process.pid});"
            " wait for it, stop it, or give another --out"
        )
        assert names(state) == before


def test_acquire_again_in_this_process_is_refused(acquire, impatient):
    acquire()
    with pytest.raises(InputError, match=f"process {os.getpid()}"):
        acquire(start="again")


def test_acquire_beside_another_host_that_renews_is_refused(state, acquire, monkeypatch):
    monkeypatch.setattr(lock, "STALE_S", LONG_S)
    write_elsewhere(state / "lock", job="lsf 7[0]")
    refused = threading.Event()

    def renew() -> None:
        beat = 0
        while not refused.wait(0.01):
            beat += 1
            write_elsewhere(state / "lock", job="lsf 7[0]", beat=beat)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(InputError) as found:
            acquire()
    finally:
        refused.set()
        thread.join()
    assert str(found.value) == (
        f"{state.parent}: a search is running here since 2026-01-02 03:04:05 (host elsewhere,"
        " process 1, job lsf 7[0]); wait for it, stop it, or give another --out"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"start": "a"}', "\x00"])
def test_acquire_beside_something_else_is_refused(state, acquire, text):
    (state / "lock").write_text(text)
    with pytest.raises(InputError) as refused:
        acquire()
    assert str(refused.value) == (
        f"{state / 'lock'}: expected a lock of this program, found something else; if no search"
        " is running in this directory, delete the file"
    )


def test_check_held_of_a_stolen_lock_raises(state, acquire):
    mine = acquire()
    lock.check_held(mine.path, "mine")
    write_elsewhere(state / "lock")
    with pytest.raises(LockLostError) as lost:
        lock.check_held(mine.path, "mine")
    assert str(lost.value) == (
        f"{mine.path}: this search's lock is gone; another start has taken over"
    )


def test_check_held_of_a_removed_lock_raises(acquire):
    mine = acquire()
    mine.path.unlink()
    with pytest.raises(LockLostError):
        lock.check_held(mine.path, "mine")


# --- who may ---


@pytest.mark.parametrize("mine", [(2, 2), (1, 2)])
def test_acquire_of_shards_side_by_side(state, acquire, mine):
    with holder(state, (3 - mine[0], 2)):
        acquire(mine)
        assert names(state) == ["lock-1-of-2", "lock-2-of-2"]


def test_acquire_beside_a_shard_of_another_space_is_refused(state):
    with holder(state, (1, 2)), pytest.raises(InputError, match="a search is running here"):
        Lock.acquire(state, "mine", (2, 2), "another space")
    assert "lock-2-of-2" not in names(state)


@pytest.mark.parametrize(("theirs", "mine"), [(None, None), ((1, 2), None), (None, (1, 2))])
def test_acquire_takes_over_from_a_killed_process_at_once(
    state, acquire, monkeypatch, theirs, mine
):
    monkeypatch.setattr(lock, "ORPHAN_S", LONG_S)
    with holder(state, theirs) as process:
        process.kill()
        process.wait()
        mine = acquire(mine)
    assert names(state) == [mine.path.name]
    lock.check_held(mine.path, "mine")


def test_acquire_takes_over_when_the_holder_ends_while_it_is_watched(state, acquire, monkeypatch):
    """Ranks may outlive their launcher a little."""
    monkeypatch.setattr(lock, "ORPHAN_S", LONG_S)
    with holder(state) as process:
        threading.Timer(0.2, process.kill).start()
        mine = acquire()
    lock.check_held(mine.path, "mine")


def test_acquire_takes_over_when_the_holder_releases_while_it_is_watched(
    state, acquire, monkeypatch
):
    """A holder that has given its lock back may still be on its way out."""
    monkeypatch.setattr(lock, "ORPHAN_S", 2.0)
    theirs = Lock.acquire(state, "theirs")  # this process lives on
    threading.Timer(0.2, theirs.release).start()
    mine = acquire()
    lock.check_held(mine.path, "mine")


def test_acquire_takes_over_from_another_host_that_does_not_renew(state, acquire, monkeypatch):
    monkeypatch.setattr(lock, "STALE_S", 0.1)
    write_elsewhere(state / "lock")
    mine = acquire()
    lock.check_held(mine.path, "mine")
    assert names(state) == ["lock"]


def test_acquire_takes_over_a_process_number_that_is_in_use_again(state, acquire, monkeypatch):
    monkeypatch.setattr(lock, "ORPHAN_S", LONG_S)
    write_elsewhere(state / "lock", **asdict(replace(Holder.here("theirs"), born="1")))
    lock.check_held(acquire().path, "mine")


@pytest.mark.parametrize(
    ("job", "environment"),
    [
        ("slurm 7", {"SLURM_JOB_ID": "7"}),
        ("lsf 7[0]", {"LSB_JOBID": "7"}),
        ("lsf 7[2]", {"LSB_JOBID": "7", "LSB_JOBINDEX": "2"}),
    ],
)
def test_acquire_takes_over_from_the_same_job_at_once(
    state, acquire, monkeypatch, job, environment
):
    monkeypatch.setattr(lock, "STALE_S", LONG_S)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    write_elsewhere(state / "lock", job=job)
    mine = acquire()
    its = lock.holder_of(mine.path)
    assert its is not None
    assert (its.start, its.job) == ("mine", job)


# --- holding it ---


def test_lock_is_renewed(acquire, monkeypatch):
    monkeypatch.setattr(lock, "RENEW_S", 0.01)
    mine = acquire()
    first = lock.holder_of(mine.path)
    assert first is not None
    until(lambda: lock.holder_of(mine.path).beat >= 3)
    last = lock.holder_of(mine.path)
    assert last is not None
    assert replace(last, beat=0) == replace(first, beat=0)


def test_lock_is_renewed_while_others_are_watched(state, acquire, monkeypatch):
    """Else another host, which watches this one, may take it for dead."""
    monkeypatch.setattr(lock, "RENEW_S", 0.01)
    monkeypatch.setattr(lock, "STALE_S", 1.0)
    write_elsewhere(state / "lock-2-of-3")
    mine = acquire((1, 2))
    its = lock.holder_of(mine.path)
    assert its is not None
    assert its.beat > 0


def test_lock_is_renewed_after_a_read_that_failed(state, acquire, monkeypatch, caplog):
    """As a shared file system's hiccup does; here by a link to a directory in its place."""
    monkeypatch.setattr(lock, "RENEW_S", 0.01)
    mine = acquire()
    until(lambda: lock.holder_of(mine.path).beat > 0)
    saved = state / "saved"
    saved.hardlink_to(mine.path)

    def has_failed() -> bool:
        if not mine.path.is_symlink():  # a renewal may be under way
            (state / "link").symlink_to(state)
            (state / "link").replace(mine.path)
        return bool(caplog.records) or "lock" not in {t.name for t in threading.enumerate()}

    until(has_failed)
    saved.replace(mine.path)
    beat = lock.holder_of(mine.path).beat
    until(lambda: lock.holder_of(mine.path).beat > beat)


def test_release_removes_the_lock(state, acquire):
    acquire().release()
    assert names(state) == []


def test_release_leaves_a_stolen_lock_to_its_thief(state, acquire):
    mine = acquire()
    thief = write_elsewhere(state / "lock", start="thief")
    mine.release()
    assert lock.holder_of(state / "lock") == thief


def test_released_lock_can_be_taken_again(acquire, impatient):
    acquire(start="first").release()
    lock.check_held(acquire(start="second").path, "second")
