"""The built-in objective: Keras networks that tell small images apart."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from hpo import backend, data, datafile, devices
from hpo.classifierterms import ANY_IMAGES, NAME, ClassifierTerms
from hpo.contract import Context, Metrics, Objective, Setting
from hpo.data import Dataset
from hpo.errors import InputError
from hpo.hyperparameters import METRICS
from hpo.library import Library
from hpo.options import Options
from hpo.train import Trainer
from hpo.trial import Aim, Config
from hpo.world import World


class Classifier(Objective):
    """Networks of `architecture`, trained by `train` on the library that KERAS_BACKEND names."""

    name = NAME
    version = 2  # another one only when the same configuration would give another result
    metric, goal, metrics = Aim.metric, Aim.goal, METRICS

    def __init__(self) -> None:
        self._library = Library()
        self._trainer: Trainer | None = None

    def identity(self, options: Options) -> dict[str, object]:
        return {"precision": options.precision, "backend": backend.chosen()}

    def check(self, options: Options) -> None:
        if options.ranks_per_trial > 1:
            raise InputError(
                f"--ranks-per-trial {options.ranks_per_trial}: expected --objective beside it;"
                " the built-in networks train on one rank each"
            )

    def terms(self, data: Mapping[str, Any] | None = None) -> ClassifierTerms:
        return ANY_IMAGES if data is None else ClassifierTerms.of(data)

    def load(self, world: World, options: Options) -> Dataset:
        path = options.data or datafile.default_path()
        # While the rest of a long file is read, there is time to load the library.
        found = data.load(
            world, path, lambda head: self._library.start() if head.is_long else None
        )
        return replace(found, path=datafile.absolute(path))

    def open(self, world: World, setting: Setting) -> None:
        library, options = self._library.get(), setting.options
        lacking = library.configure(
            setting.threads,
            device=setting.device,
            precision=options.precision,
            deterministic=options.deterministic,
        )
        if setting.device == "gpu":
            devices.confirm(world, lacking)
        self._trainer = Trainer(
            *(setting.data, setting.seed, library.Engine(setting.data), options.aim),
            is_measured=bool(options.track),
        )

    def train(
        self, config: Config, trial: Context
    ) -> Generator[Metrics | None, None, Metrics | None]:
        """Train a network, in pieces of a few seconds."""
        assert self._trainer is not None
        training = self._trainer.begin(trial.id, config)
        trial.checkpoint(training.save, training.load)
        trial.keep(training.save_best)
        trial.ready()
        yield None  # the search may have been told to stop while it was compiled
        epoch = None
        while not training.is_finished():
            if epoch is not None:
                yield epoch.metrics
            while (epoch := training.advance()) is None:
                yield None
        return None if epoch is None else epoch.metrics
