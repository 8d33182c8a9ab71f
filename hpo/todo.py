"""What is left to train, as a queue: of a space, of a sampler's proposals, of finalists."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hpo import model_based, sampling, state
from hpo.asking import Asking
from hpo.climb import Climb
from hpo.options import MODEL_BASED, Options
from hpo.order import NO_SOURCE, Job, Queue, Source
from hpo.proposals import Proposals
from hpo.pruning import Pruner
from hpo.report import Standing
from hpo.rundir import RunDir
from hpo.terms import Terms
from hpo.trial import Config, Status, Trial
from hpo.written import Written


def jobs(
    run: RunDir,
    options: Options,
    standing: Standing,
    terms: Terms,
    retried: Collection[str],
    source: Source,
    pruner: Pruner,
) -> Queue:
    """Find what is left to train."""
    deaths = state.deaths(run)
    todo = [
        trial
        for trial in share(options, standing.trials)
        if trial.id not in standing.counts or trial.id in retried
    ]
    found = [_job(trial, terms, deaths[trial.id]) for trial in todo]
    if options.pruning.pruner == "none":
        return Queue(found, source)
    results = [
        standing.results[trial.id]
        for trial in standing.trials
        if trial.id in standing.results and trial.id not in retried
    ]
    climbing = [
        replace(job, rungs=pruner.asks_at(job.trial.id), keeps_weights=True) for job in found
    ]
    return Climb(climbing, pruner, results, source)


def final_jobs(now: Standing, terms: Terms) -> Queue:
    """Find what is left to train of the finalists, once the trials of the space are finished."""
    todo = [its for final in now.finals for its in final.repeats if its.id not in now.results]
    jobs = (_job(trial, terms, died=0) for trial in todo)
    return Queue(replace(job, keeps_weights=True) for job in jobs)


def source(
    options: Options,
    written: Written,
    standing: Standing,
    identity: Mapping[str, object],
    terms: Terms,
    proposals: Proposals,
) -> Source:
    """Prepare to ask a model-based sampler for more, if that is what is searched with."""
    if options.sampler not in MODEL_BASED:
        return NO_SOURCE
    its = sampling.rules(written, terms)
    advisor = model_based.Advisor(
        written, its, sampler=options.sampler, seed=options.seed, aim=options.aim
    )
    for trial in standing.trials:
        advisor.take_up(trial.config)
        if trial.id in standing.results:
            advisor.note(standing.results[trial.id])

    def job(config: Config, index: int) -> Job:
        return _job(sampling.trial(config, index, terms, identity), terms, died=0)

    ended = {
        name: its for name, its in standing.results.items() if its.status is not Status.PRUNED
    }
    return Asking(
        advisor,
        proposals,
        job,
        known={**dict.fromkeys(trial.id for trial in standing.trials), **ended},
        n_proposed=len(standing.trials),
        n_trials=standing.n_planned,
    )


def _job(trial: Trial, terms: Terms, died: int) -> Job:
    kind, predicted_s = terms.estimate(trial.config)
    return Job(
        trial,
        kind,
        predicted_s,
        attempt=1 + died,
        is_late=died >= state.LATE_FROM_DEATHS,
        is_lone=died >= state.LONE_FROM_DEATHS,
        epochs=terms.epochs(trial.config),
    )


def share(options: Options, trials: Sequence[Trial]) -> Sequence[Trial]:
    """Give the trials that this search is to train: all, or every N-th; equal ones once."""
    once = list({trial.id: trial for trial in reversed(trials)}.values())[::-1]
    return once if options.shard is None else once[options.shard[0] - 1 :: options.shard[1]]
