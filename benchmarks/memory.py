"""Whether a rank's memory grows with the trials it has trained: `make bench-memory`.

One rank trains many short trials through the real worker, with its files: first on a few
networks, which it keeps; then on more than it keeps, so that it compiles them again and again.
Every network has been seen by the time of the first figure. Then what a rank costs at least, and
what each further network costs, small and large.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness

FIRST = 50  # trials after which nothing new should be needed
STEPS = (50, 100, 250, 500, 1000)
# More than are kept; the first and the last figure find the same ones kept, as 10 (= 50 / 5) and
# 200 are the same in turn: networks differ in size.
FEW, MANY = 6, 38
RUN_LENGTH = 5  # trials of one network in a row, as a search's order has them
TRIAL = {"epochs": 1, "dense_units": 16}
N_IMAGES = 300
N_KAGGLE, KAGGLE_SIDE = 42_000, 28
SEED = 33
SMALL_SIDE = 8
# By image side and filters; each time some that differ by little, as the first one of a size also
# pays for buffers that the others use again.
NETWORKS = [(8, 16), (8, 64), (8, 256), (28, 32), (28, 128)]
N_ALIKE = 4
ALLOWED = 1.05
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
KIB = 1024


# ---- in a process of its own; each prints one line of JSON


def trials(n_networks: int, n_trials: int) -> None:
    """Train, and tell the memory after some numbers of trials."""
    with tempfile.TemporaryDirectory() as folder:
        worker = _worker(Path(folder))
        told = {}
        for done, job in enumerate(_jobs(n_networks, n_trials), 1):
            worker(job)
            if done in STEPS or done == n_trials:
                told[done] = _resident_bytes()
    print(json.dumps(told))


def least() -> None:
    """Tell what a rank has after each step of its start, with Kaggle's images."""
    told = {"Python": _resident_bytes()}
    trainer = _trainer(N_KAGGLE, KAGGLE_SIDE, told)
    _train(trainer, 0, filters=32)
    told["first network (filters 32)"] = _resident_bytes()
    print(json.dumps(told))


def networks(side: int, filters: int) -> None:
    """Tell the memory after each of some networks of nearly one size, and what is reckoned."""
    from hpo import architecture, hyperparameters

    trainer = _trainer(N_IMAGES, side, {})
    told = []
    for number in range(N_ALIKE + 1):
        _train(trainer, number, filters=filters + number)
        told.append(_resident_bytes())
    config = hyperparameters.complete({"filters": filters}, side)
    reckoned = architecture.n_bytes(architecture.layers(config, side, 10))
    print(json.dumps({"after": told, "reckoned": reckoned}))


def _worker(folder: Path) -> Any:
    """Give what trains one job as a rank does, with all files of a run."""
    from hpo import backend, journal
    from hpo.classifier import Classifier
    from hpo.contract import Setting
    from hpo.groups import Group
    from hpo.lock import Lock
    from hpo.options import Options
    from hpo.rundir import RunDir
    from hpo.schedule import Alone, Work
    from hpo.state import RankState
    from hpo.stopping import Stop
    from hpo.trial import WORST, Result, Status
    from hpo.worker import Worker
    from hpo.world import World

    backend.prepare(1, "cpu")
    run, start, world = RunDir(folder), "bench", World()
    run.make()
    setting = Setting(Options(seed=SEED), _dataset(N_IMAGES, SMALL_SIDE))
    objective = Classifier()
    objective.open(world, setting)
    lock = Lock.acquire(run.state, start)
    worker = Worker(
        *(run, objective, objective.terms(setting.data.describe()), setting),
        journal.Writer(run.journal, start, 0),
        RankState(run, start, 0, "here"),
        group=Group(world),
        stop=Stop(),
        held=(lock.path, start),
        signature=Result("", {}, Status.DONE),
        retries=0,
    )

    def evaluate(job: Any) -> None:
        result = worker.evaluate(Work(job, WORST), Alone(Stop()))
        assert result is not None and result.error is None, result

    return evaluate


def _jobs(n_networks: int, n_trials: int) -> Iterator[Any]:
    """Make trials that differ in all that does not shape a network, too."""
    from hpo.order import Job
    from hpo.trial import Trial

    random = np.random.default_rng(SEED)
    for i in range(n_trials):
        in_turn = i if i < n_networks else i // RUN_LENGTH
        config = TRIAL | {
            "filters": 4 + in_turn % n_networks,
            "batch_size": int(random.choice([32, 64, 128])),
            "learning_rate": float(random.choice([0.001, 0.01])),
            "dropout": float(random.choice([0.2, 0.3, 0.4, 0.5])),
            "validation_split": float(random.choice([0.1, 0.2, 0.3])),
        }
        yield Job(Trial(f"{i:016x}", i, config), network="", predicted_s=1.0)


def _trainer(n_images: int, side: int, told: dict[str, int]) -> Any:
    from hpo import backend

    backend.prepare(1, "cpu")
    from hpo import graph
    from hpo.train import Trainer

    graph.configure(threads=1)
    told["TensorFlow and Keras"] = _resident_bytes()
    dataset = _dataset(n_images, side)
    engine = graph.Engine(dataset)
    told[f"{n_images:,} images of {side}×{side}"] = _resident_bytes()
    return Trainer(dataset, SEED, engine)


def _dataset(n_images: int, side: int) -> Any:
    """Read made-up images as a search does."""
    from hpo import data
    from hpo.world import World

    random = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made-up.npz"
        images = random.integers(0, 256, (n_images, side, side), dtype=np.uint8)
        np.savez(path, x=images, y=random.integers(0, 10, n_images))
        del images
        return data.load(World(), str(path))


def _train(trainer: Any, number: int, **config: Any) -> None:

    training = trainer.begin(f"{number:016x}", {"epochs": 1, **config})
    training.advance()  # some steps are enough: all kernels have run


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KIB
    raise RuntimeError("/proc/self/status: expected a line VmRSS, found none")


# ---- here


def main() -> None:
    options = harness.arguments(__doc__, trials=max(STEPS), rounds=1)
    grown: dict[str, list[dict[str, int]]] = {}

    def measure(name: str, n_networks: int) -> float:
        told = _told("trials", n_networks, options.trials)
        grown.setdefault(name, []).append(told)
        return _growth(told)

    cases = {f"{n} networks": partial(measure, f"{n} networks", n) for n in (FEW, MANY)}
    growth = harness.interleaved(cases, options.rounds)
    started = _told("least")
    costs = [_cost(side, filters) for side, filters in NETWORKS]
    harness.show(
        "memory",
        f"Resident memory of one rank after so many trials, MB; medians of {options.rounds}",
        [_row(name, runs) for name, runs in grown.items()],
        grown=grown,
        growth=growth,
        start=started,
        networks=costs,
    )
    _show_start(started)
    _show_costs(costs)
    _conclude({name: harness.median(ratios) for name, ratios in growth.items()})


def _told(function: str, *numbers: int) -> Any:
    code = f"from benchmarks import memory; memory.{function}({', '.join(map(str, numbers))})"
    harness.say(f"{function}{numbers}")
    output, _ = harness.run([sys.executable, "-c", code], **ENVIRONMENT)
    return json.loads(output.splitlines()[-1])


def _growth(told: dict[str, int]) -> float:
    """Compare the last figure with the first."""
    figures = list(told.values())
    return figures[-1] / figures[0]


def _row(name: str, runs: list[dict[str, int]]) -> dict[str, Any]:
    by_trials = {n: harness.median([run[n] for run in runs]) / 1e6 for n in runs[0]}
    ratio = harness.median([_growth(run) for run in runs])
    return {
        "trained": name,
        **{f"{int(n):,}": round(mb) for n, mb in by_trials.items()},
        "last / first": f"{ratio:.3f}",
    }


def _cost(side: int, filters: int) -> dict[str, Any]:
    told = _told("networks", side, filters)
    after = told["after"]
    return {
        "network": f"filters {filters}, {side}×{side}",
        "MB, first": (after[1] - after[0]) / 1e6,
        "MB, each further one": (after[-1] - after[1]) / (N_ALIKE - 1) / 1e6,
        "MB reckoned": told["reckoned"] / 1e6,
    }


def _show_start(started: dict[str, int]) -> None:
    print("\nWhat a rank has at least, MB:")
    for name, n_bytes in started.items():
        print(f"  {n_bytes / 1e6:6.0f}  {name}")


def _show_costs(costs: list[dict[str, Any]]) -> None:
    print("\nWhat one more compiled network costs, MB (reckoned by hpo.architecture.n_bytes):")
    for cost in costs:
        each, reckoned = cost["MB, each further one"], cost["MB reckoned"]
        print(f"  {each:6.1f} ({reckoned:.1f})  {cost['network']}")


def _conclude(ratios: dict[str, float]) -> None:
    for name, ratio in ratios.items():
        verdict = "within" if ratio <= ALLOWED else "NOT within"
        print(f"{name}: grown by {ratio - 1:.1%}, {verdict} {ALLOWED - 1:.0%}")
    if max(ratios.values()) > ALLOWED:
        sys.exit(1)


if __name__ == "__main__":
    main()
