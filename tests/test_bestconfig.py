"""`hpo best`: what a shell and a parser make of it, and what it says while there is none."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess

import pytest
import written_runs
from hypothesis import given
from hypothesis import strategies as some
from ruamel.yaml import YAML

from hpo import bestconfig, commands
from hpo.trial import MINIMIZE, Aim, Status

SPACE = {"lr": [-1e-05, 0.1], "layers": [[16, 32]], "kind": ["it's a $(b)"], "on": [True]}


def best(capsys, *words):
    code = commands.main(["best", *map(str, words)])
    return code, *capsys.readouterr()


@pytest.fixture
def run(tmp_path):
    def told(trial):
        return {"score": trial.config["lr"]}

    return written_runs.write(tmp_path / "a run", SPACE, told, aim=Aim("loss", MINIMIZE)).root


def test_no_run_and_no_best_are_one_line_each(capsys, tmp_path):
    code, out, err = best(capsys, tmp_path)
    assert (code, out) == (2, "")
    assert err == f"error: {tmp_path}: expected a run directory, found no search.yaml in it\n"

    def failed(trial):
        return {"status": Status.FAILED, "error": "no"}

    over = written_runs.write(tmp_path / "over", {"a": [1, 2]}, failed)
    code, out, err = best(capsys, over)
    assert (code, out) == (1, "")
    assert err == f"{over}: no trial has a score: finished: 2 of 2 trials, 2 failed\n"
    begun = written_runs.write(tmp_path / "begun", {"a": [1, 2]}, lambda trial: None)
    code, out, err = best(capsys, begun, "--format", "args")
    assert (code, out) == (75, "")
    assert err == f"{begun}: no trial has a score: unfinished: 0 of 2 trials, 0 failed\n"


def test_every_format_has_the_same_configuration(capsys, run):
    expected = {"lr": -1e-05, "layers": [16, 32], "kind": "it's a $(b)", "on": True}
    assert json.loads(best(capsys, run, "--format", "json")[1]) == expected
    assert YAML(typ="safe").load(best(capsys, run, "--format", "yaml")[1]) == expected
    text = YAML(typ="safe").load(best(capsys, run)[1])
    assert expected.items() <= text.items()
    assert text["score"] == -1e-05
    assert best(capsys, run, "--format", "args")[1] == (
        "--lr=-1e-05 --layers '[16,32]' --kind 'it'\"'\"'s a $(b)' --on true\n"
    )


VALUES = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(allow_nan=False, allow_infinity=False),
    some.text(some.characters(codec="utf-8", exclude_characters="\0")),
    some.lists(some.integers()),
)


def _value(word, value):
    return word if isinstance(value, str) else json.loads(word)


@given(some.dictionaries(some.from_regex(r"[a-z][a-z0-9_.]*", fullmatch=True), VALUES))
def test_a_shell_and_argparse_read_args_back(config):
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for name in config:
        parser.add_argument(f"--{name}", dest=name)
    found = vars(parser.parse_args(shlex.split(bestconfig.command_line(config))))
    assert {name: _value(its, config[name]) for name, its in found.items()} == config


def test_a_real_shell_hands_args_on_as_one_word_each():
    config = {"lr": 0.001, "layers": [16, 32], "kind": "it's a $(b) *"}
    line = bestconfig.command_line(config)
    shown = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == [
        *("--lr", "0.001", "--layers", "[16,32]", "--kind", "it's a $(b) *")
    ]


def test_complete_adds_what_was_not_searched(capsys, tmp_path):
    run = written_runs.write(
        tmp_path / "results",
        {"learning_rate": [0.1]},
        lambda trial: {"score": 0.5},
        aim=Aim(),
        identity={"objective": "keras-classifier"},
        data={"path": "x", "fingerprint": "x", "images": 100, "side": 8, "classes": 10},
    )
    its = json.loads(best(capsys, run, "--format", "json", "--complete")[1])
    assert (its["learning_rate"], its["padding"], its["filters"]) == (0.1, "same", 32)
    text = YAML(typ="safe").load(best(capsys, run, "--complete")[1])
    assert its.items() <= text.items()
