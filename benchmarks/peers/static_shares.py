"""A hand-written MPI script: rank 0 scatters equal shares, each rank trains its own, gather.

https://mpi4py.readthedocs.io/en/stable/tutorial.html#collective-communication
"""

from __future__ import annotations

import job
import numpy as np
from mpi4py import MPI

if __name__ == "__main__":
    comm = MPI.COMM_WORLD
    shares = np.array_split(job.configs(), comm.size) if comm.rank == 0 else None
    found = [(job.train(config), config) for config in comm.scatter(shares)]
    gathered = comm.gather(found)
    if gathered is not None:
        print(max(sum(gathered, []), key=lambda result: result[0]))
