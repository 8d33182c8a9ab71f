"""The job files of Slurm and LSF, from a `Job`'s plain values.

Every file has the same story: start the ranks in the background, pass the scheduler's warning on
to them, wait until they have ended, ask the run directory whether it is finished, go on or leave.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from hpo.errors import ExitCode
from hpo.job import MODULE, Job

# How long before the job's end the ranks are told. A graph call lasts up to 5 s, Slurm looks at
# times every 30 s, and what is saved may be large.
WARN_MIN = 2
PULL_MIN = 5  # what a large image takes until it is there
END_VARIABLE = "HPO_JOB_END_TIME"  # seconds since 1970; for schedulers that tell no end
_STOPPED = ExitCode.STOPPED.value


def text(job: Job, written_by: str | None = None) -> str:
    """Write the job file.

    Args:
        written_by: the command that wrote it, for its head.
    """
    parts = [
        ["#!/bin/bash", *_comment(written_by or ""), *_before(job)],
        [] if job.interactive else _head(job),
        list(_end(job)),
        list(_network(job)),
        list(job.setup),
        [_interactive(job)] if job.interactive else list(_body(job)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _comment(text: str) -> list[str]:
    """Write a comment that stays one: a line break in it would end it."""
    return [f"# {line}" for line in text.splitlines()]


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
    limit = ["--time-limit", str(job.time_min)] if job.searches and job.scheduler == "lsf" else []
    return "exec " + _command([*ask, *_launch(job), *_program(job), *limit])


def _slurm_options(job: Job) -> list[str]:
    memory, unit = job.memory_per_node()
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
        options["array"] = f"1-{job.array}{_at_once(job)}"
    if not job.interactive:
        options["output"] = f"{job.name}-%A_%a.out" if job.array else f"{job.name}-%j.out"
        if job.searches:
            options["signal"] = f"B:USR1@{_warn_s(job)}"
            options["open-mode"] = "append"
    if job.is_contained:
        options["container-image"] = job.image
        options["container-mounts"] = ",".join(job.mounts)
        options["container-workdir"] = job.workdir()
        options["container-env"] = "SLURM_CONF"
    if job.container == "shifter":
        options["image"] = f"docker:{job.image}"
    words = [f"--{name}={value}" for name, value in options.items() if value]
    if not job.interactive:
        words.append("--requeue" if job.requeues else "--no-requeue")
    return words


def _lsf_options(job: Job) -> list[tuple[str, str]]:
    memory, unit = job.memory_per_node()
    name = f"{job.name}[1-{job.array}]{_at_once(job)}" if job.array else job.name
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
    if job.requeues:
        found += [("-Q", str(_STOPPED)), ("-r", "")]  # again after 75, and after a lost host
    return found


# ---- the body


def _end(job: Job) -> Iterator[str]:
    """Tell the search when the job ends, where LSF does not; before all that takes time."""
    if job.scheduler == "lsf" and job.searches and not job.interactive:
        yield "# LSF tells a job no end; the search reads it here."
        yield f"export {END_VARIABLE}=$(($(date +%s) + {60 * job.time_min - _lost_s(job)}))"


def _lost_s(job: Job) -> int:
    """Give the time that has passed before the first line of a job: pulling its image."""
    return min(60 * PULL_MIN, 60 * job.time_min // 4) if job.container == "docker" else 0


def _network(job: Job) -> Iterator[str]:
    """Have MPICH's nodes tell each other short addresses, where Slurm hands them on.

    Over UCX each tells four kilobytes, of which most is whatever lies behind in memory, and
    Slurm's PMI reads no request of more than 1,024 characters: now and then ranks wait for ever.
    https://github.com/SchedMD/slurm/blob/master/src/plugins/mpi/pmi2/pmi1.c, handle_pmi1_cmd
    """
    if job.nodes > 1 and _launch(job)[:1] == ["srun"]:
        yield "# Over UCX, MPICH's addresses may be longer than what Slurm's PMI reads at once."
        yield 'export MPIR_CVAR_CH4_NETMOD="${MPIR_CVAR_CH4_NETMOD:-ofi}"'


def _body(job: Job) -> Iterator[str]:
    command = _command([*_launch(job), *_program(job)]) + _shard(job)
    if not job.searches:
        yield command
        return
    status = _command([*_inside(job), job.python, "-m", "hpo", "status", job.out_inside()])
    status += f" --go-on{_shard(job)}"
    yield "began=$(date +%s)"
    if job.links > 1:
        after = "--dependency=afterany:ID" if job.scheduler == "slurm" else "-w 'ended(ID)'"
        yield f"# One link of a chain: the others are submitted with {after} of the one before."
        yield f"# {_STOPPED}: go on. Else the link before has finished, or got nowhere."
        yield f"{status}; code=$?"
        yield f'[ "$code" = {_STOPPED} ] || exit "$code"'
    if job.requeues and _launch(job)[:1] == ["srun"]:
        yield "# MPICH names shared memory after job and step: a kill may have left this one's."
        yield (
            '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || srun --ntasks-per-node=1'
            ' --ntasks="$SLURM_NNODES" \\'
        )
        yield (
            """  find /dev/shm -maxdepth 1 -uid "$(id -u)" -name 'mpich_*'"""
            """ ! -newermt "@$began" -delete"""
        )
    yield ""
    yield "# USR1 comes before the time limit: the search saves and ends."
    yield """trap 'kill -USR1 "$launcher"' USR1"""
    yield """trap 'kill -USR1 "$launcher"; cancelled=1' TERM INT"""
    yield f"{command} &"
    yield "launcher=$!"
    yield """while kill -0 "$launcher" 2>/dev/null; do wait "$launcher"; done"""
    yield ""
    yield f"# 0: finished. {_STOPPED}: go on. 1: no trial got on, nor would it in another job."
    yield f'{status} --since "$began"; code=$?'
    yield '[ -z "$cancelled" ] || exit 143'
    if job.requeues and job.scheduler == "slurm":
        # The number of an array's last element is the array's own: it would requeue them all.
        own = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" if job.array else "$SLURM_JOB_ID"
        yield f'[ "$code" != {_STOPPED} ] || scontrol requeue "{own}"'
    yield 'exit "$code"'


def _program(job: Job) -> list[str]:
    """Give the words of one rank."""
    out = job.out_inside()
    options = ["--out", out, *job.arguments] if job.searches else [out]
    is_module = job.script.startswith(MODULE)
    return [job.python, *(job.script.split() if is_module else [job.script]), *options]


def _launch(job: Job) -> list[str]:
    """Give the words that start the ranks, before Python's."""
    if job.scheduler == "lsf":
        return [*_mpirun_on_lsf(job), *_inside(job)]
    if job.array and job.n_ranks == 1:
        return _inside(job)
    if job.launcher == "mpirun":
        # A container has no srun, with which mpirun would start ranks even on its own node.
        here = ["-launcher", "fork"] if job.is_contained else []
        return [job.mpirun, *here, "-np", str(job.n_ranks), *_inside(job)]
    # Without -K1 (--kill-on-bad-exit) the others would wait for a rank that has died.
    # Where enroot's hook for PMI is on, all ranks of a node would get the first one's number.
    own_rank = "--container-env=PMI_RANK"
    contained = [*_pyxis(job), own_rank] if job.container == "pyxis" else _inside(job)
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
    if job.container == "pyxis" and not job.is_contained:
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
    mounts = [f"--container-mounts={','.join(job.mounts)}"] if job.mounts else []
    return [f"--container-image={job.image}", *mounts, f"--container-workdir={job.workdir()}"]


def _shard(job: Job) -> str:
    if not job.array:
        return ""
    index = "$SLURM_ARRAY_TASK_ID" if job.scheduler == "slurm" else "$LSB_JOBINDEX"
    return f' --shard "{index}/{job.array}"'


def _at_once(job: Job) -> str:
    return f"%{job.at_once}" if job.at_once else ""


def _warn_s(job: Job) -> int:
    return min(60 * WARN_MIN, 60 * job.time_min // 4)


def _command(words: Sequence[str]) -> str:
    """Quote words for the shell, but for the one variable that is meant as such."""
    return " ".join('"$PATH"' if word == "$PATH" else shlex.quote(word) for word in words)


def _quoted(value: str) -> str:
    """Quote an option for a job file, where both schedulers know double quotes."""
    if re.fullmatch(r"[\w./:,@%+=-]*", value):
        return value
    name, equals, rest = value.partition("=") if value.startswith("--") else ("", "", value)
    return f'{name}{equals}"{rest}"'
