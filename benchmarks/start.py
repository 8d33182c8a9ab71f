"""From `mpirun` to the first training step, against TensorFlow's own import.

As many processes side by side that only import TensorFlow and Keras, and a search of as many
trials of one network, in turn. The trial begins where its file appears; its network is then
compiled, which is the last thing before its first step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import harness
from hpo.rundir import RunDir

IMPORTS = "import tensorflow, keras"
SPACE = {"filters": [16], "epochs": [1]}


def main() -> None:
    settings = harness.arguments(__doc__, ranks=2, rounds=5, data=None)
    runs: list[dict[str, float]] = []

    def search() -> float:
        runs.append(_search(settings.ranks, settings.data))
        return runs[-1]["first step"]

    imports = "importing TensorFlow and Keras"
    seen = harness.interleaved(
        {imports: lambda: _import(settings.ranks), "a search": search}, settings.rounds
    )
    import_s = harness.median(seen[imports])
    rows = [{"until": f"{settings.ranks} processes have imported", "s": import_s, "more (s)": 0.0}]
    rows += [
        {"until": f"a rank's {name}", "s": its, "more (s)": its - import_s}
        for name in runs[0]
        for its in [harness.median([run[name] for run in runs])]
    ]
    title = f"From the start of {settings.ranks} ranks to their first training step"
    harness.show("start", title, rows, imports=seen[imports], runs=runs, settings=vars(settings))


def _import(n_processes: int) -> float:
    """Import in processes side by side; give the seconds until the last one has."""
    begun_s = time.perf_counter()
    command = [sys.executable, "-c", IMPORTS]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for process in [subprocess.Popen(command, **quiet) for _ in range(n_processes)]:
        if process.wait() != 0:
            sys.exit(f"{IMPORTS}: exit {process.returncode}")
    return time.perf_counter() - begun_s


def _search(n_ranks: int, data: str | None) -> dict[str, float]:
    """Search with one trial for each rank; give seconds from mpirun's start, of the later rank."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = RunDir(folder / "results")
        space: dict[str, list[Any]] = {**SPACE, "seed": list(range(n_ranks))}
        (folder / "space.yaml").write_text(json.dumps(space), encoding="utf-8")  # JSON is YAML
        words = ["--space", folder / "space.yaml", "--out", run, "--quiet"]
        words += ["--data", data] if data else []
        begun_s = time.time()
        harness.run(harness.mpirun(n_ranks, harness.ROOT / "rismpi.py", *words))
        trials_s = [path.stat().st_mtime for path in run.trials.glob("*/config.yaml")]
        compiles_s = [rank["compile_s"] for rank in harness.ranks_told(run.log, n_ranks)]
        first_trial_s = max(trials_s) - begun_s
        return {"first trial": first_trial_s, "first step": first_trial_s + max(compiles_s)}


if __name__ == "__main__":
    main()
