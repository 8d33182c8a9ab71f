"""A cluster job as plain values, and what of them does not fit together."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import PurePosixPath

from hpo import mounts
from hpo.errors import InputError

SCHEDULERS = ("slurm", "lsf")
CONTAINERS = {
    "slurm": ("none", "pyxis", "apptainer", "shifter"),
    "lsf": ("none", "docker", "apptainer"),
}
LAUNCHERS = ("srun", "mpirun")
_FLAGS = {"time_min": "--time", "mounts": "--mount", "directives": "--directive"}
MOST_LSF_ELEMENTS = 1000  # of an array, LSF's default MAX_JOB_ARRAY_SIZE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MEMORY = re.compile(r"([1-9][0-9]*)(MB|GB|TB)")
_TESTS_MPI = "mpitest.py"


# What stands in place of a script where the search is of users' own code, which has none.
MODULE = "-m hpo search"
MODULE_ON_GPUS = f"{MODULE} --device gpu"


@dataclass(frozen=True)
class Job:
    """What a person decides about a job; see `hpo submit --help` for what each means.

    Attributes:
        memory_per_rank: a whole number with its unit: 4GB.
        time_min: the job's wall time.
        account: Slurm's account, LSF's group (-G).
        partition: Slurm's partition, LSF's queue.
        job_group: LSF's -g, which says how many of a person's jobs may run.
        gpus_per_node: 0 for none.
        gpu: of LSF: further parts of -gpu, as gmodel=NVIDIAA40:gmem=8G; of Slurm: a type.
        array: number of elements, each a share of the search; 0: one job trains all of it.
        links: jobs that are submitted at once, each going on where the one before it stopped.
        arguments: the search's own options, without --out.
    """

    scheduler: str
    script: str = "rismpi.py"
    arguments: tuple[str, ...] = ()
    out: str = "results"
    name: str = "rismpi"
    nodes: int = 1
    ranks_per_node: int = 1
    cores_per_rank: int = 1
    memory_per_rank: str = "4GB"
    time_min: int = 60
    account: str | None = None
    partition: str | None = None
    job_group: str | None = None
    gpus_per_node: int = 0
    gpu: str | None = None
    container: str = "none"
    image: str | None = None
    mounts: tuple[str, ...] = ()
    launcher: str = "srun"
    python: str = "python"
    mpirun: str = "mpirun"
    mail: str | None = None
    array: int = 0
    at_once: int = 0
    links: int = 1
    interactive: bool = False
    setup: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()

    @property
    def n_ranks(self) -> int:
        return self.nodes * self.ranks_per_node

    @property
    def searches(self) -> bool:
        return PurePosixPath(self.script).name != _TESTS_MPI

    @property
    def is_contained(self) -> bool:
        """Whether the batch script itself runs in the container: on one node, with its mpirun."""
        return self.container == "pyxis" and self.launcher == "mpirun"

    @property
    def requeues(self) -> bool:
        """Whether the job puts itself back into the queue. In a container there is no scontrol."""
        return self.searches and self.links == 1 and not self.is_contained

    def memory_per_node(self) -> tuple[int, str]:
        """Give a node's memory, and its unit."""
        match = _MEMORY.fullmatch(self.memory_per_rank)
        assert match is not None
        return int(match[1]) * self.ranks_per_node, match[2]

    def duration(self) -> str:
        """Say the wall time as a person would."""
        hours, minutes = divmod(self.time_min, 60)
        parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
        return " ".join(filter(None, parts))

    def out_inside(self) -> str:
        """Give the run directory as the search sees it: through the mounts of its container.

        Raises:
            InputError: if no mount shows it there: it would be lost with the container.
        """
        out = posixpath.normpath(self.out)
        is_below_here = not out.startswith(("/", ".."))
        if self.container == "none" or (self.container == "docker" and is_below_here):
            return self.out  # LSF's wrapper mounts the submit directory
        found = mounts.inside(self.mounts, out, to_write=True)
        if found is None:
            raise InputError(
                f"--out {self.out}: expected a directory that the container may write to, found no"
                f" --mount for it; add --mount {posixpath.dirname(out)}:/app/store"
            )
        return found

    def workdir(self) -> str:
        """Name the directory of pyxis's containers that relative paths start from."""
        return str(PurePosixPath(self.script).parent)

    def check(self) -> None:
        """Find what does not fit together.

        Raises:
            InputError: naming the option.
        """
        _expect(
            self.scheduler in SCHEDULERS, "--scheduler", " or ".join(SCHEDULERS), self.scheduler
        )
        for option in ("nodes", "ranks_per_node", "cores_per_rank", "time_min", "links"):
            value = getattr(self, option)
            _expect(value >= 1, _flag(option), "a whole number from 1", value)
        for option in ("array", "at_once", "gpus_per_node"):
            value = getattr(self, option)
            _expect(value >= 0, _flag(option), "a whole number from 0", value)
        _expect(bool(_NAME.fullmatch(self.name)), "--name", "letters, digits and ._-", self.name)
        _expect(
            bool(_MEMORY.fullmatch(self.memory_per_rank)),
            "--memory-per-rank",
            "a whole number with MB, GB or TB",
            self.memory_per_rank,
        )
        self._check_container()
        if self.scheduler == "lsf":
            few = f"at most {MOST_LSF_ELEMENTS:,} elements on LSF"
            _expect(self.array <= MOST_LSF_ELEMENTS, "--array", few, self.array)
        else:
            _expect(
                self.launcher in LAUNCHERS, "--launcher", " or ".join(LAUNCHERS), self.launcher
            )
            _expect(self.job_group is None, "--job-group", "LSF", "Slurm")
        if self.interactive and self.is_contained:
            raise InputError(
                "--launcher mpirun: expected no --interactive in a container beside it"
            )
        if self.interactive and (self.array or self.links > 1):
            raise InputError("--interactive: expected no --array and no --links beside it")
        if self.array and self.links > 1:
            raise InputError(
                "--links: expected no --array beside it; its elements go on by themselves"
            )
        for option, values in self._texts():
            _expect("" not in values, _flag(option), "some text", "")
            broken = [value for value in values if "\n" in value or "\r" in value]
            _expect(not broken, _flag(option), "a value without line breaks", broken)
        for option in ("account", "partition", "job_group", "image", "mail", "gpu"):
            value = getattr(self, option) or ""
            _expect('"' not in value, _flag(option), "a value without quotes", value)

    def _texts(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Give all that is text, by field."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str | tuple):
                yield field.name, (value,) if isinstance(value, str) else value

    def _check_container(self) -> None:
        kinds = CONTAINERS[self.scheduler]
        on = {"slurm": "Slurm", "lsf": "LSF"}[self.scheduler]
        words = f"one of {', '.join(kinds)} on {on}"
        _expect(self.container in kinds, "--container", words, self.container)
        if self.container == "none":
            _expect(self.image is None, "--image", "--container beside it", "none")
            _expect(not self.mounts, "--mount", "--container beside it", "none")
        else:
            _expect(self.image is not None, "--container", "--image beside it", "none")
        for mount in self.mounts:
            parts = mount.split(":")
            is_pair = len(parts) in (2, 3) and all(part.startswith("/") for part in parts[:2])
            _expect(is_pair, "--mount", "SRC:DST, both from the root", mount)
            # They are listed with commas by pyxis, with spaces by LSF's wrapper.
            _expect(not set(" ,") & set(mount), "--mount", "no spaces and no commas", mount)
        self.out_inside()
        if self.is_contained and self.nodes > 1:
            raise InputError(
                "--launcher mpirun: expected one node, as mpirun inside a container reaches no"
                f" other, found {self.nodes}; use --launcher srun"
            )


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def _expect(holds: bool, option: str, expected: str, found: object) -> None:
    if not holds:
        raise InputError(f"{option}: expected {expected}, found {found!r}")
