"""Names of trials: short, fit for folders, and different where the trials are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.trialnames import MOST_CHARS, of_trial, of_value, short_names


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((1e-3, "1em3"), (0.01, "1em2"), (5e-05, "5em5"), (0.1, "0p1"), (0.25, "0p25")),
        *((0.0015, "0p0015"), (1.5e-07, "1p5em7"), (64, "64"), (100, "100"), (128.0, "128")),
        *((1e20, "1e20"), (-0.5, "m0p5"), (0, "0"), (-0.0, "0"), (1e5, "100000")),
        *((float("inf"), "infinity"), (None, "none"), (True, "yes"), (False, "no")),
        *(("adam", "adam"), ("a b/c:d", "a-b-c-d"), ([32, 64], "32x64"), ("../x", "..-x")),
    ],
)
def test_a_value_is_written_without_anything_that_a_path_might_mind(
    value: object, name: str
) -> None:
    assert of_value(value) == name


numbers = st.integers() | st.floats(allow_nan=False)


@given(numbers, numbers)
def test_two_numbers_have_one_name_only_if_they_are_equal(one: float, other: float) -> None:
    assert (of_value(one) == of_value(other)) == (one == other)


@given(numbers)
def test_a_number_can_be_read_back(number: float) -> None:
    text = of_value(number).replace("infinity", "inf")
    assert re.fullmatch(r"m?[0-9a-z]+", text)
    assert float(text.replace("p", ".").replace("m", "-")) == float(number)


def test_a_trial_is_named_by_what_varies_and_it_has() -> None:
    config = {"learning_rate": 1e-3, "batch_size": 64, "filters": 8, "dropout": 0.2}
    varied = ["learning_rate", "batch_size", "momentum"]
    assert of_trial(config, varied) == "lr1em3_batchsize64"
    assert of_trial(config, []) == "trial"
    assert len(of_trial({"text": "x" * 1000}, ["text"])) == MOST_CHARS


def test_names_that_would_be_one_are_kept_apart() -> None:
    assert short_names(["batch_size", "learning_rate"]) == {
        "batch_size": "batchsize",
        "learning_rate": "lr",
    }
    names = ["a_b", "ab", "a.b", "A_B", "lr", "learning_rate", "ä"]
    short = short_names(names)
    assert len(set(short.values())) == len(names), short
