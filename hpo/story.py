"""The story of a search: check, plan, train, report; every rank goes through it together."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

from hpo import (
    cores,
    devices,
    fetching,
    journal,
    notify,
    objectives,
    plan,
    publish,
    record,
    schedule,
    spacefile,
    state,
    todo,
    tracker,
    walltime,
)
from hpo.attempt import dismiss, follow
from hpo.contract import Objective, Setting
from hpo.duration import duration
from hpo.errors import ExitCode, InputError
from hpo.groups import Group
from hpo.options import Options
from hpo.order import Queue
from hpo.plan import Plan, Start
from hpo.progress import Progress
from hpo.ranklog import RankLog, of_trial
from hpo.report import compact, last_line
from hpo.resolve import with_settings
from hpo.rundir import RunDir
from hpo.snapshot import Training
from hpo.stopping import Stop
from hpo.trackprocess import TrackProcess
from hpo.trial import Result, Status
from hpo.usage import age_s
from hpo.worker import Worker
from hpo.world import World

_logger = logging.getLogger(__name__)

MAX_NETWORKS_LOGGED = 100
SEEN_WITHIN_S = 10.0  # another node's file may appear late on NFS


def run(
    world: World,
    options: Options,
    space: Mapping[str, object],
    stop: Stop,
    objective: Objective | None = None,
) -> ExitCode:
    """Search, or go on with a search; the same code on every rank (collective).

    Args:
        space: the script's own, for when the options name none.
        objective: what is searched, for when the options name none; else the built-in networks.

    Raises:
        InputError: on every rank alike.
    """
    # HPO_OUT, its default, may have been left behind on the first host.
    options = replace(options, out=world.broadcast(options.out))
    world.on_root(lambda: notify.check(options.notify))
    crew = _crew(world, options)
    sharing = devices.pin(world) if options.device == "gpu" else None
    seats = cores.settle(world, options.threads)
    its = objective if objective is not None else _objective(world, options)
    world.on_root(lambda: its.check(options))
    world.on_root(lambda: tracker.check_installed(options.track))
    written = world.on_root(lambda: plan.read_space(options, space, its.terms()))
    options = with_settings(options, written.settings, written.name, its)
    found = replace(options, data=fetching.local(world, options.data))
    dataset = its.load(world, found)
    if found.data != options.data:
        dataset = replace(dataset, path=options.data)  # type: ignore[type-var]  # a dataclass
    held: list[Plan] = []  # on rank 0 only

    def make_plan() -> Start:
        held.append(plan.make(options, its, written, dataset, world.size))
        return held[0].start

    start = world.on_root(make_plan)
    rank_log = RankLog.begin(
        RunDir(options.out).rank_log(start.name, world.rank), f"rank {world.rank}", world.host
    )
    trackers = TrackProcess(RunDir(options.out), start.name, options.track if held else ())
    try:
        if held:
            held[0].begin_log()
        _check_seen(world, options, start)
        left_s = world.on_root(lambda: walltime.left_s(os.environ))
        if left_s is not None:
            stop.end_within(left_s)
            if held:
                _logger.info("this job ends in %s", duration(left_s))
        if held and sharing is not None:
            plan.say(options, sharing)
        _warn_of_unequal_nodes(world)
        if (start.n_jobs or start.lacks_model) and not _any_stopped(world, stop):
            setting = Setting(found, dataset)
            its.open(world, setting)
            worker = _worker(world, crew, its, setting, start, stop)
            worker.usage.start_s = age_s()
            remark = None if sharing else cores.advice(seats, options.threads, start.n_jobs)
            if crew.leaders is None:
                follow(crew.group, its, setting, stop)
            else:
                _train(crew.leaders, options, start, held, worker, stop, remark)
                dismiss(crew.group)
            _log_usage(world, worker, held)
        code = world.on_root(lambda: plan.conclude(held[0], options, stop, trackers))
    except BaseException as error:
        rank_log.note_error()
        if held and isinstance(error, Exception):
            plan.tell_crash(held[0], error)
        raise
    finally:
        trackers.kill()
        if held:
            plan.leave(held[0], is_clean=False)
        rank_log.end()
    world.close()
    return code


@dataclass(frozen=True)
class _Crew:
    """The groups that the ranks are split into, as this rank sees them.

    Attributes:
        group: the ranks that train a trial together with this one.
        leaders: the first ranks of all groups, which ask for trials; None on the others.
    """

    group: Group
    leaders: World | None


def _crew(world: World, options: Options) -> _Crew:
    """Split the world into groups of equal size, of neighbouring ranks (collective).

    Raises:
        InputError: on every rank alike, if that leaves ranks over.
    """
    k = options.ranks_per_trial
    if world.size % k:
        fewer, more = world.size // k * k, (world.size // k + 1) * k
        raise InputError(
            f"--ranks-per-trial {k}: expected a number of ranks that it divides, found"
            f" {world.size}; start {f'{fewer} or {more}' if fewer else more}"
        )
    if k == 1:
        return _Crew(Group(world.alone()), world)
    group = Group(world.split(world.rank // k))
    leaders = world.split(int(not group.is_leader))
    return _Crew(group, leaders if group.is_leader else None)


def _objective(world: World, options: Options) -> Objective:
    """Find the objective that the options name, on rank 0 first: it may not be there (collective).

    Raises:
        InputError: on every rank alike.
    """
    found: list[Objective] = []
    world.on_root(lambda: found.append(objectives.chosen(options)))
    wrong = None
    if not world.is_root:
        try:
            found.append(objectives.chosen(options))
        except InputError as error:
            wrong = f"{error} (on host {world.host})"
    wrong = next(filter(None, world.all_gather(wrong)), None)
    if wrong is not None:
        raise InputError(wrong)
    return found[0]


def _check_seen(world: World, options: Options, start: Start) -> None:
    """Refuse a run directory that not all ranks see (collective).

    Raises:
        InputError: on every rank alike.
    """
    until_s = time.monotonic() + SEEN_WITHIN_S
    while not (is_seen := start.lock.exists()) and time.monotonic() < until_s:
        time.sleep(0.1)
    blind = {host for host, sees in world.all_gather((world.host, is_seen)) if not sees}
    if blind:
        raise InputError(
            f"--out {options.out}: expected a directory that all nodes share, found hosts that do"
            f" not see it: {', '.join(sorted(blind))}; name one on a shared file system, and in"
            " containers mount it"
        )


def _any_stopped(world: World, stop: Stop) -> bool:
    return any(world.all_gather(stop.is_requested()))


def _worker(
    world: World, crew: _Crew, objective: Objective, setting: Setting, start: Start, stop: Stop
) -> Worker:
    options = setting.options
    run = RunDir(options.out)
    return Worker(
        *(run, objective, objective.terms(setting.data.describe()), setting),
        journal.Writer(run.journal, start.name, world.rank),
        state.RankState(run, start.name, world.rank, world.host),
        group=crew.group,
        stop=stop,
        held=(start.lock, start.name),
        signature=Result(
            *("", {}, Status.DONE),
            rank=world.rank,
            host=world.host,
            threads=options.threads,
            **asdict(options.aim),
        ),
        retries=options.retries,
    )


def _train(
    world: World,
    options: Options,
    start: Start,
    held: list[Plan],
    worker: Worker,
    stop: Stop,
    remark: str | None,
) -> None:
    """Train all that is to be trained, after a remark on ranks and cores (collective)."""
    train = partial(
        schedule.run,
        world,
        evaluate=worker.evaluate,
        stop=stop,
        best=start.best,
        schedule=options.schedule,
    )
    with worker.usage.counts("search_s"):
        if held:
            with _progress(held[0], options, world, remark) as progress:
                show = partial(_show, held[0], progress, options)
                train(jobs=held[0].jobs, on_result=show)
        else:  # rank 0 alone knows the jobs and hears the results
            train(jobs=Queue([]), on_result=lambda _: None)
        if options.finalists:
            _train_finalists(world, options, held, worker, stop)
    if held:
        _train_lost_winner(options, held[0], worker, stop)


def _train_finalists(
    world: World, options: Options, held: list[Plan], worker: Worker, stop: Stop
) -> None:
    """Train the best again with other seeds, once all trials are finished (collective)."""
    is_to_go_on = held and not stop.is_requested()
    jobs = todo.final_jobs(held[0].standing_now(), worker.terms) if is_to_go_on else Queue([])
    train = partial(
        schedule.run, world, jobs, worker.evaluate, stop=stop, schedule=options.schedule
    )
    if not held:
        train(on_result=lambda _: None)
    elif jobs.n_jobs:
        plan.say(
            options,
            f"{jobs.n_jobs:,} repeat{'s' if jobs.n_jobs > 1 else ''} of finalists to train:"
            f" --finalists {options.finalists}, --repeats {options.repeats}",
        )
        with _progress_of(held[0], options, world, jobs) as progress:
            train(on_result=partial(_show, held[0], progress, options))
    else:
        train(on_result=lambda _: None)


def _log_usage(world: World, worker: Worker, held: list[Plan]) -> None:
    """Note what each rank has cost, and how well that was predicted (collective)."""
    told = world.gather((world.host, worker.usage.sentence()))
    for rank, (host, sentence) in enumerate(told or []):
        _logger.info("rank %d on host %s: %s", rank, host, sentence)
    for network, predicted_s, seen_s in held[0].jobs.times()[:MAX_NETWORKS_LOGGED] if held else []:
        _logger.info("predicted %.2f s, seen %.2f s: %s", predicted_s, seen_s, network)


def _train_lost_winner(options: Options, held: Plan, worker: Worker, stop: Stop) -> None:
    """Train the winner once more, on rank 0, if its model is missing; the others sleep."""
    now = held.standing_now()
    lost = publish.missing_model(held.run, held.record, now)
    if lost is not None and not stop.is_requested():
        of_all = (
            f"the winner is trained once more on all {held.record.data.get('images', 0):,} images"
        )
        missing = "the winner's model is missing; it is trained once more for it"
        plan.say(options, of_all if now.refit is not None else missing)
        worker.train_for_model(lost)


def _progress(held: Plan, options: Options, world: World, remark: str | None) -> Progress:
    jobs, n_jobs = held.jobs, held.start.n_jobs
    once = {result.id: result for result in held.standing.finished}  # equal rows are one trial
    finished = [r for r in once.values() if r.id not in held.retried]
    words = f" {held.words};" if held.words else ""
    k, s = options.ranks_per_trial, "s" if world.size > 1 else ""
    ranks = f"{world.size} rank{s}" if k == 1 else f"{world.size} group{s} of {k} ranks"
    plan.say(
        options,
        f"{held.standing.n_trials:,} combinations, {n_jobs:,} to train on {ranks}"
        f" ({world.library}), about {duration(jobs.left_s() / world.size)};{words} run directory"
        f" {held.run}",
    )
    if remark is not None:
        plan.say(options, remark)
    progress = _progress_of(held, options, world, jobs, n_before=len(finished))
    for result in sorted(finished, key=lambda its: its.ended_s):
        progress.count(result)
    return progress


def _progress_of(
    held: Plan, options: Options, world: World, jobs: Queue, n_before: int = 0
) -> Progress:
    varied = spacefile.of_run(held.record.space, str(held.run)).varied
    leaders = range(0, world.size * options.ranks_per_trial, options.ranks_per_trial)

    def training(n: int) -> list[Training]:
        told = state.some(held.run, held.start.name, leaders, n)
        return [Training.of(its, varied) for its in told]

    return Progress(
        jobs.n_jobs + n_before,
        world.size,
        varied=varied,
        load=lambda: (jobs.left_s(), min(jobs.n_taken, world.size)),
        training=training,
        quiet=options.quiet,
        name=str(held.run),
    )


def _show(held: Plan, progress: Progress, options: Options, result: Result) -> None:
    log = RunDir(options.out).log_of(result.id)
    progress.count(result)
    score = "failed" if result.score is None else f"{result.score:.4f}"
    if result.status is Status.PRUNED:
        score += f", stopped after epoch {result.epochs},"
    line = f"{score} in {result.seconds:.1f} s on rank {result.rank}: {compact(result.config)}"
    if options.verbose:
        progress.say(line)
    with of_trial(result.id):
        _logger.info("%s", line)
        if result.error is not None:
            _logger.warning(
                "failed: %s: %s; more in %s",
                compact(result.config),
                last_line(result.error),
                log,
            )
    if result.status is Status.FAILED:
        held.notifier.trial_failed(result, notify.Tally.of_snapshot(progress.snapshot()))


def _warn_of_unequal_nodes(world: World) -> None:
    """Warn where results may differ in their last bits from node to node (collective)."""
    told = world.gather((world.host, record.versions()))
    if told is None:
        return
    first, usual = told[0]
    for host, theirs in dict(told).items():
        unequal = [name for name in usual if theirs.get(name) != usual[name]]
        if unequal:
            _logger.warning(
                "hosts %s and %s have unequal %s: the last bits of a result may depend on where"
                " it is trained",
                *(first, host, ", ".join(unequal)),
            )
