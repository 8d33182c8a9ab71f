"""Propulate: an evolutionary optimiser; here its propagator breeds the grid, point by point.

It has no grid search. What it offers is a class to derive propagators from: this one gives each
rank its share of the grid, as an individual is bred by the rank that evaluates it, and nobody
tells which are being evaluated elsewhere.
https://propulate.readthedocs.io
"""

from __future__ import annotations

import random

import job
from mpi4py import MPI
from propulate import Propulator
from propulate.population import Individual
from propulate.propagators import Propagator


class GridShare(Propagator):
    """Breed the grid points of one rank, one after the other."""

    def __init__(self, n_points: int, comm: MPI.Comm) -> None:
        super().__init__(parents=-1, offspring=1)
        self.limits = {"point": (0, n_points - 1)}
        self.points = range(comm.rank, n_points, comm.size)
        self._left = iter(self.points)

    def __call__(self, individuals: list[Individual]) -> Individual:
        return Individual({"point": next(self._left)}, self.limits)


def loss(individual: Individual) -> float:
    return -job.train(CONFIGS[individual["point"]])


CONFIGS = job.configs()

if __name__ == "__main__":
    comm = MPI.COMM_WORLD
    share = GridShare(len(CONFIGS), comm)
    propulator = Propulator(
        loss,
        share,
        random.Random(job.SEED + comm.rank),
        island_comm=comm,
        generations=len(share.points),
        checkpoint_path=job.FOLDER / "checkpoints",
    )
    propulator.propulate()
    if comm.rank == 0:
        best = min(propulator.population, key=lambda one: one.loss)
        print(-best.loss, CONFIGS[best["point"]])
