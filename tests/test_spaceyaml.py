"""This program's own YAML: ranges, conditions, constraints, alternatives, sections."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo import document, sampling, spacefile, spacetext, spaceyaml
from hpo.classifierterms import ANY_IMAGES
from hpo.domain import Choices, Normal, Range
from hpo.errors import InputError
from hpo.trial import canonical
from hpo.written import Part, Written


def read(path: Path, text: str, inside: str = "") -> Written:
    path.write_text(text)
    return spacefile.read(f"{path}{inside}")


def message(path: Path, text: str, inside: str = "") -> str:
    with pytest.raises(InputError) as refused:
        sampling.grid(read(path, text, inside), ANY_IMAGES)
    return str(refused.value)


# --- what is refused ---


FORMS = (
    "a list, {min, max} with log and step as wanted, {mean, std}, {values, probabilities} or"
    " {value}"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "seed: 1\nlr: {min: 2, max: 1}\n",
            ":2: lr: expected min up to max, found min 2 above max 1",
        ),
        (
            "lr: {min: 0, max: 1.0, log: true}\n",
            ":1: lr: expected a min above 0, as log is true, found 0",
        ),
        ("lr: {min: 1, mxa: 2}\n", f":1: lr: expected {FORMS}, found min, mxa"),
        ("lr: {min: 1}\n", f":1: lr: expected {FORMS}, found min"),
        ("lr: {min: a, max: 2}\n", ":1: lr: min: expected a number, found 'a'"),
        ("lr: {min: 1, max: 2, log: 3}\n", ":1: lr: log: expected true or false, found 3"),
        ("lr: {min: 1, max: 2, step: 0}\n", ":1: lr: expected a step above 0, found 0"),
        ("lr: {mean: 1, std: 0}\n", ":1: lr: expected a std above 0, found 0"),
        ("lr: {values: []}\n", ":1: lr: expected at least one value, found an empty list"),
        (
            "lr: {values: [1, 2], probabilities: [1]}\n",
            ":1: lr: expected 2 probabilities, one for each value, found 1",
        ),
        (
            "seed: 1\nlr: {min: 0.1, max: 1.0}\n",
            ":2: lr: expected a list of values or a step, or --sampler random; found a range"
            " without end",
        ),
        (
            "a: [1]\nb: {values: [1], when: {c: 1}}\n",
            ":2: b: when: expected one of a, b, found c, which is not in the space",
        ),
        (
            "a: [1, 2]\nb: {values: [1], when: {a: 3}}\n",
            ":2: b: when: expected one of a's values, found 3",
        ),
        (
            "a: {min: 0.1, max: 1}\nb: {values: [1], when: {a: 0.5}}\n",
            ":2: b: when: expected a hyperparameter with a list of values or a step, found a,"
            " which is continuous",
        ),
        (
            "b: {values: [1], when: 3}\n",
            ":1: b: when: expected `{other: value or list}`, found 3",
        ),
        (
            "x: 1\na: {values: [1], when: {b: 1}}\nb: {values: [1], when: {a: 1}}\n",
            ":2: a: expected conditions without a cycle, found that a and b depend on each other",
        ),
        (
            "a: [1]\nconstraints: [a < c]\n",
            ":2: constraints: expected names of a, found c in 'a < c'",
        ),
        (
            "a: [1]\nconstraints:\n- a < 2\n- a <\n",
            ":4: constraints: expected an expression, but invalid syntax: 'a <'",
        ),
        (
            "a: [1]\nconstraints: [a + 1]\n",
            ":2: constraints: expected true or false, found 2 from 'a + 1'",
        ),
        (
            "a: [1]\nconstraints: [a.real < 1]\n",
            ":2: constraints: 'a.real < 1': expected no Attribute in it, found a.real",
        ),
        ("a: [1]\nconstraints: [3]\n", ":2: constraints: expected expressions, found 3"),
        ("a: [1]\nconstraints: 1 < 2\n", ":2: constraints: expected some names, found '1 < 2'"),
        (
            "a: [1, 2]\nconstraints: [a > 2]\n",
            ":2: expected constraints that allow a combination, found that none is left",
        ),
        (
            "a: {min: 1, max: 1000}\nb: {min: 1, max: 1000}\nconstraints: [a < b]\n",
            ":3: constraints: expected at most 500,000 combinations of what is tied together,"
            " found more of a, b",
        ),
        (
            "a: [1]\nalternatives: [{b: 1}, {a: 2}]\n",
            ":2: a: expected it in the alternatives or beside them, found it in both",
        ),
        ("alternatives: 3\n", ":1: alternatives: expected a list of spaces, found 3"),
        (
            "a: {min: 1, max: 100000000}\n",
            ":1: a: expected at most 1,000,000 values in a grid, found 100,000,000",
        ),
    ],
)
def test_space_that_is_wrong_is_refused_with_file_line_and_key(tmp_path, text, expected):
    path = tmp_path / "space.yaml"
    assert message(path, text) == f"{path}{expected}"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (":big", ": expected a section big, found base, small"),
        (":small.deep", ":2: expected a section small.deep, found lr, seed"),
    ],
)
def test_section_that_is_not_there_is_refused(tmp_path, inside, expected):
    path = tmp_path / "space.yaml"
    text = "base: &base {seed: [1, 2]}\nsmall: {<<: *base, lr: [0.1]}\n"
    assert message(path, text, inside) == f"{path}{expected}"


def test_anchors_that_stand_for_more_than_memory_are_refused(tmp_path):
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    path = tmp_path / "space.yaml"
    assert message(path, text).startswith(f"{path}: expected YAML of a sensible size, found more")


# --- what is read ---


def test_read_ranges_conditions_and_constraints(tmp_path):
    text = """\
    optimizer: [adam, sgd]
    momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}
    nesterov: {values: [true, false], when: {momentum: [0.9]}}
    learning_rate: {min: 1e-4, max: 1e-1, log: true}
    filters: {min: 16, max: 64, step: 16}
    weight: {mean: 0, std: 1, log: true, step: 0.5}
    epochs: {value: 3}
    seed: {values: [1, 2], probabilities: [0.25, 0.75]}
    constraints: [filters * epochs <= 150]
    """
    written = read(tmp_path / "space.yaml", text)
    assert written.domains == {
        "optimizer": Choices(("adam", "sgd")),
        "momentum": Choices((0.8, 0.9)),
        "nesterov": Choices((True, False)),
        "learning_rate": Range(1e-4, 0.1, log=True),
        "filters": Range(16, 64, step=16, is_integer=True),
        "weight": Normal(0, 1, log=True, step=0.5),
        "epochs": Choices((3,)),
        "seed": Choices((1, 2), (0.25, 0.75)),
    }
    assert written.when == {"momentum": {"optimizer": ["sgd"]}, "nesterov": {"momentum": [0.9]}}
    assert written.continuous == ["learning_rate", "weight"]
    assert "epochs" not in written.varied


def test_conditions_on_conditions_leave_out_what_is_not_used(tmp_path):
    text = """\
    optimizer: [adam, sgd]
    nesterov: {values: [true, false], when: {momentum: 0.9}}
    momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}
    """
    assert list(sampling.grid(read(tmp_path / "space.yaml", text), ANY_IMAGES)) == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.8},
        {"optimizer": "sgd", "nesterov": True, "momentum": 0.9},
        {"optimizer": "sgd", "nesterov": False, "momentum": 0.9},
    ]


def test_constraint_on_what_is_not_in_use_holds(tmp_path):
    text = "model: [linear, dense]\ndense_units: [16, 64]\nseed: [1, 2]\n" + (
        "constraints: [dense_units * seed < 64]\n"
    )
    assert list(sampling.grid(read(tmp_path / "space.yaml", text), ANY_IMAGES)) == [
        {"model": "linear", "seed": 1},
        {"model": "linear", "seed": 2},
        {"model": "dense", "dense_units": 16, "seed": 1},
        {"model": "dense", "dense_units": 16, "seed": 2},
    ]


def test_section_inherits_by_anchors(tmp_path):
    text = (
        "base: &base\n  seed: [1, 2]\n  lr: [0.1]\nsets:\n  small:\n    <<: *base\n    lr: [1]\n"
    )
    written = read(tmp_path / "a:b.yaml", text, ":sets.small")
    assert written.values == {"lr": [1], "seed": [1, 2]}
    path = tmp_path / "a:b.yaml"
    assert written.places == {"lr": f"{path}:7", "seed": f"{path}:2"}


def test_path_with_a_colon_is_a_path(tmp_path):
    assert read(tmp_path / "a:b", "seed: [1]\n").values == {"seed": [1]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr={min: 1e-4, max: 1e-1, log: true}", Range(1e-4, 0.1, log=True)),
        ("lr={min: 1, max: 3}", Range(1, 3, is_integer=True)),
        ("lr=1,2", Choices((1, 2))),
    ],
)
def test_set_takes_ranges_too(text, expected):
    assert spacefile.parse_set(text) == ("lr", expected)


def test_set_refuses_a_range_that_is_none():
    with pytest.raises(InputError) as refused:
        spacefile.parse_set("lr={min: 2, max: 1}")
    assert str(refused.value) == "--set: lr: expected min up to max, found min 2 above max 1"


def test_set_replaces_in_alternatives(tmp_path):
    text = "alternatives: [{a: 1, b: 1}, {a: 2}]\n"
    written = spacefile.with_set(read(tmp_path / "space.yaml", text), ["a=5,6"])
    assert list(written.grid({}, {})) == [{"a": 5, "b": 1}, {"a": 6, "b": 1}, {"a": 5}, {"a": 6}]


def test_set_may_take_away_what_a_condition_rests_on(tmp_path):
    text = "optimizer: [adam, sgd]\nmomentum: {values: [0.8], when: {optimizer: sgd}}\n"
    written = spacefile.with_set(read(tmp_path / "space.yaml", text), ["optimizer=adam"])
    again = spacefile.of_run(spaceyaml.described(written), "search.yaml")
    assert list(sampling.grid(again, ANY_IMAGES)) == [{"optimizer": "adam"}]


# --- generated spaces ---

VALUES = {
    "a": [1, 2, 3],
    "b": [1, 2.0, [1, 2]],
    "c": ["x", "yes", "1e3"],
    "d.e": [None, True, 0.1],
    "f": [1, 2, 3, 4],
}
CONSTRAINTS = ["a < f", "a * f != 4", "f > 1 or a == 1", "a in [1, 3]"]


@st.composite
def domains(draw, name):
    kinds = st.sampled_from(["list", "list", "list", "integers", "floats", "steps", "normal"])
    kind = draw(kinds) if name == "f" else "list"
    if kind == "integers":
        return Range(1, draw(st.integers(1, 5)), log=draw(st.booleans()), is_integer=True)
    if kind == "floats":
        return Range(draw(st.floats(1e-7, 1)), draw(st.floats(1, 1e9)), log=draw(st.booleans()))
    if kind == "steps":
        return Range(0.5, draw(st.floats(0.5, 3)), step=0.25)
    if kind == "normal":
        return Normal(draw(st.floats(-5, 5)), draw(st.floats(0.1, 5)), log=draw(st.booleans()))
    values = draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=3))
    return Choices(tuple(values))


@st.composite
def spaces(draw, *, finite=False):
    names = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=5, unique=True))
    its = {name: draw(domains(name)) for name in names}
    if finite and isinstance(its.get("f"), Range | Normal):
        its["f"] = Range(1, 3, is_integer=True)
    when = {}
    for name, other in itertools.pairwise(names):
        if isinstance(its[other], Choices) and draw(st.booleans()):
            when[name] = {other: [draw(st.sampled_from(its[other].values))]}
    constraints = [c for c in CONSTRAINTS if draw(st.booleans()) and {"a", "f"} <= its.keys()]
    parts = []
    if "c" not in its and draw(st.booleans()):
        parts = [Part({"c": draw(domains("c"))}, {}) for _ in range(draw(st.integers(1, 3)))]
    return Written(
        its, dict.fromkeys(its, "f:1"), "f", when, dict.fromkeys(constraints, "f"), parts
    )


@settings(max_examples=200)
@given(spaces())
def test_converted_space_reads_back_as_the_same(written):
    again = spaceyaml.space(document.parsed(spacetext.yaml(written), "again.yaml"))
    assert list(again.domains.items()) == list(written.domains.items())
    assert again.when == written.when
    assert list(again.constraints) == list(written.constraints)
    assert [part.domains for part in again.alternatives] == [
        part.domains for part in written.alternatives
    ]
    assert spacetext.yaml(again) == spacetext.yaml(written)


def by_brute_force(written):
    """Give the combinations that nested loops, left-outs and filters would leave."""
    rules = written.rules({}, {})
    for part in written.parts:
        lists = spaceyaml_lists(part)
        seen = set()
        for chosen in itertools.product(*lists.values()):
            used = rules.used(dict(zip(lists, chosen, strict=True)))
            if rules.allows(used) and canonical(used) not in seen:
                seen.add(canonical(used))
                yield used


def spaceyaml_lists(part):
    return Written(part.domains, {}, "").values


@settings(max_examples=200)
@given(spaces(finite=True))
def test_grid_is_what_filtering_leaves(written):
    expected = sorted(map(canonical, by_brute_force(written)))
    if not expected:
        with pytest.raises(InputError, match="found that none is left"):
            written.grid({}, {})
        return
    grid = written.grid({}, {})
    assert sorted(map(canonical, grid)) == expected
    assert grid.count == len(expected)
    for names in (["a"], ["c", "f"], ["d.e", "b"]):
        parts = {canonical({n: c[n] for n in names if n in c}) for c in grid}
        assert sorted(map(canonical, grid.project(names))) == sorted(parts)
