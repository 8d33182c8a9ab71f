"""One cluster for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import cluster
import pytest


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    """Give a real Slurm: four nodes, each with four CPUs and two GPUs that do nothing."""
    if reason := cluster.missing():
        pytest.skip(reason)
    with cluster.Cluster.start(tmp_path_factory.mktemp("slurm"), gpus=2) as started:
        yield started
