"""Which finalist wins: the best mean, then the smaller spread; luck of one seed does not count."""

from __future__ import annotations

import math

import pytest

from hpo.finals import Final, winner
from hpo.trial import MINIMIZE, Aim, Result, Status, Trial


def final(name: str, *scores: float | None, n: int | None = None, aim: Aim = Aim()) -> Final:  # noqa: B008
    """Make a finalist whose repeats came to these scores; None failed."""
    repeats = tuple(Trial(f"{name}{i}", i, {}) for i in range(n or len(scores)))
    results = tuple(
        Result(its.id, {}, Status.FAILED, error="it broke")
        if score is None
        else Result(its.id, {}, Status.DONE, score, 1.0, goal=aim.goal)
        for its, score in zip(repeats, scores, strict=False)
    )
    return Final(Trial(name, 0, {}), repeats, results, aim)


def won(*finals: Final) -> str | None:
    best = winner(finals)
    return None if best is None else best.trial.id


def test_nobody_wins_before_all_repeats_are_over():
    assert won() is None
    assert won(final("a", 0.9, 0.9), final("b", 0.5, n=2)) is None


def test_the_mean_decides_and_not_the_luckiest_seed():
    assert won(final("lucky", 0.99, 0.5), final("steady", 0.9, 0.9)) == "steady"


def test_of_equal_means_the_smaller_spread_wins():
    assert won(final("wide", 0.25, 0.75), final("narrow", 0.5, 0.5)) == "narrow"


def test_a_smaller_mean_wins_where_that_is_the_goal():
    aim = Aim("val_loss", MINIMIZE)
    assert won(final("a", 0.2, 0.2, aim=aim), final("b", 0.1, 0.1, aim=aim)) == "b"


def test_what_fails_with_some_seeds_loses_to_what_does_not():
    assert won(final("a", 0.9, None), final("b", 0.1, 0.1)) == "b"
    assert won(final("a", None, None)) is None


def test_the_best_repeat_is_the_one_whose_weights_are_kept():
    its = final("a", 0.5, 0.9, 0.7)
    assert its.best_repeat[0].id == "a1"
    assert its.mean == pytest.approx(0.7)
    assert its.std == pytest.approx(0.2)


def test_one_repeat_has_no_spread():
    assert final("a", 0.5).std == 0
    assert math.isnan(final("a").mean)
