"""The live view: a snapshot as lines of a terminal, whatever its size.

Nothing is said by colour alone. From the top: how far, the bar, the best, the last trials, what
the ranks train; where there is little room the later parts are shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hpo.duration import duration
from hpo.report import compact
from hpo.snapshot import Finished, Snapshot, Training
from hpo.trial import Status

MOST_FINISHED = 6  # trials, of the last ones
_MOST_BEST_LINES = 3
_FULL_WIDTH, _MEDIUM_WIDTH = 84, 64  # columns, from which hosts, and memory, have room
_HIGH = 14  # lines, from which parts are set apart by empty ones
# Blue and yellow are told apart by everyone; each comes with a word or another sign.
_DONE, _FAILED, _HEAD, _FAINT = "blue", "bold yellow", "bold", "dim"
_BAR, _ASCII_BAR = ("━", "─"), ("#", "-")  # what is done, what is left

Row = Sequence[tuple[str, str]]  # cells: text and style


@dataclass(frozen=True)
class View:
    """Shows a snapshot with at most so many lines."""

    snapshot: Snapshot
    now_s: float
    n_lines: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        its = lines(
            self.snapshot,
            width=options.max_width,
            n_lines=self.n_lines,
            now_s=self.now_s,
            bar=_ASCII_BAR if options.ascii_only else _BAR,
        )
        yield from its


def n_shown(n_lines: int) -> int:
    """Tell of how many ranks at most there is anything to see."""
    return max(0, n_lines - 5)


def lines(
    its: Snapshot, *, width: int, n_lines: int, now_s: float, bar: tuple[str, str] = _BAR
) -> list[Text]:
    """Draw a snapshot."""
    head = [_counts(its), _bar(its, width, bar), *_best(its, width, n_lines)]
    head = [_fitted(line, width) for line in head[:n_lines]]
    gap = [Text()] if n_lines >= _HIGH else []
    room = n_lines - len(head) - 2 * len(gap)
    n_finished = min(len(its.finished), MOST_FINISHED, max(0, (room - 2) // 3))
    last = _finished(its.finished[:n_finished], width)
    room -= len(last)
    ranks = _training(its, width, room, now_s)
    parts = [head, last, ranks]
    shown: list[Text] = []
    for part in filter(None, parts):
        shown += [*(gap if shown else []), *part]
    return shown[:n_lines]


def _counts(its: Snapshot) -> Text:
    line = Text.assemble((f"{its.n_done:,}/{its.n_total:,} trials", _HEAD), " · ")
    line.append(f"{its.n_failed:,} failed", _FAILED if its.n_failed else "")
    if its.n_pruned:
        line.append(f" · {its.n_pruned:,} pruned")
    if its.n_ranks:
        line.append(f" · {its.n_busy:,}/{its.n_ranks:,} ranks busy")
    if its.peak_memory_mb:
        line.append(f" · at most {_memory(its.peak_memory_mb)} a rank")
    if its.name:
        line.append(f" · {_clean(its.name)}", _FAINT)
    return line


def _bar(its: Snapshot, width: int, signs: tuple[str, str]) -> Text:
    share = its.n_done / its.n_total if its.n_total else 1.0
    share = min(share, 1.0)
    told = f" {int(100 * share)}%"
    if its.elapsed_s is not None:
        told += f" · {duration(its.elapsed_s)}"
    told += "" if its.left_s is None else f" · {duration(its.left_s)} left"
    room = max(5, min(60, width - len(told)))
    n = int(share * room)
    return Text.assemble((signs[0] * n, _DONE), (signs[1] * (room - n), _FAINT), told)


def _best(its: Snapshot, width: int, n_lines: int) -> list[Text]:
    """Name the best trial, over several lines where there are some to spare."""
    if its.best is None:
        return [Text("best: none yet", _FAINT)]
    head = f"best {its.best.score:.4f} "
    settings = _wrapped(
        [_clean(compact({name: value})) for name, value in its.best.settings.items()],
        max(10, width - len(head)),
    )
    n = min(len(settings), _MOST_BEST_LINES if n_lines >= _HIGH else 1)
    shown = [*settings[: n - 1], " ".join(settings[n - 1 :])] if settings else [""]
    return [
        Text.assemble((head if number == 0 else " " * len(head), _HEAD), text)
        for number, text in enumerate(shown)
    ]


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    """Join words by commas into lines."""
    found: list[str] = []
    for word in words:
        if found and cell_len(found[-1]) + cell_len(word) + 2 <= width:
            found[-1] += f", {word}"
            continue
        if found:
            found[-1] += ","
        found.append(word)
    return found


def _finished(some: Sequence[Finished], width: int) -> list[Text]:
    rows = [_finished_row(its) for its in some]
    return [Text("last", _HEAD), *_table(rows, width)] if rows else []


def _finished_row(its: Finished) -> Row:
    settings = compact(its.settings)
    if its.status is Status.FAILED:
        told, words = ("failed", _FAILED), f"{its.error} ({settings})"
    else:
        score = "" if its.score is None else f"{its.score:.4f}"
        told, words = (score + (" pruned" if its.status is Status.PRUNED else ""), ""), settings
    took = f"{its.seconds:.1f} s" if its.seconds < 60 else duration(its.seconds)
    return [told, (took, ""), (f"rank {its.rank}", _FAINT), (words, "")]


def _training(its: Snapshot, width: int, room: int, now_s: float) -> list[Text]:
    if not its.training or room < 2:
        return []
    n = min(len(its.training), room - 1)
    n_more = its.n_busy - n
    if n_more > 0 and n == room - 1:  # the last line is for those that have none
        n, n_more = n - 1, n_more + 1
    shown = its.training[:n]
    rows = [_training_row(one, width, now_s) for one in shown]
    found = [Text("training", _HEAD), *_table(rows, width)]
    if n_more > 0:
        more = f"and {n_more:,} more rank{'s' if n_more > 1 else ''}"
        found.append(_fitted(Text(f"  {more}", _FAINT), width))
    return found


def _training_row(its: Training, width: int, now_s: float) -> Row:
    of = "" if its.n_epochs is None else f"/{its.n_epochs}"
    cells = [(f"rank {its.rank}", ""), (f"epoch {its.epoch}{of}", "")]
    if its.since_s:
        cells.append((duration(max(0.0, now_s - its.since_s)), ""))
    if width >= _MEDIUM_WIDTH:
        cells.append((_memory(its.memory_mb) if its.memory_mb else "", _FAINT))
    if width >= _FULL_WIDTH:
        cells.append((its.host, _FAINT))
    return [*cells, (compact(its.settings), "")]


def _table(rows: Sequence[Row], width: int) -> list[Text]:
    """Set cells below each other; the last of a row takes what is left."""
    cleaned = [[(_clean(text), style) for text, style in row] for row in rows]
    columns = zip(*([cell_len(text) for text, _ in row[:-1]] for row in cleaned), strict=True)
    widths = [max(column) for column in columns]
    found = []
    for row in cleaned:
        line = Text("  ")
        for (text, style), wide in zip(row, [*widths, 0], strict=True):
            line.append(text, style)
            line.append(" " * max(0, wide - cell_len(text)) + "  ")
        line.rstrip()
        found.append(_fitted(line, width))
    return found


def _fitted(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(width, overflow="ellipsis")
    return line


def _memory(megabytes: int) -> str:
    return f"{megabytes / 1000:.2f} GB"


def _clean(text: str) -> str:
    """Show no control characters, of other people's errors and names: they move the cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
