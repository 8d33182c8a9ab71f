"""One trial from its first weights to its score, in pieces short enough to be interrupted."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from hpo import architecture, hyperparameters, seeds
from hpo.arrays import load_arrays, save_arrays
from hpo.cost import MAX_NETWORKS, split_sizes
from hpo.data import Dataset
from hpo.engine import VALIDATION_BATCH, Engine, Network, Pass, Settings, Tally
from hpo.errors import DivergedError
from hpo.trial import Config, Rung, Trial, canonical
from hpo.usage import Usage

MAX_NETWORK_BYTES = 1 << 30  # of compiled ones that a rank keeps
GRAPH_CALL_S = 4.0  # no call lasts much longer, so that signals are heard
FIRST_STEPS = 4  # of a kind whose time is not known yet
TRAINING_COSTS = 3  # times an answer: forward, gradients of activations, gradients of weights


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
    trained: Tally = Tally()  # of the epoch that is under way
    validated: Tally = Tally()
    seconds: float = 0.0

    @property
    def best(self) -> Epoch:
        return min(self.history, key=lambda epoch: epoch.merit)

    @property
    def n_epochs(self) -> int:
        """How many epochs are over."""
        return len(self.history)

    @property
    def rung(self) -> int:
        """After which epoch it stands; 0 within one."""
        return self.n_epochs if self.trained == self.validated == Tally() else 0

    def at(self, epoch: int) -> Rung:
        """Say what it had come to after an epoch."""
        best = min(self.history[:epoch], key=lambda epoch: epoch.merit)
        return Rung(epoch, best.val_accuracy, best.val_loss, best.epoch)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        values = json.loads(text)
        history = [Epoch(**epoch) for epoch in values["history"]]
        tallies = {name: Tally(**values[name]) for name in ("trained", "validated")}
        return cls(**values | tallies | {"history": history})


@dataclass
class Compiled:
    """A network, and its pace with each batch size, as last seen."""

    network: Network
    n_bytes: int
    image_s: dict[int, float] = field(default_factory=dict)  # to answer one, in training's steps


class Trainer:
    """Trains the trials of one rank, and keeps the networks that it has compiled for them."""

    def __init__(self, dataset: Dataset, search_seed: int, engine: Engine) -> None:
        self.dataset = dataset
        self.usage = Usage()
        self._search_seed = search_seed
        self._engine = engine
        self._networks: OrderedDict[str, Compiled] = OrderedDict()

    def begin(self, trial: Trial, checkpoint: Path | None = None) -> Training:
        """Start a trial, or go on from a checkpoint that an earlier start has saved.

        At most one trial of a trainer is under way at a time.
        """
        config = hyperparameters.complete(trial.config, self.dataset.side)
        shape = {name: config[name] for name in hyperparameters.NETWORK_NAMES if name in config}
        compiled = self._compiled(config, shape)
        key = canonical([shape, self.dataset.side, self.dataset.n_classes])
        compiled.network.reset(
            seeds.initial_weights(key, self._search_seed, config["seed"]),
            Settings(
                learning_rate=config["learning_rate"],
                weight_decay=hyperparameters.weight_decay(config),
                dropout=config.get("dropout", 0.0),
                seed=seeds.layer_seed(trial.id),
            ),
        )
        n_validation = split_sizes(self.dataset.n_images, config["validation_split"])[1]
        rows = seeds.split(
            self.dataset.n_images, n_validation, self.dataset.fingerprint, self._search_seed
        )
        training = Training(trial.id, config, compiled, *rows, usage=self.usage)
        if checkpoint is not None:
            training.load(checkpoint)
        return training

    def _compiled(self, config: Config, shape: Config) -> Compiled:
        key = canonical([shape, config["optimizer"]])
        if key not in self._networks:
            self._networks[key] = self._compile(config)
        self._networks.move_to_end(key)
        return self._networks[key]

    def _compile(self, config: Config) -> Compiled:
        stack = architecture.layers(config, self.dataset.side, self.dataset.n_classes)
        n_bytes = architecture.n_bytes(stack)
        is_full = False
        while self._networks and not self._has_room(n_bytes):
            self._networks.popitem(last=False)
            is_full = True
        if is_full:
            self._engine.forget()
        with self.usage.counts("compile_s"):
            return Compiled(self._engine.network(stack, config["optimizer"]), n_bytes)

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
        usage: Usage,
    ) -> None:
        self._trial_id = trial_id
        self._config = config
        self._compiled = compiled
        self._network = compiled.network
        self._train_rows = train_rows
        self._validation_rows = validation_rows
        self._usage = usage
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
        """Go on for an epoch, or for a few seconds of a longer one; give the epoch if it is over.

        Raises:
            DivergedError: if the loss is not finite.
        """
        begun = time.perf_counter()
        at = self.progress
        training = Pass(self._epoch_rows(), self._config["batch_size"], at.trained)
        validation = Pass(self._validation_rows, VALIDATION_BATCH, at.validated)
        image_s = self._compiled.image_s.get(training.batch_size)
        training, left_s = _cut(training, GRAPH_CALL_S, image_s, TRAINING_COSTS)
        validation, _ = _cut(validation, left_s, image_s, 1)
        at.trained, at.validated = self._network.run(
            training, validation, self._config.get("augment_strength", 0.0)
        )
        took_s = time.perf_counter() - begun
        answers = TRAINING_COSTS * training.n_images + validation.n_images
        self._compiled.image_s[training.batch_size] = took_s / answers
        at.seconds += took_s
        self._usage.train_s += took_s
        self._check_losses()
        return self._end_epoch() if at.validated.step == validation.n_steps else None

    def _epoch_rows(self) -> np.ndarray:
        epoch = len(self.progress.history) + 1
        if self._shuffled[0] != epoch:
            rows = seeds.shuffled(self._train_rows, self._trial_id, epoch)
            self._shuffled = (epoch, rows)
        return self._shuffled[1]

    def _check_losses(self) -> None:
        at = self.progress
        for name, tally in (("loss", at.trained), ("validation loss", at.validated)):
            if not math.isfinite(tally.loss_sum):
                epoch = len(at.history) + 1
                raise DivergedError(f"diverged: {name} is not finite in epoch {epoch}")

    def _end_epoch(self) -> Epoch:
        at = self.progress
        n_train, n_validation = len(self._train_rows), len(self._validation_rows)
        epoch = Epoch(
            epoch=len(at.history) + 1,
            loss=at.trained.loss_sum / n_train,
            accuracy=at.trained.n_right / n_train,
            val_loss=at.validated.loss_sum / n_validation,
            val_accuracy=at.validated.n_right / n_validation,
        )
        at.history.append(epoch)
        at.trained = at.validated = Tally()
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


def _cut(some: Pass, left_s: float, image_s: float | None, costs: float) -> tuple[Pass, float]:
    """Let a pass go on for as many steps as fit; give the time that its end leaves, if any."""
    if left_s <= 0:
        return replace(some, stop=some.tally.step), 0.0
    step_s = None if image_s is None else some.batch_size * costs * image_s
    fitting = FIRST_STEPS if step_s is None else max(1, int(left_s / step_s))
    n_steps = min(some.n_left, fitting)
    cut = replace(some, stop=some.tally.step + n_steps)
    return cut, left_s - n_steps * (step_s or 0.0) if n_steps == some.n_left else 0.0
