"""Which library computes: Keras's backend, chosen by KERAS_BACKEND before anything is loaded."""

from __future__ import annotations

import importlib.util
import os

from hpo.errors import InputError

_NAMES = ("tensorflow", "jax", "torch")  # of backends and of their packages


def chosen() -> str:
    """Name the backend. What ~/.keras says does not count: a trial's id rests on it.

    Raises:
        InputError: if it is unknown, or not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in _NAMES:
        raise InputError(f"KERAS_BACKEND: expected one of {', '.join(_NAMES)}, found {name!r}")
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"KERAS_BACKEND: expected a library that is installed, found {name!r} without"
            f" {name}; pip install {name}"
        )
    return name


def prepare(threads: int, device: str) -> None:
    """Set what the libraries read when they are loaded: threads, and the device.

    BLAS and OpenMP read their threads then, JAX all that it is told.
    """
    for variable in (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    ):
        os.environ[variable] = str(threads)
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1:  # it knows one or all
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        if os.environ.get("KERAS_BACKEND") == "torch":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
    else:
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # ranks may share a GPU
