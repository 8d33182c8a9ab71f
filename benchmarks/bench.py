"""A search's speed: trials per minute against a new model and `fit` for each, and where time goes.

The baseline is peers/static_shares.py, the reference scheme: equal shares, a new Keras model for
every trial. Both train a sample of the shipped grid with two workers of one thread each.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks import harness, peers

SAMPLE: dict[str, list[Any]] = {
    "filters": [16, 32],
    "dense_units": [64, 256],
    "batch_size": [64, 256],
    "learning_rate": [0.001, 0.01],
    "dropout": [0.2, 0.4],
}


def validation_share(filters: int) -> None:
    """Print the share of an epoch's time that validation takes."""
    from hpo import data, datafile, graph
    from hpo.engine import VALIDATION_BATCH, Pass, Tally
    from hpo.train import Trainer
    from hpo.world import World

    graph.configure(1)
    dataset = data.load(World(), datafile.BUNDLED)
    trainer = Trainer(dataset, 33, graph.Engine(dataset))
    training = trainer.begin("0" * 16, {"filters": filters})
    network = training._network
    passes = (
        Pass(training._train_rows, 64, Tally()),
        Pass(training._validation_rows, VALIDATION_BATCH, Tally()),
    )

    def seconds(*wanted: bool) -> float:
        some = [
            Pass(p.rows, p.batch_size, p.tally, p.n_steps if is_wanted else 0)
            for p, is_wanted in zip(passes, wanted, strict=True)
        ]
        seen = []
        for _ in range(5):
            begun_s = time.perf_counter()
            network.run(*some, 0.0)
            seen.append(time.perf_counter() - begun_s)
        return harness.median(seen)

    trains_s, validates_s = seconds(True, False), seconds(False, True)
    print(json.dumps(validates_s / (trains_s + validates_s)))


def main() -> None:
    settings = harness.arguments(__doc__, rounds=3, workers=2)
    options = SimpleNamespace(workers=settings.workers, limit_s=3600.0)
    with tempfile.TemporaryDirectory() as folder:
        last = Path(folder, "last")
        systems = [
            _program(last, options),
            peers._peer(peers.PEERS["static"], Path(sys.executable), options),
        ]
        harness.interleaved(
            {s.name: partial(peers._measure, s, SAMPLE) for s in systems}, settings.rounds
        )
        _show_speed(systems, settings)
        _show_split(last, systems[0], settings.workers)


def _program(last: Path, options: Any) -> peers.System:
    """Give this program as a system that leaves its last search.log and its end's time."""
    system = peers._program(SAMPLE, options)
    inner = system.run
    assert inner is not None

    def run(folder: Path) -> peers.Run:
        its = inner(folder)
        last.write_text((folder / "results" / "search.log").read_text(encoding="utf-8"))
        return its

    system.run = run
    return system


def _show_speed(systems: list[peers.System], settings: Any) -> None:
    ours = systems[0]
    rows = [
        {
            "system": system.name,
            "s": system.median("total_s"),
            "trials/min": 60 * its.n_trials / system.median("total_s"),
            "without start-up": 60 * its.n_trials / system.median("searching_s"),
            "times ours": system.median("total_s") / ours.median("total_s"),
            "without start-up ": system.median("searching_s") / ours.median("searching_s"),
        }
        for system in systems
        for its in system.runs[-1:]
    ]
    title = f"{ours.runs[-1].n_trials} trials of the shipped grid on {settings.workers} workers"
    runs = {system.name: [vars(its) for its in system.runs] for system in systems}
    harness.show("bench", title, rows, runs=runs, space=SAMPLE, settings=vars(settings))


def _show_split(log: Path, ours: peers.System, workers: int) -> None:
    """Show where the last search's time went."""
    shares = [
        float(harness.run([sys.executable, "-c", _share_of(filters)])[0])
        for filters in SAMPLE["filters"]
    ]
    share = float(np.mean(shares))
    total_s = ours.runs[-1].total_s
    rows = [
        {
            "rank": rank["rank"],
            "start": rank["start_s"],
            "compile": rank["compile_s"],
            "train": rank["train_s"] * (1 - share),
            "validate": rank["train_s"] * share,
            "files": rank["files_s"],
            "wait": rank["wait_s"],
            "report and end": total_s - sum(v for name, v in rank.items() if name.endswith("_s")),
            "all (s)": total_s,
            "memory (GB)": rank["peak_gb"],
        }
        for rank in harness.ranks_told(log, workers)
    ]
    harness.show("bench-split", "Where the seconds of a search go", rows, validation_share=share)


def _share_of(filters: int) -> str:
    return f"from benchmarks import bench; bench.validation_share({filters})"


if __name__ == "__main__":
    main()
