"""A network compiled once: training and validation steps as TensorFlow graphs.

Python is entered once for many steps. What differs between trials of one network (weights,
learning rate, dropout, batch size, split, augmentation, seeds) is data to the graph, so that all
of them share it; `reset` brings everything that a trial can change back to its beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from hpo import models
from hpo.architecture import Layer
from hpo.data import Dataset

VALIDATION_BATCH = 512
# The strength of augment: shift-rotate-zoom, each drawn evenly from -x to x.
SHIFT, ROTATE, ZOOM = 0.1, np.pi / 18, 0.1

_INT = tf.TensorSpec([], tf.int32)
_ROWS = tf.TensorSpec([None], tf.int32)
_SUMS = [tf.TensorSpec([], tf.float64), tf.TensorSpec([], tf.int32)]

Sums = tuple[float, int]  # of the losses, and of the right answers, over images


def configure(threads: int) -> None:
    """Keep TensorFlow to the processor and to this many threads; before anything else."""
    # It warns of every few networks that are compiled; compiling them is what is wanted here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    tf.config.set_visible_devices([], "GPU")  # the ids of this entry's trials say `cpu`
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


class Images:
    """The data set as tensors on the device; images are not copied where they lie aligned."""

    def __init__(self, dataset: Dataset) -> None:
        self.images = tf.experimental.dlpack.from_dlpack(dataset.images.__dlpack__())
        self.labels = tf.constant(dataset.labels)
        self.side = dataset.side
        self.mean, self.std = dataset.mean, dataset.std

    def batch(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.cast(tf.gather(self.images, rows), tf.float32)
        return tf.reshape(pixels, [-1, self.side, self.side, 1]), tf.gather(self.labels, rows)


class Network:
    """One architecture with one optimizer, compiled for any trial that has them."""

    def __init__(self, stack: Sequence[Layer], images: Images, optimizer: str) -> None:
        self._images = images
        self._rate = keras.Variable(0.0, trainable=False, name="rate")
        self._seed = keras.random.SeedGenerator(0)
        self.model = models.trainable(
            stack, images.side, images.mean, images.std, rate=self._rate, seed=self._seed
        )
        self._optimizer = models.optimizer(optimizer)
        self._optimizer.build(self.model.trainable_variables)
        self._fresh_optimizer = [np.array(v.value.numpy()) for v in self._optimizer.variables]
        self._train = tf.function(
            self._train_steps, input_signature=[_ROWS, _INT, _INT, _INT, *_SUMS, _INT]
        )
        self._validate = tf.function(
            self._validate_steps, input_signature=[_ROWS, _INT, _INT, *_SUMS]
        )
        self.step_s: dict[tuple[bool, int], float] = {}  # last seen, by phase and batch size

    def reset(
        self,
        weights: Sequence[np.ndarray],
        *,
        learning_rate: float,
        dropout: float,
        seed: np.ndarray,
    ) -> None:
        """Begin a trial; `seed` is uint32 of shape (2,)."""
        self.restore([*weights, *self._fresh_optimizer, seed])
        self._optimizer.learning_rate = learning_rate
        self._rate.assign(dropout)

    def state(self) -> list[np.ndarray]:
        """Copy all that training has changed since `reset`."""
        return [np.array(v.value.numpy()) for v in self._variables()]

    def restore(self, state: Sequence[np.ndarray]) -> None:
        """Go back to a state; learning rate and dropout are set by `reset`, which comes first."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def weights(self) -> list[np.ndarray]:
        return [np.array(v.value.numpy()) for v in self.model.weights]

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.weights, *self._optimizer.variables, self._seed.state]

    def train(
        self, rows: np.ndarray, batch_size: int, steps: range, sums: Sums, *, augment: bool
    ) -> Sums:
        """Train on some batches of an epoch.

        Args:
            rows: all training rows in this epoch's order.
            steps: which batches of `batch_size` rows; the last one may be smaller.
            sums: what earlier batches of the epoch came to. Carried through the graph, so that
                where an epoch is cut changes no bit.
        """
        loss, right = self._train(
            rows, batch_size, steps.start, steps.stop, *_carried(sums), int(augment)
        )
        return float(loss), int(right)

    def validate(self, rows: np.ndarray, steps: range, sums: Sums) -> Sums:
        """Answer some batches of `VALIDATION_BATCH` rows; see `train`."""
        loss, right = self._validate(rows, steps.start, steps.stop, *_carried(sums))
        return float(loss), int(right)

    def _train_steps(
        self,
        rows: tf.Tensor,
        batch_size: tf.Tensor,
        first: tf.Tensor,
        stop: tf.Tensor,
        loss_sum: tf.Tensor,
        n_right: tf.Tensor,
        augment: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        variables = self.model.trainable_variables
        for step in tf.range(first, stop):
            some = rows[step * batch_size : (step + 1) * batch_size]
            pixels, labels = self._images.batch(some)
            if augment > 0:
                pixels = _moved(pixels, self._seed.next())
            with tf.GradientTape() as tape:
                logits = self.model(pixels, training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, [v.value for v in variables])
            self._optimizer.apply(gradients, variables)
            loss_sum, n_right = _added(loss_sum, n_right, losses, logits, labels)
        return loss_sum, n_right

    def _validate_steps(
        self,
        rows: tf.Tensor,
        first: tf.Tensor,
        stop: tf.Tensor,
        loss_sum: tf.Tensor,
        n_right: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        for step in tf.range(first, stop):
            some = rows[step * VALIDATION_BATCH : (step + 1) * VALIDATION_BATCH]
            pixels, labels = self._images.batch(some)
            logits = self.model(pixels, training=False)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss_sum, n_right = _added(loss_sum, n_right, losses, logits, labels)
        return loss_sum, n_right


def _carried(sums: Sums) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant(sums[0], tf.float64), tf.constant(sums[1], tf.int32)


def _added(
    loss_sum: tf.Tensor,
    n_right: tf.Tensor,
    losses: tf.Tensor,
    logits: tf.Tensor,
    labels: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    return (
        loss_sum + tf.cast(tf.reduce_sum(losses), tf.float64),
        n_right + tf.reduce_sum(tf.cast(right, tf.int32)),
    )


def _moved(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Shift, rotate and zoom each image by its own random amounts; what comes in is 0."""
    n, side = tf.shape(images)[0], images.shape[1]
    draws = tf.random.stateless_uniform([5, n], tf.cast(seed, tf.int32), -1.0, 1.0)
    angle = draws[0] * ROTATE
    scale_x, scale_y = 1 + draws[1] * ZOOM, 1 + draws[2] * ZOOM
    cos, sin = tf.cos(angle), tf.sin(angle)
    middle = (side - 1) / 2
    # Output (x, y) is taken from input (a x + b y + c, d x + e y + f), about the middle.
    a, b, d, e = scale_x * cos, -scale_x * sin, scale_y * sin, scale_y * cos
    c = middle - a * middle - b * middle + draws[3] * (SHIFT * side)
    f = middle - d * middle - e * middle + draws[4] * (SHIFT * side)
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
