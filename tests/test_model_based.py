"""Proposals of models: new ones only, better ones in time, and the same for the same past."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from hpo import model_based, spacefile
from hpo.errors import InputError
from hpo.model_based import Advisor
from hpo.trial import Aim, Config, Result, Rung, Status, canonical

pytest.importorskip("optuna", reason="Optuna is not installed (pip install optuna)")

LACKING = {
    sampler: [name for name in needs if importlib.util.find_spec(name) is None]
    for sampler, needs in model_based._NEEDS.items()
}
SAMPLERS = [
    pytest.param(
        sampler, marks=pytest.mark.skipif(bool(names), reason=f"no {' '.join(names)} installed")
    )
    for sampler, names in LACKING.items()
]
SPACE = """\
optimizer: [adam, sgd]
momentum: {values: [0.5, 0.9], when: {optimizer: sgd}}
learning_rate: {min: 1e-4, max: 1e-1, log: true}
filters: [8, 16, [4, 8]]
dense_units: {min: 8, max: 64, step: 8}
dropout: {mean: 0.3, std: 0.05}
constraints: [dense_units * learning_rate < 5]
"""
ONE = "learning_rate: {min: 1e-4, max: 1, log: true}\n"


def advisor(folder: Path, text: str, sampler: str, *, seed: int = 33, aim: Aim = Aim()) -> Advisor:  # noqa: B008
    path = folder / "space.yaml"
    path.write_text(text)
    written = spacefile.read(str(path))
    return Advisor(written, written.rules({}, {}), sampler=sampler, seed=seed, aim=aim)


def score(config: Config) -> float:
    """Best, with 0, at a learning rate of 0.01."""
    return -((math.log10(config["learning_rate"]) + 2) ** 2)


def done(config: Config, sign: int = 1) -> Result:
    return Result("id", config, Status.DONE, sign * score(config), 0.5)


def in_sequence(its: Advisor, n: int) -> list[Config]:
    found = []
    for _ in range(n):
        config = its.propose()
        assert config is not None
        its.note(done(config))
        found.append(config)
    return found


def test_a_sampler_that_is_not_installed_is_refused_with_the_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as refused:
        model_based.check_installed("cmaes")
    assert str(refused.value) == (
        "--sampler cmaes: expected optuna and cmaes to be installed, found no optuna;"
        " pip install optuna cmaes"
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_point_is_proposed_twice_however_many_are_under_way(tmp_path, sampler):
    its = advisor(tmp_path, SPACE, sampler)
    found = [its.propose() for _ in range(15)]
    assert None not in found
    assert len({canonical(config) for config in found}) == 15
    for config in found:
        assert config is not None
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert config["dense_units"] * config["learning_rate"] < 5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_with_few_combinations_is_exhausted(tmp_path, monkeypatch, sampler):
    monkeypatch.setattr("hpo.draw.MOST_MISSES", 2000)
    its = advisor(tmp_path, "a: [1, 2, 3]\nb: [x, y]\n", sampler)
    found = [its.propose() for _ in range(7)]
    assert found[6] is None
    assert len({canonical(config) for config in found[:6]}) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_in_sequence_the_same_is_proposed(tmp_path, sampler):
    first = in_sequence(advisor(tmp_path, SPACE, sampler), 12)  # the first ten are drawn
    assert in_sequence(advisor(tmp_path, SPACE, sampler), 12) == first
    assert in_sequence(advisor(tmp_path, SPACE, sampler, seed=34), 3) != first[:3]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_model_learns(tmp_path, sampler):
    # The first generation of nsga2 is fifty; a proposal of gp takes a second or two.
    n = {"nsga2": 150, "gp": 20}.get(sampler, 60)
    found = in_sequence(advisor(tmp_path, ONE, sampler), n)
    assert sum(map(score, found[-n // 3 :])) > sum(map(score, found[: n // 3]))
    assert max(map(score, found)) > -0.05


def test_a_smaller_score_is_sought_where_that_is_the_goal(tmp_path):
    its = advisor(tmp_path, ONE, "tpe", aim=Aim("val_loss", "minimize"))
    found = []
    for _ in range(40):
        config = its.propose()
        assert config is not None
        its.note(done(config, sign=-1))
        found.append(config)
    assert sum(map(score, found[-10:])) > sum(map(score, found[:10]))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_new_start_goes_on_with_what_is_new(tmp_path, sampler):
    before = in_sequence(advisor(tmp_path, SPACE, sampler), 10)
    again = advisor(tmp_path, SPACE, sampler)
    for config in before[:-1]:
        again.take_up(config)
        again.note(done(config))
    again.take_up(before[-1])  # still with a rank when the search was killed
    after = [again.propose() for _ in range(4)]
    again.note(done(before[-1]))
    assert len({canonical(config) for config in [*before, *after]}) == 14


def test_pruned_and_failed_trials_are_learned_from_once(tmp_path):
    its = advisor(tmp_path, ONE, "tpe")
    for status in (Status.PRUNED, Status.FAILED):
        config = its.propose()
        assert config is not None
        rungs = (Rung(1, score(config), 0.5, 1),)
        result = Result("id", config, status, score(config), 0.5, epochs=1, rungs=rungs)
        its.note(result)
        its.note(result)  # it went on, and was pruned again
    assert its.propose() is not None


def test_alternatives_are_proposed_each_with_its_own(tmp_path):
    text = "lr: {min: 0.1, max: 1.0}\nalternatives:\n- model: linear\n- {model: dense, units: 8}\n"
    its = advisor(tmp_path, text, "tpe")
    found = [its.propose() for _ in range(20)]
    assert {config["model"] for config in found if config} == {"linear", "dense"}
    assert all(("units" in c) == (c["model"] == "dense") for c in found if c is not None)
