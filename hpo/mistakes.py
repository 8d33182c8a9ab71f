"""best_mistakes.json: where the winner among the built-in networks is right, and where not.

Made anew from its model and the data whenever another trial wins, as it needs both.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo import artifacts, bestmodel, data, hyperparameters, record, seeds
from hpo.cost import split_sizes
from hpo.errors import InputError
from hpo.rundir import RunDir, write_whole
from hpo.trial import Trial

MOST_SHOWN = 40  # mistakes whose images are kept
NO_IMAGES_LEFT = "the winner was trained on all images: none are left to test it on"


def write(run: RunDir, its: record.Record, trial: Trial) -> None:
    """Let the winner's model answer its validation images, unless that has been done.

    Where the data are not to be had any more, the file says so and is made again next time.
    """
    if not bestmodel.is_builtin(its) or not bestmodel.is_written(run, its, trial):
        return
    known = bestmodel.mistakes(run, trial.id)
    if known is None or "reason" in known:
        told = {"trial_id": trial.id, **_found(run, its, trial)}
        write_whole(run.best_mistakes, json.dumps(told) + "\n")


def _found(run: RunDir, its: record.Record, trial: Trial) -> dict[str, Any]:
    config = hyperparameters.complete(trial.config, its.data["side"])
    n_validation = split_sizes(its.data["images"], config["validation_split"])[1]
    if config.get("stop_after") or not n_validation:
        return {"reason": NO_IMAGES_LEFT}
    try:
        path = its.data["path"]
        path = artifacts.fetch(path) if artifacts.is_artifact(path) else path
        images, labels, fingerprint = data.load_alone(path)
    except InputError as error:
        return {"reason": str(error)}
    if fingerprint != its.data["fingerprint"]:
        return {"reason": f"{its.data['path']}: these are not the data of the search"}
    seed = int(str(its.identity["seed"]))
    rows = seeds.split(len(labels), n_validation, fingerprint, seed)[1]
    shares = bestmodel.shares(run, images[rows])
    return _compared(rows, images[rows], labels[rows], shares, its.data)


def _compared(
    rows: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    shares: np.ndarray,
    described: Mapping[str, Any],
) -> dict[str, Any]:
    """Compare answers with labels.

    Args:
        rows: of the images in the data set.
        shares: for each image a probability of each class.
    """
    answers = shares.argmax(axis=1)
    confusion = np.zeros((described["classes"],) * 2, int)
    np.add.at(confusion, (labels, answers), 1)
    wrong = np.flatnonzero(answers != labels)
    sureness = shares[wrong, answers[wrong]]
    worst = wrong[np.lexsort((rows[wrong], -sureness))][:MOST_SHOWN]
    return {
        "classes": described["classes"],
        "side": described["side"],
        "images": len(labels),
        "confusion": confusion.tolist(),
        "mistakes": [
            {
                "row": int(rows[i]),  # of the data, from 0
                "label": int(labels[i]),
                "answer": int(answers[i]),
                "probability": round(float(shares[i, answers[i]]), 4),
                "image": base64.b64encode(images[i].tobytes()).decode(),
            }
            for i in worst
        ],
    }
