"""How well the scheduler packs trials of unequal length: dynamic against scatter.

The trials only sleep, so that ranks need no cores of their own: what is lost is the scheduler's.
The perfect packing keeps every rank busy to the end.
"""

from __future__ import annotations

import json
import math
import random
import time
from functools import partial

from benchmarks import harness
from hpo import schedule
from hpo.order import Job, Queue
from hpo.stopping import Stop
from hpo.trial import Result, Status, Trial
from hpo.world import World

N_NETWORKS = 20
SEED = 33


def lengths_s(n_trials: int, mean_s: float, spread: float) -> list[float]:
    """Draw lengths, log-uniformly; the longest may be `spread` times the shortest."""
    chance = random.Random(SEED)
    drawn = [spread ** chance.random() for _ in range(n_trials)]
    scale = mean_s * n_trials / sum(drawn)
    return [scale * length for length in drawn]


def jobs(lengths: list[float], error: float) -> list[Job]:
    """Make a job of each length.

    Args:
        error: of the predictions; 0.3 is up to 30% more or less, infinite: nothing is known.
    """
    chance = random.Random(SEED + 1)

    def predicted_s(length_s: float) -> float:
        return length_s * (1 + error * chance.uniform(-1, 1)) if math.isfinite(error) else 1.0

    return [
        Job(
            Trial(f"{i:016x}", i, {"length_s": length_s}),
            network=f"network {chance.randrange(N_NETWORKS)}",
            predicted_s=predicted_s(length_s),
        )
        for i, length_s in enumerate(lengths)
    ]


def rank(kind: str, lengths: list[float], error: float) -> None:
    """Be one rank: sleep through its share; print on rank 0 what all took (collective)."""
    world = World()
    waiting = Queue(jobs(lengths, error) if world.is_root else [])
    came: list[str] = []

    def evaluate(work: schedule.Work, _: schedule.Link) -> Result:
        trial = work.job.trial
        time.sleep(trial.config["length_s"])
        return Result(trial.id, {}, Status.DONE, 0.5, seconds=trial.config["length_s"])

    world.meet()
    begun_s = time.perf_counter()
    schedule.run(
        *(world, waiting, evaluate),
        stop=Stop(),
        on_result=lambda result: came.append(result.id),
        schedule=kind,
    )
    took_s = time.perf_counter() - begun_s
    if world.is_root:
        assert len(came) == len(set(came)) == len(lengths)
        print(json.dumps(took_s))


def main() -> None:
    settings = harness.arguments(
        __doc__,
        trials=2000,
        length_s=0.2,  # the mean
        spread=100.0,
        np=8,
        rounds=3,
        schedules="dynamic,scatter",
        errors="0,0.3,inf",
    )
    drawn = settings.trials, settings.length_s, settings.spread
    lengths = lengths_s(*drawn)
    perfect_s = max(math.fsum(lengths) / settings.np, max(lengths))

    def measure(kind: str, error: float) -> float:
        words = (
            "from benchmarks import packing;"
            f" packing.rank({kind!r}, packing.lengths_s{drawn!r}, float('{error}'))"
        )
        program = harness.mpirun(settings.np, "-m", "mpi4py", "-c", words)
        return float(json.loads(harness.run(program)[0]))

    cases = {
        f"{kind}, predictions: {_how_good(error)}": (kind, error)
        for kind in settings.schedules.split(",")
        for error in map(float, settings.errors.split(","))
    }
    took_s = harness.interleaved(
        {name: partial(measure, *case) for name, case in cases.items()}, settings.rounds
    )
    rows = [
        {
            "schedule": kind,
            "predictions": _how_good(error),
            "took (s)": harness.median(took_s[name]),
            "of the perfect packing": f"{perfect_s / harness.median(took_s[name]):.1%}",
        }
        for name, (kind, error) in cases.items()
    ]
    title = (
        f"{settings.trials:,} sleeping trials of {settings.length_s:g} s on average, the longest"
        f" {settings.spread:g} times the shortest, on {settings.np} ranks;"
        f" perfect: {perfect_s:.1f} s"
    )
    harness.show(
        *("packing", title, rows), took_s=took_s, perfect_s=perfect_s, settings=vars(settings)
    )


def _how_good(error: float) -> str:
    if math.isinf(error):
        return "none"
    return f"within {error:.0%}" if error else "exact"


if __name__ == "__main__":
    main()
