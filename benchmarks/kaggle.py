"""One network of the reference size on 42,000 images, against plain Keras: `make bench-kaggle`.

Images per second, and the share of the machine's own peak: the fastest of large float32 matrix
products, measured in the same process just before and after. Each system has a process of its
own with one thread. Networks with more filters see fewer images, so that each takes as long.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from hpo import architecture, cost, data, hyperparameters
from hpo.world import World

N_IMAGES = 42_000
SIDE = 28
N_CLASSES = 10
USUAL_FILTERS = 32
NETWORK = {"dense_units": 128, "batch_size": 64, "dropout": 0.2, "validation_split": 0.1}
LEARNING_RATE = 0.001
FIRST_STEPS = 4  # told apart, with compiling
SEED = 33
PEAK_SIDE = 2048  # of the matrices
PEAK_PRODUCTS = 5
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "",
}


# ---- in a process of its own; each prints one line of JSON


def ours(path: str, n_images: int, filters: int, epochs: int) -> None:
    """Train with this program's trainer."""
    from hpo import graph
    from hpo.train import FIRST_STEPS as n_first
    from hpo.train import Trainer

    assert n_first == FIRST_STEPS
    graph.configure(threads=1)
    dataset = _dataset(path, n_images)
    before = _peak_flop_per_s()
    trainer = Trainer(dataset, SEED, graph.Engine(dataset))
    begun_s = time.perf_counter()
    training = trainer.begin(
        "kaggle", NETWORK | {"filters": filters, "epochs": epochs, "optimizer": "adam"}
    )
    training.advance()
    first_s = time.perf_counter() - begun_s
    begun_cpu_s = time.process_time()
    while not training.is_finished():
        training.advance()
    cpu_s = time.process_time() - begun_cpu_s
    took_s = time.perf_counter() - begun_s - first_s
    n_weights = sum(weights.size for weights in training.best_weights)
    accuracy = training.progress.history[-1].metrics["val_accuracy"]
    n_seen = epochs * _split(n_images)[0] - FIRST_STEPS * NETWORK["batch_size"]
    facts = {"first_s": first_s, "n_weights": n_weights, "accuracy": accuracy}
    _tell(n_seen, took_s, cpu_s, before, **facts)


def theirs(path: str, n_images: int, filters: int, epochs: int) -> None:
    """Train as a Keras user's script does."""
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    before = _peak_flop_per_s()
    dataset = _dataset(path, n_images)
    images = dataset.images.astype("float32").reshape(-1, SIDE, SIDE, 1)
    images = (images - images.mean()) / images.std()
    order = np.random.default_rng(SEED).permutation(n_images)
    n_train, _ = _split(n_images)
    train, validation = order[:n_train], order[n_train:]
    x, y = images[train], dataset.labels[train]
    x_validation, y_validation = images[validation], dataset.labels[validation]

    model = keras.Sequential([keras.Input((SIDE, SIDE, 1))])
    for n in (filters, 2 * filters):
        model.add(layers.Conv2D(n, 3, activation="relu"))
        model.add(layers.Conv2D(n, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(NETWORK["dropout"]))
    model.add(layers.Flatten())
    model.add(layers.Dense(NETWORK["dense_units"], activation="relu"))
    model.add(layers.Dropout(NETWORK["dropout"]))
    model.add(layers.Dense(N_CLASSES, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )

    def fit(n: int, epochs: int) -> Any:
        return model.fit(
            x[:n],
            y[:n],
            batch_size=NETWORK["batch_size"],
            epochs=epochs,
            validation_data=(x_validation[:n], y_validation[:n]),
            verbose=0,
        )

    begun_s = time.perf_counter()
    fit(FIRST_STEPS * NETWORK["batch_size"], 1)
    first_s = time.perf_counter() - begun_s
    begun_cpu_s = time.process_time()
    history = fit(n_train, epochs).history
    cpu_s = time.process_time() - begun_cpu_s
    took_s = time.perf_counter() - begun_s - first_s
    accuracy = history["val_accuracy"][-1]
    n_weights = model.count_params()
    facts = {"first_s": first_s, "n_weights": n_weights, "accuracy": accuracy}
    _tell(epochs * n_train, took_s, cpu_s, before, **facts)


def _tell(n_seen: int, took_s: float, cpu_s: float, peak_before: float, **facts: Any) -> None:
    told = {
        "images_per_s": n_seen / took_s,
        "images_per_cpu_s": n_seen / cpu_s,  # for machines that others use, too
        "peak_flop_per_s": max(peak_before, _peak_flop_per_s()),
    }
    print(json.dumps(told | facts))


def _dataset(path: str, n_images: int) -> data.Dataset:
    whole = data.load(World(), path)
    return replace(whole, images=whole.images[:n_images], labels=whole.labels[:n_images])


def _split(n_images: int) -> tuple[int, int]:
    return cost.split_sizes(n_images, float(NETWORK["validation_split"]))


def _peak_flop_per_s() -> float:
    """Take the fastest of some large products; what disturbs can only slow them."""
    import tensorflow as tf

    product = tf.function(tf.linalg.matmul)
    factor = tf.random.stateless_uniform([PEAK_SIDE, PEAK_SIDE], [SEED, SEED])
    product(factor, factor).numpy()
    fastest_s = float("inf")
    for _ in range(PEAK_PRODUCTS):
        begun_s = time.perf_counter()
        product(factor, factor).numpy()
        fastest_s = min(fastest_s, time.perf_counter() - begun_s)
    return 2 * PEAK_SIDE**3 / fastest_s


# ---- here


def main() -> None:
    options = harness.arguments(
        __doc__, data=None, images=N_IMAGES, epochs=1, filters="32,64,128", rounds=3
    )
    networks = [int(text) for text in options.filters.split(",")]
    told: dict[str, list[dict[str, Any]]] = {}
    with _data(options.data, options.images) as (path, about):
        n_there = data.load(World(), path).n_images
        n_images = {n: _fewer(min(options.images, n_there), n) for n in networks}

        def measure(system: str, filters: int) -> float:
            result = _measured(system, path, n_images[filters], filters, options.epochs)
            told.setdefault(_name(system, filters), []).append(result)
            return float(result["images_per_s"])

        cases = {
            _name(system, filters): partial(measure, system, filters)
            for filters in networks
            for system in ("ours", "theirs")
        }
        harness.interleaved(cases, options.rounds)
    _check_same_networks(told, networks)
    harness.show(
        "kaggle",
        f"{about}; batch {NETWORK['batch_size']}, one thread, medians of {options.rounds}"
        " interleaved rounds",
        [_row(filters, n_images[filters], told) for filters in networks],
        options=vars(options),
        runs=told,
        not_counted="pooling, activations, softmax, dropout, optimizer, casts",
    )
    print(
        "images/s: trained on, validation of a further tenth included; first: compiling and"
        f" {FIRST_STEPS} steps\nshare of peak: multiplications and additions of convolutions and"
        " dense layers alone, against matrix products"
    )


def _name(system: str, filters: int) -> str:
    return f"filters {filters}, {system}"


@contextmanager
def _data(path: str | None, n_images: int) -> Iterator[tuple[str, str]]:
    """Give a file of images, made up if there is none, and words that tell of it."""
    path = path or ("train.csv" if Path("train.csv").exists() else None)
    if path is not None:
        yield path, path
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made-up.npz"
        random = np.random.default_rng(SEED)
        np.savez(
            made,
            x=random.integers(0, 256, (n_images, SIDE, SIDE), dtype=np.uint8),
            y=random.integers(0, N_CLASSES, n_images),
        )
        yield str(made), f"made-up images of {SIDE}×{SIDE} (speed does not depend on content)"


def _fewer(n_images: int, filters: int) -> int:
    """Give a larger network so many images that they take as long."""
    least = 20 * int(NETWORK["batch_size"])
    n = round(n_images * min(1.0, (USUAL_FILTERS / filters) ** 2))
    return min(n_images, max(n, least))


def _measured(system: str, path: str, *numbers: int) -> dict[str, Any]:
    words = ", ".join(map(repr, (path, *numbers)))
    code = f"from benchmarks import kaggle; kaggle.{system}({words})"
    output, _ = harness.run([sys.executable, "-c", code], **ONE_THREAD)
    return json.loads(output.splitlines()[-1])


def _check_same_networks(told: dict[str, list[dict[str, Any]]], networks: list[int]) -> None:
    for filters in networks:
        sizes = {
            r["n_weights"] for system in ("ours", "theirs") for r in told[_name(system, filters)]
        }
        assert len(sizes) == 1, f"filters {filters}: networks of {sizes} weights"


def _row(filters: int, n_images: int, told: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Compare the medians of one network."""
    per_image = _flop_per_image(filters, n_images)

    def median(system: str, name: str) -> float:
        return harness.median([result[name] for result in told[_name(system, filters)]])

    def share(system: str) -> str:
        shares = [
            result["images_per_s"] * per_image / result["peak_flop_per_s"]
            for result in told[_name(system, filters)]
        ]
        return f"{harness.median(shares):.0%}"

    mine, fit = median("ours", "images_per_s"), median("theirs", "images_per_s")
    return {
        "filters": filters,
        "images": n_images,
        "images/s": mine,
        "Keras fit": fit,
        "ratio": mine / fit,
        "of CPU time": median("ours", "images_per_cpu_s") / median("theirs", "images_per_cpu_s"),
        "share of peak": share("ours"),
        "Keras's share": share("theirs"),
        "first s": median("ours", "first_s"),
        "Keras's first s": median("theirs", "first_s"),
        "peak GFLOP/s": median("ours", "peak_flop_per_s") / 1e9,
    }


def _flop_per_image(filters: int, n_images: int) -> float:
    """Count what an image costs that is trained on, with its share of validation."""
    config = hyperparameters.complete(NETWORK | {"filters": filters, "epochs": 1}, SIDE)
    stack = architecture.layers(config, SIDE, N_CLASSES)
    whole = cost.flop(config, n_images, architecture.multiply_adds(stack))
    return whole / _split(n_images)[0]


if __name__ == "__main__":
    main()
