"""The same search on 1, 2, 4 … ranks: time, speed-up, efficiency, memory per rank: `make scaling`.

Table, JSON and a picture, bench-results/scaling.svg. Ranks beyond the cores are marked: they
share cores, and efficiency counts against the cores there are.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks import harness
from hpo.rundir import RunDir

# A part of the shipped grid: 64 combinations of 4 networks.
SAMPLE = {
    "filters": [16, 32],
    "dense_units": [64, 128],
    "batch_size": [64, 128],
    "learning_rate": [0.001, 0.01],
    "dropout": [0.2, 0.4],
    "validation_split": [0.1, 0.2],
}
LEAST_MOST_RANKS = 4  # also on smaller machines


@dataclass(frozen=True)
class Run:
    """What one search came to. `ranks` has what each rank says of itself in search.log."""

    total_s: float
    searching_s: float  # from the first trial's begin to the last one's end
    n_trials: int
    ranks: list[dict[str, Any]]

    @property
    def peak_gb(self) -> float:
        return max(rank["peak_gb"] for rank in self.ranks)

    def mean(self, name: str) -> float:
        return sum(rank[name] for rank in self.ranks) / len(self.ranks)


@dataclass(frozen=True)
class Point:
    """The medians of one number of ranks, and its speed-up against one rank."""

    n_ranks: int
    speed_up: float
    speed_up_without_start: float


def main() -> None:
    options = harness.arguments(
        __doc__, space=None, data=None, ranks=None, cores=harness.machine()["cores"], rounds=3
    )
    numbers = _numbers(options.ranks, options.cores)
    runs: dict[int, list[Run]] = {n: [] for n in numbers}

    def measure(n_ranks: int) -> float:
        runs[n_ranks].append(_run(n_ranks, options))
        return runs[n_ranks][-1].total_s

    harness.interleaved({f"{n} ranks": partial(measure, n) for n in numbers}, options.rounds)
    points = [_point(n, runs) for n in numbers]
    n_trials = runs[numbers[0]][0].n_trials
    title = (
        f"{n_trials} trials, {options.cores} cores, medians of {options.rounds} interleaved rounds"
    )
    harness.show(
        "scaling",
        title,
        [_row(point, runs[point.n_ranks], options.cores) for point in points],
        options=vars(options),
        runs={n: [asdict(run) for run in some] for n, some in runs.items()},
    )
    path = harness.OUT / "scaling.svg"
    path.write_text(picture(points, options.cores, title), encoding="utf-8")
    print(f"written to {path.relative_to(harness.ROOT)}")
    if numbers[-1] > options.cores:
        print(f"*: more ranks than the {options.cores} cores")


def _numbers(text: str | None, cores: int) -> list[int]:
    """Read the numbers of ranks; 1, which all others stand against, is always there."""
    if text is not None:
        return sorted({1, *map(int, text.split(","))})
    most = max(cores, LEAST_MOST_RANKS)
    return sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {cores})


# ---- one search


def _run(n_ranks: int, options: Any) -> Run:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space, out = options.space, folder / "results"
        if space is None:
            space = folder / "space.yaml"
            space.write_text(json.dumps(SAMPLE), encoding="utf-8")  # JSON is YAML
        words = ["--space", space, "--out", out, "--quiet"]
        words += ["--data", options.data] if options.data else []
        command = harness.mpirun(n_ranks, harness.ROOT / "rismpi.py", *words)
        _, total_s = harness.run(command)
        return _read(RunDir(out), n_ranks, total_s)


def _read(run: RunDir, n_ranks: int, total_s: float) -> Run:
    begun_s = min(path.stat().st_mtime for path in run.trials.glob("*/config.yaml"))
    journals = list(run.journal.glob("*.jsonl"))
    ended_s = max(path.stat().st_mtime for path in journals)
    return Run(
        total_s=total_s,
        searching_s=ended_s - begun_s,
        n_trials=sum(len(path.read_bytes().splitlines()) for path in journals),
        ranks=harness.ranks_told(run.log, n_ranks),
    )


# ---- what is shown


def _median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    return harness.median([of(run) for run in runs])


def _point(n_ranks: int, runs: dict[int, list[Run]]) -> Point:
    def speed_up(of: Callable[[Run], float]) -> float:
        return _median(runs[1], of) / _median(runs[n_ranks], of)

    return Point(n_ranks, speed_up(lambda r: r.total_s), speed_up(lambda r: r.searching_s))


def _row(point: Point, runs: Sequence[Run], cores: int) -> dict[str, Any]:
    busy = min(point.n_ranks, cores)
    return {
        "ranks": f"{point.n_ranks}{'*' if point.n_ranks > cores else ''}",
        "s": _median(runs, lambda r: r.total_s),
        "speed-up": point.speed_up,
        "efficiency": f"{point.speed_up / busy:.0%}",
        "s without start-up": _median(runs, lambda r: r.searching_s),
        "its speed-up": point.speed_up_without_start,
        "its efficiency": f"{point.speed_up_without_start / busy:.0%}",
        "compile s, mean": _median(runs, lambda r: r.mean("compile_s")),
        "wait s, mean": _median(runs, lambda r: r.mean("wait_s")),
        "peak GB per rank": _median(runs, lambda r: r.peak_gb),
    }


# ---- the picture

WIDTH, HEIGHT = 720, 480
LEFT, RIGHT, TOP, BOTTOM = 72, 172, 78, 64  # margins; lines are named at their right end
INK, GREY, LIGHT = "#222222", "#707070", "#e4e4e4"
TOTAL_COLOUR, SEARCH_COLOUR = "#c2571a", "#1f5fa8"
LABEL_GAP = 18
FONT = "font-family='Helvetica, Arial, sans-serif'"


def picture(points: Sequence[Point], cores: int, subtitle: str) -> str:
    """Draw speed-up against ranks, both doubling from mark to mark, with the ideal."""
    numbers = [point.n_ranks for point in points]
    low = min(0.0, *(math.log2(point.speed_up) for point in points))
    scale = _Scale(math.log2(max(2, *numbers)), min(0.0, math.floor(low)))
    lines = [
        ("without start-up", [p.speed_up_without_start for p in points], SEARCH_COLOUR),
        ("whole run", [p.speed_up for p in points], TOTAL_COLOUR),
    ]
    ideal = sorted({*numbers, *([cores] if cores < max(numbers) else [])})
    ideal_ends = (max(numbers), min(max(numbers), cores))
    labels = _apart(
        [(scale.y(ideal_ends[1]), f"ideal ({cores} cores)", GREY)]
        + [(scale.y(values[-1]), f"{name} {values[-1]:.2g}×", c) for name, values, c in lines]
    )
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}'"
        f" width='{WIDTH}' height='{HEIGHT}' {FONT} font-size='13' fill='{INK}'>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>",
        _text(LEFT, 32, "The same search on more ranks", "font-size='19' font-weight='bold'"),
        _text(LEFT, 54, subtitle, f"fill='{GREY}'"),
        *_axes(scale, numbers, cores),
        _path(scale, [(n, min(n, cores)) for n in ideal], GREY, "stroke-dasharray='6 5'"),
    ]
    for _, values, colour in lines:
        parts.append(_path(scale, list(zip(numbers, values, strict=True)), colour))
        parts += [_dot(scale, *at, colour, cores) for at in zip(numbers, values, strict=True)]
    parts += [_text(scale.right + 12, y + 4, name, f"fill='{c}'") for y, name, c in labels]
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Scale:
    """Where ranks and speed-ups lie; logarithms to base 2."""

    most: float
    least_y: float
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM

    def x(self, n_ranks: float) -> float:
        return LEFT + (self.right - LEFT) * math.log2(n_ranks) / self.most

    def y(self, speed_up: float) -> float:
        share = (math.log2(speed_up) - self.least_y) / (self.most - self.least_y)
        return self.bottom - (self.bottom - TOP) * share


def _axes(scale: _Scale, numbers: Sequence[int], cores: int) -> list[str]:
    parts = []
    if cores < max(numbers):  # ranks that share cores
        x = scale.x(cores)
        size = f"width='{scale.right - x:.1f}' height='{scale.bottom - TOP:.1f}'"
        parts.append(f"<rect x='{x:.1f}' y='{TOP}' {size} fill='#f6f3ee'/>")
        middle = (x + scale.right) / 2
        attributes = f"text-anchor='middle' font-size='12' fill='{GREY}'"
        parts.append(_text(middle, scale.bottom - 10, "more ranks than cores", attributes))
    for power in range(math.ceil(scale.least_y), math.floor(scale.most) + 1):
        y = scale.y(2.0**power)
        parts.append(_line(LEFT, y, scale.right, y, LIGHT if power else GREY))
        parts.append(_text(LEFT - 10, y + 4, f"{2.0**power:g}×", "text-anchor='end'"))
    for n in numbers:
        x = scale.x(n)
        parts.append(_line(x, scale.bottom, x, scale.bottom + 5, GREY))
        parts.append(_text(x, scale.bottom + 21, str(n), "text-anchor='middle'"))
    middle_x, middle_y = (LEFT + scale.right) / 2, (TOP + scale.bottom) / 2
    parts.append(_text(middle_x, HEIGHT - 18, "ranks", "text-anchor='middle'"))
    turned = f"text-anchor='middle' transform='rotate(-90 22 {middle_y:.1f})'"
    parts.append(_text(22, middle_y, "speed-up against one rank", turned))
    return parts


def _apart(labels: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Move labels down that would lie on the one above."""
    moved: list[tuple[float, str, str]] = []
    for y, name, colour in sorted(labels):
        lowest = moved[-1][0] + LABEL_GAP if moved else -math.inf
        moved.append((max(y, lowest), name, colour))
    return moved


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {attributes}>{escape(text)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    ends = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {ends} stroke='{colour}'/>"


def _path(
    scale: _Scale, places: Sequence[tuple[float, float]], colour: str, style: str = ""
) -> str:
    corners = " ".join(f"{scale.x(n):.1f},{scale.y(value):.1f}" for n, value in places)
    return (
        f"<polyline points='{corners}' fill='none' stroke='{colour}' stroke-width='2.2' {style}/>"
    )


def _dot(scale: _Scale, n_ranks: int, value: float, colour: str, cores: int) -> str:
    """Mark a measurement; hollow where ranks share cores."""
    fill = "white" if n_ranks > cores else colour
    place = f"cx='{scale.x(n_ranks):.1f}' cy='{scale.y(value):.1f}'"
    return f"<circle {place} r='4.5' fill='{fill}' stroke='{colour}' stroke-width='2'/>"


if __name__ == "__main__":
    main()
