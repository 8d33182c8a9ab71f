"""The winner's model: best_model.keras of the built-in objective, best_model/ of all others."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpo import architecture, classifierterms, hyperparameters, quiet, record
from hpo.arrays import UNREADABLE, WEIGHTS, load_arrays
from hpo.errors import InputError
from hpo.rundir import RunDir, write_folder
from hpo.trial import Trial

_OF_TRIAL = "trial_id.txt"  # in best_model/: whose it is


def is_builtin(its: record.Record) -> bool:
    """Tell whether a run searches the built-in networks."""
    return its.identity.get("objective") == classifierterms.NAME


def is_written(run: RunDir, its: record.Record, trial: Trial) -> bool:
    """Tell whether the model in the run directory is this trial's."""
    if is_builtin(its):
        return _name_in(run.best_model) == _name(trial)
    if run.best_folder.exists():
        return _trial_in(run.best_folder) == trial.id
    return _keeps_nothing(run, trial)


def is_missing(run: RunDir, its: record.Record, trial: Trial) -> bool:
    """Tell whether this trial has to be trained once more for its model."""
    return not run.model(trial.id).exists() and not is_written(run, its, trial)


def write(run: RunDir, its: record.Record, trial: Trial) -> None:
    """Write the model from what the trial has kept.

    Raises:
        FileNotFoundError: if it has not been kept, or has been beaten meanwhile.
        InputError: if that is no model of this trial.
    """
    if is_builtin(its):
        _write_keras(run, its.data, trial)
        return
    kept = run.model(trial.id)
    if _keeps_nothing(run, trial):
        shutil.rmtree(run.best_folder, ignore_errors=True)  # another trial's
        return

    def copy(folder: Path) -> None:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        (folder / _OF_TRIAL).write_text(f"{trial.id}\n", encoding="utf-8")

    write_folder(run.best_folder, copy)


def _keeps_nothing(run: RunDir, trial: Trial) -> bool:
    """Tell whether the trial's objective was seen to keep no model."""
    kept = run.model(trial.id)
    return kept.exists() and not any(kept.iterdir())


def _trial_in(folder: Path) -> str | None:
    try:
        return (folder / _OF_TRIAL).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _name(trial: Trial) -> str:
    return f"trial_{trial.id}"


def _name_in(path: Path) -> str | None:
    """Read the name in a .keras file, which tells its trial, without loading Keras."""
    try:
        with zipfile.ZipFile(path) as file:
            return str(json.loads(file.read("config.json"))["config"]["name"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _write_keras(run: RunDir, data: Mapping[str, Any], trial: Trial) -> None:
    side = data["side"]
    config = hyperparameters.complete(trial.config, side)
    weights = run.model(trial.id) / WEIGHTS
    with quiet.loading():  # saving, too, may load TensorFlow, whatever the backend is
        from hpo import models  # Keras, seconds that a look at a finished run does not need

        try:
            models.save(
                run.best_model,
                architecture.layers(config, side, data["classes"]),
                side,
                mean=data["mean"],
                std=data["std"],
                dropout=config.get("dropout", 0.0),
                weights=load_arrays(weights)[1]["best"],
                name=_name(trial),
            )
        except UNREADABLE as error:
            raise InputError(
                f"{weights}: expected the weights of this trial's network, found something else"
                f" ({str(error).splitlines()[0]}); delete the file and run the search again"
            ) from error


def mistakes(run: RunDir, trial_id: str) -> dict[str, Any] | None:
    """Read what is known of the mistakes of this trial's model; None if that is nothing.

    Its `confusion` has a row for each true label and a column for each answer. `mistakes` are the
    worst first: those that the model was surest of. Where there is only a `reason`, it says why.
    """
    try:
        told = json.loads(run.best_mistakes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("trial_id") == trial_id else None


def shares(run: RunDir, images: np.ndarray) -> np.ndarray:
    """Say how likely the best model finds each class: uint8 (n, side²) to float32 (n, classes).

    Raises:
        InputError: if its file is no such model.
    """
    with quiet.loading():
        from hpo import models

        try:
            return models.shares(run.best_model, images)
        except (ValueError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{run.best_model}: expected the model that a search has written, found something"
                " else; delete it, and `python -m hpo report` makes it again"
            ) from error


def answers_csv(run: RunDir, images: np.ndarray) -> str:
    """Answer images with the best model, in Kaggle's format."""
    labels = shares(run, images).argmax(axis=1)
    rows = [f"{number},{label}" for number, label in enumerate(labels, start=1)]
    return "\n".join(["ImageId,Label", *rows, ""])
