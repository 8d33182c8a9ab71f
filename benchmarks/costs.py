"""The cost model against the clock: one trial of each network of a named grid.

Longest first is as good as the model's order; factors common to all trials do not matter to it.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks import harness

BATCH_SIZES = (32, 256)


def measure(space: str, epochs: int) -> None:
    """Print for each network and batch size what was predicted and what it took."""
    from hpo import architecture, cost, data, datafile, graph, hyperparameters, spacefile
    from hpo.train import Trainer
    from hpo.world import World

    graph.configure(1)
    dataset = data.load(World(), datafile.BUNDLED)
    trainer = Trainer(dataset, 33, graph.Engine(dataset))
    values = spacefile.read(space).values
    for filters in values["filters"]:
        for dense_units in values["dense_units"]:
            for batch_size in BATCH_SIZES:
                config = {
                    "filters": filters,
                    "dense_units": dense_units,
                    "batch_size": batch_size,
                    "epochs": epochs,
                }
                full = hyperparameters.complete(config, dataset.side)
                stack = architecture.layers(full, dataset.side, dataset.n_classes)
                work = architecture.multiply_adds(stack)
                predicted_s = cost.predicted_s(full, dataset.n_images, work)
                for _ in range(2):  # the first one learns how many steps fit into a call
                    begun_s = time.perf_counter()
                    training = trainer.begin("0" * 16, config)
                    while not training.is_finished():
                        training.advance()
                told = config | {
                    "predicted_s": predicted_s,
                    "seen_s": time.perf_counter() - begun_s,
                }
                print(json.dumps(told), flush=True)


def main() -> None:
    settings = harness.arguments(__doc__, space="ris", epochs=1)
    code = f"from benchmarks import costs; costs.measure({settings.space!r}, {settings.epochs})"
    told = [json.loads(line) for line in harness.run([sys.executable, "-c", code])[0].splitlines()]
    scale = harness.median([its["seen_s"] / its["predicted_s"] for its in told])
    rows = [
        {
            "filters": its["filters"],
            "dense units": its["dense_units"],
            "batch size": its["batch_size"],
            "predicted (s)": its["predicted_s"],
            "seen (s)": its["seen_s"],
            "seen/predicted, median 1": its["seen_s"] / its["predicted_s"] / scale,
        }
        for its in told
    ]
    title = f"{settings.epochs} epoch of each network of {settings.space}; all times {scale:.2f}"
    harness.show("costs", title, rows, scale=scale, settings=vars(settings))


if __name__ == "__main__":
    main()
