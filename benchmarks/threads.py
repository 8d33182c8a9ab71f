"""When more threads per rank pay: all cores as ranks of one thread, or as one rank's threads.

Throughput, with every core at work, and how long a single trial takes when nothing else is left
to train (the tail of a search): `make bench-threads`. Every rank trains trials of one network for
a while, after a first one that compiles; images are made up.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import numpy as np

from benchmarks import harness

SEED = 33
EPOCHS = 4
BATCH_SIZE = 64
N_DIGITS, DIGITS_SIDE = 1_797, 8
N_LARGE, LARGE_SIDE = 4_200, 28  # a tenth of Kaggle's
NETWORKS = {
    **{f"filters {n}, 8×8": (n, N_DIGITS, DIGITS_SIDE) for n in (16, 32, 64, 128)},
    "filters 32, 28×28": (32, N_LARGE, LARGE_SIDE),
}


def rank(threads: int, seconds: float, filters: int, n_images: int, side: int) -> None:
    """Be one rank: train for a while; rank 0 prints the trials per minute of all (collective)."""
    from hpo import backend

    backend.prepare(threads, "cpu")
    from hpo import graph, quiet
    from hpo.train import Trainer
    from hpo.world import World

    world = World()
    with quiet.loading():
        graph.configure(threads)
    dataset = _dataset(n_images, side)
    trainer = Trainer(dataset, SEED, graph.Engine(dataset))
    _train(trainer, filters, seconds=0.0)  # compiles
    world.meet()  # all begin together, or the first would have the machine to themselves
    per_s = _train(trainer, filters, seconds)
    told = world.gather(per_s)
    if told is not None:
        print(json.dumps({"trials_per_min": 60 * sum(told), "by_rank": told}))


def _train(trainer: Any, filters: int, seconds: float) -> float:
    """Train one trial after the other for some seconds; give the trials per second, in parts."""

    config = {"filters": filters, "batch_size": BATCH_SIZE, "epochs": EPOCHS}
    begun_s = time.perf_counter()
    done = 0.0
    while True:
        training = trainer.begin("threads", config)
        while not training.is_finished():
            training.advance()
            took_s = time.perf_counter() - begun_s
            if took_s >= seconds:
                return (done + _share(training, trainer.dataset.n_images)) / took_s
        done += 1


def _share(training: Any, n_images: int) -> float:
    """Say how much of a trial is done, by the images it has been trained on."""
    from hpo.cost import split_sizes

    n_train, _ = split_sizes(n_images, 0.1)
    of_epoch = min(1.0, training._tallies.trained.step * BATCH_SIZE / n_train)
    return (training.progress.n_epochs + of_epoch) / EPOCHS


def _dataset(n_images: int, side: int) -> Any:
    from hpo import data

    random = np.random.default_rng(SEED)
    memory = np.empty(n_images * side**2 + data.ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % data.ALIGNMENT
    images = memory[start : start + n_images * side**2].reshape(n_images, -1)
    images[:] = random.integers(0, 256, images.shape, dtype=np.uint8)
    labels = random.integers(0, 10, n_images).astype(np.int32)
    return data.Dataset("made up", images, labels, side, 10, 127.5, 74.0, "threads")


def main() -> None:
    options = harness.arguments(
        __doc__, cores=harness.machine()["cores"], seconds=10.0, rounds=3, networks=""
    )
    cores = options.cores
    cases = {"ranks": (cores, 1), "threads": (1, cores), "one": (1, 1)}
    networks = {name: it for name, it in NETWORKS.items() if options.networks in name}

    def measure(n_ranks: int, threads: int, network: tuple[int, int, int]) -> float:
        words = ", ".join(map(str, (threads, options.seconds, *network)))
        code = f"from benchmarks import threads; threads.rank({words})"
        output, _ = harness.run(harness.mpirun(n_ranks, "-m", "mpi4py", "-c", code))
        return float(json.loads(output.splitlines()[-1])["trials_per_min"])

    per_min = harness.interleaved(
        {
            f"{name}: {case}": partial(measure, *split, network)
            for name, network in networks.items()
            for case, split in cases.items()
        },
        options.rounds,
    )
    harness.show(
        "threads",
        f"{cores} cores as ranks or as threads; trials of {EPOCHS} epochs, medians of"
        f" {options.rounds} interleaved rounds",
        [_row(name, cores, per_min) for name in networks],
        options=vars(options),
        trials_per_min=per_min,
    )
    print(
        "sooner: how many times as fast a single trial is that has the machine to itself\n"
        f"8×8: {N_DIGITS:,} images; 28×28: {N_LARGE:,}, a tenth of Kaggle's"
    )


def _row(name: str, cores: int, per_min: dict[str, list[float]]) -> dict[str, Any]:
    ranks, threads, one = (
        harness.median(per_min[f"{name}: {case}"]) for case in ("ranks", "threads", "one")
    )
    return {
        "network": name,
        f"{cores}×1 thread, trials/min": ranks,
        f"1×{cores} threads, trials/min": threads,
        "ranks / threads": ranks / threads,
        "one trial, 1 thread, s": 60 / one,
        f"{cores} threads, s": 60 / threads,
        "sooner": threads / one,
    }


if __name__ == "__main__":
    main()
