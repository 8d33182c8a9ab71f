"""Who goes on: by the numbers alone, and for halving whatever the order in which they come."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.halving import Fate, Ladder, rungs
from hpo.pruning import Member, Pruning, pruner, settled, without_winner
from hpo.trial import MINIMIZE, Result, Rung, Status, merit_so_far


def curve(name: str, scores: list[float], status: Status = Status.DONE, goal: str = "maximize"):
    """A result of a trial with these scores after each epoch, all of which are rungs."""
    better = min if goal == MINIMIZE else max
    if not scores:
        return Result(name, {}, status, goal=goal)
    so_far = [better(scores[: n + 1]) for n in range(len(scores))]
    reached = tuple(
        Rung(n + 1, score, 1.0, scores.index(score) + 1) for n, score in enumerate(so_far)
    )
    return Result(
        name,
        {},
        status,
        score=so_far[-1],
        val_loss=1.0,
        best_epoch=reached[-1].best_epoch,
        epochs=len(scores),
        goal=goal,
        rungs=reached,
    )


DIVERGES = -1.0  # a score that ends a trial


def merit_at(name: str, scores: list[float], rung: int) -> tuple[float, float, str]:
    if DIVERGES in scores[:rung]:
        return math.inf, math.inf, name
    return merit_so_far(curve(name, scores).at(rung))


def halved(scores: dict[str, list[float]], eta: int, first: int = 1) -> dict[str, int]:
    """What successive halving says of how far each trial comes, by its definition."""
    [epochs] = {len(its) for its in scores.values()}
    far, on = dict.fromkeys(scores, epochs), list(scores)
    for rung in rungs(epochs, first, eta):
        on.sort(key=lambda name: merit_at(name, scores[name], rung))
        n = max(1, len(on) // eta)
        far |= dict.fromkeys(on[n:], rung)
        on = on[:n]
    ends = {name: its.index(DIVERGES) for name, its in scores.items() if DIVERGES in its}
    return {name: min(epochs, ends.get(name, epochs)) for name, epochs in far.items()}


searches = (
    st.integers(1, 12)
    .flatmap(
        lambda epochs: st.lists(
            st.lists(st.integers(-1, 9).map(float), min_size=epochs, max_size=epochs),
            min_size=1,
            max_size=15,
        )
    )
    .map(lambda many: {str(n): scores for n, scores in enumerate(many)})
)


@pytest.mark.parametrize(
    ("epochs", "first", "eta", "found"),
    [(9, 1, 3, (1, 3)), (10, 1, 3, (1, 3, 9)), (4, 4, 2, ()), (1, 1, 2, ()), (8, 3, 2, (3, 6))],
)
def test_rungs_end_before_the_last_epoch(epochs, first, eta, found):
    assert rungs(epochs, first, eta) == found


class Search:
    """A search on some ranks: each takes a step of one trial at a time, in any order."""

    def __init__(self, scores: dict[str, list[float]], rules: Pruning) -> None:
        self.scores = scores
        self.members = [Member(name, n, len(its)) for n, (name, its) in enumerate(scores.items())]
        self.pruner = pruner(rules, self.members)
        self.waiting = list(scores)
        self.paused: dict[str, Result] = {}
        self.results: dict[str, Result] = {}
        self.n_epochs = 0
        self.rescued: set[str | None] = set()

    def take(self, busy: dict[str, int]) -> tuple[str, int] | None:
        for name in self.pruner.ready():
            if name in self.paused:
                self.waiting.append(name)
        if self.waiting:
            name = self.waiting.pop(0)
        else:
            name = self.pruner.likeliest(lambda n: n in self.paused and n not in busy)
        if name is None and not busy:
            outcomes = {n: self.pruner.outcome(result) for n, result in self.results.items()}
            name = without_winner(outcomes, self.results)
            self.rescued |= {name}
        if name is None:
            return None
        paused = self.paused.pop(name, None)
        return name, 0 if paused is None else paused.epochs

    def step(self, name: str, epochs: int) -> int | None:
        """Train one epoch; give the epochs trained, or None if the trial is left."""
        epochs += 1
        self.n_epochs += 1
        scores = self.scores[name]
        asked = set(self.pruner.asks_at(name))
        status = Status.DONE if epochs == len(scores) else Status.PRUNED
        if scores[epochs - 1] == DIVERGES:
            status = Status.FAILED
            epochs -= 1
        result = curve(name, scores[:epochs], status)
        result = Result(
            **{field: getattr(result, field) for field in result.__slots__}
            | {"rungs": tuple(rung for rung in result.rungs if rung.epoch in asked)}
        )
        if status is Status.PRUNED and (
            epochs not in asked or name in self.rescued or self.pruner.may_go_on(result)
        ):
            return epochs
        self.pruner.note(result)
        self.results[name] = result
        if status is Status.PRUNED:
            self.paused[name] = result
        return None


def searched(scores: dict[str, list[float]], rules: Pruning, n_ranks: int, chance: random.Random):
    """Search with ranks of random speed; give what counts in the end."""
    search = Search(scores, rules)
    busy: dict[str, int] = {}
    while True:
        while len(busy) < n_ranks and (job := search.take(busy)):
            busy[job[0]] = job[1]
        if not busy:
            return search, settled(rules, search.members, search.results)
        name = chance.choice(sorted(busy))
        epochs = search.step(name, busy[name])
        if epochs is None:
            del busy[name]
        else:
            busy[name] = epochs


@settings(max_examples=300)
@given(searches, st.integers(2, 4), st.integers(1, 3), st.integers(1, 6), st.randoms())
def test_halving_gives_the_same_for_every_number_of_ranks(scores, eta, first, n_ranks, chance):
    rules = Pruning("asha", eta=eta, min_epochs=first)
    search, counted = searched(scores, rules, n_ranks, chance)
    expected = halved(scores, eta, first)
    if any(expected[name] == len(its) for name, its in scores.items()):  # else another is rescued
        assert {name: result.epochs for name, result in counted.items()} == expected
    for name, result in counted.items():
        its = scores[name]
        if result.epochs == len(its):
            assert result.status is Status.DONE
        elif result.status is Status.FAILED:
            assert its[result.epochs] == DIVERGES
        else:
            assert result.status is Status.PRUNED
            assert result.score == max(its[: result.epochs])
    _, alone = searched(scores, rules, 1, random.Random(0))
    assert counted == alone
    assert len(counted) == len(scores)
    if n_ranks == 1 and DIVERGES not in sum(scores.values(), []):  # nothing is trained ahead
        assert search.n_epochs == sum(halved(scores, eta, first).values())


@settings(max_examples=100)
@given(searches, st.integers(1, 6), st.randoms())
def test_hyperband_gives_the_same_for_every_number_of_ranks(scores, n_ranks, chance):
    rules = Pruning("hyperband")
    _, alone = searched(scores, rules, 1, random.Random(0))
    _, counted = searched(scores, rules, n_ranks, chance)
    assert counted == alone
    assert len(counted) == len(scores)


@settings(max_examples=100)
@given(searches, st.sampled_from(["median", "patience"]), st.integers(1, 4), st.randoms())
def test_stopping_ends_with_every_trial_counted_and_a_winner(scores, name, ranks, chance):
    _, counted = searched(scores, Pruning(name, patience=2), ranks, chance)
    assert set(counted) == set(scores)
    done = [result for result in counted.values() if result.status is Status.DONE]
    assert done or all(result.status is Status.FAILED for result in counted.values())


def test_a_pruned_trial_never_beats_one_that_was_trained_to_its_end():
    early, late = [0.9] + [0.1] * 8, [0.8] + [0.85] * 8
    scores = {"lucky": early, "steady": late} | {str(n): [0.1] * 9 for n in range(7)}
    rules = Pruning("asha", eta=9)
    _, counted = searched(scores, rules, 1, random.Random(0))
    assert counted["steady"].status is Status.PRUNED
    assert counted["lucky"].status is Status.DONE  # the only one that went on


def test_the_median_prunes_below_it_and_keeps_what_equals_it():
    scores = {str(n): [0.5, 0.5] for n in range(5)} | {"worse": [0.4, 0.9], "equal": [0.5, 0.9]}
    _, counted = searched(scores, Pruning("median"), 1, random.Random(0))
    assert counted["worse"].status is Status.PRUNED
    assert counted["equal"].status is Status.DONE


def test_patience_prunes_what_does_not_improve():
    scores = {"flat": [0.5] * 9, "rising": [n / 10 for n in range(9)]}
    _, counted = searched(scores, Pruning("patience", patience=3), 1, random.Random(0))
    assert counted["flat"].epochs == 4
    assert counted["rising"].status is Status.DONE


def test_a_smaller_score_is_better_where_that_is_the_goal():
    rules = Pruning("asha", eta=2)
    members = [Member(name, 0, 2) for name in "ab"]
    its = pruner(rules, members)
    for name, score in (("a", 0.1), ("b", 0.2)):
        result = curve(name, [score], Status.PRUNED, MINIMIZE)
        its.may_go_on(result)
        its.note(result)
    assert its.ready() == ["a"]


def test_a_failed_trial_keeps_no_place():
    rules = Pruning("asha", eta=2)
    members = [Member(name, n, 2) for n, name in enumerate("abcd")]
    its = pruner(rules, members)
    for name in "ab":
        its.note(Result(name, {}, Status.FAILED, error="diverged"))
    for name in "cd":
        assert its.may_go_on(curve(name, [0.1], Status.PRUNED))


def test_without_pruning_what_was_pruned_is_still_to_be_trained():
    members = [Member("a", 0, 9)]
    pruned = curve("a", [0.5], Status.PRUNED)
    assert settled(Pruning(), members, {"a": pruned}) == {}


def test_if_all_are_pruned_the_best_goes_on():
    members = [Member(name, 0, 9) for name in "ab"]
    results = {name: curve(name, [0.5 + (name == "b")], Status.PRUNED) for name in "ab"}
    assert settled(Pruning("patience"), members, results) == {"a": results["a"]}
    results["b"] = curve("b", [0.6] * 9)
    assert settled(Pruning("patience"), members, results) == results


@given(st.integers(1, 40), st.integers(2, 4), st.randoms())
def test_a_ladder_settles_one_after_the_other(n_trials, eta, chance):
    ladder = Ladder(n_trials, (1,), eta)
    merits = [(float(chance.randrange(5)), 0.0, str(n)) for n in range(n_trials)]
    chance.shuffle(merits)
    told = [name for merit in merits for name in ladder.report(0, merit)]
    best = sorted(merits)[: max(1, n_trials // eta)]
    assert sorted(told) == sorted(name for *_, name in best)
    assert {ladder.fate(name)[0] for *_, name in best} == {Fate.TO_THE_END}
