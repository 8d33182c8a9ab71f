"""MPI-parallel hyperparameter search for research clusters."""

__version__ = "0.1.0"
