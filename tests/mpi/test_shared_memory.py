"""MPI where a node's shared memory is small: a real /dev/shm of a few megabytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import runs

from hpo import launcher

N_RANKS = 6
SCRIPTS = {"mpitest.py": ["results"], "rismpi.py": ["--space", "quick"]}


def lacking() -> str:
    """Say why there can be no small /dev/shm here; nothing if there can be."""
    if shutil.which("unshare") is None:
        return "no unshare (apt-get install util-linux)"
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
    tried = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"no /dev/shm of one's own: {tried.stderr.strip()}" if tried.returncode else ""


pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking() or "there can be")


def run(size_mb: int, *words: object, cwd: Path, used_mb: int = 0) -> subprocess.CompletedProcess:
    """Run a script where /dev/shm has this size, some of it used by a job that was killed."""
    script = (
        f"mount -t tmpfs -o size={size_mb}m tmpfs /dev/shm"
        f" && head -c {used_mb}m /dev/zero > /dev/shm/mpich_shm_old"
        " && touch -d '10 seconds ago' /dev/shm/mpich_shm_old"
        ' && exec "$@"'
    )
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *runs.command(N_RANKS, *words)],
        cwd=cwd,
        env=runs.environment(),
        capture_output=True,
        text=True,
        timeout=runs.TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_too_small_is_refused_in_one_line(tmp_path: Path, script: str) -> None:
    done = run(3, runs.ROOT / script, *SCRIPTS[script], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: expected 6 MB free in /dev/shm, as MPICH takes 1 MB for each of 6 ranks on a node,"
        " found 3 of 3 MB; give the container more (--shm-size=4g; on LSF LSF_DOCKER_SHM_SIZE=4g)"
    )
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_too_full_is_told_before_mpi_dies(tmp_path: Path) -> None:
    words = (runs.ROOT / "mpitest.py", "results")
    done = run(40, *words, cwd=tmp_path, used_mb=37)
    assert done.returncode not in (0, 2)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "found 3 of 40 MB" in line
    assert "rm /dev/shm/mpich_*" in line


@pytest.mark.parametrize("size_mb", [8, 20])
def test_enough_for_mpich_alone_is_enough(tmp_path: Path, size_mb: int) -> None:
    """UCX would crash in the most of what is left."""
    for _ in range(3):
        done = run(size_mb, runs.ROOT / "mpitest.py", "results", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "all 6 ranks took part" in done.stdout


def test_slurm_tells_the_ranks_of_a_node() -> None:
    environ = {"SLURM_STEP_TASKS_PER_NODE": "4(x2),3", "SLURM_LOCALID": "1", "SLURM_NODEID": "2"}
    assert launcher.on_node(environ) == (1, 3)
    assert launcher.on_node(environ | {"SLURM_NODEID": "1"}) == (1, 4)
    assert launcher.on_node(environ | {"SLURM_NODEID": "3"}) is None
    assert launcher.on_node({}) is None
