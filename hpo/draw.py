"""Configurations drawn from a space: at random, or evenly spread over it.

Which they are depends on the space, the search seed and the sampler, and on nothing that happens
in a search: they are enumerated before it begins, as a grid is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from hpo import domain, seeds
from hpo.errors import InputError
from hpo.rules import Rules
from hpo.trial import Config, canonical
from hpo.written import Written

MOST_MISSES = 100_000  # in a row, of a space that allows next to nothing
_BATCH = 64


def configs(
    written: Written, rules: Rules, *, sampler: str, n: int, seed: int
) -> Iterator[Config]:
    """Draw n distinct configurations; fewer where the space has no more.

    Of random and sobol the first of many are those of few; lhs spreads as many as are asked for.

    Args:
        sampler: random, sobol or lhs.

    Raises:
        InputError: if constraints allow next to nothing.
    """
    known: set[str] = set()
    misses = 0
    for point in _points(sampler, len(written.names) + 1, n, seed):
        config = _config_at(written, rules, point)
        if config is None or canonical(config) in known:
            misses += 1
            if misses > MOST_MISSES and not known:
                place = next(iter(written.constraints.values()), written.name)
                raise InputError(
                    f"{place}: expected constraints that allow a combination, found that none is"
                    f" left of {misses - 1:,} that were drawn"
                )
            if misses > MOST_MISSES:
                return
            continue
        misses = 0
        known.add(canonical(config))
        yield config
        if len(known) == n:
            return


def _config_at(written: Written, rules: Rules, point: list[float]) -> Config | None:
    """Give the configuration at a point of the unit cube; None if constraints forbid it.

    The first coordinate chooses among a space's alternatives, the others are those of its names.
    """
    first, *shares = point
    parts = written.parts
    domains = parts[int(first * len(parts))].domains
    by_name = dict(zip(written.names, shares, strict=True))
    values = {name: domain.at(its, by_name[name]) for name, its in domains.items()}
    config = rules.used(values)
    return config if rules.allows(config) else None


def _points(sampler: str, n_dimensions: int, n: int, seed: int) -> Iterator[list[float]]:
    """Give points of the unit cube without end."""
    random = seeds.generator("sampler", sampler, seed)
    if sampler == "random":
        while True:
            yield from random.random((_BATCH, n_dimensions)).tolist()
    from scipy.stats import qmc  # half a second that other samplers do not need

    random = np.random.default_rng(int(random.integers(2**63)))  # one that can be split, for qmc
    if sampler == "sobol":
        sequence = qmc.Sobol(n_dimensions, rng=random)
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of balance, which a part of it need not have
                yield from sequence.random(_BATCH).tolist()
    while True:
        yield from np.asarray(qmc.LatinHypercube(n_dimensions, rng=random).random(n)).tolist()
