"""What rank 0 shows while it searches: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading

import pytest

from hpo import progress
from hpo.progress import Progress, duration
from hpo.trial import Result, Status


def result(score: float | None, **config: object) -> Result:
    status = Status.FAILED if score is None else Status.DONE
    return Result(str(config), config, status, score=score, val_loss=1.0)


def shown(n_total: int = 4) -> Progress:
    return Progress(n_total, 2, varied={"dropout"}, load=lambda: (150.0, 2))


def test_line_tells_how_far_how_long_and_the_best_with_what_varies():
    line = shown()
    for score in (0.5, 0.75, None):
        line.count(result(score, filters=8, dropout=score))
    assert line.line() == (
        "3/4 · 1 failed · 1 min 15 s left · 2/2 ranks busy · best 0.7500 (dropout 0.75)"
    )


def test_line_of_a_finished_search_has_nothing_left():
    line = shown(n_total=1)
    line.count(result(0.5, dropout=0.1))
    assert line.line() == "1/1 · 0 failed · best 0.5000 (dropout 0.1)"


@pytest.mark.parametrize("quiet", [False, True])
def test_without_a_terminal_a_plain_line_comes_every_so_often(monkeypatch, capsys, quiet):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", 0.001)
    looked = threading.Event()

    def load() -> tuple[float, int]:
        looked.set()
        return 150.0, 2

    with Progress(4, 2, varied=(), load=load, quiet=quiet):
        assert looked.wait(timeout=0.1 if quiet else 60) is not quiet
    lines = capsys.readouterr().out.splitlines()
    assert bool(lines) is not quiet
    assert all(
        line.endswith(" 0/4 · 0 failed · 1 min 15 s left · 2/2 ranks busy") for line in lines
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (180_000, "2 d 2 h")],
)
def test_duration_has_the_two_largest_units(seconds, text):
    assert duration(seconds) == text
