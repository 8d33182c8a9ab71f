"""The same trials with this program and with its peers, in turn: `make bench-peers`.

Every system trains the same combinations of the same network on the same images, with two
workers of one thread each. benchmarks/peers/ has one script for each peer, and beside it, where
it needs packages, their requirements; job.py is what all of them train.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import harness
from hpo import journal, spacefile
from hpo.rundir import RunDir

SCRIPTS = harness.ROOT / "benchmarks" / "peers"
PROGRAM = "this program"
PIP_LIMIT_S = 900.0  # where requirements contradict each other, pip may try versions for hours
_FEW = {"batch_size": [32, 128], "learning_rate": [0.001, 0.01]}

SPACES: dict[str, dict[str, list[Any]]] = {
    "small": {"filters": [16, 32], **_FEW, "dropout": [0.2, 0.3, 0.4]},
    "shipped": spacefile.read(str(harness.ROOT / "rismpi.py")).values,
    "filters-64": {"filters": [64], **_FEW, "dropout": [0.2, 0.3, 0.4]},
    "filters-256": {"filters": [256], **_FEW},
    "smoke": {"filters": [8], **_FEW, "epochs": [1]},  # shows only that all of them run
}

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "",
    "RAY_USAGE_STATS_ENABLED": "0",
}
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


class FailedError(Exception):
    """A peer cannot be measured; says why."""


@dataclass(frozen=True)
class Peer:
    """One system to compare with."""

    name: str
    script: str
    package: str  # whose version is told
    mpi_ranks_beside: int | None = None  # of those that train; None: it is not run by mpirun
    module: tuple[str, ...] = ()  # how Python runs the script
    words: tuple[str, ...] = ()  # what the script is told
    is_one_process: bool = False  # with as many threads as the others have workers
    has_own_environment: bool = False  # its requirements contradict those of others


PEERS = {
    "optuna": Peer("Optuna", "optuna_processes", "optuna"),
    "keras-tuner": Peer("Keras Tuner", "keras_tuner_grid", "keras-tuner"),
    "keras-tuner-alone": Peer(
        "Keras Tuner, one process",
        "keras_tuner_grid",
        "keras-tuner",
        words=("--one-process",),
        is_one_process=True,
    ),
    "ray": Peer("Ray Tune", "ray_tune", "ray"),
    "mpi4py": Peer(
        "mpi4py.futures",
        "mpi4py_futures",
        "mpi4py",
        mpi_ranks_beside=1,
        module=("-m", "mpi4py.futures"),
    ),
    "deephyper": Peer("DeepHyper", "deephyper_processes", "deephyper"),
    "propulate": Peer(
        "Propulate", "propulate_grid", "propulate", mpi_ranks_beside=0, has_own_environment=True
    ),
    "static": Peer("static shares", "static_shares", "mpi4py", mpi_ranks_beside=0),
}


@dataclass(frozen=True)
class Trial:
    """What a system has noted of one trial; times since the epoch."""

    config: Mapping[str, Any]
    begun_s: float
    ended_s: float
    score: float | None


@dataclass(frozen=True)
class Run:
    """What one run of a system came to."""

    total_s: float
    searching_s: float  # from the first trial's begin to the last one's end
    n_trials: int
    n_distinct: int
    n_failed: int  # a trial whose loss is not finite ends at once in this program, in no other
    best_score: float | None

    @classmethod
    def of(cls, total_s: float, trials: Sequence[Trial]) -> Run:
        if not trials:
            raise FailedError("ended well, but trained nothing")
        return cls(
            total_s=round(total_s, 2),
            searching_s=round(max(t.ended_s for t in trials) - min(t.begun_s for t in trials), 2),
            n_trials=len(trials),
            n_distinct=len({json.dumps(t.config, sort_keys=True) for t in trials}),
            n_failed=sum(t.score is None for t in trials),
            best_score=max((t.score for t in trials if t.score is not None), default=None),
        )


@dataclass
class System:
    """A system under measurement: how it runs, what it gave, or why it gives nothing."""

    name: str
    version: str = ""
    run: Callable[[Path], Run] | None = None
    runs: list[Run] = field(default_factory=list)
    failure: str | None = None

    def median(self, name: str) -> float:
        return harness.median([getattr(run, name) for run in self.runs])


def main() -> None:
    options = harness.arguments(
        "Compare this program with its peers.",
        space="small",
        rounds=3,
        peers=",".join(PEERS),
        workers=2,
        limit_s=3600.0,
    )
    space = _chosen(options.space, SPACES, "--space")
    peers = [_chosen(name, PEERS, "--peers") for name in options.peers.split(",") if name]
    systems = [_program(space, options), *_installed(peers, options)]
    measures = {s.name: partial(_measure, s, space) for s in systems if s.failure is None}
    harness.interleaved(measures, options.rounds)
    _show(systems, space, options)
    if systems[0].failure is not None:
        sys.exit(1)


def _chosen(name: str, known: Mapping[str, Any], option: str) -> Any:
    if name not in known:
        sys.exit(f"{option}: expected {', '.join(known)}, found {name}")
    return known[name]


# ---- what runs


def _program(space: Mapping[str, list[Any]], options: Any) -> System:
    def run(folder: Path) -> Run:
        out = folder / "results"
        words = ("--space", folder / "space.yaml", "--out", out, "--quiet")
        command = harness.mpirun(options.workers, harness.ROOT / "rismpi.py", *words)
        (folder / "space.yaml").write_text(json.dumps(space), encoding="utf-8")  # JSON is YAML
        return Run.of(_run_whole(command, folder, options), _trials_of_run(RunDir(out)))

    return System(PROGRAM, harness.machine()["hpo"], run)


def _trials_of_run(run: RunDir) -> list[Trial]:
    """Read this program's trials; only when the first began and the last ended is known."""
    begun_s = min(path.stat().st_mtime for path in run.trials.glob("*/config.yaml"))
    ended_s = max(path.stat().st_mtime for path in run.journal.glob("*.jsonl"))
    results = journal.replay(run.journal).values()
    return [Trial(result.config, begun_s, ended_s, result.score) for result in results]


def _peer(peer: Peer, python: Path, options: Any) -> System:
    command = [python, *peer.module, SCRIPTS / f"{peer.script}.py", *peer.words]
    if peer.mpi_ranks_beside is not None:
        n_ranks = options.workers + peer.mpi_ranks_beside
        command = [python.with_name("mpirun"), "-np", n_ranks, *command]

    def run(folder: Path) -> Run:
        n_threads = options.workers if peer.is_one_process else 1
        total_s = _run_whole(command, folder, options, n_threads)
        return Run.of(total_s, _trials_of_peer(folder))

    return System(peer.name, _version(python, peer.package), run)


def _trials_of_peer(folder: Path) -> list[Trial]:
    lines = [line for path in folder.glob("trials-*.jsonl") for line in path.open()]
    return [Trial(**json.loads(line)) for line in lines]


def _measure(system: System, space: Mapping[str, list[Any]]) -> float:
    """Run a system once, unless it has failed before; give its seconds."""
    if system.run is not None and system.failure is None:
        with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as name:
            Path(name, "space.json").write_text(json.dumps(space), encoding="utf-8")
            try:
                system.runs.append(system.run(Path(name)))
                return system.runs[-1].total_s
            except FailedError as error:
                system.failure = str(error)
                harness.say(f"{system.name}: {error}")
    return float("nan")


def _run_whole(command: Sequence[object], folder: Path, options: Any, n_threads: int = 1) -> float:
    """Run a command to its end, all that it starts included; give the seconds.

    What it prints goes to a file: a daemon that it leaves behind would hold a pipe open.
    """
    own = {"JOB_FOLDER": str(folder), "JOB_WORKERS": str(options.workers)}
    own |= dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    own |= {"TMPDIR": str(folder), "RAY_TMPDIR": str(folder)}
    heard = folder / "output.txt"
    begun_s = time.perf_counter()
    with heard.open("wb") as file:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=os.environ | ENVIRONMENT | own,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(options.limit_s)
            total_s = time.perf_counter() - begun_s
        except subprocess.TimeoutExpired:
            raise FailedError(f"did not end within {options.limit_s:,.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        text = heard.read_text(encoding="utf-8", errors="replace")
        print(text[-4000:], file=sys.stderr)
        raise FailedError(f"exit {code}: {_last_line(text)}")
    return total_s


# ---- what is installed


def _installed(peers: Sequence[Peer], options: Any) -> list[System]:
    """Install what each peer needs; one that cannot be installed is a system that has failed."""
    systems, shared = [], ["-r", str(harness.ROOT / "requirements.txt")]
    for peer in peers:
        python = Path(sys.executable)
        requirements = SCRIPTS / f"{peer.script}.txt"
        harness.say(f"installing what {peer.name} needs")
        try:
            if peer.has_own_environment:
                python = _own_environment(peer)
                _pip(python, *shared[:2], "-r", requirements, *_same_engine())
            elif requirements.exists():
                # With all that is installed already, so that no peer breaks what another needs.
                _pip(python, *shared, "-r", requirements)
                shared += ["-r", str(requirements)]
        except FailedError as error:
            systems.append(System(peer.name, failure=str(error)))
        else:
            systems.append(_peer(peer, python, options))
    return systems


def _own_environment(peer: Peer) -> Path:
    folder = Path(sys.prefix) / "peers" / peer.package
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return python


def _same_engine() -> list[str]:
    """Pin what computes to the versions that the other systems have."""
    installed = {found.name: found.version for found in metadata.distributions()}
    packages = ("tensorflow", "tensorflow-cpu", "keras", "mpich")
    return [f"{name}=={installed[name]}" for name in packages if name in installed]


def _pip(python: Path, *words: object) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=PIP_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FailedError(
            f"does not install: pip found no set of versions in {PIP_LIMIT_S:.0f} s"
        ) from None
    if done.returncode:
        raise FailedError(f"does not install: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    """Give the last line that tells of an error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no word"]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])


def _version(python: Path, package: str) -> str:
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    done = subprocess.run(
        [python, "-c", code, package], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ---- what is shown


def _show(systems: Sequence[System], space: Mapping[str, list[Any]], options: Any) -> None:
    n_trials = math.prod(map(len, space.values()))
    harness.show(
        f"peers-{options.space}",
        f"{options.space}: {n_trials} combinations, {options.workers} workers of one thread each,"
        f" medians of {options.rounds} interleaved rounds",
        [_row(system, systems[0]) for system in systems],
        space=space,
        options=vars(options),
        systems=[_told(system) for system in systems],
    )
    _say_fastest(systems)


def _row(system: System, ours: System) -> dict[str, Any]:
    row: dict[str, Any] = {"system": f"{system.name} {system.version}".strip()}
    if system.runs:
        totals_s = [run.total_s for run in system.runs]
        last = system.runs[-1]
        row |= {
            "s": system.median("total_s"),
            "min–max": f"{min(totals_s):.1f}–{max(totals_s):.1f}",
            "ratio": _ratio(system, ours, "total_s"),
            "s without start-up": system.median("searching_s"),
            "ratio without": _ratio(system, ours, "searching_s"),
            "trials": last.n_trials,
            "distinct": last.n_distinct,
            "best score": last.best_score,
        }
    return row | ({"note": system.failure} if system.failure else {})


def _ratio(system: System, ours: System, name: str) -> float | None:
    return system.median(name) / ours.median(name) if ours.runs else None


def _told(system: System) -> dict[str, Any]:
    return {
        "system": system.name,
        "version": system.version,
        "failure": system.failure,
        "runs": [asdict(run) for run in system.runs],
    }


def _say_fastest(systems: Sequence[System]) -> None:
    ours, *others = systems
    peers = [peer for peer in others if peer.runs]
    if not ours.runs or not peers:
        return
    for name, words in (("total_s", "start-up included"), ("searching_s", "start-up excluded")):
        fastest = min(peers, key=lambda peer: peer.median(name))
        print(f"fastest peer, {words}: {fastest.name}, {_ratio(fastest, ours, name):.2f} times")


if __name__ == "__main__":
    main()
