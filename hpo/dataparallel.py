"""Data-parallel training in a trial of several ranks, by PyTorch or Keras.

Frameworks connect the ranks of a group by themselves, beside MPI. A rank that fails leaves the
others waiting for its part of a sum. Whoever holds the model then, a traceback say, holds the
connections, too: they are cut, and the others have an error at once.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from hpo import meeting, quiet, sockets
from hpo.contract import Context
from hpo.errors import InputError
from hpo.groups import Group, MemberError

Links = Mapping[int, sockets.Connection]


def _fail(error: Exception, links: Links) -> NoReturn:
    """End the group's connections and raise the error, or whose it is.

    Raises:
        MemberError: if it is that another rank has ended them.
        Exception: the error, else.
    """
    is_of_another = "gloo" in str(error).lower() and not sockets.are_open(links)
    sockets.cut(links)
    if is_of_another:
        raise MemberError(f"another rank of this trial's group has left: {error}") from error
    raise error


# --- PyTorch ---

# Where a model is the last to let go of its group, PyTorch waits for gloo's threads while it holds
# Python's lock, for which they may wait: https://github.com/pytorch/pytorch/issues/56297.
# Let go of from here it gives the lock away.
_ended: list[Any] = []
atexit.register(_ended.clear)


@contextmanager
def torch_process_group(trial: Context, *, timeout_s: float = 300.0) -> Iterator[Any]:
    """Connect this trial's ranks: torch.distributed's default group in a `with` (collective).

    Args:
        timeout_s: how long a rank waits for the others in one operation.

    Yields:
        The torch.device to train on.

    Raises:
        MemberError: where another rank has left with an error of its own.
    """
    import torch
    from torch import distributed

    _ended.clear()
    device = torch.device("cuda:0" if trial.device == "gpu" else "cpu")
    links = _connect_torch(trial.group, device, timeout_s)
    try:
        yield device
        # The leader takes the store along; and NCCL's groups are to be ended by all together.
        distributed.barrier()
    except Exception as error:
        _fail(error, links)
    finally:
        _ended.append(distributed.group.WORLD)
        distributed.destroy_process_group()


def _connect_torch(group: Group, device: Any, timeout_s: float) -> Links:
    """Make torch's default group; give gloo's connections (collective)."""
    from torch import distributed

    met = meeting.arrange(group)
    backend = _backend(group.all_gather(_gpu(device)))
    store = _store(group, met.leader, timeout_s)
    before = sockets.connections()
    with _environment(_networking(met.own)):
        distributed.init_process_group(
            backend,
            store=store,
            rank=group.rank,
            world_size=group.size,
            timeout=timedelta(seconds=timeout_s),
            device_id=device if backend == "nccl" else None,
        )
    links = meeting.links(group, before)
    return links if backend == "gloo" else {}


def _store(group: Group, leader: str, timeout_s: float) -> Any:
    """Open torch's store in the leader, at a port of its own; connect the others (collective)."""
    from torch import distributed

    if group.size == 1:
        return distributed.HashStore()

    def store(port: int, **serving: Any) -> Any:
        timeout = timedelta(seconds=timeout_s)
        return distributed.TCPStore(
            leader, port, timeout=timeout, wait_for_workers=False, **serving
        )

    def serve() -> Any:
        listening = sockets.listener(leader)
        port = listening.getsockname()[1]
        return store(port, is_master=True, master_listen_fd=listening.detach())

    served = meeting.together(group, lambda: serve() if group.is_leader else None)
    port: int = group.broadcast(getattr(served, "port", 0))
    return meeting.together(group, lambda: served or store(port, is_master=False))


def _gpu(device: Any) -> str:
    """Name this rank's GPU; empty for none, and for a part of one, which NCCL does not take."""
    import torch

    if device.type == "cpu" or os.environ.get("CUDA_VISIBLE_DEVICES", "").startswith("MIG-"):
        return ""
    torch.cuda.set_device(device)
    return str(torch.cuda.get_device_properties(device).uuid)


def _backend(gpus: Sequence[str]) -> str:
    """NCCL needs a GPU for each rank; gloo takes tensors of ranks that share one, too."""
    return "nccl" if all(gpus) and len({*gpus}) == len(gpus) else "gloo"


def _networking(own: str) -> dict[str, str]:
    """Say what torch is to read from the environment.

    Args:
        own: the address by which the others know this rank.
    """
    interface = sockets.interface(own)
    return {
        # gloo asks what this host's name means, which /etc/hosts may say is 127.0.1.1.
        **({"GLOO_SOCKET_IFNAME": interface} if interface else {}),
        # NCCL's own way with a lost rank is to end this process, and with it the whole search.
        "TORCH_NCCL_BLOCKING_WAIT": "1",
    }


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set what nobody has set, for a while."""
    new = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


# --- Keras, on JAX ---


@dataclass
class _Jax:
    """This process's connection with its group by JAX, which lasts from trial to trial.

    Attributes:
        links: gloo's connections.
        is_usable: whether no trial has failed since they were made.
    """

    links: Links
    is_connected: bool = False
    is_usable: bool = False


_jax = _Jax({})


@contextmanager
def keras_data_parallel(trial: Context) -> Iterator[None]:
    """Have Keras train a model with all ranks of this trial, in a `with` (collective).

    Each rank gives `fit` its own share of the rows and of the batch, as large as the others'.
    Losses and metrics are those of all rows. Keras's seed is set to the trial's: initial weights
    must be equal.

    Raises:
        MemberError: where another rank has left with an error of its own.
    """
    import keras

    if trial.group.size > 1:
        _connect_jax(trial.group)
    keras.utils.set_random_seed(trial.seed)
    try:
        with _distributed(trial.group):
            yield
    except Exception as error:
        _jax.is_usable = False
        _fail(error, _jax.links)


def _distributed(group: Group) -> AbstractContextManager[None]:
    import keras

    if group.size == 1:
        return nullcontext()
    shared: AbstractContextManager[None] = keras.distribution.DataParallel(
        auto_shard_dataset=False
    ).scope()
    return shared


def _connect_jax(group: Group) -> None:
    """Connect a group's ranks, once, and again after a failure (collective)."""
    import jax
    import keras
    from jax.experimental import multihost_utils

    if (found := keras.backend.backend()) != "jax":
        raise InputError(
            f"KERAS_BACKEND: expected jax for data-parallel training by Keras, found {found}; on"
            " torch, use hpo.torch_process_group and DistributedDataParallel"
        )
    if all(group.all_gather(_jax.is_usable)):
        return
    if _jax.is_connected:
        _forget_jax()
    leader = meeting.arrange(group).leader
    with sockets.reserved(leader) as reserved:
        at = f"{leader}:{group.broadcast(reserved)}"
        jax.distributed.initialize(
            *(at, group.size, group.rank),
            coordinator_bind_address=at if leader == sockets.LOOPBACK else None,
            # To JAX, Slurm's number of a task is that of its GPU; a rank sees one GPU here.
            cluster_detection_method="deactivate",
        )
    before = sockets.connections()
    with quiet.loading():  # gloo says that it connects
        multihost_utils.sync_global_devices("hpo")  # the first sum connects
    links = meeting.links(group, before)
    _jax.links = links if jax.default_backend() == "cpu" else {}
    _jax.is_connected = _jax.is_usable = True


def _forget_jax() -> None:
    """Begin JAX anew in this process: what has lost a connection never computes again."""
    import jax
    import keras
    from jax.extend import backend

    keras.utils.clear_session()
    jax.distributed.shutdown()
    jax.clear_caches()
    backend.clear_backends()
