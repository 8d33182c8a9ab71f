"""Which combinations a search consists of, as trials with their ids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpo import architecture, cost, hyperparameters, pruning
from hpo.errors import InputError
from hpo.pruning import Member, Pruning
from hpo.report import Standing
from hpo.space import Grid
from hpo.spacefile import Written
from hpo.trial import Result, Trial, trial_id

# Ids of this many are made and compared with the journal in about ten seconds.
MOST_TRIALS = 1_000_000
MOST_SHAPES = 10_000


def grid(written: Written) -> Grid:
    """Make the grid of a written space, for the built-in objective."""
    return Grid(written.values, hyperparameters.CONDITIONS, hyperparameters.DEFAULTS)


def trials(grid: Grid, image_side: int, identity: Mapping[str, object]) -> list[Trial]:
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
    trials: Sequence[Trial], results: Mapping[str, Result], rules: Pruning, image_side: int
) -> Standing:
    """Compare trials with results, of which those count that pruning has done with."""
    its = [] if rules.pruner == "none" else members(trials, image_side)
    return Standing(trials, results, pruning.settled(rules, its, results))


def check_fit(grid: Grid, image_side: int, n_images: int, n_classes: int) -> None:
    """Refuse a grid with a combination that these images do not allow.

    Raises:
        InputError: naming the hyperparameter.
    """
    shapes = grid.project(hyperparameters.GEOMETRY_NAMES)
    # Of very many, an even sample: what it misses fails as a trial.
    for index in range(0, shapes.count, math.ceil(shapes.count / MOST_SHAPES)):
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
