"""The hyperparameters of the built-in objective, for the images of a data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo import architecture, cost, hyperparameters
from hpo.errors import InputError
from hpo.space import Combinations
from hpo.terms import Estimate
from hpo.trial import Config, canonical

NAME = "keras-classifier"  # of the built-in objective
MOST_SHAPES = 10_000


@dataclass(frozen=True)
class ClassifierTerms:
    """Those of networks that tell images of `side`² pixels apart."""

    side: int = hyperparameters.SMALL_IMAGE
    n_images: int = 0
    n_classes: int = 0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ClassifierTerms:
        """Make them for what search.yaml says of the data."""
        return cls(data["side"], data["images"], data["classes"])

    conditions = hyperparameters.CONDITIONS

    @property
    def defaults(self) -> Config:
        return hyperparameters.defaults(self.side)

    def check(self, values: Mapping[str, Sequence[object]], places: Mapping[str, str]) -> None:
        hyperparameters.check(values, places)

    def check_fit(self, grid: Combinations) -> None:
        shapes = grid.project(hyperparameters.GEOMETRY_NAMES)
        # Of very many, an even sample: what it misses fails as a trial.
        for index in range(0, shapes.count, max(1, math.ceil(shapes.count / MOST_SHAPES))):
            architecture.layers(self.complete(shapes[index]), self.side, self.n_classes)
        for config in grid.project(["validation_split"]):
            share = self.complete(config)["validation_split"]
            n_train, n_validation = cost.split_sizes(self.n_images, share)
            if not (n_train and n_validation):
                raise InputError(
                    f"validation_split: expected at least one image to train on and one to"
                    f" validate on, found {n_train} and {n_validation} ({share} of"
                    f" {self.n_images} images)"
                )

    def complete(self, config: Mapping[str, object]) -> Config:
        return hyperparameters.complete(config, self.side)

    def deviations(self, config: Mapping[str, object]) -> Config:
        return hyperparameters.deviations(config, self.side)

    def epochs(self, config: Mapping[str, object]) -> int:
        return int(self.complete(config)["epochs"])

    def estimate(self, config: Mapping[str, object]) -> Estimate:
        its = self.complete(config)
        network = {name: its.get(name) for name in hyperparameters.NETWORK_NAMES}
        stack = architecture.layers(its, self.side, self.n_classes)
        seconds = cost.predicted_s(its, self.n_images, architecture.multiply_adds(stack))
        return Estimate(canonical(network), seconds)


ANY_IMAGES = ClassifierTerms()  # what does not depend on the data
