"""`hpo submit` and a real Slurm: finished, killed, out of time, in arrays and chains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster
import pytest
import runs

from hpo import findings

PYTHON = Path(sys.executable)
TIMEOUT_S = 240
# 36 combinations of two networks: long enough to be disturbed, a quarter of a minute on two ranks.
SPACE = """\
filters: [8, 12]
dense_units: 16
batch_size: [32, 128, 256]
learning_rate: [0.01, 0.03, 0.1]
dropout: [0.2, 0.3]
epochs: 8
"""


class Submitted:
    """A search of `SPACE` as `hpo submit` hands it to the cluster, in a folder of its own."""

    def __init__(self, slurm: cluster.Cluster, folder: Path) -> None:
        self.slurm = slurm
        self.folder = folder
        self.out = folder / "results"
        self.space = runs.space_file(folder, SPACE)

    def hpo(self, *words: object, code: int = 0) -> str:
        """Run `python -m hpo` as on a login node; give what it prints."""
        done = self.slurm.run(
            *(PYTHON, "-m", "hpo", *words),
            cwd=runs.ROOT,
            timeout=TIMEOUT_S,
            check=False,
            env={"PATH": f"{PYTHON.parent}{os.pathsep}{cluster.SYSTEM_PATH}"},
        )
        assert done.returncode == code, f"{done.stdout}{done.stderr}\n{self.said()}"
        return done.stdout

    def submit(self, *options: object, search: tuple[object, ...] = (), code: int = 0) -> str:
        """Submit; give the first job's number."""
        told = self.hpo(
            *("submit", "--scheduler", "slurm", "--time", "30", "--out", self.out),
            *(
                "--setup",
                f'export PATH="{PYTHON.parent}:$PATH"',
                f"--directive=--output={self.log}",
            ),
            *options,
            *("--", "--space", self.space, *search),
            code=code,
        )
        return told.partition("submitted as slurm job ")[2].partition(":")[0].partition(",")[0]

    @property
    def log(self) -> Path:
        return self.folder / "job-%j.out"

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("job-*.out")))

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + TIMEOUT_S
        while not holds():
            assert time.monotonic() < end_s, f"not {what}\n{self.said()}\n{self.slurm.logs()}"
            time.sleep(0.3)

    def wait_until_under_way(self, job_id: str) -> None:
        def is_under_way() -> bool:
            states = {job["JobState"] for job in self.slurm.jobs(job_id)}
            assert states <= {"PENDING", "RUNNING"}, f"{states}\n{self.said()}"
            return runs.n_records(self.out) >= 4

        self.wait_until(is_under_way, "under way")

    def end(self, job_id: str, state: str = "COMPLETED") -> None:
        found = self.slurm.wait_for(job_id, *cluster.ENDED, timeout_s=TIMEOUT_S)
        assert {job["JobState"] for job in found} == {state}, self.said()

    def restarts(self, job_id: str) -> int:
        return int(self.slurm.job(job_id)["Restarts"])

    def n_starts(self) -> int:
        return len(list((self.out / "jobs").glob("start-*.json")))


@pytest.fixture
def submitted(slurm: cluster.Cluster, tmp_path: Path) -> Iterator[Submitted]:
    yield Submitted(slurm, tmp_path)
    # What a test that has failed left running would hold nodes of the next one.
    slurm.run("scancel", "--user=root")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the results of the same search without a scheduler."""
    folder = tmp_path_factory.mktemp("plain")
    space = runs.space_file(folder, SPACE)
    done = runs.search(2, folder / "results", "--space", space)
    assert done.returncode == 0, done.stderr
    return runs.comparable(folder / "results")


def ranks_of(out: Path) -> list[int]:
    """Find the processes that train in a run directory: neither srun's nor mpirun's own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"python") and str(out).encode() in words:
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("launcher", ["srun", "mpirun"])
def test_two_nodes_finish_and_give_the_same_results(submitted, plain, launcher):
    submitted.submit("--nodes", 2, "--launcher", launcher, "--wait")
    assert runs.comparable(submitted.out) == plain
    [start] = [json.loads(path.read_text()) for path in submitted.out.glob("jobs/start-*.json")]
    assert (start["n_ranks"], start["exit_code"]) == (2, 0)
    assert "ended after" in submitted.hpo("status", submitted.out)
    [wait_s] = findings.read(submitted.out).queue_waits.values()
    assert wait_s > 0
    assert "waited in the queue" in (submitted.out / "report.html").read_text()
    assert "finished, nothing to submit" in submitted.hpo("resubmit", submitted.out)


@pytest.mark.parametrize("script", ["mpitest.py", "rismpi.py"])
def test_ranks_that_do_not_find_each_other_are_refused_once(slurm, tmp_path, script):
    """With a wrong --mpi each would be a world of its own, and search all of it."""
    words = ("srun", "--mpi=none", "--ntasks=2", PYTHON, runs.ROOT / script)
    done = slurm.run(*words, cwd=tmp_path, check=False, env={"HPO_OUT": str(tmp_path / "out")})
    errors = [line for line in done.stderr.splitlines() if not line.startswith("srun: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    assert errors[0].startswith("error: expected 2 ranks, as the launcher started, but this one")
    assert "srun --mpi=pmi2" in errors[0]
    assert not (tmp_path / "out").exists()


def test_status_tells_from_the_files_alone_what_runs(submitted):
    job_id = submitted.submit("--ranks-per-node", 2)
    submitted.wait_until_under_way(job_id)
    without_slurm = subprocess.run(
        [PYTHON, "-m", "hpo", "status", submitted.out],
        env={"PYTHONPATH": str(runs.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert without_slurm.returncode == 75
    assert f"as slurm job {job_id} (squeue --jobs={job_id})" in without_slurm.stdout
    assert f"on 2 ranks, first host {os.uname().nodename}, slurm {job_id}: running" in (
        without_slurm.stdout
    )
    assert "is still queued or running" in submitted.hpo("resubmit", submitted.out, code=75)
    submitted.slurm.run("scancel", job_id)
    submitted.end(job_id, "CANCELLED")
    assert submitted.hpo("status", submitted.out, code=75).count(": running") == 0


def test_killed_rank_ends_the_step_and_the_job_goes_on(submitted, plain):
    job_id = submitted.submit("--nodes", 2)
    submitted.wait_until_under_way(job_id)
    os.kill(ranks_of(submitted.out)[-1], signal.SIGKILL)
    submitted.end(job_id)
    assert submitted.restarts(job_id) == 1
    assert runs.comparable(submitted.out) == plain


def test_time_limit_requeues_until_it_is_finished(submitted, plain):
    """Slurm looks at limits every 30 s: the ranks are held until its warning has come."""
    job_id = submitted.submit("--ranks-per-node", 2)
    submitted.wait_until_under_way(job_id)
    ranks = ranks_of(submitted.out)
    for rank in ranks:
        os.kill(rank, signal.SIGSTOP)
    submitted.slurm.shorten(job_id, left_s=110)
    submitted.wait_until(lambda: any(map(is_warned, ranks)), "warned")
    for rank in ranks:
        os.kill(rank, signal.SIGCONT)
    submitted.end(job_id)
    assert submitted.restarts(job_id) >= 1  # more on a loaded machine: the limit stays short
    assert "stopped (SIGUSR1)" in submitted.said()
    assert runs.comparable(submitted.out) == plain


def is_warned(process: int) -> bool:
    """Tell whether a process has a SIGUSR1 that it has not seen yet."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    pending = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (signal.SIGUSR1 - 1) & 1 for mask in pending)


@pytest.mark.parametrize("options", [("--ranks-per-node", 2), ("--array", 2)])
def test_search_learns_the_end_of_its_job(submitted, options):
    job_id = submitted.submit(*options, "--time", 1)
    n_searches = 2 if "--array" in options else 1  # the last has the number of the whole array
    submitted.wait_until(
        lambda: search_log(submitted.out).count("this job ends in") == n_searches, "told"
    )
    submitted.slurm.run("scancel", job_id)
    submitted.end(job_id, "CANCELLED")


def search_log(out: Path) -> str:
    """Give the log of a search, or those of all its shards."""
    return "".join(path.read_text() for path in out.glob("search*.log"))


def test_lost_node_is_replaced(submitted, plain):
    slurm = submitted.slurm
    job_id = submitted.submit("--nodes", 2)
    submitted.wait_until_under_way(job_id)
    node = slurm.job(job_id)["NodeList"].replace("[", "").partition("-")[0].partition(",")[0]
    slurm.kill_node(node)
    try:
        submitted.end(job_id)
        assert submitted.restarts(job_id) == 1
        assert runs.comparable(submitted.out) == plain
    finally:
        slurm.revive_node(node)


def test_array_goes_on_without_an_element_which_is_submitted_again_alone(submitted, plain):
    job_id = submitted.submit("--array", 5)
    submitted.wait_until(
        lambda: any(
            b"--shard" in words and b"3/5" in words for words in ranks_words(submitted.out)
        ),
        "running the third element",
    )
    submitted.slurm.run("scancel", f"{job_id}_3")
    found = submitted.slurm.wait_for(job_id, *cluster.ENDED, timeout_s=TIMEOUT_S)
    assert sorted(job["JobState"] for job in found) == ["CANCELLED"] + 4 * ["COMPLETED"]
    submitted.hpo("status", submitted.out, code=75)
    told = submitted.hpo("resubmit", submitted.out)
    assert "elements 3 of 5" in told
    submitted.end(told.partition("slurm job ")[2].partition(":")[0])
    submitted.hpo("status", submitted.out)
    assert runs.comparable(submitted.out) == plain


def test_element_out_of_time_goes_on_and_no_other_starts_again(submitted, plain):
    """The last element's own number is that of the whole array."""
    job_id = submitted.submit("--array", 2)
    submitted.wait_until_under_way(job_id)
    submitted.slurm.run("scancel", "--batch", "--signal=USR1", f"{job_id}_2")
    submitted.end(job_id)
    restarts = {job["ArrayTaskId"]: job["Restarts"] for job in submitted.slurm.jobs(job_id)}
    assert restarts == {"1": "0", "2": "1"}
    assert runs.comparable(submitted.out) == plain


def ranks_words(out: Path) -> list[list[bytes]]:
    return [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in ranks_of(out)]


def test_chain_ends_by_itself(submitted, plain):
    job_id = submitted.submit("--ranks-per-node", 2, "--links", 3)
    submitted.wait_until_under_way(job_id)
    submitted.slurm.run("scancel", "--batch", "--signal=USR1", job_id)  # as before a time limit
    submitted.end(job_id, "FAILED")  # with 75: there is more to do
    submitted.end(str(int(job_id) + 1))
    submitted.end(str(int(job_id) + 2))
    assert submitted.n_starts() == 2
    assert runs.comparable(submitted.out) == plain


def test_job_that_gets_nowhere_is_not_requeued(submitted):
    job_id = submitted.submit()
    submitted.slurm.run("scontrol", "hold", job_id, check=False)
    submitted.space.write_text("colour: red\n")  # wrong since it was submitted
    submitted.slurm.run("scontrol", "release", job_id, check=False)
    submitted.end(job_id, "FAILED")
    assert submitted.restarts(job_id) == 0
    assert "unknown hyperparameter 'colour'" in submitted.said()
    assert "another job would not help" in submitted.said()


def test_chain_ends_where_a_link_gets_nowhere(submitted, tmp_path):
    job_id = submitted.submit("--links", 3, search=("--data", wrong(tmp_path)))
    for link in range(3):
        submitted.end(str(int(job_id) + link), "FAILED")
    errors = [line for line in submitted.said().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1  # the others have not tried
    assert submitted.said().count("another job would not help") == 3


def test_wait_tells_what_became_of_the_job(submitted, tmp_path):
    submitted.submit("--wait", search=("--data", wrong(tmp_path)), code=1)
    assert "expected" in submitted.said()
    told = submitted.hpo(
        *("submit", "--scheduler", "slurm", "--script", "mpitest.py", "--time", 5, "--nodes", 2),
        *("--setup", "exit 3", f"--directive=--output={submitted.log}", "--out", tmp_path / "m"),
        "--wait",
        code=1,
    )
    assert "2 nodes × 1 rank, 5 min" in told


def wrong(folder: Path) -> Path:
    path = folder / "wrong.csv"
    path.write_text("label,pixel0\n1,2,3\n")
    return path


def pinned(its: Submitted, *options: object) -> str:
    """Submit ranks that pin themselves to the GPUs of their job; give its number."""
    script = Path(__file__).with_name("pinned.py")
    return its.submit("--script", script, "--ranks-per-node", 2, *options)


def gpus(its: Submitted, job_id: str) -> list[str]:
    """Read what the ranks have said of their GPUs, in their order."""

    def has_said() -> bool:
        assert its.slurm.job(job_id)["JobState"] in ("PENDING", "RUNNING"), its.said()
        return its.said().count(", has ") >= 2

    its.wait_until(has_said, "pinned")
    return sorted(line for line in its.said().splitlines() if ", has " in line)


@pytest.mark.parametrize("launcher", ["srun", "mpirun"])
def test_ranks_share_the_gpus_that_slurm_gives(submitted, launcher):
    job_id = pinned(submitted, "--launcher", launcher, "--gpus-per-node", 2)
    assert gpus(submitted, job_id) == ["rank 0: given 0,1, has 0", "rank 1: given 0,1, has 1"]
    assert "2 ranks on 2 GPUs" in submitted.said()
    assert submitted.slurm.job(job_id)["TresPerNode"] == "gres:gpu:2"
    (submitted.folder / "go").touch()
    submitted.end(job_id, "FAILED")  # it has trained nothing


def test_jobs_beside_each_other_have_other_gpus(submitted, tmp_path):
    other = Submitted(submitted.slurm, tmp_path)
    other.folder = tmp_path / "other"
    other.folder.mkdir()
    other.out = other.folder / "results"
    here = ("--gpus-per-node", 1, "--directive=--nodelist=node1")
    jobs = [pinned(its, *here) for its in (submitted, other)]
    assert gpus(submitted, jobs[0]) == ["rank 0: given 0, has 0", "rank 1: given 0, has 0"]
    assert gpus(other, jobs[1]) == ["rank 0: given 1, has 1", "rank 1: given 1, has 1"]
    for its, job_id in zip((submitted, other), jobs, strict=True):
        (its.folder / "go").touch()
        its.end(job_id, "FAILED")


def test_rank_with_a_gpu_of_its_own_keeps_it(submitted):
    job_id = pinned(submitted, "--gpus-per-node", 2, "--directive=--gpus-per-task=1")
    assert gpus(submitted, job_id) == ["rank 0: given 0, has 0", "rank 1: given 1, has 1"]
    assert "2 ranks on 2 GPUs" in submitted.said()
    (submitted.folder / "go").touch()
    submitted.end(job_id, "FAILED")


def test_gpus_of_the_job_are_seen_and_found_useless_in_one_line(submitted):
    """The cluster's GPUs are not real: TensorFlow is what finds out, on every rank alike."""
    job_id = submitted.submit("--gpus-per-node", 2, "--ranks-per-node", 2)
    submitted.end(job_id, "FAILED")
    assert submitted.restarts(job_id) == 0
    assert "2 ranks on 2 GPUs" in submitted.said()
    [line] = [line for line in submitted.said().splitlines() if line.startswith("error:")]
    assert ": GPU 0: expected TensorFlow to see it, found" in line
