"""`hpo.figures`: a run in pictures, each a function that gives a matplotlib Figure.

The only module that imports matplotlib, by its objects alone: nothing here needs a display, or
changes what other code draws. Colours are those of Okabe and Ito, viridis and cividis, which the
colour-blind can tell apart; what is told by a colour is told by a marker or a line's style, too.
Names may hold `$`, which matplotlib takes for formulas.
"""

from __future__ import annotations

import base64
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hpo import findings, importance, mistakes
from hpo.errors import InputError
from hpo.findings import Findings
from hpo.progress import duration
from hpo.report import yaml_value
from hpo.trial import MINIMIZE, canonical

if TYPE_CHECKING:
    import pandas as pd

    from hpo.sidebyside import Side

PACKAGE = "matplotlib>=3.8,<4"
BLUE, ORANGE, GREEN, RED, PINK, SKY = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"),
)
MAX_HYPERPARAMETERS = 12  # in one picture, those that vary first
MAX_CURVES = 200  # more lines in one picture tell nothing
MAX_RANKS, MAX_STARTS = 64, 4  # of a timeline
MAX_LEVELS = 12  # values that stand beside each other; of more an axis is drawn
MAX_CELLS = 8  # of a heat map, to a side
MAX_PAIRS = 5
_LOG_RATIO = 50  # of the largest value to the smallest, from which an axis is logarithmic
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
_STATUS = {  # colour, marker, filled
    "done": (BLUE, "o", True),
    "pruned": (ORANGE, "^", False),
    "failed": (RED, "x", True),
}
Draws = TypeVar("Draws", bound=Callable[..., Any])


def check_installed() -> None:
    """Refuse to draw without matplotlib.

    Raises:
        InputError: with the command that installs it.
    """
    try:
        import matplotlib.figure  # noqa: F401  # half a second
    except ImportError as error:
        raise InputError(
            f"figures: expected matplotlib to be installed, found none; pip install '{PACKAGE}'"
        ) from error


def _styled(draw: Draws) -> Draws:
    """Draw in this module's style; refuse where there is no matplotlib."""

    @functools.wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Any:
        check_installed()
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled  # type: ignore[return-value]  # of the same signature


@_styled
def history(frame: pd.DataFrame) -> Any:
    """Draw all scores in the order in which trials ended, and the best so far."""
    its = _searched(frame)
    its = its.sort_values("ended", kind="stable", na_position="first")
    figure, axes = _figure(7.5, 4.2)
    scores, failed = _scores(its), its["status"].to_numpy() == "failed"
    numbers = np.arange(1, len(its) + 1)
    for status in ("done", "pruned"):
        chosen = its["status"].to_numpy() == status
        _points(axes, numbers[chosen], scores[chosen], status)
    _rug(axes, numbers[failed])
    best = _best_so_far(its, scores)
    if best.notna().any():
        axes.step(numbers, best, where="post", color="black", lw=1.6, label="best so far")
    _score_axis(axes, its, scores)
    axes.set(xlabel="trials, in the order in which they ended")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(_headline(its, scores))
    _legend(figure, axes)
    return figure


@_styled
def hyperparameters(frame: pd.DataFrame, names: Sequence[str] | None = None) -> Any:
    """Draw scores against each hyperparameter that varies, or against these."""
    its = _with_scores(frame)
    names = _names(its, names)
    n_columns = min(3, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    wide = 5.5 if n_columns == 1 else 3.2 * n_columns
    figure, grid = _figure(wide, 2.7 * n_rows + 0.6, n_rows, n_columns, sharey=True)
    for name, axes in zip(names, grid.flat, strict=False):
        _against(axes, its, name)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    _score_axis(grid.flat[0], its, _scores(its))
    for axes in grid[1:, 0]:
        axes.set_ylabel(_label(its.attrs["metric"]))
    figure.suptitle(
        f"{_label(its.attrs['metric'])} against each hyperparameter", x=0.02, ha="left"
    )
    _legend(figure, grid.flat[0])
    return figure


@_styled
def parallel(frame: pd.DataFrame) -> Any:
    """Draw each trial as a line through its hyperparameters to its score, the best one thick."""
    from matplotlib.collections import LineCollection

    its = _with_scores(frame)
    names = _names(its, None)
    scores = _scores(its)
    order = np.argsort(-_sign(its) * scores, kind="stable")  # the worst first, below the others
    scales = [_Scale(_values(its, name)) for name in names]
    last = _Scale(list(scores))
    places = np.array([*(scale.places for scale in scales), last.places], float).T
    figure, axes = _figure(max(6.0, 1.5 * len(names) + 2.5), 4.4)
    lines = [list(enumerate(row)) for row in places[order]]
    shown = LineCollection(
        lines, cmap="viridis", norm=_norm(its, scores), alpha=_alpha(len(lines), 0.6), lw=1.1
    )
    shown.set_array(scores[order])
    axes.add_collection(shown)
    winner = _winner(its, scores)
    if winner is not None:
        axes.plot(places[winner], color=RED, lw=2.6, marker="o", label="the best", zorder=4)
    for at, (name, scale) in enumerate(zip([*names, its.attrs["metric"]], [*scales, last])):  # noqa: B905
        axes.axvline(at, color="0.3", lw=0.8, zorder=3)
        for place, text in scale.marks():
            axes.annotate(
                *(_label(text), (at, place)),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.6, "lw": 0},
                zorder=5,
            )
        axes.text(at, 1.06, _label(name), ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-0.25, len(names) + 0.45), ylim=(-0.06, 1.06))
    axes.set_axis_off()
    bar = figure.colorbar(shown, ax=axes, pad=0.01, extend=_extend(its))
    bar.set_label(_label(its.attrs["metric"]))
    bar.solids.set_alpha(1)
    figure.suptitle(_headline(its, scores), x=0.02, ha="left")
    _legend(figure, axes)
    return figure


@_styled
def importances(frame: pd.DataFrame) -> Any:
    """Draw how much of what trials came to is due to which hyperparameter."""
    its, found, told = _importance(frame)
    pairs = [pair for pair in list(found.pairs.items())[:MAX_PAIRS] if pair[1] >= 0.005]
    bars = [*found.main.items(), *((" × ".join(names), share) for names, share in pairs)]
    figure, axes = _figure(7.0, 0.34 * len(bars) + 1.9)
    for at, (_, share) in enumerate(bars):
        is_pair = at >= len(found.main)
        axes.barh(
            *(at, share),
            color=SKY if is_pair else BLUE,
            hatch="//" if is_pair else None,
            edgecolor="white",
            height=0.72,
        )
        axes.annotate(
            *(f"{share:.0%}", (share, at)),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(bars)), [_label(name) for name, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, max(share for _, share in bars) * 1.12 or 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"share of the variance of {_label(its.attrs['metric'])}, {told}", fontsize=9)
    axes.set_title(f"Most depends on {_label(bars[0][0])}")
    figure.supxlabel(f"{found.method}; R² {found.fit:.2f} on trials not seen", fontsize=8)
    return figure


@_styled
def interaction(frame: pd.DataFrame, names: tuple[str, str] | None = None) -> Any:
    """Draw the median score for the values of two hyperparameters; default: the pair that counts.

    Raises:
        InputError: if fewer than two vary.
    """
    its = _with_scores(frame)
    if names is None:
        names = _pair(frame, its)
    scores = _scores(its)
    across, up = (_Cells(_values(its, name)) for name in names)
    table = np.full((len(up.labels), len(across.labels)), np.nan)
    for row, column in itertools.product(range(len(up.labels)), range(len(across.labels))):
        inside = scores[(up.codes == row) & (across.codes == column)]
        table[row, column] = np.median(inside) if len(inside) else np.nan
    figure, axes = _figure(max(4.5, 0.8 * len(across.labels) + 2.6), 0.55 * len(up.labels) + 2.2)
    axes.grid(visible=False)
    axes.set_facecolor("0.92")
    colours = "viridis_r" if its.attrs["goal"] == MINIMIZE else "viridis"
    shown = axes.imshow(table, cmap=colours, aspect="auto", origin="lower")
    _write_cells(axes, table, shown, lambda value: f"{value:.3g}")
    axes.set_xticks(range(len(across.labels)), across.labels, rotation=_turn(across.labels))
    axes.set_yticks(range(len(up.labels)), up.labels)
    axes.set(xlabel=_label(names[0]), ylabel=_label(names[1]))
    figure.colorbar(shown, ax=axes).set_label(f"median {_label(its.attrs['metric'])}")
    title = f"{_label(names[0])} and {_label(names[1])} together"
    figure.suptitle(title, x=0.02, ha="left")
    return figure


@_styled
def curves(frame: pd.DataFrame, metric: str | None = None) -> Any:
    """Draw a metric by epochs: of the best trials, and of an even sample of the others."""
    its = _searched(frame)
    metric = metric or str(its.attrs["metric"])
    its = its[[metric in told and len(told) > 0 for told in its["history"]]]
    if its.empty:
        raise InputError(f"curves: expected epochs with {metric}, found none")
    scores = _scores(its)
    order = np.argsort(_sign(its) * scores, kind="stable")
    half = MAX_CURVES // 2
    rest = order[half:]
    chosen = [*order[:half], *rest[:: max(1, math.ceil(len(rest) / half))]]
    figure, axes = _figure(7.5, 4.2)
    winner = _winner(its, scores)
    labelled: set[str] = set()
    alpha = _alpha(len(chosen), 0.7)
    values = [_numbers(its["history"].iloc[at][metric]) for at in chosen]
    for at, series in zip(chosen, values, strict=True):
        status = str(its["status"].iloc[at])
        colour, marker, _ = _STATUS[status]
        epochs = np.arange(1, len(series) + 1)
        label = None if status in labelled else status
        labelled.add(status)
        line = "-" if status == "done" else "--"
        marks: dict[str, Any] = {"markevery": [-1], "marker": marker, "ms": 5}
        few = len(series) == 1 or status != "done"
        axes.plot(
            *(epochs, series, line),
            **(marks if few else {}),
            color=colour,
            alpha=alpha,
            lw=1,
            label=label,
        )
    if winner is not None:
        series = _numbers(its["history"].iloc[winner][metric])
        axes.plot(
            *(np.arange(1, len(series) + 1), series),
            color="black",
            lw=2.2,
            marker="o",
            ms=4,
            label="the best",
        )
    everything = np.concatenate(values)
    if _is_wide(everything):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plainly)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epochs", ylabel=_label(metric))
    n_pruned = int((its["status"] == "pruned").sum())
    ended = f", {n_pruned:,} stopped early" if n_pruned else ""
    of = f"{len(chosen):,} of {len(its):,}" if len(chosen) < len(its) else f"{len(its):,}"
    axes.set_title(f"{_label(metric)} by epochs: {of} trial{'s' if len(its) > 1 else ''}{ended}")
    _legend(figure, axes)
    return figure


@_styled
def cost(frame: pd.DataFrame) -> Any:
    """Draw scores against seconds of training, and the trials that none beats in both."""
    its = _with_scores(frame)
    scores, seconds = _scores(its), its["seconds"].to_numpy(float)
    figure, axes = _figure(7.0, 4.2)
    for status in ("done", "pruned"):
        chosen = its["status"].to_numpy() == status
        _points(axes, seconds[chosen], scores[chosen], status)
    done = np.flatnonzero(its["status"].to_numpy() == "done")
    front = done[_front(seconds[done], _sign(its) * scores[done])]
    if len(front):
        axes.step(
            *(seconds[front], scores[front]),
            where="post",
            color="black",
            marker="s",
            ms=5,
            mfc="none",
            lw=1.4,
            label="none is better and cheaper",
        )
    if _is_wide(seconds):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_plainly)
    _score_axis(axes, its, scores)
    axes.set(xlabel="seconds of training")
    axes.set_title(f"{_label(its.attrs['metric'])} against its cost")
    _legend(figure, axes)
    return figure


@_styled
def timeline(run: str | Path | Findings) -> Any:
    """Draw which rank worked on trials when, for each of the last starts."""
    found = _found(run)
    starts = [its for its in found.occupancies if its.worked][-MAX_STARTS:]
    if not starts:
        raise InputError(f"timeline: expected trials with their times in {found.run}, found none")
    ranks = [sorted({result.rank for result in its.worked}) for its in starts]
    heights = [min(max(0.26 * len(its), 0.5), 6.0) for its in ranks]
    figure, grid = _figure(
        *(8.0, sum(heights) + 0.85 * len(starts) + 0.6, len(starts), 1),
        height_ratios=heights,
    )
    for its, known, axes in zip(starts, ranks, grid.flat, strict=True):
        place = {rank: at for at, rank in enumerate(known[:MAX_RANKS])}
        for status, (colour, _, _) in _STATUS.items():
            for rank, at in place.items():
                bars = [
                    (r.began_s - its.started.at_s, max(r.ended_s - r.began_s, 1e-3))
                    for r in its.worked
                    if r.rank == rank and r.status.value == status
                ]
                edge = "white" if len(its.worked) < 400 else "none"
                axes.broken_barh(
                    *(bars, (at - 0.4, 0.8)),
                    facecolor=colour,
                    edgecolor=edge,
                    linewidth=0.4,
                    hatch={"pruned": "///", "failed": "xx"}.get(status),
                )
        labels = [f"rank {rank}" for rank in place] if len(place) <= 32 else []
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlim=(0, max(its.wall_s, 1e-3)), ylim=(len(place) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        n = its.started.n_ranks
        axes.set_title(
            f"{n:,} rank{'s' if n > 1 else ''} from {its.started.host} for {duration(its.wall_s)}:"
            f" at work {its.efficiency:.0%} of the time",
            fontsize=10,
        )
    grid.flat[-1].set_xlabel("seconds since the start")
    _legend_of_statuses(figure, {r.status.value for its in starts for r in its.worked})
    return figure


@_styled
def confusion(run: str | Path | Findings) -> Any:
    """Draw what the best model answers for each label."""
    told = _mistakes(run, "confusion")
    counts = np.array(told["confusion"], float)
    n = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(0.46 * n + 1.6, 3.6), 9.0)
    figure, axes = _figure(side + 1.0, side)
    axes.grid(visible=False)
    shown = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    if n <= 20:
        _write_cells(axes, shares, shown, lambda value: "", counts)
        axes.set_xticks(range(n))
        axes.set_yticks(range(n))
    axes.set(xlabel="answer", ylabel="label")
    bar = figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label("share of the label's images")
    right, all_of_them = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right:,} of {all_of_them:,} right ({right / max(all_of_them, 1):.1%})")
    return figure


@_styled
def worst_mistakes(run: str | Path | Findings) -> Any:
    """Draw the images that the best model was surest of and wrong."""
    told = _mistakes(run, "mistakes")
    if not told["mistakes"]:
        raise InputError("worst_mistakes: expected a wrong answer, found that all were right")
    n_columns = min(8, max(len(told["mistakes"]), 3))
    n_rows = math.ceil(len(told["mistakes"]) / n_columns)
    figure, grid = _figure(1.15 * n_columns, 1.5 * n_rows + 0.5, n_rows, n_columns)
    for axes in grid.flat:
        axes.set_axis_off()
    for its, axes in zip(told["mistakes"], grid.flat, strict=False):
        pixels = np.frombuffer(base64.b64decode(its["image"]), np.uint8)
        axes.imshow(pixels.reshape(told["side"], -1), cmap="gray_r", vmin=0)
        axes.set_title(
            f"{its['label']}, not {its['answer']}\n{its['probability']:.0%} sure",
            fontsize=8,
            loc="center",
        )
    figure.suptitle("Wrong, and surest of it: label, not the answer", x=0.02, ha="left")
    return figure


@_styled
def comparison(sides: Sequence[Side]) -> Any:
    """Draw runs against each other: the best score by its cost, and what they took."""
    layout = [["wall"] * 3 + ["cores"] * 3, ["a", "a", "b", "b", "c", "c"]]
    figure, _ = _figure(9.5, 5.2 + 0.28 * len(sides), 0)
    parts = figure.subplot_mosaic(layout, height_ratios=[2.2, 0.5 + 0.25 * len(sides)])
    names = [_label(_shortened(its.name)) for its in sides]
    colours = list(itertools.islice(itertools.cycle(_SERIES), len(sides)))
    if len({(its.metric, its.goal) for its in sides}) == 1:
        for its, name, (colour, line, marker, _) in zip(sides, names, colours, strict=True):
            told = its.progress
            every = max(1, len(told.best) // 8)
            style = {"color": colour, "ls": line, "marker": marker, "markevery": every, "ms": 5}
            for part, costs, end in (
                ("wall", told.wall_s, its.wall_s),
                ("cores", told.core_hours, its.core_hours),
            ):
                until = [*told.best, *told.best[-1:]]
                at = [*costs, *([end] if told.best else [])]
                parts[part].step(at, until, where="post", label=name, **style)
        for part in ("wall", "cores"):
            best = [score for its in sides for score in its.progress.best]
            _zoom(parts[part], best, sides[0].goal)
            parts[part].set_ylabel(f"best {_label(sides[0].metric)}")
    else:
        for part in ("wall", "cores"):
            words = "the metrics differ:\nbest scores are not to be compared"
            parts[part].text(0.5, 0.5, words, ha="center", transform=parts[part].transAxes)
            parts[part].set_yticks([])
    parts["wall"].set(xlabel="seconds of wall time")
    parts["cores"].set(xlabel="core-hours")
    _bars(parts["a"], names, [its.wall_s for its in sides], colours, "wall time", duration)
    _bars(
        *(parts["b"], names, [its.core_hours for its in sides], colours, "core-hours"),
        lambda value: f"{value:.3g}",
    )
    busy = [its.busy_share or 0.0 for its in sides]
    _bars(parts["c"], names, busy, colours, "ranks busy", lambda value: f"{value:.0%}")
    for part in ("b", "c"):
        parts[part].set_yticks([])
    for part, title in (("wall", "Best score by wall time"), ("cores", "and by core-hours")):
        parts[part].set_title(title)
    _legend(figure, parts["wall"])
    return figure


_SERIES = [
    (colour, line, marker, hatch)
    for (colour, line), marker, hatch in zip(
        [(BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"), (PINK, "-"), ("black", "--")],
        "os^Dv*",
        [None, "//", "xx", "..", "\\\\", "++"],
        strict=True,
    )
]


class _Scale:
    """A hyperparameter's values as places from 0 to 1, and the marks of its axis."""

    def __init__(self, values: Sequence[object]) -> None:
        self._labels: list[str] = []
        if _is_axis(values):
            numbers = _numbers(values)
            self._is_log = _is_log(numbers)
            known = numbers[np.isfinite(numbers)]
            self._low, self._high = float(known.min()), float(known.max())
            self._distinct = sorted(set(known.tolist()))
            self.places = np.array([self._place(value) for value in numbers])
        else:
            self._labels, codes = _levels(values)
            self._n = max(len(self._labels) - 1, 1)
            self.places = codes / self._n if len(self._labels) > 1 else np.full(len(values), 0.5)

    def _place(self, value: float) -> float:
        if self._low == self._high:
            return 0.5
        if self._is_log:
            low, high = math.log(self._low), math.log(self._high)
            return (math.log(value) - low) / (high - low)
        return (value - self._low) / (self._high - self._low)

    def marks(self) -> list[tuple[float, str]]:
        if self._labels:
            shown = self._labels[:: math.ceil(len(self._labels) / MAX_LEVELS)]
            if len(self._labels) == 1:
                return [(0.5, shown[0])]
            return [(self._labels.index(text) / self._n, text) for text in shown]
        if len(self._distinct) <= MAX_CELLS:
            return [(self._place(value), f"{value:.4g}") for value in self._distinct]
        shares = np.linspace(0, 1, 5)
        if self._is_log:
            marks = np.exp(np.log(self._low) + shares * np.log(self._high / self._low))
        else:
            marks = self._low + shares * (self._high - self._low)
        return [(float(s), f"{v:.3g}") for s, v in zip(shares, marks, strict=True)]


class _Cells:
    """A hyperparameter's values as rows or columns of a heat map: each one's, or parts of many."""

    def __init__(self, values: Sequence[object]) -> None:
        labels, codes = _levels(values)
        self.labels, self.codes = [_label(text) for text in labels], codes
        if len(labels) <= MAX_CELLS or not _is_axis(values):
            return
        numbers = _numbers(values)
        edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, MAX_CELLS + 1)))
        self.codes = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
        self.labels = [f"{low:.2g} – {high:.2g}" for low, high in itertools.pairwise(edges)]


def _figure(
    width_in: float, height_in: float, n_rows: int = 1, n_columns: int = 1, **more: Any
) -> tuple[Any, Any]:
    """Give a figure and its axes, an array of them where there may be several."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    if n_rows == 0:
        return figure, None
    is_grid = bool(more) or (n_rows, n_columns) != (1, 1)
    return figure, figure.subplots(n_rows, n_columns, squeeze=not is_grid, **more)


def _found(run: str | Path | Findings) -> Findings:
    return run if isinstance(run, Findings) else findings.read(run)


def _mistakes(run: str | Path | Findings, wanted: str) -> Mapping[str, Any]:
    found = _found(run)
    kept = found.standing.kept
    told = None if kept is None else mistakes.read(found.run, kept.id)
    if told is None or wanted not in told:
        why = "found none" if told is None else str(told.get("reason", "found none"))
        raise InputError(f"{wanted}: expected what the winner gets wrong, {why}")
    return told


def _searched(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the trials of the present space.

    Raises:
        InputError: if there are none, or this is no table of `hpo.load`.
    """
    if not {"metric", "goal", "hyperparameters"} <= frame.attrs.keys():
        raise InputError("figures: expected a table of hpo.load, found another")
    its = frame[frame["in_space"].astype(bool)]
    if its.empty:
        raise InputError("figures: expected a finished trial, found none")
    return its


def _with_scores(frame: pd.DataFrame) -> pd.DataFrame:
    its = _searched(frame)
    its = its[np.isfinite(_scores(its)) & (its["status"] != "failed")]
    if its.empty:
        raise InputError("figures: expected a trial with a score, found that all have failed")
    return its


def _scores(its: pd.DataFrame) -> np.ndarray:
    scores: np.ndarray = its["score"].to_numpy(float)
    return scores


def _numbers(values: Any) -> np.ndarray:
    return np.array([math.nan if its is None else its for its in values], float)


def _sign(its: pd.DataFrame) -> int:
    """Times a score, the smallest is the best."""
    return 1 if its.attrs["goal"] == MINIMIZE else -1


def _winner(its: pd.DataFrame, scores: np.ndarray) -> int | None:
    """Find the best of those that were trained to their end."""
    able = (its["status"].to_numpy() == "done") & np.isfinite(scores)
    if not able.any():
        return None
    return int(np.argmin(np.where(able, _sign(its) * scores, math.inf)))


def _best_so_far(its: pd.DataFrame, scores: np.ndarray) -> pd.Series:
    done = its["score"].astype(float).where(its["status"] == "done")
    best = done.cummin() if its.attrs["goal"] == MINIMIZE else done.cummax()
    return best.ffill()


def _headline(its: pd.DataFrame, scores: np.ndarray) -> str:
    at, n = _winner(its, scores), len(its)
    metric = _label(its.attrs["metric"])
    of = f"{n:,} trial{'s' if n > 1 else ''}"
    if at is None:
        return f"No {metric} yet, {of}"
    return f"The best {metric} of {of}: {scores[at]:.4g}"


def _values(its: pd.DataFrame, name: str) -> list[object]:
    """Give a column's values; None where a trial has none."""
    if name not in its.columns:
        known = ", ".join(its.attrs["hyperparameters"])
        raise InputError(f"figures: expected one of {known}, found {name!r}")
    return [None if isinstance(v, float) and math.isnan(v) else v for v in its[name].tolist()]


def _names(its: pd.DataFrame, names: Sequence[str] | None) -> list[str]:
    """Give the hyperparameters that vary, or those that are asked for; at least one."""
    if names is not None:
        return list(names)
    known = list(its.attrs["hyperparameters"])
    varied = [name for name in known if len(set(map(canonical, _values(its, name)))) > 1]
    return (varied or known)[:MAX_HYPERPARAMETERS]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_axis(values: Sequence[object]) -> bool:
    """Tell numbers from categories; a few of which some are missing are categories, too."""
    known = [value for value in values if value is not None]
    if not known or not all(map(_is_number, known)):
        return False
    return len(known) == len(values) or len(set(map(canonical, known))) > MAX_LEVELS


def _levels(values: Sequence[object]) -> tuple[list[str], np.ndarray]:
    """Give what distinct values are called, in order, and which of them each value is."""
    of_key = {canonical(value): value for value in values}
    order = sorted(of_key, key=lambda key: _before(of_key[key]))
    place = {key: at for at, key in enumerate(order)}
    return [_word(of_key[key]) for key in order], np.array([place[canonical(v)] for v in values])


def _before(value: object) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    return (1, float(str(value)), "") if _is_number(value) else (2, 0.0, canonical(value))


def _word(value: object) -> str:
    if value is None:
        return "none"
    text = f"{value:.4g}" if isinstance(value, float) else yaml_value(value)
    return text if len(text) <= 18 else text[:17] + "…"


def _label(text: object) -> str:
    return str(text).replace("$", r"\$")


def _shortened(path: str) -> str:
    return path if len(path) <= 24 else "…" + path[-23:]


def _is_log(numbers: np.ndarray) -> bool:
    """Tell whether numbers are spread over decades, or are powers."""
    known = np.unique(numbers[np.isfinite(numbers)])
    if len(known) < 2 or known[0] <= 0:
        return False
    ratios = known[1:] / known[:-1]
    is_power = len(known) > 2 and bool(np.allclose(ratios, ratios[0], rtol=0.05))
    return is_power or _is_wide(known)


def _is_wide(numbers: np.ndarray) -> bool:
    known = numbers[np.isfinite(numbers)]
    return bool(len(known) and known.min() > 0 and known.max() / known.min() >= _LOG_RATIO)


def _plainly(value: float, _: int) -> str:
    return f"{value:g}"


def _alpha(n: int, most: float = 0.85) -> float:
    return float(np.clip(40 / math.sqrt(max(n, 1)) / 10, 0.08, most))


def _size(n: int) -> float:
    return float(np.clip(2500 / max(n, 1), 7, 34))


def _points(axes: Any, x: np.ndarray, y: np.ndarray, status: str) -> None:
    if not len(x):
        return
    colour, marker, is_filled = _STATUS[status]
    colours = {"color": colour} if is_filled else {"facecolors": "none", "edgecolors": colour}
    n = len(x)
    axes.scatter(
        *(x, y, _size(n)),
        **colours,
        marker=marker,
        alpha=min(1.0, _alpha(n) * 1.6),
        lw=1.0,
        label=f"{status} ({n:,})",
    )


def _rug(axes: Any, x: np.ndarray) -> None:
    """Mark failed trials, which have no score, at the lower edge."""
    if len(x):
        colour, marker, _ = _STATUS["failed"]
        axes.plot(
            *(x, np.full(len(x), 0.02)),
            ls="",
            marker=marker,
            color=colour,
            ms=5,
            transform=axes.get_xaxis_transform(),
            label=f"failed ({len(x):,})",
            clip_on=False,
        )


def _score_axis(axes: Any, its: pd.DataFrame, scores: np.ndarray) -> None:
    if its.attrs["goal"] == MINIMIZE and _is_wide(scores):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plainly)
    axes.set_ylabel(_label(its.attrs["metric"]))


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(handles), 4))


def _legend_of_statuses(figure: Any, statuses: set[str]) -> None:
    from matplotlib.patches import Patch

    hatches = {"pruned": "///", "failed": "xx"}
    handles = [
        Patch(facecolor=_STATUS[its][0], hatch=hatches.get(its), edgecolor="white", label=its)
        for its in _STATUS
        if its in statuses
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _against(axes: Any, its: pd.DataFrame, name: str) -> None:
    values, scores = _values(its, name), _scores(its)
    spread = np.random.default_rng(0).uniform(-1, 1, len(values))  # so that equal ones are seen
    labels, codes = _levels(values)
    is_axis, is_few = _is_axis(values), len(labels) <= MAX_LEVELS
    if is_axis:
        places = _numbers(values)
        known = np.unique(places[np.isfinite(places)])
        if _is_log(places):
            axes.set_xscale("log")
            axes.minorticks_off()
            decades = math.log10(known[-1] / known[0])
            places = places * 10 ** (spread * 0.02 * decades) if is_few else places
        elif is_few:
            places = places + spread * 0.02 * (known[-1] - known[0])
        axes.xaxis.set_major_formatter(_plainly)
        if is_few:
            axes.set_xticks(known, [f"{v:.4g}" for v in known], rotation=_turn(map(str, known)))
    else:
        known = np.arange(len(labels), dtype=float)
        places = codes + spread * 0.18
        shown = known.astype(int)[:: math.ceil(len(known) / MAX_LEVELS)]
        words = [_label(labels[at]) for at in shown]
        axes.set_xticks(shown, words, rotation=_turn(words))
        axes.set_xlim(-0.5, len(known) - 0.5)
    for status in ("done", "pruned"):
        chosen = its["status"].to_numpy() == status
        _points(axes, places[chosen], scores[chosen], status)
    if is_few and len(labels) < len(values):
        axes.plot(
            *(known, [np.median(scores[codes == at]) for at in range(len(labels))]),
            ls="",
            marker="_",
            color="black",
            ms=16,
            mew=2.4,
            label="median",
        )
    winner = _winner(its, scores)
    if winner is not None:
        axes.plot(
            *(places[winner], scores[winner]),
            ls="",
            marker="*",
            color=RED,
            mec="white",
            ms=14,
            label="the best",
        )
    axes.set_xlabel(_label(name))


def _turn(labels: Any) -> int:
    """Turn long labels, so that they do not overlap."""
    its = list(labels)
    return 30 if sum(map(len, its)) > 34 or max(map(len, its), default=0) > 9 else 0


def _norm(its: pd.DataFrame, scores: np.ndarray) -> Any:
    """Spread colours over the better scores: the worst tenth shares one."""
    from matplotlib.colors import Normalize

    if its.attrs["goal"] == MINIMIZE:
        low, high = float(scores.min()), float(np.quantile(scores, 0.9))
    else:
        low, high = float(np.quantile(scores, 0.1)), float(scores.max())
    return Normalize(low, high if high > low else low + 1e-9)


def _extend(its: pd.DataFrame) -> str:
    return "max" if its.attrs["goal"] == MINIMIZE else "min"


def _importance(frame: pd.DataFrame) -> tuple[pd.DataFrame, Any, str]:
    """Find what scores depend on: those of whole trials, or where most were stopped at one epoch.

    Raises:
        InputError: if there is too little to say.
    """
    its = _with_scores(frame)
    names = list(its.attrs["hyperparameters"])
    done = its[its["status"] == "done"]
    told, scores = f"{len(done):,} trials trained to their end", _scores(done)
    if len(its) > 2 * len(done):
        epoch = int(its["epochs"].min())
        metric = its.attrs["metric"]
        known = its[[metric in table and len(table) >= epoch for table in its["history"]]]
        best = min if its.attrs["goal"] == MINIMIZE else max
        early = [best(_numbers(table[metric])[:epoch]) for table in known["history"]]
        done, scores = known, np.array(early)
        after = f"epoch {epoch}" if epoch > 1 else "the first epoch"
        told = f"{len(done):,} trials after {after}"
    configs = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*(_values(done, name) for name in names), strict=True)
    ]
    found = importance.of(configs, list(map(float, scores)))
    if found is None or not found.main:
        raise InputError(
            f"importances: expected {importance.MIN_TRIALS} trials or more with different scores,"
            f" and {importance.MIN_TRIALS_EACH} for each hyperparameter, found {len(done)}"
        )
    return its, found, told


def _pair(frame: pd.DataFrame, its: pd.DataFrame) -> tuple[str, str]:
    """Choose two hyperparameters: the most important ones, or the first that vary."""
    names = _names(its, None)
    if len(names) < 2:
        raise InputError("interaction: expected two hyperparameters that vary, found fewer")
    try:
        main = list(_importance(frame)[1].main)
    except InputError:
        return names[0], names[1]
    return main[0], (main + names)[1]


def _front(costs: np.ndarray, merits: np.ndarray) -> np.ndarray:
    """Find those that none beats in both, by their costs; the smaller is the better of each."""
    order = np.lexsort((merits, costs))
    found, best = [], math.inf
    for at in order:
        if merits[at] < best:
            found.append(at)
            best = merits[at]
    return np.array(found, int)


def _write_cells(
    axes: Any,
    table: np.ndarray,
    shown: Any,
    word: Callable[[float], str],
    counts: np.ndarray | None = None,
) -> None:
    """Write numbers into a heat map's cells, dark on light ones and light on dark ones."""
    for (row, column), value in np.ndenumerate(table):
        if not math.isfinite(value) or (counts is not None and not counts[row, column]):
            continue
        red, green, blue, _ = shown.cmap(shown.norm(value))
        is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        text = word(value) if counts is None else f"{int(counts[row, column])}"
        axes.text(
            *(column, row, text),
            ha="center",
            va="center",
            fontsize=8,
            color="black" if is_light else "white",
        )


def _zoom(axes: Any, best: Sequence[float], goal: str) -> None:
    """Show where best scores end, not how bad the first ones were."""
    if len(best) < 2:
        return
    numbers = np.array(best)
    if goal == MINIMIZE and _is_wide(numbers):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plainly)


def _bars(
    axes: Any,
    names: Sequence[str],
    values: Sequence[float],
    colours: Sequence[tuple[str, str, str, str | None]],
    title: str,
    word: Callable[[float], str],
) -> None:
    for at, (value, (colour, _, _, hatch)) in enumerate(zip(values, colours, strict=True)):
        axes.barh(at, value, color=colour, hatch=hatch, edgecolor="white", height=0.7)
        axes.annotate(
            *(word(value), (value, at)),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values, default=0) * 1.4 or 1)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.set_title(title)
