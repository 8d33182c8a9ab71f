"""What a search would find wrong when its job runs, found before it is submitted."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hpo import artifacts, mounts, options, plan, resolve, spacefile, spaceyaml
from hpo.classifier import Classifier
from hpo.contract import Objective
from hpo.errors import InputError
from hpo.job import MODULE, MODULE_ON_GPUS, Job
from hpo.options import Options

_INSIDE = re.compile(r"(.*?)(:[^/]*)?")  # a file, and what of it: a section, a row
_ELSEWHERE = (
    ("--out", "before the --"),
    ("--fresh", "none of it in a job, which may start several times"),
    ("--retry-failed", "none of it in a job, which may start several times"),
    ("--shard", "--array"),
    ("--time-limit", "--time"),
)


def search(job: Job) -> None:
    """Check the options of a job's search, and the files that they name.

    Raises:
        InputError: for the first that is wrong.
    """
    for option, instead in _ELSEWHERE:
        if any(word.split("=")[0] == option for word in job.arguments):
            raise InputError(f"{option}: expected {instead}, found it among the search's options")
    is_on_gpus = job.script == MODULE_ON_GPUS or Path(job.script).name == "rismpigpu.py"
    device = "gpu" if is_on_gpus else "cpu"
    chosen = options.parse([*job.arguments, "--out", job.out], is_first=True, device=device)
    if job.container != "none":
        _check_through_mounts(job, chosen)
        return
    for option, path in _data(chosen):
        if not Path(path).exists():
            raise InputError(f"{option} {path}: expected a file, found none")
    file = (chosen.objective or "").rpartition(":")[0]
    if file.endswith(".py") and not Path(file).is_file():
        raise InputError(f"--objective {chosen.objective}: expected a file {file}, found none")
    if not job.script.startswith(MODULE) and not Path(job.script).is_file():
        raise InputError(f"--script {job.script}: expected the search's script, found none here")
    own: Mapping[str, object] = {}
    if chosen.space is None:
        own = spaceyaml.described(spacefile.read("rismpi.py" if device == "gpu" else job.script))
    _check_space(job, chosen, own)


def _check_space(job: Job, chosen: Options, own: Mapping[str, object]) -> None:
    """Check the space, and whether what its file says of the search fits the job."""
    is_builtin = chosen.objective is None and chosen.command is None
    # An objective of the user's may need what only the nodes have: it is not imported here.
    objective: Objective = Classifier() if is_builtin else Objective()
    terms = objective.terms()
    written = plan.read_space(chosen, own, terms)
    shard = (1, job.array) if job.array else None
    resolve.with_settings(replace(chosen, shard=shard), written.settings, written.name, objective)


def _data(chosen: Options) -> list[tuple[str, str]]:
    named = (("--data", chosen.data), ("--test", chosen.test))
    files = [(option, path) for option, path in named if path is not None]
    return [(option, path) for option, path in files if not artifacts.is_artifact(path)]


def _check_through_mounts(job: Job, chosen: Options) -> None:
    """Look at the files outside that the container will show under the names given."""
    for option, path in _data(chosen):
        _outside(job, option, path)
    if chosen.space is None:
        return  # the script's, in the image
    if chosen.space in spacefile.NAMED:
        _check_space(job, chosen, {})
        return
    path, inside = _INSIDE.fullmatch(chosen.space).groups()  # type: ignore[union-attr]  # any
    space = _outside(job, "--space", path)
    if space is not None:
        _check_space(job, replace(chosen, space=f"{space}{inside or ''}"), {})


def _outside(job: Job, option: str, path: str) -> Path | None:
    """Give the file that the container will show as this path; None if that cannot be known.

    Raises:
        InputError: if it is not there, or the path is one outside.
    """
    begin = job.workdir() if job.container == "pyxis" else str(Path.cwd())
    whole = posixpath.normpath(posixpath.join(begin, path))
    found = mounts.outside((*job.mounts, *_mounted_anyway(job)), whole)
    if found is None:
        shown = mounts.inside(job.mounts, whole)
        if shown is not None:
            raise InputError(
                f"{option} {path}: expected the path in the container, found the one outside; use"
                f" {option} {shown}"
            )
        folder = PurePosixPath(whole).parent
        print(
            f"warning: {option} {path}: no --mount shows it in the container; if it is not part of"
            f" the image, add --mount {folder}:{folder}",
            file=sys.stderr,
        )
        return None
    sources = [mount.split(":")[0] for mount in job.mounts]
    if not all(Path(source).is_dir() for source in sources if mounts.is_below(found, source)):
        return None  # on the nodes alone
    if not Path(found).exists():
        raise InputError(
            f"{option} {path}: expected a file, found none in its place outside the container,"
            f" {found}"
        )
    return Path(found)


def _mounted_anyway(job: Job) -> list[str]:
    """Name what is mounted without being asked for: by LSF's wrapper, by apptainer."""
    here = [str(Path.cwd())] if job.container in ("docker", "apptainer") else []
    home = [str(Path.home())] if job.container == "apptainer" else []
    return [f"{folder}:{folder}" for folder in here + home]
