"""Job specifications: lists are multiplied, LIST keys are alternatives, texts may be computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo import spacefile
from hpo.errors import InputError
from hpo.written import Written


def read(path: Path, text: str) -> Written:
    path.write_text(text)
    return spacefile.read(str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parameters: 3\n", ":1: parameters: expected `name: [value, …]` lines, found 3"),
        ("parameters: {}\n", ":1: parameters: expected `name: [value, …]` lines, found {}"),
        (
            "parameters:\n  a: [1]\n  b: 'open(1)'\n",
            ":3: b: expected one of float, int, range, round, abs, len, max, min, sum, np.arange,"
            " np.linspace, np.logspace, np.geomspace, found open",
        ),
        (
            "parameters:\n  b: '9**9**9'\n",
            ":2: b: expected powers of at most 1024 bits, found larger ones",
        ),
        (
            "parameters:\n  b: '().__class__'\n",
            ":2: b: expected no Attribute in it, found ().__class__",
        ),
        ("parameters:\n  b: '[]'\n", ":2: b: expected at least one value, found an empty list"),
        (
            "parameters:\n  LIST_a: {b: 1}\n",
            ":2: LIST_a: expected a list of alternatives, each with parameters of its own,"
            " found {'b': 1}",
        ),
        (
            "parameters:\n  a: 1\n  LIST_b:\n  - c: 1\n  - a: 2\n",
            ":5: a: expected it once in a combination, found it in PATH:2 too",
        ),
        (
            "parameters:\n"
            + "".join(
                f"  LIST_{k}: [{', '.join(f'{{{k}: {n}}}' for n in range(30))}]\n" for k in "abc"
            ),
            ":1: parameters: expected at most 10,000 alternatives in all LIST keys, found more",
        ),
    ],
)
def test_specification_that_is_wrong_is_refused_with_its_line(tmp_path, text, expected):
    path = tmp_path / "job.yaml"
    with pytest.raises(InputError) as refused:
        read(path, text)
    assert str(refused.value) == f"{path}{expected.replace('PATH', str(path))}"


def test_specification_is_expanded(tmp_path):
    text = """\
    command: python train.py
    parameters:
      lr: '[float(x) for x in 2.0 ** np.arange(-2, 0)]'
      name: shift-rotate-zoom
      LIST_model:
        - {model: linear}
        - model: cnn
          filters: [8, '2**4']
          LIST_depth: [{blocks: 1}, {conv_layers: 3, blocks: 2}]
    """
    written = read(tmp_path / "job.yaml", text)
    always = {"name": "shift-rotate-zoom"}
    cnns = [{"blocks": 1}, {"conv_layers": 3, "blocks": 2}]
    assert list(written.grid({}, {})) == [
        *({"lr": lr} | always | {"model": "linear"} for lr in (0.25, 0.5)),
        *(
            {"lr": lr} | always | {"model": "cnn", "filters": filters} | cnn
            for cnn in cnns
            for lr in (0.25, 0.5)
            for filters in (8, 16)
        ),
    ]


def test_two_list_keys_are_multiplied(tmp_path):
    text = "parameters: {LIST1: [{a: 1}, {a: 2}], LIST2: [{b: 1}, {c: 1}]}\n"
    assert list(read(tmp_path / "job.yaml", text).grid({}, {})) == [
        {"a": 1, "b": 1},
        {"a": 1, "c": 1},
        {"a": 2, "b": 1},
        {"a": 2, "c": 1},
    ]
