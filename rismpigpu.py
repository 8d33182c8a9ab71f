"""Search on GPUs: mpirun -np N python rismpigpu.py (N: one rank per GPU, or several)

The same search as rismpi.py, whose space it takes; each rank trains on one GPU of its node.
"""

import sys

from hpo.cli import main
from rismpi import SPACE

if __name__ == "__main__":
    sys.exit(main(SPACE, device="gpu"))
