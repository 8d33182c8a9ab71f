"""Everything that a run directory shows for its journal: written whole, at any time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpo import (
    architecture,
    data,
    finalists,
    hyperparameters,
    journal,
    quiet,
    record,
    report,
    sampling,
    spacefile,
)
from hpo.arrays import UNREADABLE, load_arrays
from hpo.errors import InputError
from hpo.proposals import Proposals
from hpo.pruning import Pruning
from hpo.report import Standing
from hpo.rundir import RunDir, write_whole
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
    combinations = sampling.combinations(written, its.options, proposed)
    return sampling.trials(combinations, its.data["side"], its.identity)


def compared(
    run: RunDir, its: record.Record, trials: Sequence[Trial], results: Mapping[str, Result]
) -> Standing:
    """Compare trials with results, as the run's record says what counts."""
    written = spacefile.of_run(its.space, str(run.search))
    planned = sampling.planned(written, its.options, proposals(run, written))
    now = sampling.standing(trials, results, Pruning.of(its.options), its.data["side"], planned)
    if now.is_searched and its.options.get("finalists"):
        now = replace(now, finals=finalists.chosen(now, its.options, its))
    if now.is_finished and its.options.get("refit"):
        now = replace(now, refit=finalists.refit(now, its))
    return now


def publish(run: RunDir, its: record.Record, trials: Sequence[Trial]) -> Standing:
    """Write best_params.txt, results.csv, best_model.keras and submission.csv.

    The last two are left as they are while the winner's weights are missing.
    The journal is looked at again afterwards: another shard may have ended meanwhile.

    Args:
        trials: all trials of the record's space, in grid order.
    """
    side = its.data["side"]
    results = journal.replay(run.journal)
    while True:
        now = compared(run, its, trials, results)
        everyone = [(t.id, t.config) for t in now.trials]
        everyone += [(r.id, r.config) for r in now.results.values()]
        complete = {
            name: hyperparameters.complete(config, side) for name, config in reversed(everyone)
        }
        write_whole(run.results, report.results_csv(now, complete))
        write_whole(run.best_params, report.best_params(now))
        if now.kept is not None:
            _publish_model(run, its, now.kept, with_answers=now.is_finished)
        results = journal.replay(run.journal)
        if results == now.results:
            return now


def missing_weights(run: RunDir, now: Standing) -> Trial | None:
    """Give the winner if its weights are not on disk: it was no winner when it was trained."""
    if now.kept is None or run.weights(now.kept.id).exists():
        return None
    return None if model_name(run.best_model) == _name(now.kept) else now.kept


def is_published(run: RunDir, now: Standing) -> bool:
    """Tell whether the files show what the journal holds: a kill may have come between."""
    try:
        shown = run.best_params.read_text(encoding="utf-8")
    except OSError:
        return False
    is_current = shown == report.best_params(now) and run.results.exists()
    return is_current and (now.kept is None or model_name(run.best_model) == _name(now.kept))


def tidy(run: RunDir, now: Standing) -> None:
    """Remove the weights of all but the winner of a finished search."""
    for trial_id in now.results:
        if now.kept is None or trial_id != now.kept.id:
            run.weights(trial_id).unlink(missing_ok=True)


def model_name(path: Path) -> str | None:
    """Read the name in a .keras file, which tells its trial, without loading Keras."""
    try:
        with zipfile.ZipFile(path) as file:
            return str(json.loads(file.read("config.json"))["config"]["name"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _name(trial: Trial) -> str:
    return f"trial_{trial.id}"


def _publish_model(run: RunDir, its: record.Record, trial: Trial, *, with_answers: bool) -> None:
    if model_name(run.best_model) != _name(trial):
        run.submission.unlink(missing_ok=True)  # another model's
        try:
            write_model(run, its, trial)
        except FileNotFoundError:
            return  # no weights: never saved, or just beaten, and then the journal has grown
    if with_answers and its.test is not None and not run.submission.exists():
        images = data.load_unlabelled(its.test, its.data["side"])
        write_whole(run.submission, answers_csv(run, images))


def write_model(run: RunDir, its: record.Record, trial: Trial) -> None:
    """Write best_model.keras from the winner's weights."""
    config = hyperparameters.complete(trial.config, its.data["side"])
    weights = run.weights(trial.id)
    with quiet.loading():  # saving, too, may load TensorFlow, whatever the backend is
        from hpo import models  # Keras, seconds that a look at a finished run does not need

        try:
            models.save(
                run.best_model,
                architecture.layers(config, its.data["side"], its.data["classes"]),
                its.data["side"],
                mean=its.data["mean"],
                std=its.data["std"],
                dropout=config.get("dropout", 0.0),
                weights=load_arrays(weights)[1]["best"],
                name=_name(trial),
            )
        except UNREADABLE as error:
            raise InputError(
                f"{weights}: expected the weights of this trial's network, found something else"
                f" ({str(error).splitlines()[0]}); delete the file and run the search again"
            ) from error


def answers_csv(run: RunDir, images: np.ndarray) -> str:
    """Answer images with the best model, in Kaggle's format."""
    with quiet.loading():
        from hpo import models

        try:
            labels = models.answers(run.best_model, images)
        except (ValueError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{run.best_model}: expected the model that a search has written, found something"
                " else; delete it, and `python -m hpo report` makes it again"
            ) from error
    rows = [f"{number},{label}" for number, label in enumerate(labels, start=1)]
    return "\n".join(["ImageId,Label", *rows, ""])
