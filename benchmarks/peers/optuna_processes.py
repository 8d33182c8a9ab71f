"""Optuna: its grid sampler in several processes that share a study in a journal file.

https://optuna.readthedocs.io/en/stable/tutorial/10_key_features/004_distributed.html
"""

from __future__ import annotations

import multiprocessing

import job
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def objective(trial: optuna.Trial) -> float:
    return job.train(
        {name: trial.suggest_categorical(name, values) for name, values in job.space().items()}
    )


def study() -> optuna.Study:
    return optuna.create_study(
        study_name="grid",
        storage=JournalStorage(JournalFileBackend(str(job.FOLDER / "journal.log"))),
        # One seed for all processes, as the sampler's documentation strongly recommends.
        sampler=optuna.samplers.GridSampler(job.space(), seed=job.SEED),
        direction="maximize",
        load_if_exists=True,
    )


def optimize(_: int) -> None:
    study().optimize(objective)


if __name__ == "__main__":
    shared = study()
    with multiprocessing.Pool(job.N_WORKERS) as pool:
        pool.map(optimize, range(job.N_WORKERS))
    print(shared.best_value, shared.best_params)
