"""Shares of variance where the truth is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hpo import importance

GRID = [
    {"a": a, "b": b, "c": c, "kind": kind}
    for a, b, c, kind in itertools.product(range(4), range(3), range(3), ["x", "y"])
]


def test_what_scores_depend_on_has_the_shares():
    found = importance.of(GRID, [config["a"] + 0.1 * config["b"] for config in GRID])
    assert list(found.main)[:2] == ["a", "b"]
    assert found.main["a"] > 0.9
    assert max(found.main["c"], found.main["kind"], *found.pairs.values()) < 0.02
    assert found.fit > 0.9


def test_what_two_do_together_is_theirs_alone():
    signs = [(-1) ** config["a"] * (1 if config["kind"] == "x" else -1) for config in GRID]
    found = importance.of(GRID, signs)
    assert next(iter(found.pairs)) in [("a", "kind"), ("kind", "a")]
    assert next(iter(found.pairs.values())) > 0.6
    assert max(found.main.values()) < 0.2


def test_shares_are_close_to_the_exact_ones_of_a_grid():
    """y = a + 2b, a of 4 and b of 3 values: variances 5/4 and 4·2/3."""
    found = importance.of(GRID, [config["a"] + 2 * config["b"] for config in GRID])
    exact = {"a": 1.25 / (1.25 + 8 / 3), "b": (8 / 3) / (1.25 + 8 / 3)}
    assert {name: found.main[name] for name in exact} == pytest.approx(exact, abs=0.06)


def test_noise_has_no_fit():
    random = np.random.default_rng(1)
    assert importance.of(GRID, random.normal(size=len(GRID)).tolist()).fit < 0.2


def test_what_is_not_used_is_a_value_of_its_own():
    configs = [
        {"model": "linear"} if number % 2 else {"model": "cnn", "filters": 8 * (1 + number % 3)}
        for number in range(40)
    ]
    found = importance.of(configs, [config.get("filters", 0.0) for config in configs])
    assert set(found.main) == {"model", "filters"}
    assert found.main["filters"] > 0.5


def test_trials_are_compared_after_equally_many_epochs():
    done, pruned = {1: 0.1, 3: 0.2}, {1: 0.3}
    told = importance.comparable([0.9, None, None], [done, pruned, pruned])
    assert told == ([0, 1, 2], [0.1, 0.3, 0.3], "3 trials after the first epoch")
    told = importance.comparable([0.9, None], [done, pruned])  # no more than half were stopped
    assert told == ([0], [0.9], "1 trials trained to their end")
    brackets = [done, pruned, pruned, {3: 0.4}, {}]
    told = importance.comparable([0.9, None, None, math.nan, None], brackets)
    assert told[0] == [0, 1, 2]
    assert importance.comparable([math.nan, 0.5], [{}, {}])[:2] == ([1], [0.5])


@pytest.mark.parametrize(
    ("configs", "scores"),
    [
        ([], []),
        ([{"a": 1}] * 20, list(range(20))),
        ([{"a": number} for number in range(20)], [0.5] * 20),
        ([{"a": number} for number in range(20)], [math.nan] * 10 + [0.1 * i for i in range(10)]),
        ([dict.fromkeys("abcdefgh", i) for i in range(20)], [float(i) for i in range(20)]),
    ],
    ids=["none", "nothing varies", "no difference", "too few scores", "too many names"],
)
def test_too_little_says_nothing(configs, scores):
    assert importance.of(configs, scores) is None


def test_values_of_many_kinds_and_many_values_are_taken():
    random = np.random.default_rng(2)
    rates = random.uniform(size=200).tolist()
    configs = [
        {"rate": rate, "units": [8, 8] if rate > 0.5 else 16, "nesterov": rate > 0.2}
        for rate in rates
    ]
    found = importance.of(configs, rates)
    assert found.main["rate"] > 0.5
