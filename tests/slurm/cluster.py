"""A real Slurm on one machine: all daemons and files of a cluster, in one directory."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

import configuration

KEEPER = Path(__file__).parent / "keeper.py"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "srun")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
# Of a job or a launcher around these tests.
OUTER = ("MPI_LOCAL", "OMPI_", "PMI", "SALLOC_", "SBATCH_", "SCONTROL_", "SLURM", "SRUN_")
START_TIMEOUT_S = 60
END_TIMEOUT_S = 10
POLL_S = 0.5
# In the second of its requeue a node would refuse it: "Job credential revoked".
REQUEUE_S = 2
N_TAIL_LINES = 15
UP = {"ALLOCATED", "IDLE", "MIXED"}
ENDED = {"CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "TIMEOUT"}


def missing() -> str | None:
    """Say why no cluster can run here, if none can."""
    if os.geteuid() != 0:
        return "only root can run a Slurm of several nodes"
    names = [name for name in PROGRAMS if not shutil.which(name, path=SYSTEM_PATH)]
    return f"no {', '.join(names)} (apt-get install slurm-wlm munge)" if names else None


class Cluster:
    """The daemons of a cluster under way, and what they are asked."""

    def __init__(self, folder: Path, nodes: Sequence[str]) -> None:
        self.folder = folder
        self.nodes = nodes
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def start(cls, folder: Path, *, n_nodes: int = 4, cpus: int = 4, gpus: int = 0) -> Cluster:
        """Start a cluster whose nodes are idle; its files are left in the folder.

        Raises:
            RuntimeError: with the ends of the logs, if it does not come up.
        """
        if reason := missing():
            raise RuntimeError(reason)
        cluster = cls(folder.absolute(), [f"node{n}" for n in range(1, n_nodes + 1)])
        configuration.write(cluster.folder, cluster.nodes, cpus=cpus, gpus=gpus)
        try:
            cluster._come_up()
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all daemons, and every process of a job."""
        with contextlib.ExitStack() as ends:
            for name in self._keepers:
                ends.callback(self._end, name)

    def run(
        self,
        *words: object,
        check: bool = True,
        timeout: float = 60,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a client of this cluster, such as srun, to its end."""
        done = subprocess.run(
            list(map(str, words)),
            cwd=cwd,
            env=self._environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        output = f"{done.stdout}{done.stderr}"
        assert not check or done.returncode == 0, f"{shlex.join(done.args)} failed:\n{output}"
        return done

    def submit(self, script: Path, *options: object) -> str:
        """Submit a script from its own directory; give the job's number."""
        done = self.run("sbatch", "--parsable", *options, script, cwd=script.parent)
        return done.stdout.strip().partition(";")[0]

    def jobs(self, job_id: str) -> list[dict[str, str]]:
        """Give what is known of a job, or of each element of an array."""
        lines = self.run("scontrol", "show", "job", "-o", job_id).stdout.splitlines()
        return [parse(line) for line in lines if line]

    def job(self, job_id: str) -> dict[str, str]:
        """Give what is known of one job."""
        [found] = self.jobs(job_id)
        return found

    def node(self, name: str) -> dict[str, str]:
        """Give what is known of a node; nothing as long as nobody answers."""
        return parse(self.run("scontrol", "show", "node", "-o", name, check=False).stdout)

    def wait_for(self, job_id: str, *states: str, timeout_s: float = 120) -> list[dict[str, str]]:
        """Wait until a job, or each element of an array, is in one of the states.

        Raises:
            AssertionError: with all that is known, if that takes too long or cannot be any more.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            found = self.jobs(job_id)
            others = [job for job in found if job["JobState"] not in states]
            if not others:
                return found
            is_hopeless = any(job["JobState"] in ENDED for job in others)
            assert time.monotonic() < end_s and not is_hopeless, (
                f"expected job {job_id} to be {' or '.join(states)} in {timeout_s:g} s,"
                f" found {others}\n{self.run('squeue', check=False).stdout}\n{self.logs()}"
            )
            for job in others:
                self._hurry(job)
            time.sleep(POLL_S)

    def shorten(self, job_id: str, *, left_s: int) -> None:
        """Bring a running job's time limit near; Slurm looks for those every 30 s."""
        self.run("scontrol", "update", f"jobid={job_id}", f"endtime=now+{left_s}")

    def kill_node(self, name: str) -> None:
        """End all processes of a node at once; Slurm takes about 15 s to find out.

        Unlike a machine without power, this one's kernel still closes their connections.
        """
        self._end(name)

    def revive_node(self, name: str) -> None:
        """Start a killed node again, and wait until it is there."""
        earlier = self.node(name)["SlurmdStartTime"]
        self._start_node(name)
        self._wait_until_up(name, earlier)

    def logs(self) -> str:
        """Give the ends of all logs."""
        return "\n".join(
            "\n".join([f"--- {path.name}", *read_tail(path)])
            for path in sorted(self.folder.glob("*.log"))
        )

    def _come_up(self) -> None:
        own = [
            f"--{what}-file={self.folder}/munge.{what}" for what in ("key", "log", "pid", "seed")
        ]
        munge_socket = self.folder / "munge.socket"
        # --force: nobody else need be able to enter its directory.
        self._keep("munged", "--foreground", "--force", f"--socket={munge_socket}", *own)
        self._wait("munged", munge_socket.exists)
        self._keep("slurmctld", "-D")
        for name in self.nodes:
            self._start_node(name)
        for name in self.nodes:
            self._wait_until_up(name)

    def _start_node(self, name: str) -> None:
        self._keep("slurmd", "-D", "-N", name, name=name)

    def _wait_until_up(self, name: str, earlier: str = "None") -> None:
        def is_up() -> bool:
            node = self.node(name)
            return node.get("SlurmdStartTime", earlier) != earlier and node["State"] in UP

        self._wait(name, is_up)

    def _wait(self, name: str, happened: Callable[[], object]) -> None:
        end_s = time.monotonic() + START_TIMEOUT_S
        while not happened():
            if self._keepers[name].poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"{name} does not come up\n{self.logs()}")
            time.sleep(0.1)

    def _keep(self, *words: str, name: str = "") -> None:
        name = name or words[0]
        assert name not in self._keepers
        with (self.folder / "daemons.log").open("ab") as log:
            self._keepers[name] = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), *words],
                cwd=self.folder,
                env=self._environment() | {"PATH": SYSTEM_PATH},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        keeper = self._keepers.pop(name)
        keeper.communicate(timeout=END_TIMEOUT_S)

    def _hurry(self, job: Mapping[str, str]) -> None:
        """Start a requeued job before the time of its old credentials is over."""
        is_waiting = job["JobState"] == "PENDING" and job["Reason"] == "BeginTime"
        if not is_waiting or job["Restarts"] == "0":
            return
        wait = datetime.fromisoformat(job["EligibleTime"]) - datetime.now()
        if wait.total_seconds() > 2 * REQUEUE_S:
            begin = f"starttime=now+{REQUEUE_S}"
            self.run("scontrol", "update", f"jobid={job['JobId']}", begin, check=False)

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OUTER)}
        return kept | self.env


def parse(line: str) -> dict[str, str]:
    """Read a line of `scontrol show -o`.

    >>> parse("JobId=7 JobName=a b Reason=None TRES=cpu=1,mem=1000M")["JobName"]
    'a b'
    """
    return dict(re.findall(r"([\w/:]+)=(.*?)(?= [\w/:]+=|\s*$)", line))


def read_tail(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-N_TAIL_LINES:]
