"""A grid is what nested loops would build, without building it."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import sampling, spacefile
from hpo.classifierterms import ANY_IMAGES
from hpo.hyperparameters import CONDITIONS, DEFAULTS, NETWORK_NAMES
from hpo.rules import Condition
from hpo.space import Grid
from hpo.trial import canonical

CHOICES = {
    "model": ["cnn", "dense", "linear"],
    "filters": [8, 16, 16.0, [8], [8, 16], (8, 16)],
    "kernel_size": [3, 5],
    "conv_layers": [1, 2],
    "blocks": [1, 2, 3],
    "padding": ["valid", "same"],
    "pooling": ["max", "average"],
    "dense_units": [32, 64, [32], [32, 64]],
    "dense_layers": [0, 1, 2],
    "activation": ["relu", "tanh"],
    "batch_norm": [False, True],
    "dropout": [0.2, 0.5],
    "optimizer": ["adam", "sgd"],
    "momentum": [0, 0.5, 0.9],
    "nesterov": [False, True],
    "learning_rate": [1, 1.0, 0.1],
    "lr_schedule": ["constant", "cosine", "linear", "step"],
    "lr_final": [None, 0.1],
    "lr_step_epochs": [1, 2],
    "lr_step_factor": [0.5, 0.1],
    "weight_average": ["none", "ema"],
    "weight_average_decay": [0.9, 0.99],
    "early_stopping_patience": [None, 2, 3],
    "early_stopping_metric": [None, "loss", "val_loss"],
    "early_stopping_goal": [None, "minimize"],
    "augment": ["none", "shift-rotate-zoom"],
    "augment_strength": [1, 0.5],
}
assert set(CONDITIONS) < set(CHOICES)


@st.composite
def spaces(draw):
    names = draw(st.lists(st.sampled_from(list(CHOICES)), min_size=1, max_size=6, unique=True))
    return {
        name: draw(st.lists(st.sampled_from(CHOICES[name]), min_size=1, max_size=3))
        for name in names
    }


def by_brute_force(space):
    """Give the distinct combinations, each as its canonical text."""
    found = set()
    for chosen in itertools.product(*space.values()):
        config = dict(zip(space, chosen, strict=True))
        setting = DEFAULTS | config
        used = {
            n: v for n, v in config.items() if n not in CONDITIONS or CONDITIONS[n].holds(setting)
        }
        found.add(canonical(used))
    return found


@pytest.mark.parametrize("index", [-1, 6, 10**12])
def test_index_outside_is_refused(index):
    grid = Grid({"a": [1, 2], "b": [3, 4, 5]})
    with pytest.raises(IndexError, match=f"expected an index from 0 to 5, found {index}$"):
        grid[index]


@given(spaces())
@settings(max_examples=300)
def test_grid_is_each_combination_once(space):
    grid = Grid(space, CONDITIONS, DEFAULTS)
    configs = [canonical(grid[index]) for index in range(grid.count)]
    assert len(set(configs)) == len(configs)
    assert set(configs) == by_brute_force(space)


@given(spaces())
def test_projection_is_what_the_combinations_have(space):
    grid = Grid(space, CONDITIONS, DEFAULTS)
    parts = [{n: c[n] for n in c if n in NETWORK_NAMES} for c in grid]
    projected = [canonical(part) for part in grid.project(NETWORK_NAMES)]
    assert sorted(projected) == sorted(set(map(canonical, parts)))


def test_projection_to_nothing_is_one_empty_combination():
    assert list(Grid({"a": [1, 2]}).project(["b"])) == [{}]


def test_order_is_nested_loops_as_written():
    space = {"b": [2, 1], "a": ["y", "x"], "c": [0.5, 0.1, 0.3]}
    assert list(Grid(space)) == [
        {"b": b, "a": a, "c": c} for b in [2, 1] for a in ["y", "x"] for c in [0.5, 0.1, 0.3]
    ]


@pytest.mark.parametrize("name", ["quick", "ris"])
def test_order_of_named_space_is_nested_loops_as_written(name):
    space = spacefile.NAMED[name]
    assert list(sampling.grid(spacefile.read(name), ANY_IMAGES)) == [
        dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*space.values())
    ]


def test_order_of_what_others_depend_on_is_slowest():
    grid = Grid(
        {"rate": [1, 2], "depth": [3, 4], "kind": ["deep", "flat"]},
        {"depth": Condition({"kind": str}, lambda v: v["kind"] == "deep")},
    )
    assert list(grid) == [
        {"rate": 1, "depth": 3, "kind": "deep"},
        {"rate": 1, "depth": 4, "kind": "deep"},
        {"rate": 2, "depth": 3, "kind": "deep"},
        {"rate": 2, "depth": 4, "kind": "deep"},
        {"rate": 1, "kind": "flat"},
        {"rate": 2, "kind": "flat"},
    ]


def test_equal_values_count_once_where_the_first_stands():
    assert list(Grid({"a": [1, 2, 1.0, "1", True]})) == [
        {"a": 1},
        {"a": 2},
        {"a": "1"},
        {"a": True},
    ]


def test_tuples_as_values_are_lists():
    grid = Grid({"filters": [(8, 16), [8, 16], 8]}, CONDITIONS, DEFAULTS)
    assert list(grid) == [{"filters": (8, 16)}, {"filters": 8}]


def test_condition_rests_on_default_of_what_is_not_in_the_grid():
    space = {"kernel_size": [3, 5], "seed": [0, 1]}
    assert Grid(space, CONDITIONS, DEFAULTS).count == 4
    assert Grid(space, CONDITIONS, DEFAULTS | {"model": "dense"}).count == 2


@pytest.mark.parametrize(
    "space",
    [
        {
            "learning_rate": range(1, 1001),
            "dropout": range(1000),
            "batch_size": range(1, 1001),
            "seed": range(1000),
        },
        {  # conditions rest on values of the grid itself
            "filters": range(1, 21),
            "blocks": range(1, 6),
            "dense_units": range(1, 101),
            "dense_layers": range(1, 11),
            "learning_rate": range(1, 101),
            "batch_size": range(1, 101),
            "seed": range(1000),
        },
    ],
    ids=["unconditional", "conditional"],
)
def test_huge_grid_is_opened_without_being_built(space):
    tracemalloc.start()
    try:
        grid = Grid(space, CONDITIONS, DEFAULTS)
        first, last = grid[0], grid[10**12 - 1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grid.count == 10**12
    assert first == {name: values[0] for name, values in space.items()}
    assert last == {name: values[-1] for name, values in space.items()}
    assert peak < 2**20
