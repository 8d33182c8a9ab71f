"""Which GPU each rank trains on: what its node offers it, and how ranks share that.

CUDA reads CUDA_VISIBLE_DEVICES once, when TensorFlow is loaded: all of this comes before.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo.errors import InputError
from hpo.launcher import node
from hpo.world import World

# Waking a driver that no process holds takes seconds for each GPU; a broken one never answers.
NVIDIA_SMI_TIMEOUT_S = 60.0

# What CUDA itself obeys, set by users, Slurm and LSF; Slurm sets the second one to the same.
# NVIDIA_VISIBLE_DEVICES is not asked: its numbers are those outside the container, images bring
# `all` along, and where GPUs are given by CDI it is `void` although there are some.
_NUMBERED_HERE = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
# The node's own numbers, whatever a device cgroup leaves of them (srun's manual).
_NUMBERED_ON_NODE = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
_NAME = re.compile(r"\d+|(GPU|MIG)-\S+")
_LISTED = re.compile(r"\s*(?:GPU|MIG) .*\(UUID: (\S+)\)\s*")


@dataclass(frozen=True)
class Sight:
    """What one rank sees.

    Attributes:
        node: equal for the ranks of one machine, also where each has a container of its own.
        names: of GPUs, as CUDA_VISIBLE_DEVICES takes them: numbers, UUIDs, MIG devices.
        source: where they were looked for.
    """

    host: str
    node: str
    names: tuple[str, ...]
    source: str


# --- decisions, from plain values ---


def offered(
    environ: Mapping[str, str], listed: Sequence[str], n_device_files: int
) -> tuple[tuple[str, ...], str]:
    """Find the GPUs that this process may use, and say where they were looked for.

    Args:
        listed: what nvidia-smi lists.
        n_device_files: how many /dev/nvidia<N> can be opened. A container may have these alone.
    """
    for variable in _NUMBERED_HERE:
        if variable in environ:
            value = environ[variable]
            return _by_uuid(_named(value), listed), f"in {variable}={value!r}"
    names = _allotted(environ, listed) or tuple(map(str, range(n_device_files)))
    return names, "by nvidia-smi and in /dev"


def parse_listed(text: str) -> list[str]:
    """Read `nvidia-smi -L`: a GPU's UUID, or in its place those of its MIG devices."""
    found: list[str] = []
    for line in text.splitlines():
        match = _LISTED.fullmatch(line)
        if match is None:
            continue
        if match[1].startswith("MIG-") and found and found[-1].startswith("GPU-"):
            found.pop()  # CUDA computes on its parts only
        found.append(match[1])
    return found


def assigned(sights: Sequence[Sight]) -> list[str]:
    """Give each rank, in rank order, the GPU that the fewest ranks before it have.

    Where all ranks of a node see the same GPUs, this is the local rank modulo their number;
    ranks that were given GPUs of their own keep to them.

    Raises:
        InputError: if a rank sees none.
    """
    refuse(
        (sight.host, None if sight.names else f"expected a GPU, found none {sight.source}")
        for sight in sights
    )
    n_ranks: Counter[tuple[str, str]] = Counter()
    chosen = []
    for sight in sights:
        name = min(sight.names, key=lambda name: n_ranks[sight.node, name])
        n_ranks[sight.node, name] += 1
        chosen.append(name)
    return chosen


def sentence(sights: Sequence[Sight], chosen: Sequence[str]) -> str:
    """Say how many ranks share how many GPUs, and whether some are idle."""
    seen = {(sight.node, name) for sight in sights for name in sight.names}
    used = {(sight.node, name) for sight, name in zip(sights, chosen, strict=True)}
    ranks = f"{len(sights)} rank{'s' if len(sights) > 1 else ''}"
    of_all = f"{len(used)} of {len(seen)}" if used < seen else f"{len(seen)}"
    return f"{ranks} on {of_all} GPU{'s' if len(seen) > 1 else ''}"


def _named(text: str) -> tuple[str, ...]:
    """Read a list as CUDA does, which ends it before the first name that cannot be one.

    Nothing, -1 and the NoDevFiles of older Slurm so name no GPU.
    """
    names = []
    for name in map(str.strip, text.split(",")):
        if not _NAME.fullmatch(name):
            break
        names.append(name)
    return tuple(dict.fromkeys(names))


def _by_uuid(names: tuple[str, ...], listed: Sequence[str]) -> tuple[str, ...]:
    """Give UUIDs for numbers that name all there is.

    In a container and under Slurm's device cgroups (--gpus-per-task) each rank's own GPU is
    number 0: UUIDs tell which ranks truly share one.
    """
    if listed and names == tuple(map(str, range(len(listed)))):
        return tuple(listed)
    return names


def _allotted(environ: Mapping[str, str], listed: Sequence[str]) -> tuple[str, ...]:
    """Keep to Slurm's own GPUs among those listed, if it has not hidden the others itself."""
    text = next((environ[name] for name in _NUMBERED_ON_NODE if name in environ), "")
    numbers = [int(name) for name in _named(text) if name.isdigit()]
    if not numbers or len(numbers) >= len(listed) or max(numbers) >= len(listed):
        return tuple(listed)
    return tuple(listed[number] for number in numbers)


# --- this process; `pin` and `confirm` are called by every rank or by none ---


def pin(world: World) -> str:
    """Give this rank its GPU; say how the ranks share them (collective).

    Raises:
        InputError: on every rank, if one of them sees no GPU.
    """
    sights = world.all_gather(_look(world.host))
    chosen = assigned(sights)
    os.environ["CUDA_VISIBLE_DEVICES"] = chosen[world.rank]
    return sentence(sights, chosen)


def confirm(world: World, lacking: str | None) -> None:
    """Refuse what the loaded TensorFlow lacks on some rank (collective).

    Raises:
        InputError: on every rank.
    """
    gpu = os.environ["CUDA_VISIBLE_DEVICES"]
    refuse(world.all_gather((world.host, lacking and f"GPU {gpu}: {lacking}")))


def refuse(told: Iterable[tuple[str, str | None]]) -> None:
    """Raise what the first host lacks, if any does; `told` has every rank's host."""
    lacks = [(host, what) for host, what in told if what is not None]
    if not lacks:
        return
    host, what = lacks[0]
    n_more = len({other for other, _ in lacks}) - 1
    more = f" and {n_more} more" if n_more else ""
    raise InputError(f"host {host}{more}: {what}; rismpi.py is the entry for CPUs")


def _look(host: str) -> Sight:
    names, source = offered(os.environ, _nvidia_smi(), _n_device_files())
    return Sight(host, node(host), names, source)


def _nvidia_smi() -> list[str]:
    """List what the driver shows; nothing if it is absent, fails or does not answer."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_listed(done.stdout)


def _n_device_files() -> int:
    files = Path("/dev").glob("nvidia[0-9]*")
    return sum(os.access(file, os.R_OK | os.W_OK) for file in files)
