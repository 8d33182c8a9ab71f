"""Which job a rank is given next: all of them once, the longest first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hpo.cost import MAX_NETWORKS, Estimator
from hpo.order import AS_LONG_AS, Job, Queue
from hpo.trial import Result, Status, Trial


def job(
    name: str, predicted_s: float, network: str = "n", *, index: int = 0, is_late: bool = False
) -> Job:
    return Job(Trial(name, index, {}), network, predicted_s, is_late=is_late)


def finished(name: str, seconds: float, status: Status = Status.DONE) -> Result:
    return Result(name, {}, status, seconds=seconds)


def taken(queue: Queue, rank: int = 0) -> list[str]:
    """Take all that is left, by name."""
    names = []
    while (found := queue.take(rank)) is not None:
        names.append(found.trial.id)
    return names


def next_name(queue: Queue, rank: int, time_left_s: float) -> str | None:
    found = queue.take(rank, time_left_s)
    return None if found is None else found.trial.id


jobs = st.lists(
    st.tuples(st.floats(0, 1e6), st.sampled_from("abc"), st.booleans()), max_size=30
).map(
    lambda drawn: [
        job(str(i), seconds, network, index=i, is_late=is_late)
        for i, (seconds, network, is_late) in enumerate(drawn)
    ]
)


def test_take_of_nothing_is_none():
    queue = Queue([])
    assert queue.take(0) is None
    assert len(queue) == 0


def test_take_gives_the_longest_first_and_equals_in_grid_order():
    queue = Queue(
        [job("c", 5, index=2), job("b", 9, index=1), job("a", 5, index=0), job("d", 7, index=3)]
    )
    assert taken(queue) == ["b", "d", "a", "c"]


def test_take_gives_late_jobs_last():
    queue = Queue([job("late", 100, is_late=True), job("short", 1), job("long", 2)])
    assert taken(queue) == ["long", "short", "late"]


def test_take_prefers_a_compiled_network_among_nearly_equal():
    queue = Queue([job("a1", 100, "a"), job("b", 10, "b"), job("a2", 9, "a")])
    assert taken(queue) == ["a1", "a2", "b"]


def test_take_prefers_the_longer_job_to_a_compiled_network():
    queue = Queue([job("a1", 100, "a"), job("b", 10, "b"), job("a2", 7, "a")])
    assert taken(queue) == ["a1", "b", "a2"]


def test_take_knows_what_each_rank_has_compiled():
    queue = Queue([job("a1", 100, "a"), job("b1", 99, "b"), job("a2", 10, "a"), job("b2", 9, "b")])
    assert [queue.take(rank).trial.id for rank in (0, 1, 1, 0)] == ["a1", "b1", "b2", "a2"]


def test_take_forgets_what_a_rank_compiled_long_ago():
    """It has thrown it away since, so that the longest comes first again."""
    others = [job(f"b{i}", 50, f"b{i}", index=i) for i in range(MAX_NETWORKS)]
    queue = Queue([job("a1", 100, "a"), *others, job("a2", 9, "a"), job("c", 10, "c")])
    assert taken(queue)[-2:] == ["c", "a2"]


def test_take_is_corrected_by_the_times_seen():
    """Predicted 10 and 8, but the second network has proved to be ten times as slow."""
    queue = Queue([job("a1", 100, "a"), job("b1", 80, "b"), job("a2", 10, "a"), job("b2", 8, "b")])
    assert [queue.take(rank).trial.id for rank in (0, 1)] == ["a1", "b1"]
    queue.note(finished("a1", 100))
    queue.note(finished("b1", 800))
    assert taken(queue, rank=0) == ["b2", "a2"]


def test_take_learns_nothing_from_a_failure():
    queue = Queue([job("a1", 100, "a"), job("b1", 80, "b"), job("a2", 10, "a"), job("b2", 7, "b")])
    assert [queue.take(rank).trial.id for rank in (0, 1)] == ["a1", "b1"]
    queue.note(finished("a1", 100))
    queue.note(finished("b1", 800, Status.FAILED))
    assert taken(queue, rank=0) == ["a2", "b2"]


def test_take_gives_a_rank_its_first_job_whatever_time_is_left():
    queue = Queue([job("a", 100), job("b", 50), job("c", 10)])
    assert next_name(queue, rank=0, time_left_s=1) == "a"
    queue.note(finished("a", 100))
    assert next_name(queue, rank=0, time_left_s=1) is None
    assert next_name(queue, rank=1, time_left_s=1) == "b"


def test_take_gives_the_longest_that_fits_into_the_time_left():
    queue = Queue([job("a", 100), job("b", 50, "m"), job("c", 20), job("d", 10)])
    assert next_name(queue, rank=0, time_left_s=60) == "a"
    queue.note(finished("a", 200))  # all take twice as long as predicted
    assert [next_name(queue, rank=0, time_left_s=60) for _ in range(3)] == ["c", "d", None]
    assert len(queue) == 1


@given(jobs, st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e6))))
def test_take_gives_every_job_once(jobs, asking):
    """Whoever asks, and whatever the jobs have taken."""
    queue = Queue(jobs)
    names = []
    for rank, seconds in asking:
        if (found := queue.take(rank)) is not None:
            names.append(found.trial.id)
            queue.note(finished(found.trial.id, seconds))
    names += taken(queue)
    assert Counter(names) == Counter(job.trial.id for job in jobs)
    assert len(queue) == 0


@given(jobs, st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 10), st.floats(0, 1e7))))
def test_take_gives_about_the_longest_that_fits(jobs, asking):
    """As a look at every single job would find it."""
    queue, estimator = Queue(jobs), Estimator()
    waiting = {job.trial.id: job for job in jobs}
    begun = set()
    for rank, slowness, time_left_s in asking:
        if rank not in begun or not estimator.has_seen:
            time_left_s = float("inf")
        corrected = {
            name: estimator.corrected_s(job.network, job.predicted_s)
            for name, job in waiting.items()
        }
        fitting = [name for name, seconds in corrected.items() if seconds <= time_left_s]
        found = queue.take(rank, time_left_s)
        begun.add(rank)
        assert (found is None) == (not fitting)
        if found is None:
            continue
        first = min(waiting[name].line[0] for name in fitting)
        longest_s = max(corrected[name] for name in fitting if waiting[name].line[0] == first)
        assert found.line[0] == first
        assert AS_LONG_AS * longest_s <= corrected[found.trial.id] <= time_left_s
        waiting.pop(found.trial.id)
        queue.note(finished(found.trial.id, slowness * found.predicted_s))
        estimator.note(found.network, found.predicted_s, slowness * found.predicted_s)


@given(jobs, st.integers(1, 7))
def test_shares_are_every_job_once_and_of_equal_numbers(jobs, n_ranks):
    shares = Queue(jobs).shares(n_ranks)
    names = Counter(job.trial.id for share in shares for job in share)
    assert names == Counter(job.trial.id for job in jobs)
    assert len(shares) == n_ranks
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_shares_are_about_as_long():
    shares = Queue([job(str(s), s, index=s) for s in range(1, 9)]).shares(2)
    assert [[job.predicted_s for job in share] for share in shares] == [[8, 5, 4, 1], [7, 6, 3, 2]]


def test_shares_of_several_networks_are_as_long_as_those_of_one():
    """Each rank compiles nearly all networks anyway: only lengths count."""
    jobs = [job(str(s), s, network="ab"[s % 2], index=s) for s in range(1, 9)]
    shares = Queue(jobs).shares(2)
    assert [[job.predicted_s for job in share] for share in shares] == [[8, 5, 4, 1], [7, 6, 3, 2]]


def test_left_counts_down_to_nothing():
    queue = Queue([job("a", 0.1), job("b", 0.2), job("c", 0.3)])
    names = taken(queue)
    for name in names:
        queue.note(finished(name, 1.0))
    assert queue.left_s() == 0
    assert queue.n_taken == 0


def test_take_gives_lone_jobs_with_nothing_else_in_flight():
    lone = Job(Trial("lone", 0, {}), "n", 100.0, is_late=True, is_lone=True)
    queue = Queue([lone, job("late", 50, is_late=True), job("usual", 1)])
    assert [queue.take(0).trial.id, queue.take(1).trial.id] == ["usual", "late"]
    queue.note(finished("usual", 1))
    assert queue.take(0) is None  # rank 1 still trains: rank 0 goes home
    queue.note(finished("late", 50))
    assert queue.take(1) is lone
    assert queue.n_unfinished == 1


def test_predicted_times_are_told_in_the_scale_of_those_seen():
    queue = Queue([job("a", 10, "x"), job("b", 10, "y", index=1)])
    assert queue.times() == []
    taken(queue)
    queue.note(finished("a", 40))
    queue.note(finished("b", 20))
    assert queue.times() == [("x", 30, 40), ("y", 30, 20)]
