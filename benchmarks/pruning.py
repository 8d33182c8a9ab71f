"""What pruning saves and what it costs: the winner of 48 combinations, with and without it.

10,000 images to train on and 5,000 to validate on, a few search seeds. For each, the search is
pruned first; then the same directory is searched without pruning, where every trial goes on from
the state in which it was left (the same to the last bit as if it had never stopped, which tests
show). So both winners are trained fully, and compared by the score of the same images.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from hpo import datafile, imagefile, journal
from hpo.rundir import RunDir
from hpo.trial import Result, Status, merit

N_TRAIN, N_VALIDATION = 10_000, 5_000
SPACE: dict[str, list[Any]] = {
    "filters": [4, 8],
    "batch_size": [64, 256],
    "learning_rate": [0.0003, 0.001, 0.003, 0.01],
    "dropout": [0.2, 0.35, 0.5],
    "validation_split": [N_VALIDATION / (N_TRAIN + N_VALIDATION)],
}
POINTS = 0.2  # of a hundred: what the winner may lose


def main() -> None:
    options = harness.arguments(
        __doc__, data="train.csv", seeds=5, epochs=12, pruner="asha", eta=3, ranks=2
    )
    if not Path(options.data).exists():
        sys.exit(f"--data {options.data}: expected Kaggle's train.csv, found no such file")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _images(options.data, folder)
        runs = [_measure(options, folder, images, seed) for seed in range(1, options.seeds + 1)]
    rows = [_row(run) for run in runs]
    lost = [row["lost, points"] for row in rows]
    harness.show(
        "pruning",
        f"{options.pruner}, eta {options.eta}: 48 combinations of {options.epochs} epochs",
        [*rows, _mean(rows)],
        options=vars(options),
        space=SPACE,
        runs=runs,
    )
    print(f"worst: {max(lost):.2f} points lost, {max(row['share'] for row in rows)} of the epochs")


def _images(path: str, folder: Path) -> Path:
    """Write the first images of a file as one that every search reads whole."""
    found = datafile.layout(path)
    parts: list[imagefile.Part] = []
    for part in found.parts(0, 1):
        parts.append(part)
        if sum(len(some.images) for some in parts) >= N_TRAIN + N_VALIDATION:
            break
    x = np.concatenate([part.images for part in parts])[: N_TRAIN + N_VALIDATION]
    y = np.concatenate([part.labels for part in parts])[: N_TRAIN + N_VALIDATION]
    np.savez(folder / "images.npz", x=x.reshape(-1, found.side, found.side), y=y)
    return folder / "images.npz"


def _measure(options: Any, folder: Path, images: Path, seed: int) -> dict[str, Any]:
    run = RunDir(folder / f"seed-{seed}")
    (folder / "space.yaml").write_text(json.dumps(SPACE), encoding="utf-8")  # JSON is YAML
    words = ["--space", folder / "space.yaml", "--data", images, "--out", run, "--quiet"]
    words += ["--epochs", options.epochs, "--seed", seed]

    def search(*more: object) -> float:
        command = harness.mpirun(options.ranks, harness.ROOT / "rismpi.py", *words, *more)
        return harness.run(command)[1]

    harness.say(f"seed {seed}: pruned")
    pruned_s = search("--pruner", options.pruner, "--eta", options.eta)
    chosen, epochs = _winner(run), _n_epochs(run)
    harness.say(f"seed {seed}: the whole grid")
    rest_s = search()
    best = _winner(run)
    told = {"seed": seed, "epochs": epochs, "all_epochs": _n_epochs(run)}
    told |= {"pruned_s": pruned_s, "rest_s": rest_s}
    return told | {"chosen": _told(chosen), "best": _told(best), "rank": _place(run, chosen)}


def _finished(run: RunDir) -> list[Result]:
    results = journal.replay(run.journal).values()
    return sorted((its for its in results if its.status is Status.DONE), key=merit)


def _winner(run: RunDir) -> Result:
    return _finished(run)[0]


def _place(run: RunDir, chosen: Result) -> int:
    return 1 + [its.id for its in _finished(run)].index(chosen.id)


def _n_epochs(run: RunDir) -> int:
    """Count the epochs that were trained, those ahead of a decision included."""
    return sum(path.read_text().count("\n") - 1 for path in run.trials.glob("*/epochs.csv"))


def _told(result: Result) -> dict[str, Any]:
    return {"id": result.id, "config": result.config, "score": result.score}


def _row(run: dict[str, Any]) -> dict[str, Any]:
    chosen, best = run["chosen"]["score"], run["best"]["score"]
    return {
        "seed": str(run["seed"]),
        "epochs": run["epochs"],
        "of": run["all_epochs"],
        "share": f"{run['epochs'] / run['all_epochs']:.1%}",
        "winner": chosen,
        "of the whole grid": best,
        "lost, points": 100 * (best - chosen),
        "its place there": run["rank"],
    }


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("epochs", "of", "winner", "of the whole grid", "lost, points")
    means = {name: sum(row[name] for row in rows) / len(rows) for name in names}
    return {"seed": "mean", **means, "share": f"{means['epochs'] / means['of']:.1%}"}


if __name__ == "__main__":
    main()
