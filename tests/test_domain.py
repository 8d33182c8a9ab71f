"""A domain gives a value for every share of its distribution, and is written as it is read."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo import domain
from hpo.domain import Choices, Normal, Range
from hpo.errors import InputError

SHARES = st.floats(0, 1, exclude_max=True)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6)


@st.composite
def ranges(draw):
    log = draw(st.booleans())
    is_integer = draw(st.booleans())
    numbers = st.integers(-1000, 1000) if is_integer else NUMBERS
    low, high = sorted((draw(numbers), draw(numbers)))
    if log:
        low, high = abs(low) + 1, abs(low) + 1 + abs(high)
    steps = st.none() | (
        st.integers(1, 50) if is_integer else st.sampled_from([0.1, 0.25, 3, 1e4])
    )
    return Range(low, high, log=log, step=draw(steps), is_integer=is_integer)


# --- what is refused ---


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Choices(()), "expected at least one value, found an empty list"),
        (
            lambda: Choices((1, 2), (1.0,)),
            "expected 2 probabilities, one for each value, found 1",
        ),
        (
            lambda: Choices((1, 2), (0.5, 0.4)),
            "expected probabilities that add up to 1, found [0.5, 0.4]",
        ),
        (
            lambda: Choices((1, 2), (-1, 2)),
            "expected probabilities that add up to 1, found [-1, 2]",
        ),
        (lambda: Range(3, 1), "expected min up to max, found min 3 above max 1"),
        (lambda: Range(0, 1, log=True), "expected a min above 0, as log is true, found 0"),
        (lambda: Range(-1, 1, log=True), "expected a min above 0, as log is true, found -1"),
        (lambda: Range(0, math.inf), "expected finite min and max, found 0 and inf"),
        (lambda: Range(0, 1, step=0), "expected a step above 0, found 0"),
        (
            lambda: Range(0, 1.5, is_integer=True),
            "expected whole numbers as min, max and step, found (0, 1.5, 1)",
        ),
        (lambda: Normal(0, 0), "expected a std above 0, found 0"),
        (lambda: Normal(math.nan, 1), "expected a finite mean, found nan"),
        (lambda: Normal(0, 1, step=-1), "expected a step above 0, found -1"),
        (
            lambda: Normal(0, 400, log=True),
            "expected mean and std of the logarithm, found numbers whose exponential is out of"
            " bounds: 0 and 400",
        ),
    ],
)
def test_domain_that_cannot_be_is_refused(make, expected):
    with pytest.raises(InputError) as refused:
        make()
    assert str(refused.value) == expected


def test_too_many_values_for_a_grid_are_refused():
    with pytest.raises(InputError) as refused:
        domain.values(Range(1, 10**12, is_integer=True))
    assert str(refused.value) == (
        "expected at most 1,000,000 values in a grid, found 1,000,000,000,000"
    )


# --- values ---


@pytest.mark.parametrize(
    ("its", "expected"),
    [
        (Choices(("sgd", [16, 32], None)), ["sgd", [16, 32], None]),
        (Range(3, 6, is_integer=True), [3, 4, 5, 6]),
        (Range(16, 50, step=16, is_integer=True), [16, 32, 48]),
        (Range(0.1, 0.5, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (Range(0, 1, step=0.25), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Range(1e-4, 3e-4, step=1e-4), [0.0001, 0.0002, 0.0003]),
        (Range(0.5, 0.5), [0.5]),
        (Range(0, 1), None),
        (Normal(0, 1), None),
        (Normal(0, 1, step=1), None),
    ],
)
def test_values_are_those_that_people_count(its, expected):
    found = domain.values(its)
    assert found == expected
    assert list(map(type, found or [])) == list(map(type, expected or []))


# --- at a share ---


@pytest.mark.parametrize(
    ("its", "share", "expected"),
    [
        (Choices((1, 2, 3, 4)), 0.0, 1),
        (Choices((1, 2, 3, 4)), 0.99, 4),
        (Choices(("a", "b"), (0.9, 0.1)), 0.89, "a"),
        (Choices(("a", "b"), (0.9, 0.1)), 0.91, "b"),
        (Choices(("a", "b", "c"), (0.0, 1.0, 0.0)), 0.0, "b"),
        (Choices(("a", "b", "c"), (0.0, 1.0, 0.0)), 1 - 2**-53, "b"),
        (Range(0, 10), 0.25, 2.5),
        (Range(1, 4, is_integer=True), 0.5, 3),
        (Range(0.1, 0.5, step=0.1), 0.5, 0.3),
        (Range(1e-4, 1e-2, log=True), 0.5, 0.001),
        (Range(1, 100, log=True, is_integer=True), 0.0, 1),
        (Range(1, 100, log=True, is_integer=True), 0.9999, 100),
        (Normal(3, 2), 0.5, 3.0),
        (Normal(0, 1, log=True), 0.5, 1.0),
        (Normal(5, 2, step=2), 0.5, 4),
        (Normal(0.5, 0.1, step=0.1), 0.6, 0.5),
    ],
)
def test_value_at_a_share(its, share, expected):
    found = domain.at(its, share)
    assert found == pytest.approx(expected) and type(found) is type(expected)


def test_shares_of_integers_on_a_log_scale_follow_the_logarithm():
    its = Range(1, 1000, log=True, is_integer=True)
    n = 10_000
    found = [domain.at(its, index / n) for index in range(n)]
    assert sum(value <= 31 for value in found) / n == pytest.approx(0.5, abs=0.06)
    assert set(found) >= set(range(1, 100))


def test_shares_of_a_normal_distribution_are_its_quantiles():
    for share in (0.001, 0.3, 0.999):
        assert domain.at(Normal(1, 2), share) == NormalDist(1, 2).inv_cdf(share)


@given(ranges(), SHARES)
def test_value_lies_in_its_range(its, share):
    found = domain.at(its, share)
    assert its.low <= found <= its.high
    assert type(found) is (int if its.is_integer else float)
    listed = domain.values(its) if (domain.count(its) or 10**9) < 10_000 else None
    assert listed is None or found in listed


@given(ranges(), SHARES, SHARES)
def test_a_larger_share_gives_no_smaller_value(its, one, other):
    less, more = sorted((one, other))
    assert domain.at(its, less) <= domain.at(its, more)


@given(st.builds(Normal, NUMBERS, st.floats(1e-3, 1e3)), SHARES)
def test_value_of_a_normal_distribution_is_finite(its, share):
    assert math.isfinite(domain.at(its, share))


# --- as YAML ---


@pytest.mark.parametrize(
    ("its", "expected"),
    [
        (Choices((16, "a", None)), [16, "a", None]),
        (
            Choices(("a", "b"), (0.25, 0.75)),
            {"values": ["a", "b"], "probabilities": [0.25, 0.75]},
        ),
        (Range(1e-4, 0.1, log=True), {"min": 1e-4, "max": 0.1, "log": True}),
        (Range(0, 1), {"min": 0.0, "max": 1.0}),
        (Range(16, 64, step=16, is_integer=True), {"min": 16, "max": 64, "step": 16}),
        (Normal(0, 1, log=True, step=0.5), {"mean": 0, "std": 1, "log": True, "step": 0.5}),
    ],
)
def test_description_is_plain(its, expected):
    found = domain.described(its)
    assert repr(found) == repr(expected)
