"""The cluster of these tests does what a cluster does."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import cluster
import pytest
from cluster import Cluster

ROOT = Path(__file__).parents[2]
MPIRUN = Path(sys.executable).parent / "mpirun"
TIMEOUT_S = 60
MPITEST = (sys.executable, str(ROOT / "mpitest.py"))


def submit(slurm: Cluster, folder: Path, text: str, *options: object) -> str:
    """Submit a batch job that writes to `out` and `err` in a directory."""
    script = folder / "job.sh"
    script.write_text(f"#!/bin/bash\n{text}")
    return slurm.submit(script, "--output=out", "--error=err", "--open-mode=append", *options)


def output(slurm: Cluster, folder: Path, job_id: str) -> str:
    """Wait until a job has ended well; give what it wrote."""
    [job] = slurm.wait_for(job_id, *cluster.ENDED)
    text, errors = ((folder / name).read_text() for name in ("out", "err"))
    assert (job["JobState"], job["ExitCode"]) == ("COMPLETED", "0:0"), text + errors
    return text


def test_a_step_runs_on_each_node(slurm: Cluster) -> None:
    done = slurm.run("srun", "-N2", "sh", "-c", "echo $SLURMD_NODENAME $(hostname)")
    names, hosts = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert len(set(names) & set(slurm.nodes)) == 2
    assert set(hosts) == {socket.gethostname()}


def test_a_batch_job_completes_with_its_output(slurm: Cluster, tmp_path: Path) -> None:
    where = ("--partition=general-short", "--mem=2G", "--cpus-per-task=2", "--export=NONE")
    job_id = submit(slurm, tmp_path, "echo $SLURM_CPUS_PER_TASK\nsrun /bin/echo step\n", *where)
    assert output(slurm, tmp_path, job_id) == "2\nstep\n"
    job = slurm.job(job_id)
    assert job["Partition"] == "general-short"
    assert "cpu=2,mem=2G,node=1" in job["TRES"]


def test_a_failed_job_has_its_exit_code(slurm: Cluster, tmp_path: Path) -> None:
    job_id = submit(slurm, tmp_path, "exit 75")
    [job] = slurm.wait_for(job_id, "FAILED")
    assert job["ExitCode"] == "75:0"
    with pytest.raises(AssertionError, match=f"expected job {job_id} to be COMPLETED"):
        slurm.wait_for(job_id, "COMPLETED")


def test_jobs_share_a_node(slurm: Cluster, tmp_path: Path) -> None:
    other = submit(slurm, tmp_path, "sleep 60", "--nodelist=node1")
    try:
        slurm.wait_for(other, "RUNNING")
        assert slurm.run("srun", "--nodelist=node1", "echo", "beside").stdout == "beside\n"
        assert slurm.job(other)["JobState"] == "RUNNING"
    finally:
        slurm.run("scancel", other)


def test_an_array_runs_each_element(slurm: Cluster, tmp_path: Path) -> None:
    job_id = submit(slurm, tmp_path, "echo $SLURM_ARRAY_TASK_ID\n", "--array=1-3")
    elements = slurm.wait_for(job_id, "COMPLETED")
    assert sorted(job["ArrayTaskId"] for job in elements) == ["1", "2", "3"]
    assert sorted((tmp_path / "out").read_text().split()) == ["1", "2", "3"]


def test_a_job_can_requeue_itself(slurm: Cluster, tmp_path: Path) -> None:
    text = """\
echo run ${SLURM_RESTART_COUNT:-0}
[ ${SLURM_RESTART_COUNT:-0} = 0 ] && scontrol requeue $SLURM_JOB_ID && sleep 60
exit 0
"""
    job_id = submit(slurm, tmp_path, text)
    assert output(slurm, tmp_path, job_id) == "run 0\nrun 1\n"
    assert slurm.job(job_id)["Restarts"] == "1"


def test_a_dependent_job_waits_for_a_good_end(slurm: Cluster, tmp_path: Path) -> None:
    first = submit(slurm, tmp_path, "sleep 1; echo first")
    second = submit(slurm, tmp_path, "echo second", f"--dependency=afterok:{first}")
    assert slurm.job(second)["Reason"] == "Dependency"
    assert output(slurm, tmp_path, second) == "first\nsecond\n"


def test_a_job_of_a_killed_node_starts_again_elsewhere(slurm: Cluster, tmp_path: Path) -> None:
    text = """\
echo $SLURMD_NODENAME $$
[ ${SLURM_RESTART_COUNT:-0} = 1 ] || sleep 600
"""
    job_id = submit(slurm, tmp_path, text, "--requeue")
    out = tmp_path / "out"
    [job] = slurm.wait_for(job_id, "RUNNING")
    wait_until(lambda: out.exists() and out.read_text())
    slurm.kill_node(job["BatchHost"])
    (first, shell), (second, _) = (
        line.split() for line in output(slurm, tmp_path, job_id).splitlines()
    )
    assert first == job["BatchHost"] != second
    assert not Path("/proc", shell).exists()
    slurm.revive_node(first)
    assert slurm.run("srun", "-w", first, "echo", "back").stdout == "back\n"


def test_a_time_limit_warns_one_job_and_ends_another(slurm: Cluster, tmp_path: Path) -> None:
    text = """\
trap 'echo warned; kill $child; exit 0' USR1
trap 'echo asked to end' TERM
sleep 600 & child=$!
wait
wait
"""
    # Both at once: Slurm looks at all limits every 30 s, and no setting changes that.
    (tmp_path / "other").mkdir()
    warned = submit(slurm, tmp_path, text, "--time=5", "--signal=B:USR1@60")
    ended = submit(slurm, tmp_path / "other", text, "--time=5")
    for job_id, left_s in ((warned, 60), (ended, 0)):
        slurm.wait_for(job_id, "RUNNING")
        slurm.shorten(job_id, left_s=left_s)
    assert output(slurm, tmp_path, warned) == "warned\n"
    slurm.wait_for(ended, "TIMEOUT")
    assert (tmp_path / "other" / "out").read_text() == "asked to end\n"


def test_a_job_sees_as_many_gpus_as_it_asks_for(slurm: Cluster) -> None:
    devices = ("sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert slurm.run("srun", *devices).stdout == "\n"
    assert slurm.run("srun", "--gpus-per-node=2", *devices).stdout == "0,1\n"
    assert slurm.run("srun", "--gres=gpu:1", *devices).stdout == "0\n"
    refused = slurm.run("srun", "--gres=gpu:3", *devices, check=False)
    assert "Requested node configuration is not available" in refused.stderr


def test_mpi_starts_over_pmi2(slurm: Cluster, tmp_path: Path) -> None:
    words = ("--mpi=pmi2", "-N2", "--ntasks-per-node=1", "--kill-on-bad-exit=1")
    done = slurm.run("srun", *words, *MPITEST, tmp_path)
    assert "all 2 ranks took part" in done.stdout
    assert "ranks: 2\n" in (tmp_path / "mpitest.txt").read_text()


def test_mpirun_finds_all_nodes_of_a_job(slurm: Cluster, tmp_path: Path) -> None:
    text = shlex.join([str(MPIRUN), *MPITEST, str(tmp_path)])
    job_id = submit(slurm, tmp_path, text, "-N2", "--ntasks-per-node=2")
    assert "all 4 ranks took part" in output(slurm, tmp_path, job_id)


OWNER = """\
import sys
from pathlib import Path
from cluster import Cluster
with Cluster.start(Path("slurm").absolute(), n_nodes=1) as slurm:
    slurm.run("sbatch", "--wrap=setsid sleep 600 & setsid sleep 600 & wait")
    sys.stdin.read()
    raise KeyError
"""


@pytest.mark.parametrize("end", ["error", "kill"])
def test_nothing_is_left_whatever_ends_the_owner(tmp_path: Path, end: str) -> None:
    if reason := cluster.missing():
        pytest.skip(reason)
    folder = tmp_path / "slurm"
    env = os.environ | {"PYTHONPATH": str(Path(cluster.__file__).parent)}
    words = [sys.executable, "-c", OWNER]
    with subprocess.Popen(words, cwd=tmp_path, env=env, stdin=PIPE, stderr=PIPE) as owner:
        expected = {"munged", "slurmctld", "slurmd", "sleep"}
        wait_until(lambda: expected <= processes(folder) or owner.poll() is not None)
        if end == "kill":
            owner.kill()
        _, errors = owner.communicate(timeout=TIMEOUT_S)
    assert end == "kill" or b"KeyError" in errors
    wait_until(lambda: not processes(folder))


def processes(folder: Path) -> set[str]:
    """Give the names of all processes that were told of a cluster."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.add((process / "comm").read_text().strip())
    return found


def wait_until(happened: Callable[[], object]) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < end_s
        time.sleep(0.5)
