"""One trial from its first weights to its score, in pieces short enough to be interrupted."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from hpo import architecture, hyperparameters, schedules, seeds
from hpo.arrays import WEIGHTS, load_arrays, save_arrays
from hpo.cost import MAX_NETWORKS, split_sizes
from hpo.data import Dataset
from hpo.engine import VALIDATION_BATCH, Engine, Network, Pass, Settings, Tally
from hpo.epochs import AVERAGE, Epoch, Progress
from hpo.errors import DivergedError
from hpo.trial import USUAL_AIM, Aim, Config, canonical

MAX_NETWORK_BYTES = 1 << 30  # of compiled ones that a rank keeps
GRAPH_CALL_S = 4.0  # no call lasts much longer, so that signals are heard
FIRST_STEPS = 4  # of a kind whose time is not known yet
CHECKPOINT = "state.npz"
TRAINING_COSTS = 3  # times an answer: forward, gradients of activations, gradients of weights


@dataclass(frozen=True)
class Tallies:
    """How far the epoch that is under way has come."""

    trained: Tally = Tally()
    validated: Tally = Tally()
    averaged: Tally = Tally()  # validated with the averaged weights


@dataclass
class Compiled:
    """A network, and its pace with each batch size, as last seen."""

    network: Network
    n_bytes: int
    image_s: dict[int, float] = field(default_factory=dict)  # to answer one, in training's steps


class Trainer:
    """Trains the trials of one rank, and keeps the networks that it has compiled for them."""

    def __init__(
        self,
        dataset: Dataset,
        search_seed: int,
        engine: Engine,
        aim: Aim = USUAL_AIM,
        *,
        is_measured: bool = False,
    ) -> None:
        """Prepare to train.

        Args:
            is_measured: whether epochs tell the norms of gradients and weights, too; that changes
                no result.
        """
        self._is_measured = is_measured
        self.aim = aim
        self.dataset = dataset
        self._search_seed = search_seed
        self._engine = engine
        self._networks: OrderedDict[str, Compiled] = OrderedDict()

    def begin(self, trial_id: str, config: Mapping[str, object]) -> Training:
        """Start a trial.

        At most one trial of a trainer is under way at a time.
        """
        its = hyperparameters.complete(config, self.dataset.side)
        shape = {name: its[name] for name in hyperparameters.NETWORK_NAMES if name in its}
        compiled = self._compiled(its, shape)
        key = canonical([shape, self.dataset.side, self.dataset.n_classes])
        compiled.network.reset(
            seeds.initial_weights(key, self._search_seed, its["seed"]),
            _settings(its, seeds.layer_seed(trial_id)),
        )
        n_validation = split_sizes(self.dataset.n_images, its["validation_split"])[1]
        rows = seeds.split(
            self.dataset.n_images, n_validation, self.dataset.fingerprint, self._search_seed
        )
        is_measured = self._is_measured
        return Training(trial_id, its, compiled, *rows, aim=self.aim, is_measured=is_measured)

    def _compiled(self, config: Config, shape: Config) -> Compiled:
        rule, is_refined = hyperparameters.update_rule(config), hyperparameters.is_refined(config)
        key = canonical([shape, rule, is_refined])
        if key not in self._networks:
            self._networks[key] = self._compile(config, rule, is_refined=is_refined)
        self._networks.move_to_end(key)
        return self._networks[key]

    def _compile(self, config: Config, rule: str, *, is_refined: bool) -> Compiled:
        stack = architecture.layers(config, self.dataset.side, self.dataset.n_classes)
        n_bytes = architecture.n_bytes(stack, is_refined=is_refined)
        is_full = False
        while self._networks and not self._has_room(n_bytes):
            self._networks.popitem(last=False)
            is_full = True
        if is_full:
            self._engine.forget()
        network = self._engine.network(
            stack, rule, is_refined=is_refined, is_measured=self._is_measured
        )
        return Compiled(network, n_bytes)

    def _has_room(self, n_bytes: int) -> bool:
        kept = sum(compiled.n_bytes for compiled in self._networks.values())
        return len(self._networks) < MAX_NETWORKS and kept + n_bytes <= MAX_NETWORK_BYTES


class Training:
    """A trial under way. `advance` until `is_finished`; save at any point between."""

    def __init__(
        self,
        trial_id: str,
        config: Config,
        compiled: Compiled,
        train_rows: np.ndarray,
        validation_rows: np.ndarray,
        *,
        aim: Aim,
        is_measured: bool = False,
    ) -> None:
        self._is_measured = is_measured
        self._trial_id = trial_id
        self._config = config
        self._compiled = compiled
        self._network = compiled.network
        self._train_rows = train_rows
        self._validation_rows = validation_rows
        self._shuffled: tuple[int, np.ndarray] = (0, train_rows)
        self.progress = Progress(aim)
        self._tallies = Tallies()
        self.best_weights: list[np.ndarray] = []

    def is_finished(self) -> bool:
        """Whether all epochs are done, or none was better than all before for long enough."""
        history, config = self.progress.history, self._config
        if not history:
            return False
        # On all images it stops after the winner's best epoch, see `finalists.refit`.
        if len(history) >= int(config.get("stop_after") or config["epochs"]):
            return True
        patience: int | None = config["early_stopping_patience"]
        if patience is None:
            return False
        metric, goal = config["early_stopping_metric"], config.get("early_stopping_goal")
        return self.progress.n_epochs_since_best(metric, goal) >= patience

    def advance(self) -> Epoch | None:
        """Go on for an epoch, or for a few seconds of a longer one; give the epoch if it is over.

        Raises:
            DivergedError: if the loss is not finite, or an epoch's is above the limit.
        """
        begun = time.perf_counter()
        config = self._config
        training, validation, averaged = self._next_passes()
        at = Tallies(
            *self._network.run(
                *(training, validation, averaged),
                rates=schedules.rates(config, training.n_steps, self.progress.n_epochs + 1),
                strength=config.get("augment_strength", 0.0),
            )
        )
        self._tallies = at
        took_s = time.perf_counter() - begun
        answers = TRAINING_COSTS * training.n_images + validation.n_images + averaged.n_images
        self._compiled.image_s[training.batch_size] = took_s / answers
        self._check_losses()
        passes = ((training, at.trained), (validation, at.validated), (averaged, at.averaged))
        is_over = all(tally.step == its.n_steps for its, tally in passes)
        return self._end_epoch() if is_over else None

    def _next_passes(self) -> tuple[Pass, Pass, Pass]:
        """Give the steps of the next call: training, validation, validation of averages."""
        at = self._tallies
        training = Pass(self._epoch_rows(), self._config["batch_size"], at.trained)
        validation = Pass(self._validation_rows, VALIDATION_BATCH, at.validated)
        rows = self._validation_rows if self._is_averaging else self._validation_rows[:0]
        averaged = Pass(rows, VALIDATION_BATCH, at.averaged)
        image_s = self._compiled.image_s.get(training.batch_size)
        training, left_s = _cut(training, GRAPH_CALL_S, image_s, TRAINING_COSTS)
        validation, left_s = _cut(validation, left_s, image_s, 1)
        averaged, _ = _cut(averaged, left_s, image_s, 1)
        return training, validation, averaged

    def _epoch_rows(self) -> np.ndarray:
        epoch = len(self.progress.history) + 1
        if self._shuffled[0] != epoch:
            rows = seeds.shuffled(self._train_rows, self._trial_id, epoch)
            self._shuffled = (epoch, rows)
        return self._shuffled[1]

    def _check_losses(self) -> None:
        at = self._tallies
        for name, tally in (("loss", at.trained), ("validation loss", at.validated)):
            if not math.isfinite(tally.loss_sum):
                epoch = self.progress.n_epochs + 1
                raise DivergedError(f"diverged: {name} is not finite in epoch {epoch}")

    def _end_epoch(self) -> Epoch:
        progress, at = self.progress, self._tallies
        n_train, n_validation = len(self._train_rows), len(self._validation_rows)
        metrics = {
            "loss": at.trained.loss_sum / n_train,
            "accuracy": at.trained.n_right / n_train,
            "val_loss": _share(at.validated.loss_sum, n_validation),
            "val_accuracy": _share(at.validated.n_right, n_validation),
        }
        if self._is_averaging:
            metrics[f"{AVERAGE}val_loss"] = _share(at.averaged.loss_sum, n_validation)
            metrics[f"{AVERAGE}val_accuracy"] = _share(at.averaged.n_right, n_validation)
        epoch = Epoch(progress.n_epochs + 1, metrics | self._norms())
        self._check_limit(epoch)
        progress.history.append(epoch)
        self._tallies = Tallies()
        if progress.best is epoch or not n_validation:  # without any, the last is the one to keep
            is_average = (
                epoch.mark(progress.aim).is_average if n_validation else self._is_averaging
            )
            self.best_weights = self._network.weights(averaged=is_average)
        return epoch

    def _norms(self) -> dict[str, float]:
        """Give the mean norm of the epoch's gradients, before clipping, and that of the weights.

        Where the trial was cut within the epoch and not measured before, of the steps since.
        """
        trained = self._tallies.trained
        if not self._is_measured or not trained.n_norms:
            return {}
        squares = (np.sum(np.square(its, dtype=float)) for its in self._network.trained_weights())
        return {
            "gradient_norm": trained.norm_sum / trained.n_norms,
            "weight_norm": math.sqrt(sum(map(float, squares))),
        }

    @property
    def _is_averaging(self) -> bool:
        return "weight_average_decay" in self._config

    def _check_limit(self, epoch: Epoch) -> None:
        limit = self._config["loss_limit"]
        for name, metric in (("loss", "loss"), ("validation loss", "val_loss")):
            loss = epoch.metrics[metric]
            if limit is not None and loss > limit:
                raise DivergedError(
                    f"diverged: {name} {loss:.4g} is above loss_limit {limit} in epoch"
                    f" {epoch.epoch}"
                )

    def save(self, folder: Path) -> None:
        """Write a checkpoint; a training that loads it goes on to the same last bit."""
        note = json.dumps({"progress": self.progress.to_json(), "tallies": asdict(self._tallies)})
        state = self._network.state()
        save_arrays(folder / CHECKPOINT, note, state=state, best=self.best_weights)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint of this trial."""
        note, arrays = load_arrays(folder / CHECKPOINT)
        values = json.loads(note)
        self.progress = Progress.from_json(values["progress"], self.progress.aim)
        self._tallies = Tallies(*(Tally(**its) for its in values["tallies"].values()))
        self._network.restore(arrays["state"])
        self.best_weights = arrays["best"]

    def save_best(self, folder: Path) -> None:
        """Write the weights of the best epoch, in the order of `keras.Model.weights`."""
        save_arrays(folder / WEIGHTS, best=self.best_weights)


def _share(total: float, n_images: int) -> float:
    return total / n_images if n_images else math.nan


def _settings(config: Config, seed: int) -> Settings:
    return Settings(
        weight_decay=hyperparameters.weight_decay(config),
        dropout=config.get("dropout", 0.0),
        seed=seed,
        momentum=config.get("momentum", 0.0),
        gradient_clip=config["gradient_clip"],
        gradient_accumulation=config["gradient_accumulation"],
        average_decay=config.get("weight_average_decay"),
    )


def _cut(some: Pass, left_s: float, image_s: float | None, costs: float) -> tuple[Pass, float]:
    """Let a pass go on for as many steps as fit; give the time that its end leaves, if any."""
    if left_s <= 0:
        return replace(some, stop=some.tally.step), 0.0
    step_s = None if image_s is None else some.batch_size * costs * image_s
    fitting = FIRST_STEPS if step_s is None else max(1, int(left_s / step_s))
    n_steps = min(some.n_left, fitting)
    cut = replace(some, stop=some.tally.step + n_steps)
    return cut, left_s - n_steps * (step_s or 0.0) if n_steps == some.n_left else 0.0
