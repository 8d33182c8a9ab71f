"""matplotlib's parts as this program's pictures have them: the only module that imports it.

By its objects alone: nothing here needs a display, or changes what other code draws. Colours are
those of Okabe and Ito, which the colour-blind can tell apart; what is told by a colour is told by
a marker, a line's style or a hatch, too.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hpo.errors import InputError
from hpo.rundir import write_whole
from hpo.scored import is_log

PACKAGE = "matplotlib>=3.8,<4"
DOTS_PER_INCH = 150
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY = "#CC79A7", "#56B4E9"
_RULES = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


class Look(NamedTuple):
    colour: str
    marker: str
    line: str = "-"
    hatch: str | None = None
    is_filled: bool = True


STATUS = {
    "done": Look(BLUE, "o"),
    "pruned": Look(ORANGE, "^", "--", "///", is_filled=False),
    "failed": Look(RED, "x", ":", "xx"),
}
SERIES = (
    Look(BLUE, "o"),
    Look(ORANGE, "s", "--", "//"),
    Look(GREEN, "^", "-.", "xx"),
    Look(RED, "D", ":", ".."),
    Look(PINK, "v", "-", "\\\\"),
    Look("black", "*", "--", "++"),
)
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


def drawn(draw: Draws) -> Draws:
    """Draw in this module's style; refuse where there is no matplotlib."""

    @functools.wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Any:
        check_installed()
        import matplotlib

        with matplotlib.rc_context(_RULES):
            return draw(*args, **kwargs)

    return styled  # type: ignore[return-value]  # of the same signature


def figure(width_in: float, height_in: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def save(its: Any, path: Path) -> None:
    """Write a figure to a PNG or SVG file, the same bytes for the same figure.

    Raises:
        InputError: if it cannot be written.
    """
    import matplotlib

    form = path.suffix[1:]
    options = {"metadata": {"Date": None}} if form == "svg" else {"dpi": DOTS_PER_INCH}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "hpo"}):
            warnings.filterwarnings("ignore", "Glyph", UserWarning)  # in a name; it is a box then
            write_whole(path, lambda beside: its.savefig(beside, format=form, **options))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def looks(n: int) -> list[Look]:
    return list(itertools.islice(itertools.cycle(SERIES), n))


def lines(rows: Iterable[Any], **style: Any) -> Any:
    """Give many lines as one object."""
    from matplotlib.collections import LineCollection

    return LineCollection([list(enumerate(row)) for row in rows], **style)


def shades(values: np.ndarray, *, low: float = 0.0, high: float = 1.0) -> Any:
    """Spread colours over values, or over those between two shares of them."""
    from matplotlib.colors import LogNorm, Normalize

    known = values[np.isfinite(values)]
    ends = (float(np.quantile(known, low)), float(np.quantile(known, high)))
    if ends[0] == ends[1]:
        return Normalize(ends[0] - 0.5, ends[1] + 0.5)
    return (LogNorm if is_log(known) else Normalize)(*ends)


def colour_bar(its: Any, axes: Any, shown: Any, text: str, extend: str = "neither") -> None:
    """Say which colour is which number."""
    bar = its.colorbar(shown, ax=axes, pad=0.01, extend=extend)
    bar.set_label(text)
    bar.ax.yaxis.set_major_formatter(plainly)
    bar.minorticks_off()
    if bar.solids is not None:
        bar.solids.set_alpha(1)


def title(its: Any, text: str) -> None:
    """Head a whole figure, at its left."""
    its.suptitle(text, x=0.01, ha="left")


def plainly(value: float, _: int) -> str:
    """Write a tick's number as people do: 0.001, not 10 to the power of -3."""
    return f"{value:g}"


def alpha(n: int, most: float = 0.85) -> float:
    return float(np.clip(4 / math.sqrt(max(n, 1)), 0.08, most))


def points(axes: Any, x: np.ndarray, y: np.ndarray, status: str) -> None:
    """Draw trials of one status, the smaller and paler the more there are."""
    n = len(x)
    if not n:
        return
    look = STATUS[status]
    colours = {"facecolors": look.colour if look.is_filled else "none", "edgecolors": look.colour}
    size, opaque = float(np.clip(2500 / n, 7, 34)), min(1.0, alpha(n) * 1.6)
    style: dict[str, Any] = colours | {"marker": look.marker, "s": size, "alpha": opaque}
    axes.scatter(x, y, linewidths=1.0, label=f"{status} ({n:,})", **style)


def rug(axes: Any, x: np.ndarray) -> None:
    """Mark failed trials, which have no score, at the lower edge."""
    if len(x):
        look = STATUS["failed"]
        style: dict[str, Any] = {"ls": "", "marker": look.marker, "color": look.colour, "ms": 5}
        where = axes.get_xaxis_transform()
        told = f"failed ({len(x):,})"
        axes.plot(x, np.full(len(x), 0.02), transform=where, label=told, clip_on=False, **style)


def value_axis(axis: Any, values: np.ndarray) -> None:
    """Make an axis logarithmic where its values call for it."""
    if not len(values):
        axis.set_ticks([])
    elif is_log(values):
        axes = axis.axes
        (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        axis.set_major_formatter(plainly)
        if values.max() < 10 * values.min():  # between two powers of ten
            axis.set_minor_formatter(plainly)
        else:
            axis.set_minor_formatter(lambda value, _: "")


def count_axis(axis: Any, n: int) -> None:
    """Mark whole numbers from 1."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    margin = max(0.5, 0.02 * n)
    axis.axes.set_xlim(1 - margin, n + margin)


def legend(its: Any, *axes: Any) -> None:
    """Say below a figure what is what; each word once, markers as large and dark as any."""
    found: dict[str, Any] = {}
    for one in axes:
        for handle, text in zip(*one.get_legend_handles_labels(), strict=True):
            found.setdefault(text, handle)
    if not found:
        return
    n_columns = min(len(found), 4)
    where = {"loc": "outside lower center", "ncols": n_columns}
    shown = its.legend(list(found.values()), list(found), **where)
    for handle in shown.legend_handles:
        handle.set_alpha(1)
        if hasattr(handle, "set_sizes"):
            handle.set_sizes([34])


def legend_of_statuses(its: Any, statuses: Iterable[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", lw=0, label=status)
        for status, look in STATUS.items()
        if status in set(statuses)
    ]
    its.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def turn(labels: Iterable[str]) -> int:
    """Turn long labels, so that they do not overlap."""
    lengths = list(map(len, labels))
    return 30 if sum(lengths) > 34 or max(lengths, default=0) > 9 else 0


def write_cells(axes: Any, shown: Any, words: Callable[[int, int], str]) -> None:
    """Write words into a heat map's cells, dark on light ones and light on dark ones."""
    for (row, column), value in np.ndenumerate(shown.get_array()):
        if np.ma.is_masked(value) or not math.isfinite(value):
            continue
        red, green, blue, _ = shown.cmap(shown.norm(value))
        is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
        style = {"ha": "center", "va": "center", "fontsize": 8}
        colour = "black" if is_light else "white"
        axes.text(column, row, words(row, column), color=colour, **style)


def bars(axes: Any, values: Sequence[float], its: Sequence[Look], words: Sequence[str]) -> None:
    """Draw bars from above to below, each with its word at its end."""
    for at, (value, look, word) in enumerate(zip(values, its, words, strict=True)):
        axes.barh(at, value, color=look.colour, hatch=look.hatch, edgecolor="white", height=0.72)
        style = {"textcoords": "offset points", "va": "center", "fontsize": 9}
        axes.annotate(word, (value, at), xytext=(4, 0), **style)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values, default=0) or 1)
    axes.margins(x=0.3)
    axes.grid(visible=False, axis="y")
