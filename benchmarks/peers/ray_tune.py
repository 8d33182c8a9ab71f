"""Ray Tune: a grid search over a function, one CPU for each trial.

https://docs.ray.io/en/latest/tune/tutorials/tune-run.html
"""

from __future__ import annotations

from typing import Any

import job
import ray
from ray import tune


def trainable(config: dict[str, Any]) -> dict[str, float]:
    return {"score": job.train(config)}


if __name__ == "__main__":
    ray.init(num_cpus=job.N_WORKERS, include_dashboard=False)
    try:
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={name: tune.grid_search(values) for name, values in job.space().items()},
            tune_config=tune.TuneConfig(
                metric="score",
                mode="max",
                max_concurrent_trials=job.N_WORKERS,
                reuse_actors=True,  # else a new process loads TensorFlow for each trial
            ),
            run_config=tune.RunConfig(storage_path=str(job.FOLDER / "ray-results")),
        )
        best = tuner.fit().get_best_result()
        print(best.metrics["score"], best.config)
    finally:
        ray.shutdown()
