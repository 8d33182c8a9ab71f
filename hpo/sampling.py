"""Which combinations a search consists of, as trials with their ids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpo import architecture, cost, domain, hyperparameters, pruning
from hpo.errors import InputError
from hpo.pruning import Member, Pruning
from hpo.report import Standing
from hpo.rules import Rules
from hpo.space import Combinations
from hpo.trial import Result, Trial, trial_id
from hpo.written import Written

# Ids of this many are made and compared with the journal in about ten seconds.
MOST_TRIALS = 1_000_000
MOST_SHAPES = 10_000


def check(written: Written) -> None:
    """Refuse names that the built-in objective does not know, and values out of their range.

    Raises:
        InputError: naming the place, the hyperparameter, what was expected and what was found.
    """
    hyperparameters.check(_ends(written.domains), written.places)
    for part in written.alternatives:
        hyperparameters.check(_ends(part.domains), part.places)


def is_known(written: Written) -> bool:
    """Tell whether the built-in objective has all of a space's hyperparameters."""
    return all(name in hyperparameters.TABLE for name in written.names)


def grid(written: Written) -> Combinations:
    """Make the grid of a written space, for the built-in objective.

    Raises:
        InputError: if a hyperparameter has no end of values, or no combination is allowed.
    """
    return written.grid(hyperparameters.CONDITIONS, hyperparameters.DEFAULTS)


def rules(written: Written) -> Rules:
    """Give what makes drawn values a configuration of the built-in objective."""
    return written.rules(hyperparameters.CONDITIONS, hyperparameters.DEFAULTS)


def _ends(domains: Mapping[str, domain.Domain]) -> dict[str, list[object]]:
    return {name: domain.ends(its) for name, its in domains.items()}


def trials(grid: Combinations, image_side: int, identity: Mapping[str, object]) -> list[Trial]:
    """Enumerate a grid: the same trials in the same order on every day.

    Raises:
        InputError: if the grid is too large to be searched as a whole.
    """
    if grid.count > MOST_TRIALS:
        raise InputError(
            f"expected a grid of at most {MOST_TRIALS:,} combinations, found {grid.count:,};"
            " take values out, or search it in pieces (--set fixes a hyperparameter)"
        )
    return [
        Trial(trial_id(hyperparameters.deviations(config, image_side), identity), index, config)
        for index, config in enumerate(grid)
    ]


def members(trials: Sequence[Trial], image_side: int) -> list[Member]:
    """Give the trials as pruning sees them."""
    return [
        Member(
            trial.id,
            trial.index,
            int(hyperparameters.complete(trial.config, image_side)["epochs"]),
        )
        for trial in trials
    ]


def standing(
    trials: Sequence[Trial], results: Mapping[str, Result], pruner: Pruning, image_side: int
) -> Standing:
    """Compare trials with results, of which those count that pruning has done with."""
    its = [] if pruner.pruner == "none" else members(trials, image_side)
    return Standing(trials, results, pruning.settled(pruner, its, results))


def check_fit(grid: Combinations, image_side: int, n_images: int, n_classes: int) -> None:
    """Refuse a grid with a combination that these images do not allow.

    Raises:
        InputError: naming the hyperparameter.
    """
    shapes = grid.project(hyperparameters.GEOMETRY_NAMES)
    # Of very many, an even sample: what it misses fails as a trial.
    for index in range(0, shapes.count, max(1, math.ceil(shapes.count / MOST_SHAPES))):
        config = shapes[index]
        architecture.layers(hyperparameters.complete(config, image_side), image_side, n_classes)
    for config in grid.project(["validation_split"]):
        share = hyperparameters.complete(config, image_side)["validation_split"]
        n_train, n_validation = cost.split_sizes(n_images, share)
        if not (n_train and n_validation):
            raise InputError(
                f"validation_split: expected at least one image to train on and one to validate"
                f" on, found {n_train} and {n_validation} ({share} of {n_images} images)"
            )
