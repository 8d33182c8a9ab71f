"""Keras Tuner: its grid search, a chief process that hands out, workers that train.

https://keras.io/guides/keras_tuner/distributed_tuning: the same script, once for the chief and
once for each worker, told apart by three environment variables. Its grid search makes a trial
from one that has ended, so that only the first two trials overlap and an idle worker asks without
a pause: with --one-process the same search runs in this process alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import Any

import job


def search() -> None:
    import keras_tuner

    class HyperModel(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return job.build(config(hp))

        def fit(self, hp: Any, model: Any, *args: Any, **options: Any) -> Any:
            return job.fit(model, config(hp), **options)

    class GridSearch(keras_tuner.GridSearch):
        def run_trial(self, trial: Any, *args: Any, **options: Any) -> Any:
            histories: list[Any] = []

            def run() -> float:
                histories.extend(super(GridSearch, self).run_trial(trial, *args, **options))
                return max(histories[0].history["val_accuracy"])

            job.accounted(config(trial.hyperparameters), run)
            return histories

    job.prepare()
    tuner = GridSearch(
        HyperModel(),
        objective="val_accuracy",
        directory=str(job.FOLDER / "tuner"),
        project_name="grid",
    )
    tuner.search()


def config(hp: Any) -> dict[str, Any]:
    return {name: hp.Choice(name, values) for name, values in job.space().items()}


def launch() -> int:
    """Start the chief and the workers; give 0 when all workers have ended well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    names = ["chief", *(f"tuner{number}" for number in range(job.N_WORKERS))]
    chief, *workers = [
        subprocess.Popen(
            [sys.executable, __file__],
            env=os.environ | shared | {"KERASTUNER_TUNER_ID": name},
        )
        for name in names
    ]
    try:
        while any(worker.poll() is None for worker in workers):
            if any(worker.poll() for worker in workers):
                break  # the others would wait for ever for what the failed one was training
            time.sleep(0.05)
        return max(abs(worker.poll() or 0) for worker in workers)
    finally:
        # The chief would look only every 20 s whether its workers have gone.
        for process in (chief, *workers):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    if "KERASTUNER_TUNER_ID" in os.environ or "--one-process" in sys.argv:
        search()
    else:
        sys.exit(launch())
