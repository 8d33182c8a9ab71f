"""A network compiled once: whole epochs as one TensorFlow graph, for all its trials.

Python is entered once for an epoch. What differs between trials of one network (weights, learning
rates, weight decay, dropout, batch size, split, augmentation, seeds, `refinements`) is data to the
graph, so that all of them share it; `reset` brings everything that a trial can change back to its
beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hpo import augment, models
from hpo.architecture import Layer
from hpo.data import Dataset
from hpo.engine import Pass, Settings, Tally
from hpo.refinements import Refinements
from hpo.updates import Optimizer

_PHILOX = 1


class _Steps(NamedTuple):
    """An `engine.Pass` in the graph; from `first` to before `stop`."""

    rows: tf.Tensor
    batch_size: tf.Tensor
    first: tf.Tensor
    stop: tf.Tensor
    loss_sum: tf.Tensor
    n_right: tf.Tensor


_INT = tf.TensorSpec([], tf.int32)
_ROWS = tf.TensorSpec([None], tf.int32)
_STEPS = _Steps(_ROWS, _INT, _INT, _INT, tf.TensorSpec([], tf.float64), _INT)
_RATES = tf.TensorSpec([None], tf.float32)
_STRENGTH = tf.TensorSpec([], tf.float32)
_Sums = tuple[tf.Tensor, tf.Tensor]  # of losses, of right answers


def configure(
    threads: int,
    *,
    device: str = "cpu",
    precision: str = "float32",
    deterministic: bool = False,
) -> str | None:
    """Keep TensorFlow to one device and to this many threads; before anything else.

    Returns:
        What it lacks for that, if anything.
    """
    # It warns of every few networks that are compiled; compiling them is what is wanted here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    models.use_precision(precision)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")  # the ids of this entry's trials say `cpu`
        return None
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        found = "found no driver that fits, or no CUDA libraries"
        if not tf.test.is_built_with_cuda():
            found = "found one that is built for CPUs"
        return f"expected TensorFlow to see it, {found}; pip install 'tensorflow[and-cuda]'"
    tf.config.experimental.set_memory_growth(gpus[0], True)  # it would take all for one rank
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability")
    if precision == "mixed_bfloat16" and capability is not None and capability < (8, 0):
        has = ".".join(map(str, capability))
        return f"--precision {precision}: expected compute capability 8.0 (A100), found {has}"
    return None


class Engine:
    """TensorFlow, and the data set as tensors on its device."""

    def __init__(self, dataset: Dataset) -> None:
        if tf.config.get_visible_devices("GPU"):
            # As floats: GPUs gather no uint8, and each batch would be gathered on the processor.
            self.images = tf.cast(tf.constant(dataset.images), tf.float32)
        else:  # not copied where they lie aligned
            self.images = tf.experimental.dlpack.from_dlpack(dataset.images.__dlpack__())
        self.labels = tf.constant(dataset.labels)
        self.side = dataset.side
        self.mean, self.std = dataset.mean, dataset.std

    def network(
        self, stack: Sequence[Layer], rule: str, *, is_refined: bool, is_measured: bool = False
    ) -> Network:
        return Network(self, stack, rule, is_refined=is_refined, is_measured=is_measured)

    def forget(self) -> None:
        models.forget()

    def batch(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.cast(tf.gather(self.images, rows), tf.float32)
        return tf.reshape(pixels, [-1, self.side, self.side, 1]), tf.gather(self.labels, rows)


class Network:
    """One architecture with one rule of updates, compiled for any trial that has them."""

    def __init__(
        self,
        engine: Engine,
        stack: Sequence[Layer],
        rule: str,
        *,
        is_refined: bool,
        is_measured: bool = False,
    ) -> None:
        self._engine = engine
        self._rate = tf.Variable(0.0)
        self._key = tf.Variable([0], dtype=tf.int64)
        self._n_drawn = tf.Variable(0, dtype=tf.int64)
        self.model = models.trainable(
            stack, engine.side, engine.mean, engine.std, drop=self._dropped
        )
        self._trained = [variable.value for variable in self.model.trainable_variables]
        self._optimizer = Optimizer(rule, self._trained)
        # Compiled only where it is used: with it a network takes twice as long to compile.
        self._refinements = Refinements(self._optimizer, self._trained) if is_refined else None
        # Not part of the state: a pass's tally carries it through.
        self._norm_sum = tf.Variable(0.0, dtype=tf.float64) if is_measured else None
        self._epoch = tf.function(
            self._epoch_steps, input_signature=[_STEPS, _STEPS, _STEPS, _RATES, _STRENGTH]
        )
        nothing = Pass(np.empty(0, np.int32), 1, Tally())
        self.run(*(nothing,) * 3, rates=np.empty(0, np.float32), strength=0.0)  # compiles

    def reset(self, random: np.random.Generator, settings: Settings) -> None:
        weights = models.initial_weights(self.model, random)
        key = np.array([settings.seed], np.uint64).view(np.int64)
        refined = self._refinements.fresh() if self._refinements else []
        self.restore([*weights, *self._optimizer.fresh(), *refined, key, np.int64(0)])
        self._optimizer.weight_decay.assign(settings.weight_decay)
        self._optimizer.momentum.assign(settings.momentum)
        if self._refinements:
            self._refinements.set(settings)
        self._rate.assign(settings.dropout)

    def run(
        self,
        training: Pass,
        validation: Pass,
        averaged: Pass,
        *,
        rates: np.ndarray,
        strength: float,
    ) -> tuple[Tally, Tally, Tally]:
        passes = (training, validation, averaged)
        if self._norm_sum is not None:
            self._norm_sum.assign(training.tally.norm_sum)
        sums = self._epoch(
            *map(_steps, passes),
            tf.constant(rates, tf.float32),
            tf.constant(strength, tf.float32),
        )
        trained, validated, of_averages = (
            Tally(some.stop, float(loss_sum), int(n_right))
            for some, (loss_sum, n_right) in zip(passes, sums, strict=True)
        )
        return self._with_norms(trained, training), validated, of_averages

    def _with_norms(self, trained: Tally, of: Pass) -> Tally:
        before = of.tally
        if self._norm_sum is None:
            return replace(trained, norm_sum=before.norm_sum, n_norms=before.n_norms)
        n_norms = before.n_norms + of.stop - before.step
        return replace(trained, norm_sum=float(self._norm_sum), n_norms=n_norms)

    def state(self) -> list[np.ndarray]:
        return [np.array(variable.numpy()) for variable in self._variables()]

    def restore(self, state: Sequence[np.ndarray]) -> None:
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def weights(self, *, averaged: bool = False) -> list[np.ndarray]:
        variables = [variable.value for variable in self.model.weights]
        if averaged and self._refinements:
            averages = zip(self._trained, self._refinements.averages, strict=True)
            instead = {id(variable): average for variable, average in averages}
            variables = [instead.get(id(variable), variable) for variable in variables]
        return [np.array(variable.numpy()) for variable in variables]

    def trained_weights(self) -> list[np.ndarray]:
        return [np.array(variable.numpy()) for variable in self._trained]

    def _variables(self) -> list[tf.Variable]:
        weights = [variable.value for variable in self.model.weights]
        refined = self._refinements.variables if self._refinements else []
        return [*weights, *self._optimizer.variables, *refined, self._key, self._n_drawn]

    def _epoch_steps(
        self,
        training: _Steps,
        validation: _Steps,
        averaged: _Steps,
        rates: tf.Tensor,
        strength: tf.Tensor,
    ) -> tuple[_Sums, _Sums, _Sums]:
        trained = self._train_steps(training, rates, strength)
        validated = self._validate_steps(_after(trained, validation))
        of_averages = (averaged.loss_sum, averaged.n_right)
        if self._refinements is not None:
            averages = self._refinements.averages
            of_averages = self._validate_averages(_after(validated, averaged), averages)
        return trained, validated, of_averages

    def _train_steps(self, some: _Steps, rates: tf.Tensor, strength: tf.Tensor) -> _Sums:
        sums = (some.loss_sum, some.n_right)
        for step in tf.range(some.first, some.stop):
            pixels, labels = self._batch(some, step)
            if strength > 0:
                pixels = _moved(pixels, strength * (2 * self._drawn([5, tf.shape(pixels)[0]]) - 1))
            with tf.GradientTape() as tape:
                logits, losses = self._answers(pixels, labels, training=True)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, self._trained)
            if self._norm_sum is not None:
                norm = tf.linalg.global_norm(gradients)
                self._norm_sum.assign_add(tf.cast(norm, tf.float64))
            updates = self._refinements or self._optimizer
            updates.apply(gradients, rates[step])
            sums = _added(sums, losses, logits, labels)
        return sums

    def _validate_steps(self, some: _Steps) -> _Sums:
        sums = (some.loss_sum, some.n_right)
        for step in tf.range(some.first, some.stop):
            pixels, labels = self._batch(some, step)
            logits, losses = self._answers(pixels, labels, training=False)
            sums = _added(sums, losses, logits, labels)
        return sums

    def _validate_averages(self, some: _Steps, averages: Sequence[tf.Variable]) -> _Sums:
        """Validate with the averaged weights in the others' place."""
        last = [tf.identity(variable) for variable in self._trained]
        for variable, average in zip(self._trained, averages, strict=True):
            variable.assign(average)
        sums = self._validate_steps(some)
        for variable, value in zip(self._trained, last, strict=True):
            variable.assign(value)
        return sums

    def _batch(self, some: _Steps, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._engine.batch(some.rows[step * some.batch_size : (step + 1) * some.batch_size])

    def _answers(
        self, pixels: tf.Tensor, labels: tf.Tensor, *, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.model(pixels, training=training)
        return logits, tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def _dropped(self, inputs: tf.Tensor) -> tf.Tensor:
        """Drop a share of the inputs, which the graph learns only when it runs."""
        kept = tf.cast(self._drawn(tf.shape(inputs)) >= self._rate, inputs.dtype)
        # Multiplied twice: selecting with tf.where took twice as long.
        return inputs * kept * tf.cast(1 / (1 - self._rate), inputs.dtype)

    def _drawn(self, shape: tf.Tensor) -> tf.Tensor:
        """Draw evenly from 0 to below 1, each time from another stream of the trial's key."""
        stream = self._n_drawn.assign_add(1, read_value=True)
        return tf.raw_ops.StatelessRandomUniformV2(
            shape=shape,
            key=tf.bitcast(self._key, tf.uint64),
            counter=tf.bitcast(tf.stack([tf.zeros_like(stream), stream]), tf.uint64),
            alg=_PHILOX,
        )


def _steps(some: Pass) -> _Steps:
    at = some.tally
    return _Steps(
        tf.constant(some.rows, tf.int32),
        tf.constant(some.batch_size, tf.int32),
        tf.constant(at.step, tf.int32),
        tf.constant(some.stop, tf.int32),
        tf.constant(at.loss_sum, tf.float64),
        tf.constant(at.n_right, tf.int32),
    )


def _after(sums: _Sums, some: _Steps) -> _Steps:
    """Let a pass wait for the end of another."""
    with tf.control_dependencies(sums):
        return _Steps(*map(tf.identity, some))


def _added(sums: _Sums, losses: tf.Tensor, logits: tf.Tensor, labels: tf.Tensor) -> _Sums:
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    return (
        sums[0] + tf.cast(tf.reduce_sum(losses), tf.float64),
        sums[1] + tf.reduce_sum(tf.cast(right, tf.int32)),
    )


def _moved(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Move each image by its own amounts, see `augment`; what comes in is 0."""
    side = images.shape[1]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=augment.transforms(tf, draws, side),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
