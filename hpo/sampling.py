"""Which combinations a search consists of, as trials with their ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo import domain, draw, pruning, spaceyaml
from hpo.errors import InputError
from hpo.options import MODEL_BASED
from hpo.proposals import Proposals
from hpo.pruning import Member, Pruner, Pruning
from hpo.report import Standing
from hpo.rules import Rules
from hpo.space import MOST_TRIED, Combinations, Listed
from hpo.terms import Terms
from hpo.trial import Config, Result, Trial, digest, trial_id
from hpo.written import Written

# Ids of this many are made and compared with the journal in about ten seconds.
MOST_TRIALS = 1_000_000


def check(written: Written, terms: Terms) -> None:
    """Refuse names and values that the objective does not take.

    Raises:
        InputError: naming the place, the hyperparameter, what was expected and what was found.
    """
    terms.check(_ends(written.domains), written.places)
    for part in written.alternatives:
        terms.check(_ends(part.domains), part.places)


def grid(written: Written, terms: Terms) -> Combinations:
    """Make the grid of a written space.

    Raises:
        InputError: if a hyperparameter has no end of values, or no combination is allowed.
    """
    return written.grid(terms.conditions, terms.defaults)


def combinations(
    written: Written,
    terms: Terms,
    options: Mapping[str, Any],
    proposed: Iterable[Config] = (),
) -> Combinations:
    """Give what a search consists of, as its options say: sampler, trials and seed.

    Args:
        proposed: what a model-based sampler has proposed so far.

    Raises:
        InputError: if the space has no grid and one is wanted, or allows no combination.
    """
    sampler = options.get("sampler") or "grid"
    if sampler == "grid":
        return grid(written, terms)
    if sampler in MODEL_BASED:
        return Listed(proposed)
    n = _at_most(written, terms, options["trials"])
    its = rules(written, terms)
    return Listed(draw.configs(written, its, sampler=sampler, n=n, seed=options["seed"]))


@dataclass(frozen=True)
class Planned:
    """What is known of a model-based search before its trials are proposed."""

    n: int
    epochs: int  # of the longest that the space allows


def planned(
    written: Written, terms: Terms, options: Mapping[str, Any], proposals: Proposals
) -> Planned | None:
    """Say how many trials a model-based search has; None for all others."""
    if options.get("sampler") not in MODEL_BASED:
        return None
    longest = max(_longest(part.domains.get("epochs"), terms) for part in written.parts)
    n = _at_most(written, terms, options["trials"])
    return Planned(min(n, len(proposals.read())) if proposals.is_over else n, longest)


def _longest(epochs: domain.Domain | None, terms: Terms) -> int:
    if epochs is None:
        return terms.epochs({})
    return max(terms.epochs({"epochs": end}) for end in domain.ends(epochs))


def _at_most(written: Written, terms: Terms, n: int) -> int:
    """Give the number of trials that are wanted, or of those that there are."""
    if written.continuous:
        return n
    counts = [[domain.count(its) or 1 for its in part.domains.values()] for part in written.parts]
    if sum(map(math.prod, counts)) > MOST_TRIED:
        return n  # to count what constraints leave of them would take long
    return min(n, grid(written, terms).count)


def space_digest(written: Written) -> str:
    """Tell spaces apart, the order of their keys included: a trial's place rests on it."""
    return digest(list(spaceyaml.described(written).items()))[:16]


def rules(written: Written, terms: Terms) -> Rules:
    """Give what makes drawn values a configuration."""
    return written.rules(terms.conditions, terms.defaults)


def _ends(domains: Mapping[str, domain.Domain]) -> dict[str, list[object]]:
    return {name: domain.ends(its) for name, its in domains.items()}


def trials(grid: Combinations, terms: Terms, identity: Mapping[str, object]) -> list[Trial]:
    """Enumerate a grid: the same trials in the same order on every day.

    Raises:
        InputError: if the grid is too large to be searched as a whole.
    """
    if grid.count > MOST_TRIALS:
        raise InputError(
            f"expected a grid of at most {MOST_TRIALS:,} combinations, found {grid.count:,};"
            " take values out, or search it in pieces (--set fixes a hyperparameter)"
        )
    return [trial(config, index, terms, identity) for index, config in enumerate(grid)]


def trial(config: Config, index: int, terms: Terms, identity: Mapping[str, object]) -> Trial:
    """Make a trial of a configuration."""
    return Trial(trial_id(terms.deviations(config), identity), index, config)


def members(trials: Sequence[Trial], terms: Terms, planned: Planned | None = None) -> list[Member]:
    """Give the trials as pruning sees them, those that are not proposed yet included."""
    found = [Member(trial.id, trial.index, terms.epochs(trial.config)) for trial in trials]
    if planned is None:
        return found
    to_come = range(len(trials), planned.n)
    return found + [Member(f"to come: {index}", index, planned.epochs) for index in to_come]


def pruner(
    rules: Pruning, trials: Sequence[Trial], terms: Terms, planned: Planned | None
) -> Pruner:
    """Make the pruner of these trials and of those that are not proposed yet."""
    most_epochs = None if planned is None else planned.epochs
    return pruning.pruner(rules, members(trials, terms, planned), most_epochs)


def standing(
    trials: Sequence[Trial],
    results: Mapping[str, Result],
    rules: Pruning,
    terms: Terms,
    planned: Planned | None = None,
) -> Standing:
    """Compare trials with results, of which those count that pruning has done with."""
    its = [] if rules.pruner == "none" else members(trials, terms, planned)
    most_epochs = None if planned is None else planned.epochs
    counted = pruning.settled(rules, its, results, most_epochs)
    return Standing(trials, results, counted, 0 if planned is None else planned.n)
