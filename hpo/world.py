"""The ranks of this run and what they say to each other; the only module that imports mpi4py.

Without mpi4py, or started without a launcher, the world has one rank and everything here works.
MPI's blocking calls spin a whole core while they wait, so whatever may take long is polled here
with a pause that grows (as mpi4py's own executors do).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from hpo import launcher, sharedmemory
from hpo.errors import InputError

# UCX, which MPICH may talk through, notes each piece of memory that the process gives back, until
# a large message makes it look through them. None comes while a search trains: 0.1 MB a trial.
# The variable is read when the library is loaded; what the user says counts.
os.environ.setdefault("UCX_RCACHE_MAX_UNRELEASED", "64m")
# Where all ranks do not fit, UCX would crash. It has other ways between the ranks of a node, and
# MPICH does not ask it for those.
if not sharedmemory.room().has_ucx_room((launcher.on_node() or (0, 1))[1]):
    os.environ.setdefault("UCX_TLS", "^posix")

_logger = logging.getLogger(__name__)

_WITHOUT_MPI = ""  # why there is no MPI, if there is none
try:
    import mpi4py

    # MPI is started by `World`, after a look at whether this library and the launcher belong
    # together: MPICH's dies of Open MPI's launcher, with a page that helps nobody.
    mpi4py.rc.initialize = False
    mpi4py.rc.finalize = True
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library to load
    MPI = None  # type: ignore[assignment]  # the type checker has one
    _WITHOUT_MPI = str(error).splitlines()[0]

T = TypeVar("T")


LAST_WORDS_S = 0.5


class Backoff:
    """Give way, then sleep, longer each time, until something happens and `reset` is called.

    An answer that comes at once should not wait for a sleep, of which the shortest takes 80 µs.
    More looks than a few cost more than they save: they keep a core from who is to answer.
    """

    def __init__(self, n_yields: int = 5, first_s: float = 3e-4, longest_s: float = 2e-3) -> None:
        self._n_yields = self._yields_left = n_yields
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    def __call__(self) -> None:
        if self._yields_left:
            self._yields_left -= 1
            os.sched_yield()
            return
        time.sleep(self._next_s)
        self._next_s = min(2 * self._next_s, self._longest_s)

    def reset(self) -> None:
        self._yields_left, self._next_s = self._n_yields, self._first_s


def _thread_level() -> int:
    """Give the level to ask for; MPI4PY_RC_THREAD_LEVEL lowers it, as it does in mpi4py."""
    return int(getattr(MPI, f"THREAD_{str(mpi4py.rc.thread_level).upper()}"))


class World:
    """One communicator, with waits that sleep."""

    def __init__(self) -> None:
        """Start MPI.

        Raises:
            InputError: if this rank is one of several that the launcher started, and alone; or
                if MPI cannot start for want of shared memory.
        """
        self._comm: MPI.Intracomm | None = None if MPI is None else MPI.COMM_WORLD
        if self._comm is not None and not MPI.Is_initialized():
            if "MPICH" in self.library:
                if launcher.is_open_mpi():
                    self._refuse_to_be_alone()
                self._look_for_room()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # mpi4py's guess at what is checked below
                MPI.Init_thread(_thread_level())
        self.rank = 0 if self._comm is None else self._comm.Get_rank()
        self.size = 1 if self._comm is None else self._comm.Get_size()
        self.host = socket.gethostname()
        self.is_root = self.rank == 0
        self._windows: list[MPI.Win] = []
        if self.size == 1:
            self._refuse_to_be_alone()

    def _refuse_to_be_alone(self) -> None:
        """Raise if the launcher started several ranks: each would run the whole search."""
        found = launcher.promised()
        if found is None or found[1] == 1:
            return
        raise InputError(
            f"expected {found[1]} ranks, as the launcher started, but this one is alone in its MPI"
            f" world: launcher and MPI library ({self.library}) do not belong together; use the"
            f" mpirun beside {sys.executable}, name the launcher's own libmpi.so in MPI4PY_LIBMPI,"
            " or under Slurm use srun --mpi=pmi2 with the mpich wheel"
        )

    def _look_for_room(self) -> None:
        """Tell why MPICH will die of SIGBUS, before it does."""
        place, n_ranks = launcher.on_node() or (0, 1)
        room = sharedmemory.room()
        if n_ranks == 1:
            return
        if room.is_too_small(n_ranks) and launcher.promised() == (place, n_ranks):
            raise InputError(room.lacking(n_ranks))
        # Not all would leave: ranks of other nodes find room, those of this one look later. They
        # would wait for ever for one that left in good order; one that dies ends them too.
        if room.is_too_full(n_ranks) and self._is_first_to_tell():
            _logger.error("error: host %s: %s", socket.gethostname(), room.lacking(n_ranks))

    def _is_first_to_tell(self) -> bool:
        """Tell whether no rank of this node has asked before, where MPI cannot say so yet.

        Rank 0 may be the last to look, and be ended with the others before it has.
        """
        self._told = socket.socket(socket.AF_UNIX)  # its name is free again when its owner dies
        try:
            self._told.bind(f"\0hpo-{os.getppid()}")
        except OSError:
            return False
        return True

    @property
    def library(self) -> str:
        """The MPI library's name and version, in one short line."""
        if self._comm is None:
            return f"no MPI library: {_WITHOUT_MPI}"
        return " ".join(MPI.Get_library_version().split(",")[0].split()[:3]).replace(":", "")

    @property
    def allows_threads(self) -> bool:
        """Whether a thread other than the first may call MPI, one at a time."""
        return self._comm is None or bool(MPI.Query_thread() >= MPI.THREAD_SERIALIZED)

    # --- collectives: called by every rank or by none ---

    def meet(self) -> None:
        """Wait, asleep, until every rank is here (collective)."""
        if self._comm is None or self.size == 1:
            return
        request, pause = self._comm.Ibarrier(), Backoff()
        while not request.Test():
            pause()

    def broadcast(self, value: T) -> T:
        """Give every rank the root's value (collective)."""
        if self._comm is None or self.size == 1:
            return value
        self.meet()
        told: T = self._comm.bcast(value, root=0)
        return told

    def on_root(self, function: Callable[[], T]) -> T:
        """Call a function on the root; every rank gets what it gives (collective).

        Raises:
            InputError: on every rank, if the function raises one.
        """
        given: T | None = None
        refused: InputError | None = None
        if self.is_root:
            try:
                given = function()
            except InputError as error:
                refused = error
        given, refused = self.broadcast((given, refused))
        if refused is not None:
            raise refused
        return given  # type: ignore[return-value]  # the root's own value is a T

    def gather(self, value: T) -> list[T] | None:
        """Give the root every rank's value, in rank order; the others None (collective)."""
        if self._comm is None or self.size == 1:
            return [value]
        self.meet()
        return self._comm.gather(value, root=0)

    def all_gather(self, value: T) -> list[T]:
        """Give every rank every rank's value, in rank order (collective)."""
        if self._comm is None or self.size == 1:
            return [value]
        self.meet()
        return self._comm.allgather(value)

    def scatter(self, values: Sequence[T] | None) -> T:
        """Give each rank its element of the root's sequence (collective)."""
        if self._comm is None or self.size == 1:
            assert values is not None
            return values[0]
        self.meet()
        share: T = self._comm.scatter(values, root=0)
        return share

    def broadcast_array(self, array: np.ndarray, root: int) -> None:
        """Fill a contiguous array on every rank with the root's (collective)."""
        if self._comm is not None and self.size > 1:
            self._comm.Bcast(array, root=root)

    def shared_bytes(self, n_bytes: int) -> tuple[np.ndarray, bool]:
        """Allocate bytes that the ranks of a node share (collective).

        Returns:
            The bytes (uint8, zeros at first), and whether this rank is the one that fills them.
        """
        if self._comm is None or self.size == 1:
            return np.zeros(n_bytes, np.uint8), True
        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        assert isinstance(node, MPI.Intracomm)
        is_writer = node.Get_rank() == 0
        window = MPI.Win.Allocate_shared(n_bytes if is_writer else 0, 1, comm=node)
        self._windows.append(window)
        memory, _ = window.Shared_query(0)
        return np.asarray(memory, np.uint8)[:n_bytes], is_writer

    # --- messages ---

    def send(self, value: object, *, to: int, tag: int) -> None:
        """Send a small value."""
        assert self._comm is not None
        self._comm.send(value, dest=to, tag=tag)

    def poll(self, *, source: int | None = None, tag: int | None = None) -> Any:
        """Take a waiting message without blocking.

        Returns:
            (source, tag, value), or None if there is no message.
        """
        if self._comm is None or self.size == 1:
            return None
        status = MPI.Status()
        wanted = (
            MPI.ANY_SOURCE if source is None else source,
            MPI.ANY_TAG if tag is None else tag,
            status,
        )
        # MPICH looks at what had come before, and only then lets in what has come since. Asked
        # once between two sleeps it would tell of every message one sleep late.
        message = self._comm.improbe(*wanted) or self._comm.improbe(*wanted)
        if message is None:
            return None
        return status.Get_source(), status.Get_tag(), message.recv()

    def receive(self, *, source: int, tag: int | None = None) -> Any:
        """Wait, asleep, for a message; give (source, tag, value)."""
        pause = Backoff()
        while (message := self.poll(source=source, tag=tag)) is None:
            pause()
        return message

    # --- parts of it ---

    def split(self, part: int) -> World:
        """Give the world of those that name the same part, in rank order (collective)."""
        its: World = object.__new__(World)
        its._comm = (
            None if self._comm is None else MPI.Intracomm(self._comm.Split(part, self.rank))
        )
        its.rank = 0 if its._comm is None else its._comm.Get_rank()
        its.size = 1 if its._comm is None else its._comm.Get_size()
        its.host, its.is_root, its._windows = self.host, its.rank == 0, []
        return its

    def alone(self) -> World:
        """Give the world of this rank only; nobody has to take part."""
        its: World = object.__new__(World)
        its._comm = None if self._comm is None else MPI.COMM_SELF
        its.rank, its.size, its.is_root = 0, 1, True
        its.host, its._windows = self.host, []
        return its

    @property
    def comm(self) -> MPI.Intracomm | None:
        """The communicator, for code that speaks MPI itself; None without MPI."""
        return self._comm

    # --- the end ---

    def close(self) -> None:
        """Give shared memory back (collective); arrays from `shared_bytes` are invalid then."""
        while self._windows:
            self._windows.pop().Free()

    def abort(self, code: int) -> None:
        """End every rank now. For what must not happen; orderly ends agree on a code.

        Returns only in a world of one.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        if self._comm is not None and self.size > 1:
            # The launcher forwards what was printed; an abort that overtakes it loses the reason.
            time.sleep(LAST_WORDS_S)
            self._comm.Abort(code)
            os._exit(code)  # MPICH's Abort was seen to return before its launcher had killed
