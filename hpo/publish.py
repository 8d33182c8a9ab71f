"""Everything that a run directory shows for its journal: written whole, at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpo import (
    bestmodel,
    data,
    finalists,
    journal,
    knownterms,
    record,
    report,
    sampling,
    spacefile,
)
from hpo.proposals import Proposals
from hpo.pruning import Pruning
from hpo.report import Standing
from hpo.rundir import RunDir, write_whole
from hpo.terms import Terms
from hpo.trial import Result, Trial
from hpo.written import Written


def standing(run: RunDir, its: record.Record) -> Standing:
    """Compare a run directory's space with its journal.

    Raises:
        InputError: if the journal is broken.
    """
    return compared(run, its, trials(run, its), journal.replay(run.journal))


def proposals(run: RunDir, written: Written) -> Proposals:
    """Give what model-based samplers have proposed of a space in a run directory."""
    return Proposals(run.proposals(sampling.space_digest(written)))


def trials(run: RunDir, its: record.Record) -> list[Trial]:
    """List the trials of a run directory's space, as far as they are known."""
    written = spacefile.of_run(its.space, str(run.search))
    proposed = proposals(run, written).read()
    known = knownterms.of_run(its)
    combinations = sampling.combinations(written, known, its.options, proposed)
    return sampling.trials(combinations, known, its.identity)


def compared(
    run: RunDir, its: record.Record, trials: Sequence[Trial], results: Mapping[str, Result]
) -> Standing:
    """Compare trials with results, as the run's record says what counts."""
    written = spacefile.of_run(its.space, str(run.search))
    known = knownterms.of_run(its)
    planned = sampling.planned(written, known, its.options, proposals(run, written))
    now = sampling.standing(trials, results, Pruning.of(its.options), known, planned)
    if now.is_searched and its.options.get("finalists"):
        now = replace(now, finals=finalists.chosen(now, its.options, its, known))
    if now.is_finished and its.options.get("refit"):
        now = replace(now, refit=finalists.refit(now, its, known))
    return now


def publish(run: RunDir, its: record.Record, trials: Sequence[Trial]) -> Standing:
    """Write best_params.txt, results.csv, the best model and submission.csv.

    The last two are left as they are while the winner's model is missing.
    The journal is looked at again afterwards: another shard may have ended meanwhile.

    Args:
        trials: all trials of the record's space, in grid order.
    """
    known = knownterms.of_run(its)
    results = journal.replay(run.journal)
    while True:
        now = compared(run, its, trials, results)
        write_whole(run.results, report.results_csv(table(now, known)))
        write_whole(run.best_params, report.best_params(now))
        if now.kept is not None:
            _publish_model(run, its, now.kept, with_answers=now.is_finished)
        results = journal.replay(run.journal)
        if results == now.results:
            return now


def table(now: Standing, known: Terms) -> report.Table:
    """List all results, with complete configurations."""
    everyone = [(t.id, t.config) for t in now.trials]
    everyone += [(r.id, r.config) for r in now.results.values()]
    complete = {name: known.complete(config) for name, config in reversed(everyone)}
    return report.table(now, complete)


def missing_model(run: RunDir, its: record.Record, now: Standing) -> Trial | None:
    """Give the winner if its model is not on disk: it was no winner when it was trained."""
    if now.kept is None or not bestmodel.is_missing(run, its, now.kept):
        return None
    return now.kept


def is_published(run: RunDir, its: record.Record, now: Standing) -> bool:
    """Tell whether the files show what the journal holds: a kill may have come between."""
    try:
        shown = run.best_params.read_text(encoding="utf-8")
    except OSError:
        return False
    is_current = shown == report.best_params(now) and run.results.exists()
    return is_current and (now.kept is None or bestmodel.is_written(run, its, now.kept))


def tidy(run: RunDir, now: Standing) -> None:
    """Remove the models of all but the winner of a finished search."""
    for trial_id in now.results:
        if now.kept is None or trial_id != now.kept.id:
            run.forget_model(trial_id)


def _publish_model(run: RunDir, its: record.Record, trial: Trial, *, with_answers: bool) -> None:
    if not bestmodel.is_written(run, its, trial):
        run.submission.unlink(missing_ok=True)  # another model's
        try:
            bestmodel.write(run, its, trial)
        except FileNotFoundError:
            return  # never kept, or just beaten, and then the journal has grown
    if with_answers and its.test is not None and not run.submission.exists():
        images = data.load_unlabelled(its.test, its.data["side"])
        write_whole(run.submission, bestmodel.answers_csv(run, images))
