"""What showing a search costs it: the live view on a terminal, plain lines, and silence.

The same search on a pseudo-terminal, into a pipe, and with --quiet, in turn, round by round; then
the time of one refresh of rank 0's view and of `hpo watch` where there are a thousand ranks.
"""

from __future__ import annotations

import io
import json
import os
import pty
import resource
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import harness
from hpo import history, journal, record, state
from hpo.history import Started
from hpo.liveview import View, n_shown
from hpo.lock import Lock
from hpo.onlooker import Onlooker
from hpo.progress import Progress
from hpo.rundir import RunDir
from hpo.snapshot import Training
from hpo.trial import Result, Status

SPACE = {
    "filters": [16],
    "dense_units": [64],
    "batch_size": [64, 128],
    "learning_rate": [0.001, 0.01, 0.1],
    "dropout": [0.2, 0.3, 0.4],
    "validation_split": [0.1, 0.2],
}
COLUMNS, LINES = 120, 40


def main() -> None:
    settings = harness.arguments(__doc__, ranks=2, rounds=3, many_ranks=1000, results=10_000)
    cpu_s: dict[str, list[float]] = {}

    def search(name: str, *options: str) -> float:
        wall_s, used_s = _search(settings.ranks, *options, on_terminal=name == "live view")
        cpu_s.setdefault(name, []).append(used_s)
        return wall_s

    wall_s = harness.interleaved(
        {
            "--quiet": lambda: search("--quiet", "--quiet"),
            "plain lines": lambda: search("plain lines"),
            "live view": lambda: search("live view"),
        },
        settings.rounds,
    )
    rows = [
        {
            "shown": name,
            "search (s)": harness.median(seen),
            "times --quiet": harness.median(seen) / harness.median(wall_s["--quiet"]),
            "CPU (s)": harness.median(cpu_s[name]),
            "CPU, times --quiet": harness.median(cpu_s[name]) / harness.median(cpu_s["--quiet"]),
        }
        for name, seen in wall_s.items()
    ]
    refresh = _refreshes(settings.many_ranks, settings.results)
    harness.show(
        *("live", f"{_n_trials()} trials on {settings.ranks} ranks", rows),
        wall_s=wall_s,
        cpu_s=cpu_s,
        refresh_ms=refresh,
        settings=vars(settings),
    )
    for name, took_ms in refresh.items():
        print(f"{name}: {took_ms:.1f} ms of CPU time")


def _n_trials() -> int:
    n = 1
    for values in SPACE.values():
        n *= len(values)
    return n


def _search(n_ranks: int, *options: str, on_terminal: bool) -> tuple[float, float]:
    """Search; give the seconds from its first question to its end, and all CPU seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = RunDir(folder / "results")
        (folder / "space.yaml").write_text(json.dumps(SPACE), encoding="utf-8")  # JSON is YAML
        words = [harness.ROOT / "rismpi.py", "--space", folder / "space.yaml", "--out", run]
        command = harness.mpirun(n_ranks, *words, *options)
        before = _cpu_s()
        if on_terminal:
            _run_on_terminal(command)
        else:
            harness.run(command)
        told = harness.ranks_told(run.log, n_ranks)
        parts = ("compile_s", "train_s", "files_s", "wait_s")
        return max(sum(rank[part] for part in parts) for rank in told), _cpu_s() - before


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run_on_terminal(command: list[str]) -> None:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    env = os.environ | {"PYTHONPATH": str(harness.ROOT), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 65536):
            told += chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    if process.wait() or b"ranks busy" not in told:
        sys.exit(f"expected a live view, found exit {process.returncode}\n{told.decode()}")


def _refreshes(n_ranks: int, n_results: int) -> dict[str, float]:
    """Time one refresh with many ranks and results, each the median of several."""
    with tempfile.TemporaryDirectory() as name:
        run = RunDir(Path(name) / "results")
        run.make()
        start = _fill(run, n_ranks, n_results)
        lock = Lock.acquire(run.state, start)
        try:
            return {
                f"a refresh of the live view at {n_ranks:,} ranks": _median_ms(
                    lambda: _draw_as_rank_0(run, start, n_ranks)
                ),
                f"a refresh of hpo watch at {n_ranks:,} ranks, nothing new": _watching_ms(run),
                f"the same with a new record, {n_results:,} trials": _watching_ms(run, news=True),
            }
        finally:
            lock.release()


def _fill(run: RunDir, n_ranks: int, n_results: int) -> str:
    """Write what a search of many ranks has on disk in its middle."""
    from hpo import sampling, spacefile, spaceyaml
    from hpo.classifierterms import ClassifierTerms

    start = "20261126T000000-abcdef"
    space: dict[str, Any] = {**SPACE, "seed": list(range(2 * n_results // _n_trials()))}
    written = spacefile.written(space, "the benchmark")
    data = {"path": "digits", "side": 8, "images": 1797, "classes": 10}
    identity = {"data": "0", "seed": 33, "objective": "classifier"}
    record.Record(spaceyaml.described(written), identity, data, {}).write(run)
    terms = ClassifierTerms.of(data)
    trials = sampling.trials(sampling.combinations(written, terms, {}, []), terms, identity)
    history.note_started(run, Started(start, time.time(), "h", n_ranks, len(trials)))
    for rank in range(n_ranks):
        mine = trials[rank:n_results:n_ranks]
        lines = [
            Result(t.id, t.config, Status.DONE, score=0.5, seconds=3.0, rank=rank).to_line()
            for t in mine
        ]
        text = "".join(f"{line}\n" for line in lines)
        (run.journal / f"{start}-{rank}.jsonl").write_text(text)
        trial = trials[n_results + rank]
        state.RankState(run, start, rank, f"node{rank // 64}").trains(trial.id, trial.config, 4)
    return start


def _draw_as_rank_0(run: RunDir, start: str, n_ranks: int) -> None:
    def training(n: int) -> list[Training]:
        told = state.some(run, start, range(n_ranks), n)
        return [Training.of(its, SPACE) for its in told]

    n_lines = LINES - 2
    progress = Progress(
        n_ranks, n_ranks, varied=SPACE, load=lambda: (1.0, n_ranks), training=training
    )
    _print(View(progress.snapshot(n_shown(n_lines)), time.time(), n_lines))


def _watching_ms(run: RunDir, *, news: bool = False) -> float:
    onlooker = Onlooker(run)
    onlooker.look(0)
    latest = next(its for its in journal.records(run.journal))

    def look() -> None:
        if news:
            path = run.journal / f"{latest.start}-0.jsonl"
            with path.open("a") as file:
                file.write(latest.result.to_line() + "\n")
        _print(View(onlooker.look(n_shown(LINES)).snapshot, time.time(), LINES))

    return _median_ms(look)


def _print(view: View) -> None:
    Console(file=io.StringIO(), width=COLUMNS, force_terminal=True).print(view)


def _median_ms(action: Any, n_times: int = 7) -> float:
    took_ms = []
    for _ in range(n_times):
        begun_s = time.process_time()  # others may use this machine
        action()
        took_ms.append(1000 * (time.process_time() - begun_s))
    return harness.median(took_ms)


if __name__ == "__main__":
    main()
