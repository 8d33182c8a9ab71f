"""`hpo watch`: the live view of a run, from wherever its files are to be seen."""

from __future__ import annotations

import argparse
import io
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo import history, scheduler
from hpo.commandline import default_out
from hpo.errors import ExitCode, InputError
from hpo.liveview import View, n_shown
from hpo.rundir import RunDir, write_whole
from hpo.terminal import Screen, Terminal

if TYPE_CHECKING:
    from hpo.onlooker import Onlooker, Sight

LIVE_EVERY_S, PLAIN_EVERY_S = 2.0, 30.0
LARGEST_SHARE = 0.05  # of the time, for looking: others want to read these files, too
PICTURE_COLUMNS, PICTURE_LINES = 80, 40  # of one picture, where there is no terminal
SVG_COLUMNS = 120

# rich's SVG fetches its font from a web site; without it the viewer's own is as good.
_WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def add_parser(commands: Any) -> None:
    watch = commands.add_parser("watch", help="show how a run gets on, until it ends")
    watch.add_argument("dir", nargs="?", default=default_out(), metavar="DIR")
    watch.add_argument(
        "--every",
        type=_seconds,
        metavar="S",
        help=f"look every so many seconds (default {LIVE_EVERY_S:g}; without a terminal"
        f" {PLAIN_EVERY_S:g})",
    )
    watch.add_argument("--once", action="store_true", help="show one picture")
    watch.add_argument("--svg", metavar="FILE", help="write one picture to a file, for documents")
    watch.set_defaults(run=_watch)


def _seconds(text: str) -> float:
    try:
        value = float(text)
        if not 0.1 <= value < float("inf"):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected seconds from 0.1, found {text!r}") from None
    return value


def _watch(arguments: argparse.Namespace) -> int:
    run = RunDir(arguments.dir)
    terminal = Terminal.find()
    is_picture = arguments.once or arguments.svg is not None
    try:
        if not _has_begun(run, is_to_wait=not is_picture):
            return ExitCode.STOPPED
        if is_picture:
            return _picture(run, terminal, arguments.svg)
        if terminal is None:
            return _lines(run, arguments.every or PLAIN_EVERY_S)
        return _live(run, Screen(terminal), arguments.every or LIVE_EVERY_S)
    except KeyboardInterrupt:
        return ExitCode.STOPPED


def _has_begun(run: RunDir, *, is_to_wait: bool) -> bool:
    """Tell whether there is a search to watch; wait for one that was submitted."""
    is_told = False
    while _waits(run):
        if not is_told:
            its = history.submissions(run)[-1]
            hint = f" ({scheduler.watch(its.job.scheduler, its.ids[0])})" if its.ids else ""
            ids = ", ".join(its.ids)
            wait = "; this waits for it" if is_to_wait else ""
            print(f"{run}: {its.job.scheduler} job {ids}{hint} has not started yet{wait}")
            is_told = True
        if not is_to_wait:
            return False
        time.sleep(LIVE_EVERY_S)
    return True


def _waits(run: RunDir) -> bool:
    """Tell whether the last thing that happened is a submission."""
    submitted = max((its.at_s for its in history.submissions(run)), default=0.0)
    started = max((its.at_s for its in history.starts(run)), default=0.0)
    return submitted > started


def _onlooker(run: RunDir) -> Onlooker:
    from hpo.onlooker import Onlooker  # with NumPy, which --help should not wait for

    return Onlooker(run)


def _picture(run: RunDir, terminal: Terminal | None, svg: str | None) -> int:
    columns, lines = PICTURE_COLUMNS, PICTURE_LINES
    if svg is not None:
        columns = SVG_COLUMNS
    elif terminal is not None:
        columns, lines = terminal.size()
    sight = _onlooker(run).look(n_shown(lines))
    view = View(sight.snapshot, time.time(), lines)
    if svg is None:
        Console(width=columns).print(view)
    else:
        _write_svg(view, columns, Path(svg), title=f"python -m hpo watch {run}")
    return _code(sight)


def _write_svg(view: View, columns: int, path: Path, title: str) -> None:
    console = Console(
        file=io.StringIO(),
        width=columns,
        record=True,
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(view)
    text = _WEB_FONT.sub("", console.export_svg(title=title, unique_id="terminal"))
    try:
        write_whole(path, text)
    except OSError as error:
        raise InputError(f"--svg {path}: {error.strerror}") from error


def _live(run: RunDir, screen: Screen, every_s: float) -> int:
    onlooker = _onlooker(run)
    try:
        while True:
            began_s = time.monotonic()
            n_lines = screen.room()[1]
            sight = onlooker.look(n_shown(n_lines))
            if not sight.is_running:
                break
            screen.draw(View(sight.snapshot, time.time(), n_lines))
            _pause(every_s, time.monotonic() - began_s)
    finally:
        screen.clear()
    return _end(run, sight)


def _lines(run: RunDir, every_s: float) -> int:
    onlooker = _onlooker(run)
    while True:
        began_s = time.monotonic()
        sight = onlooker.look(0)
        if not sight.is_running:
            return _end(run, sight)
        print(f"{time.strftime('%H:%M:%S')} {sight.snapshot.line()}", flush=True)
        _pause(every_s, time.monotonic() - began_s)


def _pause(every_s: float, took_s: float) -> None:
    time.sleep(max(every_s, took_s / LARGEST_SHARE))


def _end(run: RunDir, sight: Sight) -> int:
    print(f"{run}: {sight.standing.sentence()}")
    if not sight.is_over:
        print("  not running; run the same command again to go on")
    return _code(sight)


def _code(sight: Sight) -> ExitCode:
    return ExitCode.DONE if sight.is_over else ExitCode.STOPPED
