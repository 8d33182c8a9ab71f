"""W&B's sweep files are read as they are."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hpo import sampling, spacefile
from hpo.classifierterms import ANY_IMAGES
from hpo.domain import Choices, Normal, Range
from hpo.errors import InputError
from hpo.written import Written

SWEEP = """\
program: train.py
method: bayes
project: digits
name: a sweep
run_cap: 40
metric:
  name: val_accuracy
  goal: maximize
parameters:
  filters: {values: [16, 32]}
  epochs: {value: 4}
  optimizer:
    parameters:
      name: {values: [adam, sgd], probabilities: [0.75, 0.25]}
      lr: {min: 0.0001, max: 0.1, distribution: log_uniform_values}
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
command: [python, train.py]
"""


def read(path: Path, text: str) -> Written:
    path.write_text(text)
    return spacefile.read(str(path))


def message(path: Path, text: str) -> str:
    with pytest.raises(InputError) as refused:
        sampling.grid(read(path, text), ANY_IMAGES)
    return str(refused.value)


DISTRIBUTIONS = (
    "constant, categorical, categorical_w_probabilities, int_uniform, uniform, q_uniform,"
    " log_uniform, log_uniform_values, q_log_uniform, q_log_uniform_values, inv_log_uniform,"
    " inv_log_uniform_values, normal, q_normal, log_normal, q_log_normal"
)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (
            "{distribution: beta, a: 1}",
            f"distribution: expected one of {DISTRIBUTIONS}, found 'beta'",
        ),
        ("{min: 2, max: 1}", "expected min up to max, found min 2 above max 1"),
        ("{min: 2}", "expected max, found min"),
        (
            "{min: 2, max: 1, distribution: uniform}",
            "expected min up to max, found min 2 above max 1",
        ),
        ("{}", "expected min, found none"),
        ("[1, 2]", "expected value, values, or min and max, found [1, 2]"),
        ("{values: 3}", "values: expected a list, found 3"),
        ("{values: []}", "values: expected at least one value, found an empty list"),
        (
            "{min: 0, max: 1, distribution: log_uniform_values}",
            "expected a min above 0, as log is true, found 0",
        ),
        (
            "{min: 0, max: 1, distribution: q_log_uniform_values}",
            "expected a min above 0, as it is logarithmic, found 0",
        ),
        (
            "{min: 0, max: 1000, distribution: log_uniform}",
            "expected exponents of e as min and max, found 0 and 1000",
        ),
        (
            "{min: 0, max: 1, q: 0, distribution: q_uniform}",
            "q: expected a number above 0, found 0",
        ),
        (
            "{min: 0, max: 1.5, distribution: int_uniform}",
            "expected whole numbers as min, max and step, found (0, 1.5, 1)",
        ),
        ("{distribution: normal, sigma: 0}", "expected a std above 0, found 0"),
        (
            "{min: 0.0, max: 1}",
            "expected a list of values or a step, or --sampler random; found a range without end",
        ),
        (
            "{distribution: normal}",
            "expected a list of values or a step, or --sampler random; found a normal"
            " distribution without end",
        ),
    ],
)
def test_parameter_that_is_wrong_is_refused_with_its_line(tmp_path, parameter, expected):
    path = tmp_path / "sweep.yaml"
    text = f"method: grid\nparameters:\n  lr: {parameter}\n"
    assert message(path, text) == f"{path}:3: lr: {expected}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("bayes", "annealing", ":2: method: expected grid, random, bayes, found 'annealing'"),
        ("method: bayes\n", "\n", ": method: expected grid, random, bayes, found None"),
        ("run_cap: 40", "run_cap: 0", ":5: run_cap: expected a whole number from 1, found 0"),
        (
            "goal: maximize",
            "goal: most",
            ":8: metric: goal: expected minimize or maximize, found 'most'",
        ),
        (
            "type: hyperband",
            "type: envelope",
            ":16: early_terminate: type: expected hyperband, found 'envelope'",
        ),
        (
            "min_iter: 3",
            "max_iter: 3",
            ":16: early_terminate: expected min_iter, or max_iter and s, found type, max_iter,"
            " eta",
        ),
        ("eta: 2", "eta: 1", ":16: early_terminate: eta: expected a number above 1, found 1"),
    ],
)
def test_sweep_that_is_wrong_is_refused_with_its_line(tmp_path, old, new, expected):
    path = tmp_path / "sweep.yaml"
    assert message(path, SWEEP.replace(old, new)) == f"{path}{expected}"


def test_sweep_is_read_whole(tmp_path):
    written = read(tmp_path / "sweep.yaml", SWEEP)
    assert written.domains == {
        "filters": Choices((16, 32)),
        "epochs": Choices((4,)),
        "optimizer.name": Choices(("adam", "sgd"), (0.75, 0.25)),
        "optimizer.lr": Range(0.0001, 0.1, log=True),
    }
    assert written.settings == {
        "sampler": "tpe",
        "trials": 40,
        "metric": "val_accuracy",
        "goal": "maximize",
        "pruner": "hyperband",
        "eta": 2,
        "min_epochs": 3,
    }


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("{min: 1, max: 4}", Range(1, 4, is_integer=True)),
        ("{min: 1, max: 4.0}", Range(1, 4)),
        ("{min: 0, max: 1, distribution: uniform}", Range(0, 1)),
        ("{min: 0, max: 0.5, q: 0.1, distribution: q_uniform}", Range(0, 0.5, step=0.1)),
        (
            "{min: 5, max: 30, q: 8, distribution: q_uniform}",
            Range(8, 32, step=8, is_integer=True),
        ),
        (
            "{min: -2, max: 3, distribution: log_uniform}",
            Range(math.exp(-2), math.exp(3), log=True),
        ),
        (
            "{min: -2, max: 3, distribution: inv_log_uniform}",
            Range(1 / math.exp(3), 1 / math.exp(-2), log=True),
        ),
        (
            "{min: 0.1, max: 2, distribution: inv_log_uniform_values}",
            Range(0.1, 2, log=True),
        ),
        (
            "{min: 16, max: 64, q: 16, distribution: q_log_uniform_values}",
            Range(16, 64, log=True, step=16, is_integer=True),
        ),
        ("{distribution: normal}", Normal(0, 1)),
        ("{distribution: q_normal, mu: 3, sigma: 2, q: 0.5}", Normal(3, 2, step=0.5)),
        ("{distribution: log_normal, mu: -3}", Normal(-3, 1, log=True)),
        ("{distribution: q_log_normal, q: 2}", Normal(0, 1, log=True, step=2)),
        ("{distribution: constant, value: [1, 2]}", Choices(([1, 2],))),
    ],
)
def test_distribution_is_that_of_wandb(tmp_path, parameter, expected):
    text = f"method: random\nparameters:\n  lr: {parameter}\n"
    assert read(tmp_path / "sweep.yaml", text).domains == {"lr": expected}


@pytest.mark.parametrize(
    ("early", "expected"),
    [
        ("{type: hyperband, min_iter: 5}", {"eta": 3, "min_epochs": 5}),
        ("{type: hyperband, max_iter: 27, s: 2}", {"eta": 3, "min_epochs": 3}),
        ("{type: hyperband, max_iter: 10, s: 9, eta: 2}", {"eta": 2, "min_epochs": 1}),
    ],
)
def test_hyperband_says_when_the_first_look_is(tmp_path, early, expected):
    text = f"method: random\nparameters: {{a: {{value: 1}}}}\nearly_terminate: {early}\n"
    settings = read(tmp_path / "sweep.yaml", text).settings
    assert settings == {"sampler": "random", "pruner": "hyperband", **expected}
