"""A params.yaml of DVC or Hydra: dotted names, one value each, which --set varies."""

from __future__ import annotations

import pytest

from hpo import spacefile
from hpo.errors import InputError

PARAMS = """\
defaults: [_self_, {db: mysql}]
seed: 1
train:
  lr: 0.01
  layers: [16, 32]
  optimizer: {name: adam}
"""


def test_names_that_are_the_same_when_dotted_are_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a.b: 1\na: {b: 2}\n")
    with pytest.raises(InputError) as refused:
        spacefile.read(str(path))
    assert str(refused.value) == f"{path}:2: a.b: expected it once, found it in {path}:1 too"


def test_params_are_one_combination_that_set_varies(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    written = spacefile.read(str(path))
    first = {"seed": 1, "train.lr": 0.01, "train.layers": [16, 32], "train.optimizer.name": "adam"}
    assert list(written.grid({}, {})) == [first]
    assert written.places["train.optimizer.name"] == f"{path}:6"
    varied = spacefile.with_set(written, ["train.lr=1,2,4"])
    assert list(varied.grid({}, {})) == [first | {"train.lr": lr} for lr in (1, 2, 4)]
