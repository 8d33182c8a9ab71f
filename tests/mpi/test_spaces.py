"""Searches over spaces that are more than lists."""

from __future__ import annotations

from pathlib import Path

import runs

TABLE = """\
filters,dense_units,epochs,learning_rate
4,16,1,0.01
4,16,1,0.1
4,16,1,0.01
"""
SPACE = """\
filters: 4
dense_units: 16
epochs: {min: 1, max: 2}
optimizer: [adam, adamw]
weight_decay: {values: [0.01, 0.1], when: {optimizer: adamw}}
constraints: [epochs * weight_decay < 0.15]
"""


def test_equal_rows_of_a_table_are_trained_once_and_reported_each(tmp_path: Path) -> None:
    out, table = tmp_path / "results", tmp_path / "table.csv"
    table.write_text(TABLE)
    done = runs.search(2, out, "--space", table)
    assert done.returncode == 0, done.stderr
    assert "finished: 3 of 3 trials, 0 failed" in done.stdout
    assert done.stdout.startswith("3 combinations, 2 to train on 2 ranks")
    assert runs.n_records(out) == 2
    first, second, third = runs.rows(out)
    assert first == third and first["id"] != second["id"]
    assert runs.status(out) == 0


def test_conditions_and_constraints_go_on_from_what_is_recorded(tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = runs.search(2, out, "--space", runs.space_file(tmp_path, SPACE))
    assert done.returncode == 0, done.stderr
    # Of two epochs' weight decays, the larger is not allowed.
    assert [
        (row["optimizer"], row["weight_decay"], row["config_epochs"]) for row in runs.rows(out)
    ] == [
        ("adam", "", "1"),
        ("adam", "", "2"),
        ("adamw", "0.01", "1"),
        ("adamw", "0.1", "1"),
        ("adamw", "0.01", "2"),
    ]
    again = runs.search(1, out, "--space", out)
    assert again.returncode == 0, again.stderr
    assert "nothing to train" in again.stdout and runs.n_records(out) == 5


def test_space_without_end_is_refused_by_all_ranks(tmp_path: Path) -> None:
    path = runs.space_file(tmp_path, "filters: 4\nlearning_rate: {min: 0.01, max: 0.1}\n")
    done = runs.search(2, tmp_path / "results", "--space", path)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {path}:2: learning_rate: expected a list of values or a step, or --sampler"
        " random; found a range without end\n"
    )
