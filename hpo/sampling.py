"""Which combinations a search consists of, as trials with their ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo import architecture, cost, domain, draw, hyperparameters, pruning, spaceyaml
from hpo.errors import InputError
from hpo.options import MODEL_BASED
from hpo.proposals import Proposals
from hpo.pruning import Member, Pruner, Pruning
from hpo.report import Standing
from hpo.rules import Rules
from hpo.space import MOST_TRIED, Combinations, Listed
from hpo.trial import Config, Result, Trial, digest, trial_id
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


def combinations(
    written: Written, options: Mapping[str, Any], proposed: Iterable[Config] = ()
) -> Combinations:
    """Give what a search consists of, as its options say: sampler, trials and seed.

    Args:
        proposed: what a model-based sampler has proposed so far.

    Raises:
        InputError: if the space has no grid and one is wanted, or allows no combination.
    """
    sampler = options.get("sampler") or "grid"
    if sampler == "grid":
        return grid(written)
    if sampler in MODEL_BASED:
        return Listed(proposed)
    n = _at_most(written, options["trials"])
    its = rules(written)
    return Listed(draw.configs(written, its, sampler=sampler, n=n, seed=options["seed"]))


@dataclass(frozen=True)
class Planned:
    """What is known of a model-based search before its trials are proposed."""

    n: int
    epochs: int  # of the longest that the space allows


def planned(written: Written, options: Mapping[str, Any], proposals: Proposals) -> Planned | None:
    """Say how many trials a model-based search has; None for all others."""
    if options.get("sampler") not in MODEL_BASED:
        return None
    usual = [domain.Choices((hyperparameters.DEFAULTS["epochs"],))]
    epochs = written.all_domains.get("epochs", usual)
    longest = max(int(str(end)) for its in epochs for end in domain.ends(its))
    n = _at_most(written, options["trials"])
    return Planned(min(n, len(proposals.read())) if proposals.is_over else n, longest)


def _at_most(written: Written, n: int) -> int:
    """Give the number of trials that are wanted, or of those that there are."""
    if written.continuous:
        return n
    counts = [[domain.count(its) or 1 for its in part.domains.values()] for part in written.parts]
    if sum(map(math.prod, counts)) > MOST_TRIED:
        return n  # to count what constraints leave of them would take long
    return min(n, grid(written).count)


def space_digest(written: Written) -> str:
    """Tell spaces apart, the order of their keys included: a trial's place rests on it."""
    return digest(list(spaceyaml.described(written).items()))[:16]


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
    return [trial(config, index, image_side, identity) for index, config in enumerate(grid)]


def trial(config: Config, index: int, image_side: int, identity: Mapping[str, object]) -> Trial:
    """Make a trial of a configuration."""
    deviations = hyperparameters.deviations(config, image_side)
    return Trial(trial_id(deviations, identity), index, config)


def members(
    trials: Sequence[Trial], image_side: int, planned: Planned | None = None
) -> list[Member]:
    """Give the trials as pruning sees them, those that are not proposed yet included."""
    found = [
        Member(
            trial.id,
            trial.index,
            int(hyperparameters.complete(trial.config, image_side)["epochs"]),
        )
        for trial in trials
    ]
    if planned is None:
        return found
    to_come = range(len(trials), planned.n)
    return found + [Member(f"to come: {index}", index, planned.epochs) for index in to_come]


def pruner(
    rules: Pruning, trials: Sequence[Trial], image_side: int, planned: Planned | None
) -> Pruner:
    """Make the pruner of these trials and of those that are not proposed yet."""
    most_epochs = None if planned is None else planned.epochs
    return pruning.pruner(rules, members(trials, image_side, planned), most_epochs)


def standing(
    trials: Sequence[Trial],
    results: Mapping[str, Result],
    rules: Pruning,
    image_side: int,
    planned: Planned | None = None,
) -> Standing:
    """Compare trials with results, of which those count that pruning has done with."""
    its = [] if rules.pruner == "none" else members(trials, image_side, planned)
    most_epochs = None if planned is None else planned.epochs
    counted = pruning.settled(rules, its, results, most_epochs)
    return Standing(trials, results, counted, 0 if planned is None else planned.n)


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
