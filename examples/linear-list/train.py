"""A linear classifier by stochastic gradient descent, in NumPy: momentum, averaging, patience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import hpo

VALIDATION_SHARE = 0.2


def load(path: str | None) -> dict[str, np.ndarray]:
    """Give images to train and to validate with: of an .npz with x and y, or sklearn's digits."""
    if path is None:
        x, y = load_digits(return_X_y=True)
    else:
        with np.load(path, allow_pickle=False) as file:
            x, y = file["x"], file["y"]
    x = x.reshape(len(x), -1) / x.max()
    x = np.column_stack([x, np.ones(len(x))])  # whose weights are the biases
    order = np.random.default_rng(33).permutation(len(x))
    val, fit = np.split(order, [round(VALIDATION_SHARE * len(x))])
    return {"x": x[fit], "y": y[fit], "x_val": x[val], "y_val": y[val]}


@hpo.objective(
    metric="averaged_accuracy",
    goal="maximize",
    prepare=load,
    defaults={
        "learning_rate": 0.5,
        "momentum": 0.0,
        "batch_size": 32,
        "average_decay": 0.0,  # what the averaged weights keep at each update; 0: the last weights
        "epochs": 50,
        "patience": 8,
    },
    cost=lambda config: 0.1 * config["epochs"] / config["batch_size"],
)
def train(config: dict, trial: hpo.Context) -> Iterator[dict[str, float]]:
    """Train until the epochs are over, or so many in a row were no better than one before."""
    data = trial.data
    shape = data["x"].shape[1], int(data["y"].max()) + 1
    state = {name: np.zeros(shape) for name in ("weights", "velocity", "averaged", "best")}
    state["scores"] = np.empty(0)

    def save(folder: Path) -> None:
        np.savez(folder / "state.npz", **state)

    def restore(folder: Path) -> None:
        with np.load(folder / "state.npz", allow_pickle=False) as file:
            state.update(file)

    trial.checkpoint(save, restore)
    trial.keep(lambda folder: np.savez(folder / "model.npz", weights=state["best"]))

    while trial.epoch < config["epochs"] and n_since_best(state["scores"]) < config["patience"]:
        # Of the trial and its epoch, not of what was drawn before: it goes on alike after a stop.
        chance = np.random.default_rng([trial.seed, trial.epoch])
        loss = descend(state, data, config, chance)
        score = accuracy(state["averaged"], data)
        state["scores"] = np.append(state["scores"], score)
        if n_since_best(state["scores"]) == 0:
            state["best"] = state["averaged"].copy()
        yield {
            "loss": loss,
            "accuracy": accuracy(state["weights"], data),
            "averaged_accuracy": score,
            "weight_norm": float(np.linalg.norm(state["averaged"])),
        }


def descend(state: dict, data: dict, config: dict, chance: np.random.Generator) -> float:
    """Go once through the images in a new order; give their mean loss on the way."""
    order = chance.permutation(len(data["y"]))
    loss = 0.0
    for start in range(0, len(order), config["batch_size"]):
        batch = order[start : start + config["batch_size"]]
        batch_loss, gradient = loss_and_gradient(
            state["weights"], data["x"][batch], data["y"][batch]
        )
        loss += batch_loss * len(batch) / len(order)
        state["velocity"] = config["momentum"] * state["velocity"] - gradient
        state["weights"] = state["weights"] + config["learning_rate"] * state["velocity"]
        state["averaged"] += (1 - config["average_decay"]) * (state["weights"] - state["averaged"])
    return loss


def loss_and_gradient(
    weights: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[float, np.ndarray]:
    """Give the cross-entropy of the softmax, and its gradient."""
    scores = x @ weights
    scores -= scores.max(axis=1, keepdims=True)
    log_shares = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    error = np.exp(log_shares)
    error[rows, y] -= 1
    return -float(log_shares[rows, y].mean()), x.T @ error / len(y)


def accuracy(weights: np.ndarray, data: dict) -> float:
    return float(np.mean((data["x_val"] @ weights).argmax(axis=1) == data["y_val"]))


def n_since_best(scores: np.ndarray) -> int:
    """Count the epochs since the best one, the first of equal ones."""
    return len(scores) - 1 - int(scores.argmax()) if len(scores) else 0
