"""A cluster job as plain values, and the job file that comes of it: LSF's and Slurm's.

Every file has the same story: start the ranks in the background, pass the scheduler's warning on
to them, wait until they have ended, ask the run directory whether it is finished, go on or leave.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hpo.errors import ExitCode, InputError

SCHEDULERS = ("slurm", "lsf")
CONTAINERS = {
    "slurm": ("none", "pyxis", "apptainer", "shifter"),
    "lsf": ("none", "docker", "apptainer"),
}
LAUNCHERS = ("srun", "mpirun")
MOST_LSF_ELEMENTS = 1000  # of an array, LSF's default MAX_JOB_ARRAY_SIZE
# How long before the job's end the ranks are told. A graph call lasts up to 5 s, Slurm looks at
# times every 30 s, and what is saved may be large.
WARN_MIN = 2
END_VARIABLE = "HPO_JOB_END_TIME"  # seconds since 1970; for schedulers that tell no end

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MEMORY = re.compile(r"([1-9][0-9]*)(MB|GB|TB)")
_TESTS_MPI = "mpitest.py"


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

    def out_inside(self) -> str:
        """Give the run directory as the search sees it: through the mounts of its container.

        Raises:
            InputError: if no mount shows it there: it would be lost with the container.
        """
        is_submit_directory = self.container == "docker" and not self.out.startswith("/")
        if self.container == "none" or is_submit_directory:  # LSF's wrapper mounts that one
            return self.out
        for mount in self.mounts:
            outside, inside = mount.split(":")[:2]
            if PurePosixPath(self.out).is_relative_to(outside):
                return str(PurePosixPath(inside, PurePosixPath(self.out).relative_to(outside)))
        raise InputError(
            f"--out {self.out}: expected a directory that the container sees, found no --mount for"
            f" it; add --mount {PurePosixPath(self.out).parent}:/app/store"
        )

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
        if self.interactive and (self.array or self.links > 1):
            raise InputError("--interactive: expected no --array and no --links beside it")
        if self.array and self.links > 1:
            raise InputError(
                "--links: expected no --array beside it; its elements go on by themselves"
            )
        for option in ("script", "out", "account", "partition", "job_group", "image", "mail"):
            value = getattr(self, option)
            _expect(value != "", _flag(option), "some text", value)
        for option in ("account", "partition", "job_group", "image", "mail", "gpu"):
            value = getattr(self, option) or ""
            _expect('"' not in value, _flag(option), "a value without quotes", value)
        for text in (*self.setup, *self.directives, *self.arguments, *self.mounts):
            _expect("\n" not in text, "job", "values without line breaks", text)

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
        self.out_inside()
        if self.container == "pyxis" and self.launcher == "mpirun" and self.nodes > 1:
            raise InputError(
                "--launcher mpirun: expected one node, as mpirun inside a container reaches no"
                f" other, found {self.nodes}; use --launcher srun"
            )


def text(job: Job, written_by: str | None = None) -> str:
    """Write the job file.

    Args:
        written_by: the command that wrote it, for its head.
    """
    parts = [
        ["#!/bin/bash", *([f"# {written_by}"] if written_by else []), *_before(job)],
        [] if job.interactive else _head(job),
        list(job.setup),
        [_interactive(job)] if job.interactive else list(_body(job)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def environment(job: Job) -> dict[str, str]:
    """Give what must be exported before the job file is submitted: it cannot set this itself."""
    if job.container != "docker":
        return {}
    told = {"LSF_DOCKER_NETWORK": "host", "LSF_DOCKER_IPC": "host", "LSF_DOCKER_SHM_SIZE": "4g"}
    if job.mounts:
        told["LSF_DOCKER_VOLUMES"] = " ".join(job.mounts)
    return told


def _before(job: Job) -> list[str]:
    """Tell who submits the file by hand what must be exported before."""
    return [f"# Before: export {name}={shlex.quote(v)}" for name, v in environment(job).items()]


# ---- what is asked of the scheduler


def _head(job: Job) -> list[str]:
    if job.scheduler == "slurm":
        lines = [f"#SBATCH {_quoted(option)}" for option in _slurm_options(job)]
        return lines + [f"#SBATCH {directive}" for directive in job.directives]
    lines = [f"#BSUB {flag} {_quoted(value)}".rstrip() for flag, value in _lsf_options(job)]
    return lines + [f"#BSUB {directive}" for directive in job.directives]


def _interactive(job: Job) -> str:
    """Write the one command that runs the search in this terminal as soon as there is room."""
    extra = [word for directive in job.directives for word in shlex.split(directive)]
    if job.scheduler == "slurm":
        ask = ["salloc", *_slurm_options(job), *extra]
    else:
        flags = [word for option in _lsf_options(job) for word in option if word]
        ask = ["bsub", "-Is", *flags, *extra]
    return "exec " + _command([*ask, *_launch(job), *_program(job)])


def _slurm_options(job: Job) -> list[str]:
    memory, unit = _memory(job)
    options = {
        "job-name": job.name,
        "account": job.account,
        "partition": job.partition,
        "nodes": job.nodes,
        "ntasks-per-node": job.ranks_per_node,
        "cpus-per-task": job.cores_per_rank,
        "mem": f"{memory}{unit[0]}",
        "gpus-per-node": f"{job.gpu}:{job.gpus_per_node}" if job.gpu else job.gpus_per_node,
        "time": job.time_min,
        "mail-user": job.mail,
        "mail-type": job.mail and "END,FAIL",
    }
    if job.array:
        options["array"] = f"1-{job.array}" + (f"%{job.at_once}" if job.at_once else "")
    if not job.interactive:
        options["output"] = f"{job.name}-%A_%a.out" if job.array else f"{job.name}-%j.out"
        if job.searches:
            options["signal"] = f"B:USR1@{_warn_s(job)}"
            options["open-mode"] = "append"
    if _batch_is_contained(job):
        options["container-image"] = job.image
        options["container-mounts"] = ",".join(job.mounts)
        options["container-workdir"] = _workdir(job)
        options["container-env"] = "SLURM_CONF"
    if job.container == "shifter":
        options["image"] = f"docker:{job.image}"
    words = [f"--{name}={value}" for name, value in options.items() if value]
    if not job.interactive:
        words.append("--requeue" if _requeues(job) else "--no-requeue")
    return words


def _lsf_options(job: Job) -> list[tuple[str, str]]:
    memory, unit = _memory(job)
    name = job.name
    if job.array:
        name += f"[1-{job.array}]" + (f"%{job.at_once}" if job.at_once else "")
    spread = "span[hosts=1]" if job.nodes == 1 else f"span[ptile={job.ranks_per_node}]"
    resources = f"affinity[core({job.cores_per_rank})] {spread} rusage[mem={memory}{unit}]"
    if job.gpus_per_node:
        resources = f"select[gpuhost] {resources}"
    gpu = f"num={job.gpus_per_node}" + (f":{job.gpu}" if job.gpu else "")
    options = {
        "-G": job.account,
        "-g": job.job_group,
        "-q": job.partition,
        "-J": name,
        "-n": str(job.n_ranks),
        "-R": resources,
        "-M": f"{memory}{unit}",
        "-gpu": gpu if job.gpus_per_node else None,
        "-W": str(job.time_min),
        "-a": f"docker({job.image})" if job.container == "docker" else None,
        "-u": job.mail,
    }
    found = [(flag, value) for flag, value in options.items() if value]
    if job.interactive:
        return found
    found.append(("-o", f"{job.name}-%J-%I.out" if job.array else f"{job.name}-%J.out"))
    if job.mail:
        found.append(("-N", ""))
    if job.searches and job.time_min > 1:  # a warning must come after the start
        found += [("-wa", "USR1"), ("-wt", str(max(1, _warn_s(job) // 60)))]
    if _requeues(job):
        found.append(("-Q", str(_STOPPED)))
    return found


# ---- the body


def _body(job: Job) -> Iterator[str]:
    command = _command([*_launch(job), *_program(job)]) + _shard(job)
    if not job.searches:
        yield command
        return
    status = _command([*_inside(job), job.python, "-m", "hpo", "status", job.out_inside()])
    status += f" --go-on{_shard(job)}"
    if job.scheduler == "lsf":
        yield "# LSF tells a job no end; the search reads it here."
        yield f"export {END_VARIABLE}=$(($(date +%s) + {60 * job.time_min}))"
        yield ""
    if job.links > 1:
        after = "--dependency=afterany:ID" if job.scheduler == "slurm" else "-w 'ended(ID)'"
        yield f"# One link of a chain: the others are submitted with {after} of the one before."
        yield f"# {_STOPPED}: go on. Else an earlier link has finished, or got nowhere."
        yield f"{status}; code=$?"
        yield f'[ "$code" = {_STOPPED} ] || exit "$code"'
        yield ""
    if _requeues(job) and job.scheduler == "slurm" and _launch(job)[:1] == ["srun"]:
        yield "# MPICH names shared memory after job and step: it may be left from a kill."
        yield (
            '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || srun --ntasks-per-node=1'
            ' --ntasks="$SLURM_NNODES" \\'
        )
        yield """  find /dev/shm -maxdepth 1 -uid "$(id -u)" -name 'mpich_*' -delete"""
        yield ""
    yield "# USR1 comes before the time limit: the search saves and ends."
    yield """trap 'kill -USR1 "$launcher"' USR1"""
    yield """trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT"""
    yield "began=$(date +%s)"
    yield f"{command} &"
    yield "launcher=$!"
    yield """while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done"""
    yield ""
    yield f"# 0: finished. {_STOPPED}: go on. 1: no trial got on, nor would it in another job."
    yield f'{status} --since "$began"; code=$?'
    yield '[ -z "$cancelled" ] || exit 143'
    if _requeues(job) and job.scheduler == "slurm":
        yield f'[ "$code" != {_STOPPED} ] || scontrol requeue "$SLURM_JOB_ID"'
    yield 'exit "$code"'


_STOPPED = ExitCode.STOPPED.value


def _program(job: Job) -> list[str]:
    """Give the words of one rank."""
    out = job.out_inside()
    options = ["--out", out, *job.arguments] if job.searches else [out]
    return [job.python, job.script, *options]


def _launch(job: Job) -> list[str]:
    """Give the words that start the ranks, before Python's."""
    if job.scheduler == "lsf":
        return [*_mpirun_on_lsf(job), *_inside(job)]
    if job.array and job.n_ranks == 1:
        return _inside(job)
    if job.launcher == "mpirun":
        return [job.mpirun, "-np", str(job.n_ranks), *_inside(job)]
    # Without -K1 (--kill-on-bad-exit) the others would wait for a rank that has died.
    contained = _pyxis(job) if job.container == "pyxis" else _inside(job)
    # srun takes no --cpus-per-task over from sbatch, Slurm 22.05 to 23.02.
    cores = [f"--cpus-per-task={job.cores_per_rank}"] if job.cores_per_rank > 1 else []
    return ["srun", "--mpi=pmi2", "--kill-on-bad-exit=1", *cores, *contained]


def _mpirun_on_lsf(job: Job) -> list[str]:
    if job.array and job.n_ranks == 1:
        return []
    if job.nodes == 1:
        return [job.mpirun, "-np", str(job.n_ranks)]
    # blaunch starts ranks on the other hosts; it does not pass PATH on.
    return [job.mpirun, "-launcher", "lsf", "-rmk", "lsf", "-genv", "PATH", "$PATH"]


def _inside(job: Job) -> list[str]:
    """Give the words that run one command in the container, from outside."""
    if job.container == "pyxis" and not _batch_is_contained(job):
        return ["srun", "--nodes=1", "--ntasks=1", *_pyxis(job)]
    if job.container == "apptainer":
        binds = [word for mount in job.mounts for word in ("--bind", mount)]
        return [
            "apptainer",
            "exec",
            *(["--nv"] if job.gpus_per_node else []),
            *binds,
            job.image or "",
        ]
    if job.container == "shifter":
        return ["shifter", *(f"--volume={mount}" for mount in job.mounts)]
    return []


def _pyxis(job: Job) -> list[str]:
    if _batch_is_contained(job):
        return []
    mounts = [f"--container-mounts={','.join(job.mounts)}"] if job.mounts else []
    return [f"--container-image={job.image}", *mounts, f"--container-workdir={_workdir(job)}"]


def _workdir(job: Job) -> str:
    return str(PurePosixPath(job.script).parent)


def _batch_is_contained(job: Job) -> bool:
    """Whether the batch script itself runs in the container: on one node, with its mpirun."""
    return job.container == "pyxis" and job.launcher == "mpirun"


def _requeues(job: Job) -> bool:
    """Whether the job puts itself back into the queue. In a container there is no scontrol."""
    return job.searches and job.links == 1 and not _batch_is_contained(job)


def _shard(job: Job) -> str:
    if not job.array:
        return ""
    index = "$SLURM_ARRAY_TASK_ID" if job.scheduler == "slurm" else "$LSB_JOBINDEX"
    return f' --shard "{index}/{job.array}"'


def _warn_s(job: Job) -> int:
    return min(60 * WARN_MIN, 60 * job.time_min // 4)


def _memory(job: Job) -> tuple[int, str]:
    """Give a node's memory in its unit."""
    match = _MEMORY.fullmatch(job.memory_per_rank)
    assert match is not None
    return int(match[1]) * job.ranks_per_node, match[2]


def _command(words: Sequence[str]) -> str:
    """Quote words for the shell, but for the one variable that is meant as such."""
    return " ".join('"$PATH"' if word == "$PATH" else shlex.quote(word) for word in words)


def _quoted(value: str) -> str:
    """Quote an option for a job file, where both schedulers know double quotes."""
    if re.fullmatch(r"[\w./:,@%+=-]*", value):
        return value
    name, equals, rest = value.partition("=") if value.startswith("--") else ("", "", value)
    return f'{name}{equals}"{rest}"'


def _flag(name: str) -> str:
    return "--time" if name == "time_min" else "--" + name.replace("_", "-")


def _expect(holds: bool, option: str, expected: str, found: object) -> None:
    if not holds:
        raise InputError(f"{option}: expected {expected}, found {found!r}")


def duration(job: Job) -> str:
    """Say the wall time as a person would."""
    hours, minutes = divmod(job.time_min, 60)
    return (
        f"{hours} h {minutes} min"
        if hours and minutes
        else f"{hours} h"
        if hours
        else f"{minutes} min"
    )
