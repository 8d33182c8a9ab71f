"""Gather the epochs of all trials, and show what momentum gains: python stats.py results"""

import sys
from pathlib import Path

import pandas as pd

HYPERPARAMETERS = ["batch_size", "average_decay", "momentum", "learning_rate"]


def gathered(run: Path) -> pd.DataFrame:
    """Give a row for each epoch of each trial, with the trial's hyperparameters."""
    trials = pd.read_csv(run / "results.csv", index_col="id", dtype={"id": str})
    files = {its: run / "trials" / its / "epochs.csv" for its in trials.index}
    epochs = {its: pd.read_csv(file) for its, file in files.items() if file.exists()}
    table = pd.concat(epochs, names=["id", "row"]).droplevel("row")
    return trials[HYPERPARAMETERS].join(table, how="right").reset_index()


def by_momentum(stats: pd.DataFrame) -> pd.DataFrame:
    """Give the best accuracy of each momentum and each length that an update has in the end."""
    step = (stats["learning_rate"] / (1 - stats["momentum"])).round(6).rename("step")
    return stats.pivot_table("averaged_accuracy", "momentum", step, aggfunc="max").round(4)


if __name__ == "__main__":
    run = Path(sys.argv[1])
    stats = gathered(run)
    stats.to_csv(run / "stats.csv", index=False)
    print(by_momentum(stats).to_string())
    print(f"{len(stats)} epochs of {stats['id'].nunique()} trials: {run / 'stats.csv'}")
