"""Every random number of a search derives from here: never from a rank, an order or a clock."""

from __future__ import annotations

import numpy as np

from hpo.trial import digest


def generator(*parts: object) -> np.random.Generator:
    """Give a generator that depends on these plain values and nothing else."""
    return np.random.Generator(np.random.Philox(key=int(digest(*parts)[:32], 16)))


def split(n_images: int, n_validation: int, data: str, search_seed: int) -> tuple[np.ndarray, ...]:
    """Choose the rows to train on and those to validate on (int32).

    One permutation for a data set and a search seed: the rows of a smaller validation set are
    among those of a larger one.
    """
    order = generator("split", data, search_seed).permutation(n_images).astype(np.int32)
    return order[n_validation:], order[:n_validation]


def shuffled(rows: np.ndarray, trial_id: str, epoch: int) -> np.ndarray:
    """Order the training rows for one epoch of one trial."""
    return generator("shuffle", trial_id, epoch).permutation(rows)


def layer_seed(trial_id: str) -> int:
    """Give the seed of a trial's dropout and augmentation, of 64 bits."""
    return int(generator("layers", trial_id).integers(0, 2**64, dtype=np.uint64))


def initial_weights(network: str, search_seed: int, trial_seed: int) -> np.random.Generator:
    """Give the generator of a network's initial weights, the same for all that share it."""
    return generator("weights", network, search_seed, trial_seed)


def trial_seed(trial_id: str, search_seed: int) -> int:
    """Give the seed of a trial of any objective, of 31 bits: what all libraries take."""
    return int(generator("trial", trial_id, search_seed).integers(0, 2**31))
