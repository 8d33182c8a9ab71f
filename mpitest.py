"""Prove a cluster's MPI in seconds: mpirun -np N python mpitest.py [OUT_DIR]"""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

# Read by NumPy when it is loaded: a thread per core in each rank of a node may be more threads
# than the cluster allows a user.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from hpo import launcher
from hpo.commandline import Parser, default_out
from hpo.errors import ExitCode, HpoError, InputError
from hpo.rundir import write_whole
from hpo.world import World

N_OPERATIONS = 3
MATRIX_SIDE = 128
MAX_PEERS = 16  # one costs 0.3 s at 1 Gbit/s
N_SMALL_TRIPS = 100
N_LARGE_TRIPS = 3
LARGE_BYTES = 2**22
PATIENCE_S = 60.0
ECHO_TAG = 1


@dataclass(frozen=True)
class Report:
    """What one rank did."""

    rank: int
    host: str
    results: tuple[float, ...]

    def best(self) -> float:
        return max(self.results)


class Watchdog:
    """Ends every rank when one has waited too long, and says which waits where."""

    def __init__(self) -> None:
        self.world: World | None = None
        self._timer: threading.Timer | None = None

    def expect(self, what: str) -> None:
        """Begin to wait for something, and no longer for what came before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(PATIENCE_S, self._bite, (what,))
        self._timer.daemon = True
        self._timer.start()

    def _bite(self, what: str) -> None:
        rank, _ = launcher.promised() or (0, 1)
        where = f"rank {rank} on {socket.gethostname()}"
        say(f"error: {where}: {PATIENCE_S:g} s without {what}", file=sys.stderr)
        time.sleep(1)  # the first to abort ends the others: let them speak too
        if self.world is not None:
            self.world.abort(ExitCode.FAILED)
        os._exit(ExitCode.FAILED)


def main(argv: Sequence[str] | None = None) -> int:
    """Test this run's MPI; give the exit code, on which all ranks agree."""
    watchdog = Watchdog()
    try:
        out_dir = read_out_dir(argv)
        world = watchdog.world = start()
        return prove(world, watchdog, out_dir)
    except InputError as error:
        if launcher.is_first():
            say(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (Exception, KeyboardInterrupt):
        traceback.print_exc()
        if watchdog.world is not None:
            watchdog.world.abort(ExitCode.FAILED)
        return ExitCode.FAILED


def read_out_dir(argv: Sequence[str] | None) -> Path:
    """Read the command line; --help leaves by SystemExit."""
    parser = Parser(
        usage="mpirun -np N python mpitest.py [-h] [OUT_DIR]",
        description="Prove a cluster's MPI in seconds: every rank works, talks and reports.",
        epilog="exit codes: 0 every rank took part, 1 failed, 2 bad input",
    )
    parser.hint = "--help shows the usage"
    where = "where mpitest.txt is written (default %(default)s; HPO_OUT sets another)"
    parser.add_argument("out_dir", metavar="OUT_DIR", nargs="?", default=default_out(), help=where)
    return Path(parser.parse_args(argv).out_dir)


def start() -> World:
    """Start MPI; a rank that waits too long for the others prints where, and ends."""
    # No watchdog of ours could bark: MPI's start keeps Python's lock.
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
    try:
        return World()
    finally:
        faulthandler.cancel_dump_traceback_later()


def prove(world: World, watchdog: Watchdog, out_dir: Path) -> int:
    """Let every rank work, talk and report (collective).

    Raises:
        InputError: on every rank, if the best one cannot write to the directory.
    """
    watchdog.expect("every rank's host name")
    hosts = world.all_gather(world.host)
    if world.is_root:
        say(f"library: {world.library}\n{describe(hosts)}")
    watchdog.expect("an end of its own operations")
    report = Report(world.rank, world.host, work(world))
    watchdog.expect("every rank's report")
    reports = world.gather(report)
    talk(world, watchdog, hosts)
    watchdog.expect("rank 0's word on who is best")
    best = world.broadcast(report if reports is None else max(reports, key=Report.best))
    watchdog.expect(f"a file from rank {best.rank} on {best.host}")
    # HPO_OUT may have been left behind on the first host.
    path = save(world, best, world.broadcast(out_dir))
    if world.is_root:
        say(f"best {best.best()} by rank {best.rank} on {best.host}, which saved it in {path}")
    watchdog.expect("rank 0's count of the ranks")
    return world.broadcast(ExitCode.DONE if reports is None else count(reports))


def describe(hosts: Sequence[str]) -> str:
    """Say how many ranks each host has, from a host per rank."""
    n_ranks = Counter(hosts)
    per_host = ", ".join(f"{host} {n}" for host, n in n_ranks.items())
    return f"ranks: {len(hosts)}, hosts: {len(n_ranks)}, ranks per host: {per_host}"


def work(world: World) -> tuple[float, ...]:
    """Do the timed operations, saying how far they are; give their results."""
    generator = np.random.default_rng()  # of the system's entropy: each rank and run its own
    results = []
    for number in range(1, N_OPERATIONS + 1):
        began_s = time.perf_counter()
        one, other = generator.random((2, MATRIX_SIDE, MATRIX_SIDE))
        results.append(round(float((one @ other).trace() % 1), 6))
        took_ms = 1e3 * (time.perf_counter() - began_s)
        done = f"operation {number}/{N_OPERATIONS}, {took_ms:.1f} ms, result {results[-1]}"
        say(f"rank {world.rank} on {world.host}: {done}")
    return tuple(results)


def talk(world: World, watchdog: Watchdog, hosts: Sequence[str]) -> None:
    """Measure the way from rank 0 to each of its peers in turn; the others sleep (collective)."""
    peers = choose_peers(hosts)
    if world.is_root:
        if not peers:
            say("one rank has nobody to talk to: start more with mpirun -np N")
        for peer in peers:
            watchdog.expect(f"an answer of rank {peer} on {hosts[peer]}")
            say(f"rank 0 to rank {peer} on {hosts[peer]}: {measure(world, peer)}")
    elif world.rank in peers:
        watchdog.expect("a word of rank 0")
        echo(world)


def choose_peers(hosts: Sequence[str]) -> list[int]:
    """Choose whom rank 0 talks to: its neighbour and a rank per host first, not too many."""
    first_rank = {host: rank for rank, host in reversed(list(enumerate(hosts)))}
    others = range(1, len(hosts))
    return sorted(others, key=lambda rank: rank not in (1, first_rank[hosts[rank]]))[:MAX_PEERS]


def measure(world: World, peer: int) -> str:
    """Say how long a small message takes there and back, and how fast a large one is."""
    small_s = round_trip_s(world, peer, b"", n_trips=N_SMALL_TRIPS)
    large_s = round_trip_s(world, peer, os.urandom(LARGE_BYTES), n_trips=N_LARGE_TRIPS)
    world.send(None, to=peer, tag=ECHO_TAG)
    # As the search sends: with the packing and unpacking.
    mb_per_s = 2 * LARGE_BYTES / large_s / 1e6
    return f"round trip {1e6 * small_s:.1f} us, bandwidth {mb_per_s:.0f} MB/s"


def round_trip_s(world: World, peer: int, value: bytes, *, n_trips: int) -> float:
    """Send a value there and back several times; give the median of the times."""
    times_s = []
    for _ in range(1 + n_trips):
        began_s = time.perf_counter()
        world.send(value, to=peer, tag=ECHO_TAG)
        back = receive_awake(world, source=peer)
        times_s.append(time.perf_counter() - began_s)
        if back != value:
            raise HpoError(f"expected rank {peer} to send back {len(value)} bytes, found others")
    return float(np.median(times_s[1:]))  # the first one wakes the peer


def echo(world: World) -> None:
    """Send back what rank 0 sends, until it sends None."""
    _, _, value = world.receive(source=0, tag=ECHO_TAG)
    while value is not None:
        world.send(value, to=0, tag=ECHO_TAG)
        value = receive_awake(world, source=0)


def receive_awake(world: World, *, source: int) -> Any:
    """Wait for a value without the sleep of `World.receive`, which would be measured too."""
    while (message := world.poll(source=source, tag=ECHO_TAG)) is None:
        os.sched_yield()  # the other rank may be on this core
    return message[2]


def save(world: World, best: Report, out_dir: Path) -> Path:
    """Let the best rank write its result; give the file (collective).

    Raises:
        InputError: on every rank, if it cannot.
    """
    path, refusal = out_dir / "mpitest.txt", ""
    if world.rank == best.rank:
        lines = {"best": best.best(), "rank": best.rank, "host": best.host}
        lines |= {"ranks": world.size, "library": world.library}
        try:
            out_dir.mkdir(parents=True, exist_ok=True)
            write_whole(path, "".join(f"{k}: {json.dumps(v)}\n" for k, v in lines.items()))
        except OSError as error:
            who = f"rank {best.rank} on {best.host}"
            refusal = f"OUT_DIR: expected {who} to be able to write {path}: {error.strerror}"
    refusal = "".join(world.all_gather(refusal))
    if refusal:
        raise InputError(refusal)
    return path


def count(reports: Sequence[Report]) -> ExitCode:
    """Say whether every rank that the launcher started has done all its operations."""
    _, n_started = launcher.promised() or (0, 1)
    n_expected = max(n_started, len(reports))
    n_done = sum(len(report.results) == N_OPERATIONS for report in reports)
    if n_done < n_expected:
        say(f"error: expected {n_expected} ranks to take part, found {n_done}", file=sys.stderr)
        return ExitCode.FAILED
    say("the only rank took part" if n_done == 1 else f"all {n_done} ranks took part")
    return ExitCode.DONE


def say(line: str, *, file: TextIO | None = None) -> None:
    """Print a line in one piece; `print` sends its end apart where Python is unbuffered."""
    print(f"{line}\n", end="", file=file, flush=True)


if __name__ == "__main__":
    sys.exit(main())
