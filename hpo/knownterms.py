"""The hyperparameters of a run's objective, without the objective itself, data or MPI."""

from __future__ import annotations

from hpo.classifierterms import NAME, ClassifierTerms
from hpo.record import Record
from hpo.terms import OpenTerms, Terms


def of_run(its: Record) -> Terms:
    """Tell them from what search.yaml says."""
    if its.identity.get("objective") == NAME:
        return ClassifierTerms.of(its.data)
    return OpenTerms(dict(its.objective.get("defaults", {})))
