"""`hpo submit` on LSF, as far as its stand-in goes: finished, warned, in arrays and chains."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import reader
import runs
from spool import State
from standin import Lsf

PYTHON = Path(sys.executable)
MINUTE_S = 8.0
SPACE = runs.SPACE.replace("epochs: 2", "epochs: 30")  # long enough to be warned
TIMEOUT_S = 240


class Submitted:
    """A search that `hpo submit` hands to the stand-in, from a folder of its own."""

    def __init__(self, lsf: Lsf, folder: Path) -> None:
        self.lsf = lsf
        self.folder = folder
        self.out = folder / "results"
        runs.space_file(folder, SPACE)
        (folder / "rismpi.py").symlink_to(runs.ROOT / "rismpi.py")

    def hpo(self, *words: object, code: int = 0) -> str:
        done = subprocess.run(
            [PYTHON, "-m", "hpo", *map(str, words)],
            cwd=self.folder,
            env=self.lsf.environment(PYTHONPATH=str(runs.ROOT)),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == code, f"{done.stdout}{done.stderr}{self.said()}"
        return done.stdout

    def submit(self, *options: object, code: int = 0) -> int:
        told = self.hpo(
            *("submit", "--scheduler", "lsf", "--time", 60, "--queue", "general"),
            *("--setup", f'export PATH="{PYTHON.parent}:$PATH"', *options),
            *("--", "--space", "space.yaml"),
            code=code,
        )
        return int(told.partition("submitted as lsf job ")[2].replace(",", ":").split(":")[0])

    def end(self, job_id: int) -> dict[int, State]:
        """Wait until a job has ended, on a machine that may be busy."""
        return self.lsf.wait(job_id, timeout_s=TIMEOUT_S)

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("rismpi-*.out")))

    def wait_for_records(self, n: int) -> None:
        end_s = time.monotonic() + TIMEOUT_S
        while runs.n_records(self.out) < n:
            assert time.monotonic() < end_s, self.said()
            time.sleep(0.2)


@pytest.fixture
def submitted(tmp_path: Path) -> Iterator[Submitted]:
    with Lsf(tmp_path / "lsf", ("hostA", "hostB"), minute_s=MINUTE_S) as lsf:
        yield Submitted(lsf, tmp_path)


def test_two_hosts_finish_and_give_the_same_results(submitted, undisturbed):
    submitted.submit("--nodes", 2, "--wait")
    assert {line.split()[1] for line in launches(submitted)} == {"hostA", "hostB"}
    assert runs.comparable(submitted.out) == runs.comparable(undisturbed)
    assert "on 2 ranks" in submitted.hpo("status")
    assert "finished, nothing to submit" in submitted.hpo("resubmit")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run directory of the same search without a scheduler."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = runs.search(2, folder / "results", "--space", runs.space_file(folder, SPACE))
    assert done.returncode == 0, done.stderr
    return folder / "results"


def launches(submitted: Submitted) -> list[str]:
    return submitted.lsf.spool.launches.read_text().splitlines()


def test_warning_saves_the_search_and_lsf_requeues_it(submitted, undisturbed):
    job_id = submitted.submit("--ranks-per-node", 2)
    submitted.wait_for_records(2)
    submitted.lsf.run("bkill", "-s", "USR1", job_id, cwd=submitted.folder)  # as -wa USR1 does
    (state,) = submitted.end(job_id).values()
    assert (state.stat, state.n_runs) == ("DONE", 2), submitted.said()
    assert runs.comparable(submitted.out) == runs.comparable(undisturbed)


def test_array_lacks_an_element_which_is_submitted_again_alone(submitted, undisturbed):
    job_id = submitted.submit("--array", 3)
    submitted.lsf.run("bkill", f"{job_id}[2]", cwd=submitted.folder)
    states = submitted.end(job_id)
    assert [states[i].stat for i in (1, 2, 3)] == ["DONE", "EXIT", "DONE"]
    submitted.hpo("status", code=75)
    assert "elements 2 of 3" in submitted.hpo("resubmit")
    submitted.end(job_id + 1)
    submitted.hpo("status")
    assert runs.comparable(submitted.out) == runs.comparable(undisturbed)


def test_chain_ends_by_itself(submitted):
    job_id = submitted.submit("--links", 2)
    for link in (job_id, job_id + 1):
        (state,) = submitted.end(link).values()
        assert state.stat == "DONE", submitted.said()
    assert len(list(submitted.out.glob("jobs/start-*.json"))) == 1


def test_next_link_goes_on_where_a_warned_one_stopped(submitted, undisturbed):
    job_id = submitted.submit("--ranks-per-node", 2, "--links", 3)
    submitted.wait_for_records(2)
    submitted.lsf.run("bkill", "-s", "USR1", job_id, cwd=submitted.folder)  # as -wa USR1 does
    ends = [submitted.end(job_id + n)[0] for n in range(3)]
    # 75: there is more to do. The last link finds nothing left.
    assert [its.exit_code for its in ends] == [75, 0, 0], submitted.said()
    assert {its.n_runs for its in ends} == {1}
    assert len(list(submitted.out.glob("jobs/start-*.json"))) == 2
    assert runs.comparable(submitted.out) == runs.comparable(undisturbed)


@pytest.mark.parametrize("path", sorted((runs.ROOT / "lsf").glob("*.lsf")), ids=lambda p: p.name)
def test_shipped_file_is_one_that_lsf_reads(path):
    assert reader.read(path.read_text()).queue == "general"


def test_shortest_job_has_no_warning_that_comes_before_its_start(submitted):
    words = ["submit", "--scheduler", "lsf", "--time", "1", "--queue", "general", "--dry-run"]
    text = submitted.hpo(*words)
    assert "-wt" not in text
    assert reader.read(text).run_limit_min == 1
