"""`hpo status`: how far a run is, from its files alone, while it runs or not."""

from __future__ import annotations

import argparse
import contextlib
import math
import time
from typing import Any

from hpo import history, lock, scheduler, state
from hpo.commandline import default_out
from hpo.duration import duration
from hpo.errors import ExitCode
from hpo.options import shard
from hpo.report import Standing, compact
from hpo.rundir import RunDir

SHOWN = 5  # submissions and starts, the latest


def add_parser(commands: Any) -> None:
    status = commands.add_parser("status", help="say how far a run is: exit 0 finished, 75 not")
    status.add_argument("dir", nargs="?", default=default_out(), metavar="DIR")
    status.add_argument(
        "--go-on",
        action="store_true",
        help="for job files: exit 75 only if another job would help, 1 if the last got nowhere",
    )
    status.add_argument(
        "--since",
        type=float,
        metavar="SECONDS",
        help="with --go-on: when the job began, in seconds since 1970",
    )
    status.add_argument("--shard", type=shard, metavar="I/N", help="of this share of the search")
    status.set_defaults(run=_status)


def _status(arguments: argparse.Namespace) -> int:
    from hpo import publish, record  # with NumPy, which --help should not wait for

    run = RunDir(arguments.dir)
    if not run.search.exists() and (history.submissions(run) or arguments.go_on):
        print(f"{run}: not started yet")
        _show_jobs(run)
        return _code(run, arguments, is_finished=False)
    its = record.read(run)
    standing = publish.standing(run, its)
    print(f"{run}: {standing.sentence()}")
    alive = lock.alive(run.state)
    _show_jobs(run, running=set(alive))
    for told in state.running(run):
        if told["start"] in alive:
            _show_rank(told, standing)
    if arguments.shard is not None:
        first, n_shards = arguments.shard
        share = standing.trials[first - 1 :: n_shards]
        return _code(run, arguments, is_finished=all(t.id in standing.results for t in share))
    is_finished = standing.is_finished and not alive
    if is_finished and not publish.is_published(run, its, standing):
        print("  its files are not up to date; run the same command again, or hpo report")
        is_finished = False
    elif not is_finished and not alive:
        resubmit = ", or hpo resubmit," if history.submissions(run) else ""
        print(f"  not running; run the same command again{resubmit} to go on")
    return _code(run, arguments, is_finished=is_finished)


def _code(run: RunDir, arguments: argparse.Namespace, *, is_finished: bool) -> ExitCode:
    """Find the exit code; for a job file by the starts of its own job alone.

    Others may have searched something else in this directory, or got nowhere for other reasons.
    """
    if not arguments.go_on:
        return ExitCode.DONE if is_finished else ExitCode.STOPPED
    is_begin = arguments.since is None  # of a chain's link: all links, but nothing from before
    since_s = arguments.since
    if since_s is None:
        since_s = max((its.at_s for its in history.submissions(run)), default=math.inf)
    mine = [its for its in history.starts(run) if its.at_s >= since_s]
    mine = [its for its in mine if its.shard == arguments.shard]
    # A search that finds wrong input does not count as started.
    is_stuck = is_begin and history.stuck_s(run) >= since_s
    if is_begin and not mine and not is_stuck:
        return ExitCode.STOPPED
    if mine and is_finished:
        return ExitCode.DONE
    if mine and not is_stuck and history.got_on(run, mine[-1]):
        return ExitCode.STOPPED
    if not is_begin:
        with contextlib.suppress(OSError):  # this job may not see the directory
            history.note_stuck(run, time.time())
    print("  no trial has got on: another job would not help; this job's output says why")
    return ExitCode.FAILED


def _show_jobs(run: RunDir, running: frozenset[str] | set[str] = frozenset()) -> None:
    """Show since when the run queued and ran, and on how many ranks."""
    for its in history.submissions(run)[-SHOWN:]:
        ids = ", ".join(its.ids)
        watch = scheduler.watch(its.job.scheduler, its.ids[0]) if its.ids else ""
        print(f"  submitted {_clock(its.at_s)} as {its.job.scheduler} job {ids} ({watch})")
    for started in history.starts(run)[-SHOWN:]:
        where = f"on {started.n_ranks} rank{'s' if started.n_ranks > 1 else ''}"
        where += f", first host {started.host}"
        if started.scheduler_job:
            where += f", {started.scheduler_job}"
        if started.shard:
            where += f", shard {started.shard[0]}/{started.shard[1]}"
        print(f"  started   {_clock(started.at_s)} {where}: {_end(started, running)}")


def _end(started: history.Started, running: frozenset[str] | set[str]) -> str:
    if started.ended_s is not None:
        took = duration(started.ended_s - started.at_s)
        return f"ended after {took} with {started.exit_code}"
    return "running" if started.start in running else "killed"


def _show_rank(told: dict[str, object], standing: Standing) -> None:
    config = next((t.config for t in standing.trials if t.id == told["trial"]), {})
    epoch, n_epochs = int(str(told["epoch"])) + 1, told.get("epochs")
    if isinstance(n_epochs, int):
        epoch_text = f"{min(epoch, n_epochs)} of {n_epochs}"
    else:
        epoch_text = str(epoch)
    print(
        f"  rank {told['rank']} on host {told['host']} trains {told['trial']}, epoch"
        f" {epoch_text}, since {told['since']}: {compact(config)}"
    )


def _clock(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
