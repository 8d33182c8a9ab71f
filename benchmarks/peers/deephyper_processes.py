"""DeepHyper: a list of configurations on its evaluator with worker processes.

https://deephyper.readthedocs.io/en/stable/_autosummary/deephyper.evaluator.Evaluator.html
"""

from __future__ import annotations

import job
from deephyper.evaluator import Evaluator, RunningJob


def run(running: RunningJob) -> float:
    return job.train(running.parameters)


if __name__ == "__main__":
    evaluator = Evaluator.create(
        run, method="process", method_kwargs={"num_workers": job.N_WORKERS}
    )
    with evaluator:
        evaluator.submit(job.configs())
        done = evaluator.gather("ALL")
        best = max(done, key=lambda one: one.output)
        print(best.output, best.args)
        evaluator.close()
