"""The files of slurm/ that run in containers, run for real where there is pyxis.

It is in no package: PYXIS names a spank_pyxis.so that was built for this Slurm, PYXIS_IMAGE the
squashfs file that `enroot import` makes of docker/'s mpi-ml, and enroot is on PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
import runs

LAB = "/storage2/fs1/LAB/Active"
N_RANKS = 2  # in place of 4 and of 16, also of an array's elements and of nodes
N_TRIALS = 4
SPACE = {"filters": [4, 6], "dense_units": 16, "batch_size": [64, 128], "epochs": 1}
TIMEOUT_S = 600  # an image is unpacked for each step
# The nodes are one machine here, but each unpacks images for itself: its log tells which it is.
ENROOT = """\
#!/bin/sh
node=$(ls -l /proc/$PPID/fd | sed -n 's|.*/\\(node[0-9]*\\)\\.log$|\\1|p' | head -n 1)
export ENROOT_DATA_PATH={folder}/data/$node ENROOT_RUNTIME_PATH={folder}/run/$node
export ENROOT_CACHE_PATH={folder}/cache PATH="{path}"
exec {enroot} "$@"
"""


def missing() -> str | None:
    if reason := cluster.missing():
        return reason
    for name in ("PYXIS", "PYXIS_IMAGE"):
        if not Path(os.environ.get(name) or "/nowhere").is_file():
            return f"{name} names no file: pyxis and enroot are built from their sources"
    return None if shutil.which("enroot") else "no enroot on PATH"


@pytest.fixture(scope="module")
def pyxis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("pyxis")
    path, enroot = os.environ["PATH"], shutil.which("enroot")
    for each in ("bin", "run", "slurm"):
        (folder / each).mkdir()
    (folder / "bin" / "enroot").write_text(ENROOT.format(folder=folder, path=path, enroot=enroot))
    (folder / "bin" / "enroot").chmod(0o755)
    plugin = f"required {os.environ['PYXIS']} runtime_path={folder}/run\n"
    (folder / "slurm" / "plugstack.conf").write_text(plugin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}/bin:{path}")
        patch.setattr(cluster, "SYSTEM_PATH", f"{folder}/bin:{cluster.SYSTEM_PATH}")
        with cluster.Cluster.start(folder / "slurm", n_nodes=N_RANKS) as started:
            yield started
    shutil.rmtree(folder / "data", ignore_errors=True)  # some gigabytes


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Give the lab's directory, with a script of fewer combinations than the image's."""
    text = (runs.ROOT / "rismpi.py").read_text()
    text = re.sub(r"^SPACE = {.*?^}", f"SPACE = {SPACE}", text, flags=re.M | re.S)
    (tmp_path / "rismpi.py").write_text(text)
    return tmp_path


def shipped(name: str, lab: Path) -> str:
    """Give a shipped file with this machine's paths, fewer ranks and less to do."""
    text = (runs.ROOT / "slurm" / name).read_text()
    text = text.replace(f"{LAB}/mpi-ml.sqsh", os.environ["PYXIS_IMAGE"])
    text = text.replace(f"{LAB}:/app/store", f"{lab}:/app/store,{lab}/rismpi.py:/app/rismpi.py")
    text = text.replace("/run/munge:/run/munge", f"{lab}:/run/munge")
    text = text.replace(" --space ris ", " ").replace("--account=compute2-LAB", "")
    text = re.sub(r"^#SBATCH $", "", text, flags=re.M)
    text = re.sub(r"--mem=\d+G", "--mem=4G", text)
    return re.sub(r"\b(4|16)\b(?!\.)", str(N_RANKS), text)


def submit(pyxis: cluster.Cluster, lab: Path, name: str) -> str:
    script = lab / "job.sh"
    script.write_text(shipped(name, lab))
    return pyxis.submit(script)


def said(lab: Path) -> str:
    return "".join(path.read_text() for path in sorted(lab.glob("*.out")))


def end(pyxis: cluster.Cluster, lab: Path, job_id: str) -> None:
    jobs = pyxis.wait_for(job_id, *cluster.ENDED, timeout_s=TIMEOUT_S)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}, said(lab)


def test_mpitest_spans_two_nodes(pyxis, lab):
    end(pyxis, lab, submit(pyxis, lab, "mpitest-pyxis.sh"))
    assert f"all {N_RANKS} ranks took part" in said(lab)
    assert (lab / "mpitest-out" / "mpitest.txt").is_file()


@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("rismpi-pyxis.sh", [2 * N_RANKS]),
        ("rismpi-pyxis-one-node.sh", [N_RANKS]),
        ("rismpi-big-pyxis.sh", [N_RANKS]),
        ("rismpi-array-pyxis.sh", N_RANKS * [1]),
        ("rismpi-chain-pyxis.sh", [N_RANKS]),
    ],
)
def test_search_finishes(pyxis, lab, name, ranks):
    end(pyxis, lab, submit(pyxis, lab, name))
    assert len(runs.rows(lab / "results")) == N_TRIALS
    words = [*runs.command(1, "-m", "hpo", "status", lab / "results")[3:]]
    told = subprocess.run(
        words, env=runs.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert [int(n) for n in re.findall(r"on (\d+) ranks?,", told)] == ranks


def test_interactive_search_ends_in_the_terminal_that_asked_for_it(pyxis, lab):
    done = pyxis.run(
        *("bash", "-c", shipped("interactive-pyxis.sh", lab)), cwd=lab, timeout=TIMEOUT_S
    )
    assert f"finished: {N_TRIALS} of {N_TRIALS} trials, 0 failed" in done.stdout
    assert len(runs.rows(lab / "results")) == N_TRIALS
