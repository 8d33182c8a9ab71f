"""MPI-parallel hyperparameter search for research clusters.

What a program of one's own needs (docs/objectives.md): `hpo.search`, `hpo.objective`, and for
annotations `hpo.Context`; and to look at a run, `hpo.load` and `hpo.figures`, `hpo.cv_results` and
`hpo.to_optuna` (docs/export.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo import figures as figures
    from hpo.call import Answer as Answer
    from hpo.call import search as search
    from hpo.contract import Context as Context
    from hpo.contract import Leave as Leave
    from hpo.cvresults import cv_results as cv_results
    from hpo.dataparallel import keras_data_parallel as keras_data_parallel
    from hpo.dataparallel import torch_process_group as torch_process_group
    from hpo.frame import load as load
    from hpo.function import objective as objective
    from hpo.optunastudy import to_optuna as to_optuna

__version__ = "0.1.0"

# Loaded when they are asked for: `python -m hpo --help` should not wait for NumPy.
_HOMES = {
    "Answer": "call",
    "Context": "contract",
    "Leave": "contract",
    "cv_results": "cvresults",
    "keras_data_parallel": "dataparallel",
    "load": "frame",
    "objective": "function",
    "search": "call",
    "to_optuna": "optunastudy",
    "torch_process_group": "dataparallel",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "figures":
        return importlib.import_module("hpo.figures")
    if name not in _HOMES:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hpo.{_HOMES[name]}"), name)
