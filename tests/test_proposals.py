"""Proposals on disk: whole lines count, whatever was torn."""

from __future__ import annotations

import pytest

from hpo.errors import InputError
from hpo.proposals import Proposals

CONFIG = {"filters": [8, 16], "learning_rate": 0.1 + 0.2, "model": "cnn"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "proposals" / "of_a_space.jsonl"


def test_without_a_file_nothing_was_proposed(path):
    assert Proposals(path).read() == []


def test_what_was_appended_is_read_in_order(path):
    for number in range(3):
        Proposals(path).append(CONFIG | {"epochs": number})
    assert Proposals(path).read() == [CONFIG | {"epochs": number} for number in range(3)]


@pytest.mark.parametrize("torn", [b'{"epochs": ', b'{"epochs": 2}'])
def test_a_torn_last_line_was_handed_to_nobody_and_is_cut_off(path, torn):
    Proposals(path).append(CONFIG)
    with path.open("ab") as file:
        file.write(torn)
    assert Proposals(path).read() == [CONFIG]
    Proposals(path).append({"epochs": 3})
    assert Proposals(path).read() == [CONFIG, {"epochs": 3}]


@pytest.mark.parametrize("broken", [b"{no", b"3", b"\xff"])
def test_a_broken_line_in_the_middle_is_named(path, broken):
    Proposals(path).append(CONFIG)
    path.write_bytes(path.read_bytes() + broken + b"\n{}\n")
    with pytest.raises(InputError) as refused:
        Proposals(path).read()
    assert str(refused.value) == f"{path}:2: expected a configuration, found {broken!r}"


def test_the_end_is_no_proposal(path):
    Proposals(path).append(CONFIG)
    assert not Proposals(path).is_over
    Proposals(path).end()
    assert Proposals(path).is_over
    assert Proposals(path).read() == [CONFIG]
