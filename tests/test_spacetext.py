"""`hpo space` shows any space, and writes it as this program's own YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo import commands

SWEEP = """\
method: random
run_cap: 20
parameters:
  lr: {min: 0.0001, max: 0.1, distribution: log_uniform_values}
  optimizer: {parameters: {name: {values: [adam, sgd]}}}
"""
OWN = """\
filters: [8, 16]
dense_units: {min: 16, max: 64, step: 16}
optimizer: [adam, adamw]
weight_decay: {values: [0.01], when: {optimizer: adamw}}
constraints: [filters * dense_units <= 512]
"""


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Give a function that writes a file and tells what `hpo space` says of it."""
    monkeypatch.chdir(tmp_path)

    def tell(name: str, text: str, *options: str) -> tuple[int, str, str]:
        Path(name).write_text(text)
        code = commands.main(["space", *options])
        return (code, *capsys.readouterr())

    return tell


def test_mistake_is_one_line_and_two(told):
    assert told("a.csv", "seed\n1\n", "a.csv:7") == (
        2,
        "",
        "error: a.csv: expected a row from 1 to 1 (the header is not counted), found 7\n",
    )


def test_known_space_is_counted_with_its_cost(told):
    assert told("own.yaml", OWN, "own.yaml") == (
        0,
        "12 combinations, 6 networks, about 12 s of one core (0.1 TFLOP) for 1,797 images of 8×8\n"
        "  filters       8, 16\n"
        "  dense_units   {min: 16, max: 64, step: 16}\n"
        "  optimizer     adam, adamw\n"
        "  weight_decay  {values: [0.01], when: {optimizer: [adamw]}}\n"
        "  where filters * dense_units <= 512\n",
        "",
    )


def test_space_without_end_is_shown_and_what_its_search_needs_besides(told):
    text = "  lr              {min: 0.0001, max: 0.1, log: true}\n  optimizer.name  adam, sgd\n"
    head = "2 hyperparameters, 1 of them continuous"
    assert told("sweep.yaml", SWEEP, "sweep.yaml") == (0, f"{head}\n{text}", "")
    without = SWEEP.replace("run_cap", "name")
    needs = ": give --trials"
    assert told("sweep.yaml", without, "sweep.yaml") == (0, f"{head}{needs}\n{text}", "")


def test_unknown_names_are_counted_without_cost(told):
    assert told("table.csv", "gamma,filters\n1,8\n,8\n1,8\n", "table.csv") == (
        0,
        "3 combinations, of hyperparameters that the built-in networks do not have: gamma\n"
        "  - gamma 1 · filters 8\n"
        "  - filters 8\n"
        "  - gamma 1 · filters 8\n",
        "",
    )


def test_conversion_goes_to_standard_output_or_a_file(told):
    text = (
        "# sweep.yaml also says: sampler random, trials 20\n"
        "lr: {min: 0.0001, max: 0.1, log: true}\n"
        "optimizer.name: [adam, sgd]\n"
    )
    assert told("sweep.yaml", SWEEP, "sweep.yaml", "--convert") == (0, text, "")
    assert told("sweep.yaml", SWEEP, "sweep.yaml", "--convert", "own.yaml") == (0, "", "")
    assert Path("own.yaml").read_text() == text
    code, _, error = told("sweep.yaml", SWEEP, "sweep.yaml", "--convert", "no/own.yaml")
    assert (code, error) == (2, "error: --convert no/own.yaml: No such file or directory\n")
