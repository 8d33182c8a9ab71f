"""What rank 0 does before and after the training: check, lock, plan, conclude."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hpo import (
    container,
    gathering,
    history,
    journal,
    launcher,
    model_based,
    publish,
    record,
    sampling,
    spacefile,
    spaceyaml,
    state,
    todo,
    webreport,
)
from hpo.classifierterms import NAME
from hpo.contract import Data, Objective
from hpo.data import load_unlabelled
from hpo.domain import Choices
from hpo.errors import ExitCode, InputError
from hpo.gathering import Gatherer
from hpo.lock import Lock, alive, holders, remove_dead
from hpo.notify import Notifier
from hpo.options import MODEL_BASED, Options
from hpo.order import Queue
from hpo.report import Standing
from hpo.rundir import RunDir, stamp
from hpo.space import Combinations
from hpo.stopping import Stop
from hpo.terms import Terms
from hpo.trackprocess import TrackProcess
from hpo.trial import (
    USUAL_AIM,
    WORST,
    Config,
    Merit,
    Result,
    Status,
    Trial,
    merit,
)
from hpo.written import Written

_logger = logging.getLogger(__name__)

_UNRECORDED = ("test", "set", "notify")  # options that are said anew each time


@dataclass(frozen=True)
class Start:
    """What every rank is told before it trains."""

    name: str
    lock: Path
    n_jobs: int
    best: Merit
    lacks_model: bool  # of the winner: it is to be trained once more for it


@dataclass
class Plan:
    """What rank 0 holds: the run's lock, its record, how far it was, and what is to be done.

    Of the results in `standing`, those of `retried` have failed and are among the jobs again.
    """

    start: Start
    started: history.Started
    run: RunDir
    lock: Lock
    record: record.Record
    standing: Standing
    retried: frozenset[str]
    jobs: Queue
    words: str  # on the data
    gatherer: Gatherer
    notifier: Notifier
    is_finished: bool = False
    has_left: bool = False

    def begin_log(self) -> None:
        """Write the first line, and gather what all ranks say from here on."""
        _logger.info(
            "start %s: %s; %d to train",
            *(self.start.name, self.standing.sentence(), self.start.n_jobs),
        )
        self.gatherer.start()

    def trials_now(self) -> Sequence[Trial]:
        """List the trials, with those that were proposed since."""
        if self.standing.n_planned:
            return publish.trials(self.run, self.record)
        return self.standing.trials

    def standing_now(self) -> Standing:
        """Look at the journal again."""
        results = journal.replay(self.run.journal)
        return publish.compared(self.run, self.record, self.trials_now(), results)


def read_space(options: Options, space: Mapping[str, object], terms: Terms) -> Written:
    """Read and check the space that the options name, with what they replace in it."""
    if options.space is not None:
        written = spacefile.read(options.space)
    else:
        written = spacefile.written(space, Path(sys.argv[0]).name)
    written = spacefile.with_set(written, options.set)
    if options.epochs is not None:
        written = written.replaced("epochs", Choices((options.epochs,)), "--epochs")
    sampling.check(written, terms)
    return written


def make(
    options: Options, objective: Objective, written: Written, dataset: Data, n_ranks: int
) -> Plan:
    """Check all that is left to check, take the run directory, and plan.

    Raises:
        InputError: if something does not fit; the run directory is free then.
    """
    if options.sampler in MODEL_BASED:
        model_based.check_installed(options.sampler)
    run = RunDir(options.out)
    proposals = publish.proposals(run, written)
    described = dataset.describe()
    terms = objective.terms(described)
    grid = sampling.combinations(written, terms, asdict(options), proposals.read())
    identity = {
        "data": dataset.fingerprint,
        "seed": options.seed,
        "device": options.device,
        "objective": objective.name,
        "version": objective.version,
        **objective.identity(options),
        **({"ranks_per_trial": n} if (n := options.ranks_per_trial) > 1 else {}),
        **(asdict(options.aim) if options.aim != USUAL_AIM else {}),
    }
    terms.check_fit(grid)
    trials = sampling.trials(grid, terms, identity)
    _check_epochs(options, terms, trials)
    if options.test is not None:
        load_unlabelled(options.test, described["side"])  # wrong now rather than after hours
    _make_writable(run, options)
    earlier = record.check_same(run, identity, dataset.path)
    name = stamp()
    lock = Lock.acquire(run.state, name, options.shard, sampling.space_digest(written))
    try:
        its = record.Record(
            space=spaceyaml.described(written),
            identity=identity,
            data=described,
            options={
                k: v for k, v in asdict(options).items() if k not in ("test", "set", "notify")
            },
            defaults=_unsearched(grid, terms),
            test=None if options.test is None else os.path.abspath(options.test),
            objective={} if objective.name == NAME else {"defaults": dict(terms.defaults)},
        )
        if earlier is not None and earlier.test != its.test:
            run.submission.unlink(missing_ok=True)  # other images' answers
        its.write(run)
        gatherer = _gather_log(run, name, options)
        state.bury(run)
        results = journal.replay(run.journal)
        results |= _fail_deadly(run, name, trials, results)
        standing = publish.compared(run, its, trials, results)
        retried = _to_retry(run, options, standing)
        source = todo.source(options, written, standing, identity, terms, proposals)
        planned = sampling.planned(written, terms, asdict(options), proposals)
        pruner = sampling.pruner(options.pruning, trials, terms, planned)
        jobs = todo.jobs(run, options, standing, terms, retried, source, pruner)
        best = WORST if standing.best is None else merit(standing.best[1])
        lacks_model = publish.missing_model(run, its, standing) is not None
        n_final = sum(len(its.repeats) - len(its.results) for its in standing.finals)
        start = Start(name, lock.path, jobs.n_jobs + n_final, best, lacks_model)
        started = history.Started(
            start=name,
            at_s=time.time(),
            host=os.uname().nodename,
            n_ranks=n_ranks,
            n_jobs=start.n_jobs,
            scheduler_job=launcher.scheduler_job(),
            shard=options.shard,
        )
        history.note_started(run, started)
    except BaseException:
        lock.release()
        raise
    return Plan(
        *(start, started, run, lock, its, standing, retried, jobs, dataset.words(), gatherer),
        notifier=Notifier(options.notify, options.out, options.aim),
    )


def conclude(plan: Plan, options: Options, stop: Stop, trackers: TrackProcess) -> ExitCode:
    """Write the report, let go of the run directory, say how it ended; give the exit code.

    Args:
        trackers: hear of the rest.
    """
    code = _conclude(plan, options, stop)
    try:
        history.note_ended(plan.run, plan.started, code, time.time())
    except OSError as error:  # a full disk: the search itself is on it already
        _logger.warning("%s: its end could not be noted: %s", plan.run, error)
    try:
        webreport.write(plan.run)
    except Exception as error:  # the answer is on disk, and is no worse for it
        _logger.warning(
            "%s: it could not be made: %r; python -m hpo report", plan.run.report, error
        )
    else:
        say(options, f"a report to look at is in {plan.run.report}")
    is_finished = code is not ExitCode.STOPPED
    for line in trackers.end(is_finished=is_finished, left_s=stop.time_left_s()):
        say(options, line)
    leave(plan, is_clean=True)
    if options.notify is not None:
        plan.notifier.ended(code, plan.standing, stop.reason)
        others = set(alive(plan.run.state))
        if options.shard is not None or not others:  # else it is theirs to take over
            gathering.take_over(plan.run, others, options.shard)
    return code


def _conclude(plan: Plan, options: Options, stop: Stop) -> ExitCode:
    plan.standing = now = publish.publish(plan.run, plan.record, plan.trials_now())
    _logger.info("end: %s", now.sentence())
    if not plan.start.n_jobs and not plan.start.lacks_model:
        say(options, f"{plan.run}: nothing to train, all of it has been tried before")
    print(f"{plan.run}: {now.sentence()}", flush=True)
    is_open = options.shard is None and not now.is_finished  # of all, not of a share
    if plan.jobs.n_unfinished or is_open or publish.missing_model(plan.run, plan.record, now):
        why = stop.reason or "nothing more fits into the time limit"
        again = "it without --fresh" if options.fresh else "the same command"
        print(f"stopped ({why}); run {again} again to go on", flush=True)
        return ExitCode.STOPPED
    if now.is_finished:
        publish.tidy(plan.run, now)
        plan.is_finished = True
    elif options.shard is not None:
        say(options, "this shard is finished; the rest is for the others")
    if now.n_failed:
        say(
            options, f"why trials failed is in {plan.run.results}; --retry-failed tries them again"
        )
    if now.finished and now.best is None:
        print("every trial failed", file=sys.stderr)
        return ExitCode.FAILED
    answers = f", the answers for {options.test} in {plan.run.submission}" if options.test else ""
    say(options, f"the best configuration is in {plan.run.best_params}{answers}")
    return ExitCode.DONE


def tell_crash(plan: Plan, error: Exception) -> None:
    """Let the user hear of an error that ends the search."""
    with contextlib.suppress(OSError, InputError):  # which may be this very error
        plan.standing = plan.standing_now()
    plan.notifier.crashed(error, plan.standing)


def leave(plan: Plan, *, is_clean: bool) -> None:
    """Let go of the run directory, after all is in its log.

    Args:
        is_clean: whether all ranks have come to their end.
    """
    if plan.has_left:
        return
    plan.has_left = True
    plan.gatherer.finish(is_clean=is_clean)
    plan.lock.release()
    if plan.is_finished:
        state.clear(plan.run)


def say(options: Options, text: str) -> None:
    """Print a line, unless silence was asked for."""
    if not options.quiet:
        print(text, flush=True)


def _check_epochs(options: Options, terms: Terms, trials: Sequence[Trial]) -> None:
    """Refuse a pruner where nothing tells how many epochs a trial has."""
    if options.pruning.pruner == "none" or options.sampler in MODEL_BASED:
        return
    if any("epochs" not in terms.complete(trial.config) for trial in trials[:1]):
        raise InputError(
            f"--pruner {options.pruner}: expected epochs among the hyperparameters, as it counts"
            " up to them, found none; --epochs N adds them"
        )


def _make_writable(run: RunDir, options: Options) -> None:
    """Make the run directory, after setting aside an earlier one if that is wanted."""
    if launcher.scheduler_job() and container.loses(run.root):
        raise InputError(
            f"--out {run}: expected a directory that outlives this container, found one inside it;"
            " mount one (hpo submit --mount; LSF_DOCKER_VOLUMES on LSF)"
        )
    try:
        if options.fresh and run.root.exists():
            for path in holders(run.state):
                remove_dead(path)
            aside = Path(f"{run.root}-{time.strftime('%Y%m%dT%H%M%S')}")
            run.root.rename(aside)
            say(options, f"{run} is now {aside}")
        run.make()
        for folder in (run.root, run.state):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise InputError(
            f"--out {run}: expected a directory that can be written, found: {error.strerror}"
        ) from error


def _fail_deadly(
    run: RunDir, start: str, trials: Sequence[Trial], results: Mapping[str, Result]
) -> dict[str, Result]:
    """Give up trials that were in flight whenever their rank died: one must not stop a search."""
    deaths = state.deaths(run)
    writer = journal.Writer(run.journal, f"{start}-deaths", 0)
    failed: dict[str, Result] = {}
    for trial in trials:
        died = deaths[trial.id]
        is_new = trial.id not in results and trial.id not in failed
        if died >= state.FAILED_FROM_DEATHS and is_new:
            error = f"killed: in flight at {died} deaths of its rank"
            result = Result(trial.id, trial.config, Status.FAILED, attempt=died, error=error)
            writer.append(result)
            failed[trial.id] = result
    writer.close()
    return failed


def _to_retry(run: RunDir, options: Options, standing: Standing) -> frozenset[str]:
    """Find the failed trials that are to be trained again, and forget what they have killed."""
    if not options.retry_failed:
        return frozenset()
    share = {trial.id for trial in todo.share(options, standing.trials)}
    failed = {result.id for result in standing.finished if result.status is Status.FAILED}
    state.forgive(run, failed & share)
    return frozenset(failed & share)


def _unsearched(grid: Combinations, terms: Terms) -> Config:
    """Give the defaults of what the space leaves out: with it, the whole configuration."""
    return {name: value for name, value in terms.defaults.items() if name not in grid.names}


def _gather_log(run: RunDir, start: str, options: Options) -> Gatherer:
    """Prepare to gather what all ranks say, after what earlier starts have left."""
    held = {holder.start for holder in holders(run.state).values()}
    gathering.take_over(run, held, options.shard)
    return Gatherer(run, start, options.shard)
