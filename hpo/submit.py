"""`hpo submit` and `hpo resubmit`: write a job file and hand it to the scheduler."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hpo import commandline, history, jobfile, scheduler, sitefile
from hpo import job as jobs
from hpo.errors import ExitCode, InputError
from hpo.history import Submitted
from hpo.job import MODULE, MODULE_ON_GPUS, Job
from hpo.rundir import RunDir, stamp, write_whole

POLL_S = 5.0
SILENT_S = 1800.0  # so long a scheduler may not answer before --wait gives up
SKEW_S = 300.0  # by which the clock of a node may be behind this one's
# Where the images of docker/ have what a job needs. LSF's wrapper puts the submit host's PATH in
# place of the image's, so that names alone may find nothing.
_IN_IMAGE = {"python": "/usr/bin/python3", "mpirun": "/usr/local/bin/mpirun"}
_PROGRAM_IN_IMAGE = "/app"
_ENTRIES = ("rismpi.py", "rismpigpu.py")


def add_parsers(commands: Any) -> None:
    """Describe both commands."""
    submit = commands.add_parser(
        "submit",
        help="write a job file for LSF or Slurm and submit it",
        usage="python -m hpo submit [options] [-- options of the search]",
        allow_abbrev=False,
    )
    add = submit.add_argument
    sites = ", ".join(sitefile.names())
    add(
        "--site",
        metavar="NAME|FILE",
        help=f"defaults of all that follows: {sites}, or a YAML file",
    )
    add("--scheduler", choices=jobs.SCHEDULERS, help="default: the one that this machine has")
    add("--script", metavar="PATH", help="default rismpi.py; rismpigpu.py with GPUs")
    add(
        "--out",
        default=commandline.default_out(),
        metavar="DIR",
        help="the run directory (default %(default)s)",
    )
    add("--name", help="of the job (default: the script's)")
    add("--nodes", type=commandline.at_least(1), metavar="N")
    add("--ranks-per-node", type=commandline.at_least(1), metavar="N")
    add("--cores-per-rank", type=commandline.at_least(1), metavar="N")
    add("--memory-per-rank", metavar="4GB")
    add(
        "--time",
        type=commandline.at_least(1),
        metavar="MIN",
        dest="time_min",
        help="the job's wall time",
    )
    add("--account", "--group", metavar="NAME", help="Slurm's account, LSF's group")
    add("--partition", "--queue", metavar="NAME")
    add("--job-group", metavar="/USER/NAME", help="LSF: how many jobs run at once depends on it")
    add("--gpus-per-node", type=commandline.at_least(0), metavar="N")
    add("--gpu", metavar="TYPE", help="Slurm: its type; LSF: more of -gpu, gmodel=…:gmem=…")
    add("--container", choices=sorted({k for kinds in jobs.CONTAINERS.values() for k in kinds}))
    add("--image", metavar="IMAGE")
    add("--mount", action="append", metavar="SRC:DST", dest="mounts")
    add("--launcher", choices=jobs.LAUNCHERS, help="Slurm: what starts the ranks (default srun)")
    add("--python", metavar="PATH", help="the interpreter, as the job finds it")
    add("--mpirun", metavar="PATH", help="likewise")
    add("--mail", metavar="ADDRESS")
    add(
        "--array",
        type=commandline.at_least(0),
        metavar="N",
        help="N jobs, each with its share of the search",
    )
    add(
        "--at-once",
        type=commandline.at_least(0),
        metavar="N",
        help="so many elements of the array run at a time",
    )
    add(
        "--links",
        type=commandline.at_least(1),
        metavar="N",
        help="N jobs, each going on where the last one stopped",
    )
    add(
        "--interactive",
        action="store_true",
        help="run it in this terminal, as soon as there is room",
    )
    add("--setup", action="append", metavar="LINE", help="a line of shell before all else")
    add(
        "--directive",
        action="append",
        metavar="TEXT",
        dest="directives",
        help="another option of the scheduler: --directive=--constraint=intel",
    )
    add("--dry-run", action="store_true", help="print the job file, and the command on stderr")
    add("--wait", action="store_true", help="return when the job has ended, with the run's code")
    add("arguments", nargs="*", metavar="-- OPTION", help="of the search, after --")
    submit.set_defaults(run=_submit)

    resubmit = commands.add_parser("resubmit", help="submit again what a run's last job left")
    resubmit.add_argument("dir", nargs="?", default=commandline.default_out(), metavar="DIR")
    resubmit.add_argument("--dry-run", action="store_true", help="only say what would be done")
    resubmit.set_defaults(run=_resubmit)


# ---- submit


def _submit(arguments: argparse.Namespace) -> int:
    job = _job(arguments)
    job.check()
    if job.searches:
        from hpo import precheck  # with NumPy, which --help should not wait for

        precheck.search(job)
    words = [word for word in sys.argv[1:] if word not in ("--dry-run", "--wait")]
    text = jobfile.text(job, f"python -m hpo {shlex.join(words)}")
    env = _environment(job)
    if arguments.dry_run:
        print(text, end="", flush=True)
        command = scheduler.command(job.scheduler, job.name)
        if job.interactive:
            command = ["bash"]
        shown = scheduler.shown(command, Path("FILE"), env)
        print(f"submitted by: {shown}", file=sys.stderr)
        return ExitCode.DONE
    run = RunDir(job.out)
    name = f"job-{stamp()}"
    file = run.jobs / f"{name}.sh"
    try:
        run.jobs.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
    except OSError as error:
        raise InputError(
            f"--out {run}: expected a directory that can be written, found: {error.strerror}"
        ) from error
    if job.interactive:
        return subprocess.run(["bash", str(file)], env=os.environ | env, check=False).returncode
    submitted = _hand_over(run, Submitted(name, time.time(), (), job, str(Path.cwd())), file, env)
    return _wait(run, submitted) if arguments.wait else ExitCode.DONE


def _environment(job: Job) -> dict[str, str]:
    """Give what is exported for the submission, unless the user has said otherwise."""
    needed = jobfile.environment(job)
    known = os.environ.get("LSF_DOCKER_VOLUMES", "").split()
    volumes = [*known, *(mount for mount in job.mounts if mount not in known)]
    mounts = {"LSF_DOCKER_VOLUMES": " ".join(volumes)} if "LSF_DOCKER_VOLUMES" in needed else {}
    return {name: os.environ.get(name, value) for name, value in needed.items()} | mounts


def _job(arguments: argparse.Namespace) -> Job:
    """Put together what the command line says, the site's defaults, and the program's."""
    said = {name: value for name, value in vars(arguments).items() if value is not None}
    known = {field.name for field in fields(Job)}
    chosen: dict[str, Any] = {}
    if arguments.site is not None:
        chosen |= sitefile.read(arguments.site, gpus_per_node=arguments.gpus_per_node)
    chosen |= {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in said.items()
        if name in known and value != []
    }
    if "scheduler" not in chosen:
        found = scheduler.found()
        if found is None:
            raise InputError(
                "--scheduler: expected sbatch or bsub on PATH, found neither; name one with"
                " --scheduler or --site (--dry-run needs no scheduler)"
            )
        chosen["scheduler"] = found
    on_gpus = bool(chosen.get("gpus_per_node"))
    if "script" not in chosen and _needs_no_script(arguments.arguments, _ENTRIES[on_gpus], chosen):
        chosen["script"] = MODULE_ON_GPUS if on_gpus else MODULE
        chosen.setdefault("name", "hpo")
    chosen.setdefault("script", _ENTRIES[on_gpus])
    chosen.setdefault("name", Path(chosen["script"]).stem)
    if chosen.get("container", "none") != "none":
        _settle_in_image(chosen)
    else:
        if "python" not in chosen and "setup" not in chosen:
            chosen["setup"] = _virtual_environment()
        chosen["setup"] = (*chosen.get("setup", ()), *_package_path(chosen["script"]))
    return Job(**chosen)


def _needs_no_script(words: Sequence[str], entry: str, chosen: Mapping[str, Any]) -> bool:
    """Tell whether a search outside containers is started by `python -m hpo search`."""
    options = {word.split("=")[0] for word in words}
    is_own = bool(options & {"--objective", "--command"})
    is_elsewhere = "--space" in options and not Path(entry).exists()
    return chosen.get("container", "none") == "none" and (is_own or is_elsewhere)


def _settle_in_image(chosen: dict[str, Any]) -> None:
    """Use the paths of the images."""
    chosen["script"] = str(Path(_PROGRAM_IN_IMAGE, chosen["script"]))
    chosen.update({name: path for name, path in _IN_IMAGE.items() if name not in chosen})
    if chosen["container"] != "docker":
        chosen["out"] = os.path.abspath(chosen["out"])


def _virtual_environment() -> tuple[str, ...]:
    """Give the line that makes the job run in the virtual environment that this runs in."""
    if sys.prefix == sys.base_prefix:
        return ()
    activate = Path(sys.prefix, "bin", "activate")
    if activate.is_relative_to(Path.cwd()):
        activate = activate.relative_to(Path.cwd())
    return (f"source {shlex.quote(str(activate))}",)


def _package_path(script: str) -> tuple[str, ...]:
    """Give the line by which a job finds this package, where neither it nor its script lies here.

    Python looks into the folder of a script, and for `-m hpo` into the one it starts in.
    """
    folder = Path(__file__).resolve().parents[1]
    is_installed = folder.name in ("site-packages", "dist-packages")
    if is_installed or Path(script).resolve().parent == folder == Path.cwd().resolve():
        return ()
    return (f"export PYTHONPATH={shlex.quote(str(folder))}${{PYTHONPATH:+:$PYTHONPATH}}",)


def _hand_over(run: RunDir, submitted: Submitted, file: Path, env: Mapping[str, str]) -> Submitted:
    """Submit all links, note and say what came of it."""
    job = submitted.job
    # Noted before, as the job may look for it at once, and after each link: what is queued must
    # be known when the next one is refused.
    history.note_submitted(run, submitted)
    for _ in range(job.links):
        command = scheduler.command(
            job.scheduler,
            job.name,
            after=submitted.ids[-1] if submitted.ids else None,
            elements=submitted.elements,
            at_once=job.at_once,
        )
        try:
            job_id = scheduler.submit(job.scheduler, command, file, cwd=submitted.cwd, env=env)
        except InputError as error:
            queued = f"; queued are {', '.join(submitted.ids)}" if submitted.ids else ""
            raise InputError(f"{error}{queued}") from error
        submitted = replace(submitted, ids=(*submitted.ids, job_id))
        history.note_submitted(run, submitted)
    ids = submitted.ids
    print(f"submitted as {job.scheduler} job {', '.join(ids)}: {_size(submitted)}", flush=True)
    print(f"  job file  {file}")
    status = f"python -m hpo status {shlex.quote(str(run))}    " if job.searches else ""
    print(f"  to watch  {status}{scheduler.watch(job.scheduler, ids[0])}")
    return submitted


def _size(submitted: Submitted) -> str:
    job = submitted.job
    ranks = f"{job.ranks_per_node} rank{'s' if job.ranks_per_node > 1 else ''}"
    parts = [f"{job.nodes} node{'s' if job.nodes > 1 else ''} × {ranks}", job.duration()]
    if submitted.elements:
        parts.append(f"elements {scheduler.ranges(submitted.elements)} of {job.array}")
    elif job.array:
        parts.append(f"array of {job.array}")
    if job.links > 1:
        parts.append(f"{job.links} links")
    return ", ".join(parts)


def _wait(run: RunDir, submitted: Submitted) -> int:
    """Wait until the scheduler has nothing left of the job; give the run's code."""
    from hpo import publish, record

    job, ids = submitted.job, submitted.ids
    while _is_alive(job.scheduler, ids):
        time.sleep(POLL_S)
    if not job.searches:
        is_good = all(scheduler.has_succeeded(job.scheduler, job_id) for job_id in ids)
        return ExitCode.DONE if is_good else ExitCode.FAILED
    starts = [
        its
        for its in history.starts(run)
        if its.at_s >= submitted.at_s - SKEW_S and its.job_id in (None, *ids)
    ]
    if not starts:
        print(f"{run}: the search has not begun; the job's output, {job.name}-*.out, says why")
        return ExitCode.FAILED
    standing = publish.standing(run, record.read(run))
    print(f"{run}: {standing.sentence()}")
    if standing.is_finished:
        return ExitCode.DONE if standing.best is not None else ExitCode.FAILED
    has_got_on = any(history.got_on(run, its) for its in starts)
    return ExitCode.STOPPED if has_got_on else ExitCode.FAILED


def _is_alive(scheduler_name: str, ids: Sequence[str]) -> bool:
    """Ask until the scheduler answers: its daemon may be away for a while."""
    until_s = time.monotonic() + SILENT_S
    while True:
        try:
            return any(scheduler.alive(scheduler_name, job_id) for job_id in ids)
        except InputError:
            if time.monotonic() > until_s:
                raise
            time.sleep(POLL_S)


# ---- resubmit


def _resubmit(arguments: argparse.Namespace) -> int:
    run = RunDir(arguments.dir)
    made = history.submissions(run)
    if not made:
        raise InputError(f"{run}: expected a run that hpo submit has begun, found no job in it")
    last = made[-1]
    job = last.job
    if not job.searches:
        raise InputError(f"{run}: expected a search, found {job.script}; submit it anew")
    alive = {
        element
        for its in made
        if its.job.scheduler == job.scheduler
        for job_id in its.ids
        for element in scheduler.alive(job.scheduler, job_id)
    }
    lacking = _unfinished(run, job.array or 1)
    elements = tuple(i for i in lacking if i not in alive) if job.array else ()
    if not lacking and not alive:
        print(f"{run}: finished, nothing to submit")
        return ExitCode.DONE
    if not elements and alive:
        ids = ", ".join(job_id for its in made for job_id in its.ids)
        print(f"{run}: job {ids} is still queued or running, nothing to submit")
        return ExitCode.STOPPED
    name = f"job-{stamp()}"
    again = Submitted(name, time.time(), (), job, last.cwd, elements)
    if arguments.dry_run:
        print(f"{run}: would submit {_size(again)}")
        return ExitCode.DONE
    first = next(its for its in made if its.job == job)
    file = run.jobs / f"{first.name}.sh"
    _hand_over(run, again, file, _environment(job))
    return ExitCode.DONE


def _unfinished(run: RunDir, n_shards: int) -> Sequence[int]:
    """Name the shares of a search, from 1, that lack a result."""
    from hpo import publish, record

    if not run.search.exists():  # no element has started yet
        return range(1, n_shards + 1)
    its = record.read(run)
    standing = publish.standing(run, its)
    if standing.is_finished and not publish.is_published(run, its, standing):
        return range(1, 2)  # whoever trains nothing writes the files
    return sorted(
        {
            1 + place % n_shards
            for place, trial in enumerate(standing.trials)
            if trial.id not in standing.results
        }
    )
