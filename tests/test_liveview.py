"""The live view as text: narrow and wide, without colour, with thousands of ranks."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from hpo.liveview import View, n_shown
from hpo.snapshot import Best, Finished, Snapshot, Training
from hpo.trial import Status

NOW_S = 1_000_000.0
GOOD = {"filters": 32, "dense_units": 256, "batch_size": 64, "learning_rate": 0.01, "dropout": 0.3}


def training(rank: int, host: str = "node7") -> Training:
    settings = GOOD | {"filters": 8 + rank % 5}
    return Training(rank, host, settings, 1 + rank % 4, 4, NOW_S - 3 * rank, 900 + rank)


UNDER_WAY = Snapshot(
    132,
    2,
    5,
    324,
    2,
    2,
    left_s=76.0,
    elapsed_s=62.0,
    best=Best("d8ce12f05b4df19a", 0.98333, GOOD, GOOD),
    finished=(
        Finished(Status.DONE, 0.9722, 3.1, 1, GOOD),
        Finished(Status.FAILED, None, 0.2, 0, GOOD, "ValueError: no\x1b[2Jsuch thing"),
        Finished(Status.PRUNED, 0.5, 1.0, 1, GOOD),
        *[Finished(Status.DONE, 0.9 - n / 100, 2.0, 0, GOOD) for n in range(7)],
    ),
    training=(training(0), training(1, "node007.cluster")),
    peak_memory_mb=913,
    name="results",
)
LARGE = replace(UNDER_WAY, n_busy=1024, n_ranks=1024, training=[*map(training, range(40))])
BEGUN = Snapshot(0, 0, 0, 324, 0, 2, left_s=90.0, elapsed_s=0.4)
OVER = replace(UNDER_WAY, n_done=324, n_busy=0, left_s=None, training=())


def drawn(its: Snapshot, width: int, n_lines: int, encoding: str = "utf-8", **more: object) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=file, width=width, **more)  # type: ignore[arg-type]
    console.print(View(its, NOW_S, n_lines))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def test_view_of_many_sizes(golden: Callable[[str, str], None]) -> None:
    sizes = {
        "under way, 110×30": (UNDER_WAY, 110, 30),
        "under way, 72×24": (UNDER_WAY, 72, 24),
        "under way, 40×15": (UNDER_WAY, 40, 15),
        "under way, 40×6": (UNDER_WAY, 40, 6),
        "1,024 ranks, 90×20": (LARGE, 90, 20),
        "1,024 ranks, 40×8": (LARGE, 40, 8),
        "begun, 80×24": (BEGUN, 80, 24),
        "over, 80×24": (OVER, 80, 24),
    }
    texts = [f"{name}\n{drawn(*its)}" for name, its in sizes.items()]
    golden("liveview.txt", "\n".join(texts))


@pytest.mark.parametrize("n_lines", range(1, 40))
@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_view_is_never_larger_than_its_room(width: int, n_lines: int) -> None:
    for its in (UNDER_WAY, LARGE, BEGUN, OVER):
        lines = drawn(its, width, n_lines).splitlines()
        assert len(lines) <= n_lines
        assert all(len(line) <= width for line in lines)


def test_every_rank_is_shown_or_counted() -> None:
    for n_lines in range(8, 60):
        its = replace(LARGE, training=LARGE.training[: n_shown(n_lines)])
        lines = [line.split() for line in drawn(its, 100, n_lines).splitlines()]
        n = sum(words[:1] == ["rank"] for words in lines)
        more = [int(w[1].replace(",", "")) for w in lines if w[-2:] == ["more", "ranks"]]
        assert n + sum(more) == 1024 or (n, more) == (0, [])


def test_nothing_is_said_by_colour_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = drawn(UNDER_WAY, 110, 30)
    coloured = drawn(UNDER_WAY, 110, 30, force_terminal=True, color_system="standard")
    assert "\x1b[34m" in coloured  # blue
    monkeypatch.setenv("NO_COLOR", "1")
    without = drawn(UNDER_WAY, 110, 30, force_terminal=True, color_system="standard")
    assert not any(f"\x1b[{code}" in without for code in ("34", "33", "1;33"))
    assert "failed" in plain and "\x1b" not in plain


def test_terminal_that_has_ascii_only_gets_a_bar_of_it() -> None:
    bar = drawn(UNDER_WAY, 80, 20, encoding="ascii").splitlines()[1]
    assert bar.startswith("####") and "----" in bar
