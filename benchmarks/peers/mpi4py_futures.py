"""mpi4py.futures: mpirun -np N+1 python -m mpi4py.futures FILE; rank 0 hands out, N train.

https://mpi4py.readthedocs.io/en/stable/mpi4py.futures.html
"""

from __future__ import annotations

import job
from mpi4py.futures import MPIPoolExecutor

if __name__ == "__main__":
    configs = job.configs()
    with MPIPoolExecutor() as executor:
        scores = list(executor.map(job.train, configs))
    best = max(range(len(configs)), key=lambda number: scores[number])
    print(scores[best], configs[best])
