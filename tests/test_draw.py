"""What is drawn from a space: distinct, allowed, and the same whoever draws."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from hpo import domain, draw, spacefile
from hpo.errors import InputError
from hpo.trial import canonical

SPACE = """\
optimizer: [adam, sgd]
momentum: {values: [0.5, 0.9], when: {optimizer: sgd}}
learning_rate: {min: 1e-4, max: 1e-1, log: true}
filters: {min: 4, max: 64}
dense_units: {min: 8, max: 64, step: 8}
dropout: {mean: 0.3, std: 0.05}
constraints: [filters * dense_units <= 2048]
"""
SAMPLERS = ["random", "sobol", "lhs"]


def drawn(folder: Path, text: str, sampler: str, n: int, seed: int = 33) -> list[dict]:
    path = folder / "space.yaml"
    path.write_text(text)
    written = spacefile.read(str(path))
    return list(draw.configs(written, written.rules({}, {}), sampler=sampler, n=n, seed=seed))


def test_constraints_that_allow_nothing_are_refused_with_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "MOST_MISSES", 200)
    with pytest.raises(InputError) as refused:
        drawn(tmp_path, "a: {min: 0.0, max: 1.0}\nconstraints: [a > 2]\n", "random", 5)
    assert str(refused.value) == (
        f"{tmp_path / 'space.yaml'}:2: expected constraints that allow a combination, found that"
        " none is left of 200 that were drawn"
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_configurations_are_distinct_and_allowed(tmp_path, sampler):
    found = drawn(tmp_path, SPACE, sampler, 200)
    assert len({canonical(config) for config in found}) == 200
    for config in found:
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert config["filters"] * config["dense_units"] <= 2048
        assert 1e-4 <= config["learning_rate"] <= 1e-1
        assert config["dense_units"] % 8 == 0
        assert isinstance(config["filters"], int)
    assert {config["optimizer"] for config in found} == {"adam", "sgd"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_is_drawn_on_every_day_and_other_things_with_another_seed(tmp_path, sampler):
    assert drawn(tmp_path, SPACE, sampler, 20) == drawn(tmp_path, SPACE, sampler, 20)
    assert drawn(tmp_path, SPACE, sampler, 20) != drawn(tmp_path, SPACE, sampler, 20, seed=34)


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_more_trials_begin_with_those_of_few(tmp_path, sampler):
    assert drawn(tmp_path, SPACE, sampler, 150)[:20] == drawn(tmp_path, SPACE, sampler, 20)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_with_fewer_combinations_is_exhausted(tmp_path, monkeypatch, sampler):
    monkeypatch.setattr(draw, "MOST_MISSES", 2000)
    found = drawn(tmp_path, "a: [1, 2, 3]\nb: [4, 5]\n", sampler, 100)
    assert sorted(canonical(config) for config in found) == sorted(
        canonical({"a": a, "b": b}) for a in (1, 2, 3) for b in (4, 5)
    )


@pytest.mark.parametrize("sampler", ["sobol", "lhs"])
def test_what_is_spread_evenly_has_one_in_each_part(tmp_path, sampler):
    found = drawn(tmp_path, "a: {min: 0.0, max: 1.0}\nb: {min: 0.0, max: 1.0}\n", sampler, 16)
    for name in "ab":
        assert sorted(int(16 * config[name]) for config in found) == list(range(16))


def test_each_alternative_is_drawn(tmp_path):
    text = "lr: {min: 0.1, max: 1.0}\nalternatives:\n- model: linear\n- {model: dense, units: 8}\n"
    found = drawn(tmp_path, text, "random", 20)
    assert {config["model"] for config in found} == {"linear", "dense"}
    assert all(("units" in config) == (config["model"] == "dense") for config in found)


def test_a_domain_is_drawn_by_its_distribution():
    shares = [(i + 0.5) / 1000 for i in range(1000)]
    log = domain.Range(1e-4, 1.0, log=True)
    below = sum(float(str(domain.at(log, share))) < 1e-2 for share in shares)
    assert below == 500
    likely = domain.Choices(("a", "b"), (0.9, 0.1))
    assert sum(domain.at(likely, share) == "a" for share in islice(shares, 1000)) == 900
