"""Trials have ids that rest on their values alone; results survive the journal; merit orders."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.hyperparameters import TABLE, defaults, deviations
from hpo.trial import WORST, Result, Status, canonical, merit, trial_id

SEARCH = {"data": "0123456789abcdef", "seed": 33, "objective": "keras-classifier", "version": 1}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
configs = st.dictionaries(st.text(), values, max_size=5)
results = st.builds(
    Result,
    id=st.text(),
    config=configs,
    status=st.sampled_from(Status),
    score=st.none() | st.floats(0, 1),
    val_loss=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    best_epoch=st.none() | st.integers(1),
    epochs=st.integers(0),
    seconds=st.floats(0, 1e9),
    rank=st.integers(0),
    host=st.text(),
    threads=st.integers(1),
    attempt=st.integers(1),
    error=st.none() | st.text(),
)


# --- ids ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"batch_norm": True}, {"batch_norm": 1}),
        ({"batch_norm": False}, {"batch_norm": 0}),
        ({"seed": 1}, {"seed": "1"}),
        ({"filters": [16, 32]}, {"filters": [32, 16]}),
        ({"filters": [16]}, {"filters": 16}),
        ({"early_stopping_patience": None}, {}),
        ({"dropout": 0.1}, {"dropout": 0.1 + 2**-55}),
    ],
)
def test_id_of_other_values_differs(one, other):
    assert trial_id(one, SEARCH) != trial_id(other, SEARCH)


@pytest.mark.parametrize("name", SEARCH)
def test_id_in_other_search_differs(name):
    assert trial_id({}, SEARCH) != trial_id({}, SEARCH | {name: "another"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"dropout": 0}, {"dropout": 0.0}),
        ({"dropout": 0.0}, {"dropout": -0.0}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"filters": [16, 32.0]}, {"filters": (16.0, 32)}),
        ({"schedule": {"to": 1, "from": 2}}, {"schedule": {"from": 2.0, "to": 1.0}}),
    ],
)
def test_id_of_equal_values_is_one(one, other):
    assert trial_id(one, SEARCH) == trial_id(other, SEARCH)


@given(configs, st.randoms(use_true_random=False))
def test_id_order_of_keys_is_irrelevant(config, chance: random.Random):
    keys = list(config)
    chance.shuffle(keys)
    assert trial_id({key: config[key] for key in keys}, SEARCH) == trial_id(config, SEARCH)


@given(configs)
def test_id_of_what_json_gives_back_is_the_same(config):
    assert trial_id(json.loads(json.dumps(config)), SEARCH) == trial_id(config, SEARCH)


@given(
    st.sampled_from([8, 28]),
    st.sets(st.sampled_from(sorted(TABLE))),
    st.dictionaries(st.sampled_from(["filters", "dropout"]), st.just(0.75)),
)
def test_id_rests_on_no_default(side, names, config):
    written_out = {name: defaults(side)[name] for name in names} | config
    assert deviations(written_out, side) == config


def test_id_of_padding_rests_on_the_image_size():
    assert deviations({"padding": "same"}, 8) == {}
    assert deviations({"padding": "same"}, 28) == {"padding": "same"}


def test_defaults_are_frozen():
    """A changed default would give old ids to new trials: none of these may ever change."""
    known = {
        "model": "cnn",
        "filters": 32,
        "kernel_size": 3,
        "conv_layers": 2,
        "blocks": 2,
        "padding": "valid",
        "pooling": "max",
        "activation": "relu",
        "dense_units": 128,
        "dense_layers": 1,
        "batch_norm": False,
        "dropout": 0.2,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "batch_size": 64,
        "epochs": 4,
        "early_stopping_patience": None,
        "augment": "none",
        "validation_split": 0.1,
        "seed": 0,
        "weight_decay": None,
        "augment_strength": 1,
        "momentum": 0,
        "nesterov": False,
        "lr_schedule": "constant",
        "lr_final": None,
        "lr_step_epochs": 1,
        "lr_step_factor": 0.5,
        "warmup_epochs": 0,
        "gradient_clip": None,
        "gradient_accumulation": 1,
        "weight_average": "none",
        "weight_average_decay": 0.99,
        "early_stopping_metric": None,
        "early_stopping_goal": None,
        "loss_limit": None,
    }
    assert {name: defaults(20)[name] for name in known} == known


def test_id_is_frozen():
    """Journals of earlier releases name their trials by this; it may never change."""
    config = {
        "model": "cnn",
        "filters": [16, 32],
        "dense_units": 256,
        "learning_rate": 0.01,
        "dropout": 0.2,
        "batch_norm": True,
        "early_stopping_patience": None,
        "epochs": 10,
    }
    assert canonical(deviations(config, 28)) == (
        '{"batch_norm":true,"dense_units":256,"epochs":10,"filters":[16,32],"learning_rate":0.01}'
    )
    assert trial_id(deviations(config, 28), SEARCH) == "d4714605ad2d3ef8"


# --- the JSON line ---


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        "{}",
        '{"id": "a", "config": {}}',
        '{"id": "a", "config": {}, "status": "running"}',
        '{"id": "a", "status": "done"}',
        b'{"id": "\xff", "config": {}, "status": "done"}',
    ],
)
def test_line_of_something_else_is_refused(line):
    with pytest.raises(ValueError):
        Result.from_line(line)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_line_of_no_finite_number_is_never_written(number):
    with pytest.raises(ValueError):
        Result("a", {}, Status.DONE, score=0.5, val_loss=number).to_line()


@given(results)
def test_line_round_trip(result):
    line = result.to_line()
    assert "\n" not in line
    assert Result.from_line(line) == result
    assert Result.from_line(line.encode()) == result


def test_line_of_newer_version_is_read():
    newer = json.loads(Result("a", {"filters": 8}, Status.FAILED, error="no").to_line())
    newer |= {"gpu": "H200"}
    assert Result.from_line(json.dumps(newer)) == Result(
        "a", {"filters": 8}, Status.FAILED, error="no"
    )


# --- merit ---


def test_merit_orders_score_then_loss_then_id():
    def done(name, score, val_loss):
        return Result(name, {}, Status.DONE, score=score, val_loss=val_loss)

    best_to_worst = [
        done("d", 0.9, 5.0),
        done("c", 0.8, 0.1),
        done("a", 0.8, 0.2),
        done("b", 0.8, 0.2),
        done("a", 0.8, math.nan),
        done("b", 0.8, None),
        done("z", 0.0, 9.0),
        done("a", math.nan, 0.0),
        Result("b", {}, Status.FAILED, score=1.0, val_loss=0.0, error="killed"),
        done("c", None, None),
    ]
    cut = [*best_to_worst[5:], *best_to_worst[:5]]
    assert sorted(cut, key=merit) == best_to_worst


@given(results)
def test_merit_of_a_score_beats_none_at_all(result):
    has_score = result.status is Status.DONE and result.score is not None
    assert (merit(result) < WORST) == has_score
