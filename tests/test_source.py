"""A function's version changes with what it does, and with nothing else."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest

from hpo import source

_numbers = itertools.count()
CODE = '''
import math

RATE = 0.5
OTHER = 7

class Net:
    width = 3

    def answer(self, x):
        return scaled(x) * self.width

def scaled(x):
    return RATE * x

def unused():
    return OTHER

def train(config):
    """What it trains."""
    net = Net()
    # a remark
    return net.answer(config["x"]) + math.pi
'''


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def of(code: str) -> str:
        path = tmp_path / f"train{next(_numbers)}.py"
        path.write_text(code)
        spec = importlib.util.spec_from_file_location("train", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "train", module)  # where a class is looked for
        spec.loader.exec_module(module)
        return source.version(module.train)

    return of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    # a remark\n", ""),
        ("    # a remark\n", "\n\n    # another\n"),
        ("return RATE * x", "return  RATE*x  # times"),
        ("OTHER = 7", "OTHER = 8"),
        ("return OTHER", "return -OTHER"),
        ("def train(", "def elsewhere(): pass\n\ndef train("),
        ("def scaled(x):\n    return RATE * x\n", "def scaled(\n    x\n):\n    return RATE * x\n"),
    ],
)
def test_what_changes_nothing_does_not_count(version, before, after):
    assert before in CODE
    assert version(CODE.replace(before, after)) == version(CODE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RATE = 0.5", "RATE = 0.25"),
        ("return RATE * x", "return RATE / x"),
        ("width = 3", "width = 4"),
        ("+ math.pi", "- math.pi"),
        ('config["x"]', 'config["y"]'),
    ],
)
def test_what_the_function_uses_counts(version, before, after):
    assert before in CODE
    assert version(CODE.replace(before, after)) != version(CODE)


def test_what_calls_itself_has_an_end(version):
    assert version(
        "def even(n): return n == 0 or odd(n - 1)\n"
        "def odd(n): return n and even(n - 1)\n"
        "def train(n): return even(n)\n"
    )


def test_what_has_no_source_is_an_error():
    with pytest.raises((OSError, TypeError, AttributeError)):
        source.version(len)
