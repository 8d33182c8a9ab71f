"""`hpo.figures`: a run in pictures, each a function that gives a matplotlib Figure.

Those of trials take a table of `hpo.load`, or a part of one; the others a run directory. Each
raises `InputError` where there is nothing to draw.
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo import bestmodel, canvas, findings, scored
from hpo.canvas import BLUE, RED, SKY, STATUS, Look, drawn
from hpo.duration import duration
from hpo.errors import InputError
from hpo.findings import Findings
from hpo.occupancy import Occupancy
from hpo.scored import label, name_label
from hpo.trial import MINIMIZE

if TYPE_CHECKING:
    import pandas as pd

    from hpo.sidebyside import Side

MAX_CURVES = 200  # more lines in one picture tell nothing
MAX_RANKS, MAX_STARTS = 64, 4  # of a timeline
_MAX_NAMED = 32  # ranks
_MAX_EDGES = 400  # trials between which a line is drawn
_MAX_PAIRS = 5
_LEAST_SHARE = 0.005  # of a pair that is shown
_MAX_CLASSES = 20  # whose numbers are written
_LONGEST_RUN = 24
_LONGEST_EVEN = 14  # name, for all to stand in one line


@drawn
def history(frame: pd.DataFrame) -> Any:
    """Draw all scores in the order in which trials ended, and the best so far."""
    its = scored.searched(frame)
    its = its.sort_values("ended", kind="stable", na_position="first")
    figure = canvas.figure(7.5, 4.2)
    axes = figure.subplots()
    scores, numbers = scored.scores(its), np.arange(1, len(its) + 1)
    for status in ("done", "pruned"):
        chosen = scored.has_status(its, status)
        canvas.points(axes, numbers[chosen], scores[chosen], status)
    canvas.rug(axes, numbers[scored.has_status(its, "failed")])
    best = scored.best_so_far(its)
    if best.notna().any():
        axes.step(numbers, best, where="post", color="black", lw=1.6, label="best so far")
    _score_axis(axes, its)
    canvas.count_axis(axes.xaxis, len(its))
    axes.set_xlabel("trials, in the order in which they ended")
    axes.set_title(scored.headline(its))
    canvas.legend(figure, axes)
    return figure


@drawn
def hyperparameters(frame: pd.DataFrame, names: Sequence[str] | None = None) -> Any:
    """Draw scores against each hyperparameter that varies, or against these."""
    its = scored.with_scores(frame)
    names = scored.varied(its) if names is None else list(names)
    n_columns = min(3, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    figure = canvas.figure(5.5 if n_columns == 1 else 3.2 * n_columns, 2.7 * n_rows + 0.7)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    for name, axes in zip(names, grid.flat, strict=False):
        _against(axes, its, name)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        _score_axis(axes, its)
    canvas.title(figure, f"{scored.metric(its)} against each hyperparameter")
    canvas.legend(figure, *grid.flat)
    return figure


@drawn
def parallel(frame: pd.DataFrame) -> Any:
    """Draw each trial as a line through its hyperparameters to its score, the best one thick."""
    its = scored.with_scores(frame)
    names, scores = scored.varied(its), scored.scores(its)
    scales = [scored.Scale(scored.values(its, name)) for name in names]
    scales.append(scored.Scale(list(scores)))
    places = np.array([scale.places for scale in scales], float).T
    order = np.argsort(-scored.merits(its), kind="stable")  # the worst first, below the others
    figure = canvas.figure(max(6.5, 1.6 * len(scales) + 1.6), 4.4)
    axes = figure.subplots()
    # The worst tenth shares a colour, so that the better ones can be told apart.
    ends = {"high": 0.9} if scored.is_minimized(its) else {"low": 0.1}
    style = {"norm": canvas.shades(scores, **ends), "alpha": canvas.alpha(len(its), 0.7)}
    shown = canvas.lines(places[order], cmap=_dark_is_good(its), lw=1.1, **style)
    shown.set_array(scores[order])
    axes.add_collection(shown)
    winner = scored.winner(its)
    if winner is not None:
        axes.plot(places[winner], color=RED, lw=2.6, marker="o", label="the best", zorder=4)
    titles = [*names, str(its.attrs["metric"])]
    is_even = max(map(len, titles)) <= _LONGEST_EVEN
    for at, (name, scale) in enumerate(zip(titles, scales, strict=True)):
        _upright(axes, at, name, scale, is_even=is_even)
    axes.set(xlim=(-0.5, len(names) + 0.5), ylim=(-0.06, 1.18))
    axes.set_axis_off()
    if len(set(scores)) > 1:
        extend = "max" if "high" in ends else "min"
        canvas.colour_bar(figure, axes, shown, scored.metric(its), extend)
    canvas.title(figure, scored.headline(its))
    canvas.legend(figure, axes)
    return figure


@drawn
def importances(frame: pd.DataFrame) -> Any:
    """Draw how much of what trials came to is due to which hyperparameter."""
    found, told = scored.depends(frame)
    pairs = [pair for pair in found.pairs.items() if pair[1] >= _LEAST_SHARE][:_MAX_PAIRS]
    names = [*found.main, *(" × ".join(pair) for pair, _ in pairs)]
    shares = [*found.main.values(), *(share for _, share in pairs)]
    looks = [Look(BLUE, "o")] * len(found.main) + [Look(SKY, "o", hatch="//")] * len(pairs)
    figure = canvas.figure(7.0, 0.34 * len(names) + 1.9)
    axes = figure.subplots()
    canvas.bars(axes, shares, looks, [f"{share:.0%}" for share in shares])
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_xlim(0, max(shares) * 1.12 or 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    metric = label(frame.attrs["metric"])
    axes.set_xlabel(f"share of the variance of {metric}, {told}", fontsize=9)
    axes.set_title(f"{metric} depends most on {label(names[0])}")
    figure.supxlabel(f"{found.method}; R² {found.fit:.2f} on trials not seen", fontsize=8)
    return figure


@drawn
def interaction(frame: pd.DataFrame, names: tuple[str, str] | None = None) -> Any:
    """Draw the median score for the values of two hyperparameters; default: those that count."""
    its = scored.with_scores(frame)
    names = scored.important_pair(frame) if names is None else names
    across, up = (scored.Cells(scored.values(its, name)) for name in names)
    scores, metric = scored.scores(its), scored.metric(its)
    table = np.full((len(up.labels), len(across.labels)), np.nan)
    for row, column in np.ndindex(table.shape):
        inside = scores[(up.codes == row) & (across.codes == column)]
        if len(inside):
            table[row, column] = np.median(inside)
    figure = canvas.figure(max(5.0, 0.8 * len(across.labels) + 2.6), 0.55 * len(up.labels) + 2.2)
    axes = figure.subplots()
    axes.grid(visible=False)
    axes.set_facecolor("0.92")  # where there is no trial
    style = {"norm": canvas.shades(table), "cmap": _dark_is_good(its)}
    shown = axes.imshow(table, aspect="auto", origin="lower", **style)
    canvas.write_cells(axes, shown, lambda row, column: f"{table[row, column]:.3g}")
    turned = canvas.turn(across.labels)
    axes.set_xticks(range(len(across.labels)), across.labels, rotation=turned)
    axes.set_yticks(range(len(up.labels)), up.labels)
    axes.set(xlabel=label(names[0]), ylabel=label(names[1]))
    canvas.colour_bar(figure, axes, shown, f"median {metric}")
    canvas.title(figure, f"{metric} by {label(names[0])} and {label(names[1])}")
    return figure


@drawn
def curves(frame: pd.DataFrame, metric: str | None = None) -> Any:
    """Draw a metric by epochs: of the best trials, and of an even sample of the others."""
    its = scored.searched(frame)
    name = str(its.attrs["metric"]) if metric is None else metric
    its = its[[name in table and len(table) > 0 for table in its["history"]]]
    if its.empty:
        raise InputError(f"expected epochs with {name}, found none")
    order = np.argsort(scored.merits(its), kind="stable")
    half = MAX_CURVES // 2
    rest = order[half:]
    chosen = [*order[:half], *rest[:: max(1, math.ceil(len(rest) / half))]]
    series = {at: scored.numbers_of(its["history"].iloc[at][name]) for at in chosen}
    figure = canvas.figure(7.5, 4.2)
    axes = figure.subplots()
    for at, values in series.items():
        status = str(its["status"].iloc[at])
        look = STATUS[status]
        is_marked = len(values) == 1 or status != "done"
        style: dict[str, Any] = {"color": look.colour, "ls": look.line, "lw": 1}
        style |= {"marker": look.marker, "markevery": [-1], "ms": 5} if is_marked else {}
        opaque = canvas.alpha(len(chosen), 0.7)
        axes.plot(np.arange(1, len(values) + 1), values, alpha=opaque, label=status, **style)
    winner = scored.winner(its)
    if winner in series:
        values = series[winner]
        style = {"color": "black", "lw": 2.2, "marker": "o", "ms": 4}
        axes.plot(np.arange(1, len(values) + 1), values, label="the best", **style)
    canvas.value_axis(axes.yaxis, np.concatenate(list(series.values())))
    canvas.count_axis(axes.xaxis, max(map(len, series.values())))
    axes.set(xlabel="epochs", ylabel=label(name))
    of = f"{len(chosen):,} of {len(its):,}" if len(chosen) < len(its) else f"{len(its):,}"
    n_pruned = int(scored.has_status(its, "pruned").sum())
    ended = f", {n_pruned:,} stopped early" if n_pruned else ""
    axes.set_title(f"{label(name)} by epochs: {of} trial{'s' if len(its) > 1 else ''}{ended}")
    canvas.legend(figure, axes)
    return figure


@drawn
def cost(frame: pd.DataFrame) -> Any:
    """Draw scores against seconds of training, and the trials that none beats in both."""
    its = scored.with_scores(frame)
    scores, seconds = scored.scores(its), its["seconds"].to_numpy(float)
    figure = canvas.figure(7.0, 4.2)
    axes = figure.subplots()
    for status in ("done", "pruned"):
        chosen = scored.has_status(its, status)
        canvas.points(axes, seconds[chosen], scores[chosen], status)
    done = np.flatnonzero(scored.has_status(its, "done"))
    front = done[scored.front(seconds[done], scored.merits(its)[done])]
    words = f"{scored.metric(its)} against its cost"
    if len(front):
        style = {"color": "black", "marker": "s", "ms": 5, "mfc": "none", "lw": 1.4}
        told = "none is better and cheaper"
        axes.step(seconds[front], scores[front], where="post", label=told, **style)
        words += f": {scores[front[-1]]:.4g} took {seconds[front[-1]]:.2g} s"
    if len(front) > 1:
        words += f", {scores[front[0]]:.4g} took {seconds[front[0]]:.2g} s"
    canvas.value_axis(axes.xaxis, seconds)
    _score_axis(axes, its)
    axes.set_xlabel("seconds of training")
    axes.set_title(words)
    canvas.legend(figure, axes)
    return figure


@drawn
def timeline(run: str | Path | Findings) -> Any:
    """Draw which rank worked on trials when, for each of the last starts."""
    found = _found(run)
    starts = [its for its in found.occupancies if its.worked][-MAX_STARTS:]
    if not starts:
        raise InputError("expected trials with the times of their begin and end, found none")
    ranks = [_ranks(its) for its in starts]
    heights = [min(max(0.26 * len(its), 0.5), 6.0) for its in ranks]
    figure = canvas.figure(8.0, sum(heights) + 0.85 * len(starts) + 0.6)
    grid = figure.subplots(len(starts), 1, squeeze=False, height_ratios=heights)
    for its, shown, axes in zip(starts, ranks, grid.flat, strict=True):
        _worked(axes, its, shown)
    grid.flat[-1].set_xlabel("seconds since the start")
    canvas.legend_of_statuses(figure, {r.status.value for its in starts for r in its.worked})
    return figure


@drawn
def confusion(run: str | Path | Findings) -> Any:
    """Draw what the best model answers for each label."""
    counts = np.array(_mistakes(run, "confusion")["confusion"], int)
    n, of = len(counts), counts.sum(axis=1, keepdims=True)
    side_in = min(max(0.46 * n + 1.6, 3.6), 9.0)
    figure = canvas.figure(side_in + 1.0, side_in)
    axes = figure.subplots()
    axes.grid(visible=False)
    shown = axes.imshow(counts / np.maximum(of, 1), cmap="cividis", vmin=0, vmax=1)
    if n <= _MAX_CLASSES:
        canvas.write_cells(axes, shown, lambda row, column: str(counts[row, column] or ""))
        axes.set_xticks(range(n))
        axes.set_yticks(range(n))
    axes.set(xlabel="answer", ylabel="label")
    canvas.colour_bar(figure, axes, shown, "share of the label's images")
    n_right, n_all = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{n_right:,} of {n_all:,} right ({n_right / max(n_all, 1):.1%})")
    return figure


@drawn
def worst_mistakes(run: str | Path | Findings) -> Any:
    """Draw the images that the best model was surest of and wrong."""
    told = _mistakes(run, "mistakes")
    shown = told["mistakes"]
    if not shown:
        raise InputError("expected a wrong answer, found that all were right")
    n_columns = min(8, max(len(shown), 4))
    n_rows = math.ceil(len(shown) / n_columns)
    figure = canvas.figure(1.15 * n_columns, 1.5 * n_rows + 0.5)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for its, axes in zip(shown, grid.flat, strict=False):
        pixels = np.frombuffer(base64.b64decode(its["image"]), np.uint8)
        axes.imshow(pixels.reshape(told["side"], -1), cmap="gray_r", vmin=0)
        words = f"{its['label']}, not {its['answer']}\n{its['probability']:.0%} sure"
        axes.set_title(words, fontsize=8, loc="center")
    canvas.title(figure, "Wrong and surest of it: the label, not the answer")
    return figure


@drawn
def comparison(sides: Sequence[Side]) -> Any:
    """Draw runs against each other: the best score by its cost, and what they took."""
    figure = canvas.figure(9.5, 5.0 + 0.3 * len(sides))
    layout = [["wall"] * 3 + ["cores"] * 3, ["a", "a", "b", "b", "c", "c"]]
    parts = figure.subplot_mosaic(layout, height_ratios=[2.4, 0.4 + 0.25 * len(sides)])
    names = [label(_shortened(its.name)) for its in sides]
    looks = canvas.looks(len(sides))
    _best_scores(parts["wall"], parts["cores"], sides, names, looks)
    parts["wall"].set(xlabel="seconds of wall time", title="The best score by wall time")
    parts["cores"].set(xlabel="core-hours", title="The best score by core-hours")
    walls, hours = [its.wall_s for its in sides], [its.core_hours for its in sides]
    busy = [its.busy_share or 0.0 for its in sides]
    canvas.bars(parts["a"], walls, looks, list(map(duration, walls)))
    canvas.bars(parts["b"], hours, looks, [f"{value:.3g}" for value in hours])
    shares = ["?" if its.busy_share is None else f"{its.busy_share:.0%}" for its in sides]
    canvas.bars(parts["c"], busy, looks, shares)
    titles = {"a": "wall time", "b": "core-hours", "c": "ranks at work"}
    for (part, words), values in zip(titles.items(), (walls, hours, busy), strict=True):
        parts[part].set(title=words, xticks=[], xlim=(0, 1.35 * max(values) or 1))
        parts[part].set_yticks(range(len(names)), names if part == "a" else [""] * len(names))
    canvas.legend(figure, parts["wall"])
    return figure


def _best_scores(
    by_time: Any, by_hours: Any, sides: Sequence[Side], names: Sequence[str], looks: Sequence[Look]
) -> None:
    if len({(its.metric, its.goal) for its in sides}) > 1:
        for axes in (by_time, by_hours):
            words = "the metrics differ:\nbest scores are not to be compared"
            axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes)
            axes.set(xticks=[], yticks=[])
        return
    best = np.array([score for its in sides for score in its.progress.best])
    for axes, of, end in (
        (by_time, [its.progress.wall_s for its in sides], [its.wall_s for its in sides]),
        (by_hours, [its.progress.core_hours for its in sides], [its.core_hours for its in sides]),
    ):
        for at, its in enumerate(sides):
            reached = its.progress.best
            if not reached:
                continue
            look, better = looks[at], [0, *(np.flatnonzero(np.diff(reached)) + 1)]
            style: dict[str, Any] = {"color": look.colour, "ls": look.line, "marker": look.marker}
            style |= {"markevery": better, "ms": 5, "where": "post", "label": names[at]}
            axes.step([*of[at], end[at]], [*reached, reached[-1]], **style)
        axes.set_ylabel(f"best {label(sides[0].metric)}")
        axes.set_xlim(left=0)
        if sides[0].goal == MINIMIZE:
            canvas.value_axis(axes.yaxis, best)


def _found(run: str | Path | Findings) -> Findings:
    return run if isinstance(run, Findings) else findings.read(run)


def _mistakes(run: str | Path | Findings, wanted: str) -> Mapping[str, Any]:
    found = _found(run)
    kept = found.standing.kept
    told = None if kept is None else bestmodel.mistakes(found.run, kept.id)
    if told is None or wanted not in told:
        why = "nothing is known of it" if told is None else str(told.get("reason"))
        raise InputError(f"expected what the winner among the built-in networks gets wrong; {why}")
    return told


def _score_axis(axes: Any, its: pd.DataFrame) -> None:
    known = scored.scores(its)[np.isfinite(scored.scores(its))]
    if scored.is_minimized(its) or not len(known):
        canvas.value_axis(axes.yaxis, known)
    axes.set_ylabel(scored.metric(its))


def _dark_is_good(its: pd.DataFrame) -> str:
    return "viridis" if scored.is_minimized(its) else "viridis_r"


def _against(axes: Any, its: pd.DataFrame, name: str) -> None:
    """Draw scores against one hyperparameter: numbers on an axis, anything else side by side."""
    values, scores = scored.values(its, name), scored.scores(its)
    levels, codes = scored.levels(values)
    is_few = len(levels) <= scored.MAX_LEVELS
    apart = np.zeros(len(values))
    if len(levels) < len(values):  # so that equal ones are seen
        apart = np.random.default_rng(0).uniform(-1, 1, len(values))
    if scored.is_axis(values):
        places = scored.numbers_of(values)
        known = np.unique(places[np.isfinite(places)])
        canvas.value_axis(axes.xaxis, known)
        if is_few and scored.is_log(known):
            places = places * (known[-1] / known[0]) ** (0.02 * apart)
        elif is_few:
            places = places + 0.02 * (known[-1] - known[0]) * apart
        if is_few:
            axes.minorticks_off()
            words = [f"{value:.4g}" for value in known]
            axes.set_xticks(known, words, rotation=canvas.turn(words))
    else:
        known = np.arange(len(levels), dtype=float)
        places = codes + 0.18 * apart
        every = math.ceil(len(known) / scored.MAX_LEVELS)
        words = [label(text) for text in levels[::every]]
        axes.set_xticks(known[::every], words, rotation=canvas.turn(words))
        axes.set_xlim(-0.5, len(known) - 0.5)
    for status in ("done", "pruned"):
        chosen = scored.has_status(its, status)
        canvas.points(axes, places[chosen], scores[chosen], status)
    if is_few and len(levels) < len(values):
        medians = [np.median(scores[codes == at]) for at in range(len(levels))]
        style: dict[str, Any] = {"ls": "", "marker": "_", "color": "black", "ms": 16, "mew": 2.4}
        axes.plot(known, medians, label="median", **style)
    winner = scored.winner(its)
    if winner is not None:
        style = {"ls": "", "marker": "*", "color": RED, "mec": "white", "ms": 14}
        axes.plot(places[winner], scores[winner], label="the best", **style)
    axes.set_xlabel(label(name))


def _upright(axes: Any, at: int, name: str, scale: scored.Scale, *, is_even: bool) -> None:
    """Draw one of the axes of parallel coordinates; long names take turns in height."""
    axes.axvline(at, ymax=1.12 / 1.24, color="0.3", lw=0.8, zorder=3)
    style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
    style["bbox"] = {"facecolor": "white", "alpha": 0.75, "pad": 0.6, "lw": 0}
    for place, text in scale.marks:
        axes.annotate(label(text), (at, place), xytext=(4, 0), zorder=5, **style)
    height = 1.07 if at % 2 == 0 or is_even else 1.13
    axes.text(at, height, name_label(name), ha="center", va="bottom", fontsize=9)


def _ranks(its: Occupancy) -> list[int]:
    """Name the ranks that a timeline shows: all, but those that only help another one."""
    if its.n_groups == its.started.n_ranks:
        return list(range(its.started.n_ranks))[:MAX_RANKS]
    return sorted({result.rank for result in its.worked})[:MAX_RANKS]


def _worked(axes: Any, its: Occupancy, ranks: Sequence[int]) -> None:
    """Draw one start."""
    edge = 0.4 if len(its.worked) < _MAX_EDGES else 0.0
    for (status, look), (at, rank) in itertools.product(STATUS.items(), enumerate(ranks)):
        spans = [
            (result.began_s - its.started.at_s, result.ended_s - result.began_s)
            for result in its.worked
            if result.rank == rank and result.status.value == status
        ]
        style: dict[str, Any] = {"facecolor": look.colour, "edgecolor": "white", "lw": edge}
        axes.broken_barh(spans, (at - 0.4, 0.8), hatch=look.hatch, **style)
    labels = [f"rank {rank}" for rank in ranks] if len(ranks) <= _MAX_NAMED else []
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(0, max(its.wall_s, 1e-3)), ylim=(len(ranks) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    n, host = its.started.n_ranks, label(its.started.host)
    left_out = f" (the first {len(ranks)} shown)" if len(ranks) == MAX_RANKS < n else ""
    axes.set_title(
        f"{n:,} rank{'s' if n > 1 else ''} from {host} for {duration(its.wall_s)}: at work"
        f" {its.efficiency:.0%} of the time{left_out}",
        fontsize=10,
    )


def _shortened(path: str) -> str:
    """Keep the end of a path, which tells it from others."""
    return path if len(path) <= _LONGEST_RUN else "…" + path[1 - _LONGEST_RUN :]
