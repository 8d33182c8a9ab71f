"""How many trials the scheduler hands out in a second, if a trial takes no time at all.

The real manager, queue and messages under a real mpirun; no training and no journal. What the
manager spends on a trial is the service time that `benchmarks/simulate.py` reckons with.
"""

from __future__ import annotations

import itertools
import json
import time
from functools import partial

from benchmarks import harness
from hpo import schedule
from hpo.order import Job, Queue
from hpo.stopping import Stop
from hpo.trial import Result, Status, Trial
from hpo.world import World

N_RANKS = (1, 2, 4, 8)
N_NETWORKS = (1, 20, 1000)
USUAL_N_NETWORKS = 20  # as in the grid of 2,880 combinations
LEARNING_RATES = (0.0001, 0.001, 0.01, 0.1)
GRID = {
    "filters": (16, 32, 64, 128),
    "dense_units": (64, 128, 256),
    "batch_size": (32, 64, 128, 256),
    "learning_rate": LEARNING_RATES,
    "dropout": (0.2, 0.3, 0.4, 0.5),
    "validation_split": (0.1, 0.2, 0.3),
}


def jobs(n_trials: int, n_networks: int) -> list[Job]:
    """Make jobs that look like those of a grid: hashes, six hyperparameters, lengths that vary."""
    configs = itertools.cycle(itertools.product(*GRID.values()))
    return [
        Job(
            Trial(f"{i:016x}", i, dict(zip(GRID, next(configs), strict=True))),
            network=f"network {i % n_networks}",
            predicted_s=1 + i % 97 / 10,
        )
        for i in range(n_trials)
    ]


def rank(n_trials: int, n_networks: int) -> None:
    """Be one rank: hand out all trials, and print on rank 0 what that took (collective)."""
    world = World()
    waiting = Queue(jobs(n_trials, n_networks) if world.is_root else [])
    cpu_s: list[float] = []  # of the manager's thread, which calls `heard`

    def evaluate(work: schedule.Work, _: schedule.Link) -> Result:
        job, host = work.job, world.host
        return Result(
            *(job.trial.id, job.trial.config, Status.DONE, 0.9712, 0.0931, 4, 4),
            seconds=job.predicted_s,
            rank=world.rank,
            host=host,
        )

    def heard(_: Result) -> None:
        cpu_s.append(time.thread_time())

    world.meet()
    begun_s = time.perf_counter()
    schedule.run(world, waiting, evaluate, stop=Stop(), on_result=heard)
    took_s = time.perf_counter() - begun_s
    if world.is_root:
        assert len(cpu_s) == n_trials
        print(json.dumps({"per_s": n_trials / took_s, "us": cpu_s[-1] / n_trials * 1e6}))


def main() -> None:
    settings = harness.arguments(__doc__, trials=20_000, rounds=5)
    cpu_us: dict[str, list[float]] = {}

    def measure(name: str, n_ranks: int, n_networks: int) -> float:
        words = f"from benchmarks import dispatch; dispatch.rank({settings.trials}, {n_networks})"
        told = json.loads(harness.run(harness.mpirun(n_ranks, "-m", "mpi4py", "-c", words))[0])
        cpu_us.setdefault(name, []).append(told["us"])
        return float(told["per_s"])

    cases = [(n, USUAL_N_NETWORKS) for n in N_RANKS]
    cases += [(max(N_RANKS), n) for n in N_NETWORKS if n != USUAL_N_NETWORKS]
    named = {f"{ranks} ranks, {networks} networks": (ranks, networks) for ranks, networks in cases}
    per_s = harness.interleaved(
        {name: partial(measure, name, *case) for name, case in named.items()}, settings.rounds
    )
    rows = [
        {
            "ranks": ranks,
            "networks": networks,
            "trials/s": harness.median(per_s[name]),
            "µs between trials": 1e6 / harness.median(per_s[name]),
            "µs of the manager's CPU": harness.median(cpu_us[name]),
        }
        for name, (ranks, networks) in named.items()
    ]
    harness.show("dispatch", "Empty trials handed out", rows, per_s=per_s, cpu_us=cpu_us)


if __name__ == "__main__":
    main()
