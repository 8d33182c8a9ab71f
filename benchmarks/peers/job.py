"""The user's part, the same for every peer: data, network and training of one configuration."""

from __future__ import annotations

import functools
import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Keras and TensorFlow are loaded by those who train, not by those who only hand out work.

FOLDER = Path(os.environ["JOB_FOLDER"])  # for all files of this run; space.json lies there
N_WORKERS = int(os.environ["JOB_WORKERS"])
SEED = 33
DEFAULTS = {
    "filters": 32,
    "dense_units": 128,
    "batch_size": 64,
    "learning_rate": 0.001,
    "dropout": 0.2,
    "validation_split": 0.1,
    "epochs": 4,
}

Config = Mapping[str, Any]


def space() -> dict[str, list[Any]]:
    """Give each hyperparameter's values."""
    return json.loads((FOLDER / "space.json").read_text(encoding="utf-8"))


def configs() -> list[dict[str, Any]]:
    """List all combinations of the space."""
    values = space()
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def train(config: Config) -> float:
    """Train one configuration on a new model; give its best validation accuracy."""
    prepare()
    return accounted(config, lambda: _trained(config))


def _trained(config: Config) -> float:
    import keras

    keras.utils.clear_session()
    history = fit(build(config), config)
    return max(history.history["val_accuracy"])


def build(config: Config) -> Any:
    """Make the compiled network of a configuration."""
    import keras
    from keras import layers

    config = DEFAULTS | dict(config)
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (config["filters"], 2 * config["filters"]):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(config["dropout"]))
    model.add(layers.Flatten())
    model.add(layers.Dense(config["dense_units"], activation="relu"))
    model.add(layers.Dropout(config["dropout"]))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(config["learning_rate"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def fit(model: Any, config: Config, **options: Any) -> Any:
    """Train a model as its configuration says; give Keras's history."""
    config = DEFAULTS | dict(config)
    train_images, validation_images, train_labels, validation_labels = split(
        config["validation_split"]
    )
    return model.fit(
        train_images,
        train_labels,
        batch_size=config["batch_size"],
        epochs=config["epochs"],
        validation_data=(validation_images, validation_labels),
        verbose=0,
        **options,
    )


@functools.cache
def split(validation_split: float) -> Any:
    from sklearn.model_selection import train_test_split

    return train_test_split(*prepare(), test_size=validation_split, random_state=SEED)


@functools.cache
def prepare() -> tuple[Any, Any]:
    """Load the libraries, and the standardised images with their labels, once per process."""
    import tensorflow as tf
    from sklearn.datasets import load_digits

    n_threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(n_threads)
    digits = load_digits()
    images = digits.images.astype("float32")[..., None]
    return (images - images.mean()) / images.std(), digits.target


def accounted(config: Config, run: Callable[[], float]) -> float:
    """Run one trial, and write down when it began and ended and what its score was."""
    begun_s = time.time()
    score = run()
    line = {"config": dict(config), "begun_s": begun_s, "ended_s": time.time(), "score": score}
    with (FOLDER / f"trials-{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return score
