"""examples/dvc-pipeline under real DVC: what runs again, what is trained again, experiments."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import runs
from pipeline import RUN, Pipeline, stages_run
from standin import Lsf

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("dvc") is None, reason="no dvc (make test-frameworks)"
    ),
    pytest.mark.skipif(shutil.which("git") is None, reason="no git"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Give a pipeline that has run once, committed; not to be changed."""
    its = Pipeline(tmp_path_factory.mktemp("finished") / "pipeline")
    its.create()
    assert stages_run(its.dvc("repro")) == ["prepare", "train", "evaluate"]
    its.commit("Results")
    return its


@pytest.fixture
def pipeline(finished: Pipeline, tmp_path: Path) -> Pipeline:
    shutil.copytree(finished.folder, tmp_path / "pipeline", symlinks=True)
    return Pipeline(tmp_path / "pipeline")


def test_repro_runs_nothing_again(pipeline: Pipeline) -> None:
    assert stages_run(pipeline.dvc("repro")) == []


def test_metrics_are_those_of_the_best_trial_on_images_of_its_own(finished: Pipeline) -> None:
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    scores = [float(row["score"]) for row in runs.rows(finished.folder / RUN)]
    assert metrics["val_accuracy"] == max(scores)
    assert 0.3 < metrics["test_accuracy"] < 1


def test_changed_space_trains_what_is_new_and_evaluates(pipeline: Pipeline) -> None:
    pipeline.set("[8, 16]", "[8, 16, 24]")
    told = pipeline.dvc("repro")
    assert stages_run(told) == ["train", "evaluate"]
    assert "3 combinations, 1 to train" in told


def test_another_split_is_another_search_and_the_old_one_is_kept(pipeline: Pipeline) -> None:
    pipeline.set("test_share: 0.5", "test_share: 0.4")
    told = pipeline.dvc("repro")
    assert stages_run(told) == ["prepare", "train", "evaluate"]
    assert "2 combinations, 2 to train" in told
    pipeline.set("test_share: 0.4", "test_share: 0.5")
    assert "nothing to train, all of it has been tried before" in pipeline.dvc("repro")


def test_repro_goes_on_with_an_unfinished_search(pipeline: Pipeline) -> None:
    pipeline.set("[8, 16]", "[8, 16, 24, 32]")
    words = ["--data", "data/train.csv", "--space", "params.yaml:train", "--out", RUN]
    half = subprocess.run(
        runs.command(1, "-m", "hpo", "search", *words, "--shard", "2/2"),
        cwd=pipeline.folder,
        env=pipeline.env,
        check=False,
    )
    assert half.returncode == 0
    assert "4 combinations, 1 to train" in pipeline.dvc("repro")


@pytest.fixture
def queue(pipeline: Pipeline) -> Iterator[Pipeline]:
    yield pipeline
    # A worker stays for some seconds after its last experiment.
    pipeline.dvc("queue", "stop", "--kill")


def test_queued_experiments_run_apart_from_the_workspace(queue: Pipeline) -> None:
    queue.dvc("exp", "run", "--queue", "--name", "wider", "-S", "train.dense_units=[8,16,24]")
    queue.dvc("exp", "run", "--queue", "--name", "longer", "-S", "train.epochs=3")
    told = queue.dvc("exp", "run", "--run-all")
    # Each begins with the committed results: a wider space trains only what is new.
    assert "3 combinations, 1 to train" in told
    assert "2 combinations, 2 to train" in told
    assert stages_run(told) == ["train", "evaluate"] * 2
    assert stages_run(queue.dvc("repro")) == []

    queue.dvc("exp", "apply", "wider")
    assert len(runs.rows(queue.folder / RUN)) == 3
    queue.dvc("exp", "apply", "longer")
    config = (queue.folder / RUN / "best_params.txt").read_text()
    assert "epochs: 3" in config


def test_job_file_of_the_stage_can_be_looked_at(finished: Pipeline) -> None:
    job = finished.run("sh", "search.sh", RUN, SUBMIT="--dry-run --scheduler slurm --time 60")
    assert (
        f" python -m hpo search --out {RUN} --data data/train.csv --space params.yaml:train" in job
    )


def test_stage_waits_for_its_job(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.set("[8, 16]", "[8, 16, 24]")
    with Lsf(tmp_path / "lsf") as lsf:
        on_cluster = Pipeline(
            pipeline.folder,
            lsf.environment(
                PYTHONPATH=str(runs.ROOT),
                SUBMIT="--scheduler lsf --queue general --time 60 --ranks-per-node 2",
            ),
        )
        told = on_cluster.dvc("repro")
    assert stages_run(told) == ["train", "evaluate"]
    assert "submitted as lsf job 1" in told
    assert f"{RUN}: finished: 3 of 3 trials" in told
    # Where it ran is no part of the pipeline.
    assert stages_run(pipeline.dvc("repro")) == []
