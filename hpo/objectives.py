"""Which objective a search has: the built-in networks, a user's function, or any program."""

from __future__ import annotations

from hpo.contract import Objective
from hpo.options import Options


def chosen(options: Options) -> Objective:
    """Find what the options name.

    Raises:
        InputError: if it cannot be had.
    """
    if options.command is not None:
        from hpo.program import Program

        return Program(options.command, options.objective_version)
    if options.objective is None:
        from hpo.classifier import Classifier  # what reads images and knows Keras's names

        return Classifier()
    from hpo import function

    its = function.find(options.objective)
    if options.objective_version is not None:
        its.version = options.objective_version
    return its
