"""Search the hyperparameters of CNNs that read digits: mpirun -np N python rismpi.py

Edit the space, run the line above (N: one rank per core), read results/best_params.txt.
"""

import sys

from hpo.cli import main

# 324 combinations, a part of the reference grid that two cores train in a few minutes. Any
# hyperparameter of README.md's table can be added; one value or a list of values.
SPACE = {
    "filters": [16, 32],
    "dense_units": [64, 128, 256],
    "batch_size": [64, 128, 256],
    "learning_rate": [0.001, 0.01, 0.1],
    "dropout": [0.2, 0.3, 0.4],
    "validation_split": [0.1, 0.2],
}

if __name__ == "__main__":
    sys.exit(main(SPACE))
