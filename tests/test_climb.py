"""Trials under pruning in the queue: each comes back when its word has come, and only then."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.climb import Climb
from hpo.order import Job
from hpo.pruning import Member, Pruning, pruner, settled
from hpo.trial import Result, Rung, Status, Trial

EPOCHS = 9


def climb(n: int, rules: Pruning, results: list[Result] = []) -> Climb:  # noqa: B006  # only read
    members = [Member(str(i), i, EPOCHS) for i in range(n)]
    its = pruner(rules, members)
    counted = settled(rules, members, {result.id: result for result in results})
    jobs = [
        Job(Trial(m.id, m.index, {}), "n", 9.0, epochs=EPOCHS, rungs=its.asks_at(m.id))
        for m in members
        if m.id not in counted
    ]
    return Climb(jobs, its, results)


def reached(job: Job, scores: list[float], status: Status, epochs: int) -> Result:
    rungs = tuple(
        Rung(epoch, max(scores[:epoch]), 1.0, 1) for epoch in job.rungs if epoch <= epochs
    )
    return Result(
        *(job.trial.id, {}, status, max(scores[:epochs]), 1.0, 1, epochs),
        seconds=float(epochs),
        rungs=rungs,
    )


class Rank:
    """One rank's way through a trial; each `step` is one message to the manager."""

    def __init__(self, queue: Climb, job: Job, scores: list[float]) -> None:
        self.queue, self.job, self.scores = queue, job, scores
        self.epochs = job.begin
        self.stopped: Result | None = None  # saved, but not reported yet

    def step(self) -> Result | None:
        if self.stopped is not None:
            return self.stopped
        ahead = [rung for rung in self.job.rungs if rung > self.epochs]
        if not ahead:
            return reached(self.job, self.scores, Status.DONE, EPOCHS)
        self.epochs = ahead[0]
        so_far = reached(self.job, self.scores, Status.PRUNED, self.epochs)
        if not self.queue.may_go_on(so_far):
            self.stopped = so_far
        return None


def train(queue: Climb, scores: list[list[float]], n_ranks: int, chance: random.Random) -> list:
    """Train all that the queue gives, message by message, in any order; give the results."""
    came: list[Result] = []
    busy: dict[int, Rank] = {}
    while True:
        for rank in set(range(n_ranks)) - busy.keys():
            job = queue.take(rank)
            if job is not None:
                busy[rank] = Rank(queue, job, scores[int(job.trial.id)])
            else:
                assert queue.may_get_more or not busy
        if not busy:
            return came
        rank = chance.choice(sorted(busy))
        result = busy[rank].step()
        if result is not None:
            queue.note(result)
            came.append(result)
            del busy[rank]


searches = st.lists(
    st.lists(st.integers(0, 9).map(float), min_size=EPOCHS, max_size=EPOCHS), max_size=12
)
names = st.sampled_from(["asha", "hyperband", "median", "patience"])


@settings(max_examples=300)
@given(searches, names, st.integers(1, 8), st.randoms())
def test_no_trial_is_forgotten_on_a_rung(scores, name, n_ranks, chance):
    rules = Pruning(name, eta=2, patience=2)
    queue = climb(len(scores), rules)
    came = {result.id: result for result in train(queue, scores, n_ranks, chance)}
    assert queue.n_unfinished == 0
    members = [Member(str(i), i, EPOCHS) for i in range(len(scores))]
    counted = settled(rules, members, came)
    assert len(counted) == len(scores)
    assert not scores or any(result.status is Status.DONE for result in counted.values())


@settings(max_examples=100)
@given(searches, st.integers(1, 4), st.integers(0, 20), st.randoms())
def test_a_search_that_is_cut_anywhere_goes_on_to_the_same_end(scores, n_ranks, cut, chance):
    rules = Pruning("asha", eta=2)
    members = [Member(str(i), i, EPOCHS) for i in range(len(scores))]
    whole = train(climb(len(scores), rules), scores, 1, random.Random(0))
    before = train(climb(len(scores), rules), scores, n_ranks, chance)[:cut]
    kept = list({result.id: result for result in before}.values())
    after = train(climb(len(scores), rules, kept), scores, n_ranks, chance)

    def ends(results: list[Result]) -> dict[str, tuple[int, Status]]:
        counted = settled(rules, members, {result.id: result for result in results})
        return {name: (its.epochs, its.status) for name, its in counted.items()}

    assert ends([*kept, *after]) == ends(whole)


def test_a_trial_costs_its_way_to_the_next_rung():
    queue = climb(3, Pruning("asha"))
    job = queue.take(0)
    assert job is not None and (job.predicted_s, job.begin) == (1.0, 0)
    assert queue.left_s() < 9 * 3
