"""One trial from its first weights to its score, in pieces short enough to be interrupted."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from hpo import architecture, graph, hyperparameters, models, seeds
from hpo.arrays import load_arrays, save_arrays
from hpo.cost import split_sizes
from hpo.data import Dataset
from hpo.errors import DivergedError
from hpo.trial import Config, Trial, canonical

MAX_NETWORKS = 24  # compiled ones that a rank keeps; the one unused longest goes first
GRAPH_CALL_S = 4.0  # no call lasts much longer, so that signals are heard


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; losses are means over images, accuracies shares."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float

    @property
    def merit(self) -> tuple[float, float]:
        """The smallest is the best; an earlier epoch wins a tie."""
        return (-self.val_accuracy, self.val_loss)


@dataclass
class Progress:
    """How far a trial has come: everything but the network's own state."""

    history: list[Epoch] = field(default_factory=list)
    is_validating: bool = False
    step: int = 0  # the next one
    sums: graph.Sums = (0.0, 0)  # of the phase that is under way
    trained: graph.Sums = (0.0, 0)  # of the epoch's training, once it validates
    seconds: float = 0.0

    @property
    def best(self) -> Epoch:
        return min(self.history, key=lambda epoch: epoch.merit)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        values = json.loads(text)
        history = [Epoch(**epoch) for epoch in values["history"]]
        sums = {name: tuple(values[name]) for name in ("sums", "trained")}
        return cls(**values | sums | {"history": history})


class Trainer:
    """Trains the trials of one rank, and keeps the networks that it has compiled for them."""

    def __init__(self, dataset: Dataset, search_seed: int) -> None:
        self.dataset = dataset
        self._search_seed = search_seed
        self._images = graph.Images(dataset)
        self._networks: OrderedDict[str, graph.Network] = OrderedDict()

    def begin(self, trial: Trial, checkpoint: Path | None = None) -> Training:
        """Start a trial, or go on from a checkpoint that an earlier start has saved.

        At most one trial of a trainer is under way at a time.
        """
        config = hyperparameters.complete(trial.config, self.dataset.side)
        shape = {name: config[name] for name in hyperparameters.NETWORK_NAMES if name in config}
        network = self._network(config, shape)
        key = canonical([shape, self.dataset.side, self.dataset.n_classes])
        random = seeds.initial_weights(key, self._search_seed, config["seed"])
        network.reset(
            models.initial_weights(network.model, random),
            learning_rate=config["learning_rate"],
            dropout=config.get("dropout", 0.0),
            seed=seeds.layer_seed(trial.id),
        )
        n_validation = split_sizes(self.dataset.n_images, config["validation_split"])[1]
        rows = seeds.split(
            self.dataset.n_images, n_validation, self.dataset.fingerprint, self._search_seed
        )
        training = Training(trial.id, config, network, *rows)
        if checkpoint is not None:
            training.load(checkpoint)
        return training

    def _network(self, config: Config, shape: Config) -> graph.Network:
        key = canonical([shape, config["optimizer"]])
        if key not in self._networks:
            while len(self._networks) >= MAX_NETWORKS:
                self._networks.popitem(last=False)
            stack = architecture.layers(config, self.dataset.side, self.dataset.n_classes)
            self._networks[key] = graph.Network(stack, self._images, config["optimizer"])
        self._networks.move_to_end(key)
        return self._networks[key]


class Training:
    """A trial under way. `advance` until `is_finished`; save at any point between."""

    def __init__(
        self,
        trial_id: str,
        config: Config,
        network: graph.Network,
        train_rows: np.ndarray,
        validation_rows: np.ndarray,
    ) -> None:
        self._trial_id = trial_id
        self._config = config
        self._network = network
        self._train_rows = train_rows
        self._validation_rows = validation_rows
        self._shuffled: tuple[int, np.ndarray] = (0, train_rows)
        self.progress = Progress()
        self.best_weights: list[np.ndarray] = []

    def is_finished(self) -> bool:
        """Whether all epochs are done, or the score has not risen for long enough."""
        history = self.progress.history
        if not history:
            return False
        if len(history) >= self._config["epochs"]:
            return True
        patience = self._config["early_stopping_patience"]
        return patience is not None and len(history) - self.progress.best.epoch >= patience

    def advance(self) -> Epoch | None:
        """Train or validate for a few seconds at most; give the epoch if it is over then.

        Raises:
            DivergedError: if the loss is not finite.
        """
        begun = time.perf_counter()
        at = self.progress
        batch, rows = (
            (graph.VALIDATION_BATCH, self._validation_rows)
            if at.is_validating
            else (self._config["batch_size"], self._epoch_rows())
        )
        n_steps = math.ceil(len(rows) / batch)
        steps = range(at.step, min(n_steps, at.step + self._affordable(at.is_validating, batch)))
        if at.is_validating:
            at.sums = self._network.validate(rows, steps, at.sums)
        else:
            augment = self._config["augment"] != "none"
            at.sums = self._network.train(rows, batch, steps, at.sums, augment=augment)
        at.step = steps.stop
        took = time.perf_counter() - begun
        at.seconds += took
        self._network.step_s[at.is_validating, batch] = took / len(steps)
        self._check_loss()
        if at.step < n_steps:
            return None
        at.step = 0
        if at.is_validating:
            return self._end_epoch()
        at.trained, at.sums, at.is_validating = at.sums, (0.0, 0), True
        return None

    def _affordable(self, is_validating: bool, batch: int) -> int:
        """Give the number of steps for one call; the first of its kind also compiles."""
        step_s = self._network.step_s.get((is_validating, batch))
        return 4 if step_s is None else max(1, int(GRAPH_CALL_S / step_s))

    def _epoch_rows(self) -> np.ndarray:
        epoch = len(self.progress.history) + 1
        if self._shuffled[0] != epoch:
            rows = seeds.shuffled(self._train_rows, self._trial_id, epoch)
            self._shuffled = (epoch, rows)
        return self._shuffled[1]

    def _check_loss(self) -> None:
        if not math.isfinite(self.progress.sums[0]):
            phase = "validation loss" if self.progress.is_validating else "loss"
            epoch = len(self.progress.history) + 1
            raise DivergedError(f"diverged: {phase} is not finite in epoch {epoch}")

    def _end_epoch(self) -> Epoch:
        at = self.progress
        n_train, n_validation = len(self._train_rows), len(self._validation_rows)
        epoch = Epoch(
            epoch=len(at.history) + 1,
            loss=at.trained[0] / n_train,
            accuracy=at.trained[1] / n_train,
            val_loss=at.sums[0] / n_validation,
            val_accuracy=at.sums[1] / n_validation,
        )
        at.history.append(epoch)
        at.sums, at.is_validating = (0.0, 0), False
        if at.best is epoch:
            self.best_weights = self._network.weights()
        return epoch

    def save(self, path: Path) -> None:
        """Write a checkpoint; a training that loads it goes on to the same last bit."""
        state = self._network.state()
        save_arrays(path, self.progress.to_json(), state=state, best=self.best_weights)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this trial."""
        text, arrays = load_arrays(path)
        self.progress = Progress.from_json(text)
        self._network.restore(arrays["state"])
        self.best_weights = arrays["best"]
