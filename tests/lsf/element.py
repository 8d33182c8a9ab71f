"""One job, or an array's element: how the stand-in starts, signals and ends it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from signal import Signals

import spool
from reader import Job
from spool import Cluster, Spool, Submission

GRACE_MIN = 10  # from SIGUSR2 at the run limit to SIGKILL
TERMINATE_INTERVAL_MIN = 1 / 6  # JOB_TERMINATE_INTERVAL: 10 s
# The shell above the job's own, as OpenLava's createJobFile writes it (LSB_TRAPSIGS): it lives
# through these signals and passes the exit code on.
WRAPPER = """\
#!/bin/sh
trap : TERM USR1 USR2 INT HUP
"$0.shell"
exit $?
"""
# What a shell's background has made this process ignore would be ignored by the job too.
LAUNCHER = """\
import os, signal, sys
for name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGPIPE"):
    signal.signal(signal.Signals[name], signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Element:
    """Belongs to the scheduler, and keeps what bjobs shows in the spool."""

    def __init__(self, spool: Spool, cluster: Cluster, job_id: int, index: int) -> None:
        self.job_id, self.index = job_id, index
        self.submission: Submission = spool.submission(job_id)
        self.job: Job = self.submission.job()
        self.state = spool.state(job_id, index)
        self._spool, self._cluster = spool, cluster
        self._process: subprocess.Popen[bytes] | None = None
        # When to send what, and whether it means that the job shall end.
        self._due: list[tuple[float, Signals, bool]] = []
        self._is_ending = False

    # --- what the scheduler does ---

    def start(self, hosts: Sequence[str]) -> None:
        """Run the script in a session of its own."""
        self.state = replace(
            self.state, stat="RUN", hosts=tuple(hosts), n_runs=self.state.n_runs + 1
        )
        self._path("hosts").write_text("".join(f"{host}\n" for host in hosts))
        script = self._path("sh.shell")
        for path, text in ((self._path("sh"), WRAPPER), (script, self.job.script)):
            path.write_text(text)
            path.chmod(0o700)
        with self._path("out").open("wb") as output, self._path("err").open("wb") as error:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", LAUNCHER, self._path("sh")],
                cwd=self._directory(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error if self.job.error else subprocess.STDOUT,
                start_new_session=True,
            )
        self._due, self._is_ending = list(self._timetable(time.monotonic())), False
        self._keep()

    def tick(self) -> None:
        """Send the signals that are due; see whether the job has ended."""
        for what in self._spool.requests(self.job_id, self.index):
            self._due += self._requested(what, time.monotonic())
        if self._process is None:
            if any(is_end for _, _, is_end in self._due):
                self._cancel()
            self._due = []
            return
        self._send_due(time.monotonic())
        if self._process.poll() is not None:
            self._finish(self._process.returncode)

    def stop(self) -> None:
        """Leave no process."""
        if self._process is not None:
            self._end_all()
            self._process.wait()

    # --- signals ---

    def _timetable(self, now_s: float) -> Iterator[tuple[float, Signals, bool]]:
        minute_s, limit_min = self._cluster.minute_s, self.job.run_limit_min
        if limit_min is None:
            return
        if self.job.warning_min and self.job.warning_signal:
            early_s = now_s + (limit_min - self.job.warning_min) * minute_s
            yield early_s, Signals[f"SIG{self.job.warning_signal}"], False
        yield now_s + limit_min * minute_s, Signals.SIGUSR2, True
        yield now_s + (limit_min + GRACE_MIN) * minute_s, Signals.SIGKILL, True

    def _requested(self, what: str, now_s: float) -> Iterator[tuple[float, Signals, bool]]:
        if what != "kill":
            yield now_s, Signals[f"SIG{what}"], what in ("INT", "TERM", "KILL")
            return
        # Parallel jobs get SIGKILL alone, unless LSB_USE_SEQUENTIAL_SIGNAL=Y.
        sequence = [Signals.SIGKILL]
        if self.job.n_tasks == 1:
            sequence = [Signals.SIGINT, Signals.SIGTERM, Signals.SIGKILL]
        for number, name in enumerate(sequence):
            yield now_s + number * TERMINATE_INTERVAL_MIN * self._cluster.minute_s, name, True

    def _send_due(self, now_s: float) -> None:
        for due in [due for due in self._due if due[0] <= now_s]:
            self._due.remove(due)
            self._is_ending |= due[2]
            self._signal(due[1])

    def _signal(self, name: Signals) -> None:
        """Send to every process group of the job, as LSF does."""
        for group in set(self._groups()):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(group, name)

    def _groups(self) -> Iterator[int]:
        """Find the job's processes: they share a session or carry its file's name."""
        mark = f"LSB_JOBFILENAME={self._path('sh')}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            # It has just ended, or is another user's.
            with contextlib.suppress(OSError):
                stat = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
                state, group, session = stat[0], int(stat[2]), int(stat[3])
                in_session = self._process is not None and session == self._process.pid
                variables = (path / "environ").read_bytes().split(b"\0")
                if state != "Z" and (in_session or mark in variables):
                    yield group

    def _end_all(self) -> None:
        """Leave no process, those started meanwhile included."""
        while any(self._groups()):
            self._signal(Signals.SIGKILL)
            time.sleep(0.01)

    # --- the end ---

    def _finish(self, returncode: int) -> None:
        self._end_all()  # what the script has left in the background
        self._process, self._due = None, []
        exit_code = returncode if returncode >= 0 else 128 - returncode
        # What LSF itself ends is not run again: IBM's pages disagree, and this asks for more care.
        if exit_code in self.job.requeue_codes and not self._is_ending:
            self.state = replace(self.state, stat="PEND", hosts=())
        else:
            self._deliver("Done" if exit_code == 0 else "Exited")
            stat = "EXIT" if exit_code else "DONE"
            self.state = replace(self.state, stat=stat, exit_code=exit_code)
        self._keep()

    def _cancel(self) -> None:
        """End a job that has not started."""
        self.state = replace(self.state, stat="EXIT")
        self._keep()

    def _deliver(self, outcome: str) -> None:
        """Append the output to its files; mail it where there is none to append to."""
        output, error = self.output_file(), self.error_file()
        is_delivered = output is not None and output.parent.is_dir()
        if output is not None and is_delivered:
            spool.append(self._path("out"), output, overwrites=self.job.overwrites_output)
        if error is not None and error.parent.is_dir():
            spool.append(self._path("err"), error, overwrites=self.job.overwrites_error)
        if self.job.mail.at_end or not (is_delivered or self.job.is_interactive):
            head = f"To: {self.job.mail.address or ''}\n"
            head += f"Subject: Job {self.job_id}: <{self.name()}> {outcome}\n\n"
            body = "" if is_delivered else self._path("out").read_text(errors="replace")
            (self._spool.mail / f"{self.job_id}.{self.index}").write_text(head + body)

    # --- names and places ---

    def name(self) -> str:
        name = self.job.name or self.job.script.splitlines()[-1]
        return f"{name}[{self.index}]" if self.index else name

    def output_file(self) -> Path | None:
        return self._expanded(self.job.output)

    def error_file(self) -> Path | None:
        return self._expanded(self.job.error)

    def _expanded(self, pattern: str | None) -> Path | None:
        if pattern is None:
            return None
        path = pattern.replace("%J", str(self.job_id)).replace("%I", str(self.index))
        return Path(self.submission.directory, path)

    def _directory(self) -> Path:
        return Path(self.submission.directory, self._expanded(self.job.directory) or "")

    def _path(self, suffix: str) -> Path:
        return self._spool.path(self.job_id, self.index, suffix)

    def _keep(self) -> None:
        self._spool.keep(self.job_id, self.index, self.state)

    def _environment(self) -> dict[str, str]:
        job, hosts = self.job, self.state.hosts
        counts = Counter(hosts)
        found = self.submission.environment | {
            "HOSTNAME": hosts[0],
            "LSB_DJOB_HOSTFILE": str(self._path("hosts")),
            "LSB_DJOB_NUMPROC": str(len(hosts)),
            "LSB_HOSTS": " ".join(hosts),
            "LSB_JOBFILENAME": str(self._path("sh")),
            "LSB_JOBID": str(self.job_id),
            "LSB_JOBINDEX": str(self.index),
            "LSB_JOBINDEX_END": str(job.array.indices[-1] if job.array else 0),
            "LSB_JOBINDEX_STEP": "1" if job.array else "0",
            "LSB_JOBNAME": self.name(),
            "LSB_MAX_NUM_PROCESSORS": str(job.n_tasks),
            "LSB_MCPU_HOSTS": "".join(f"{host} {n} " for host, n in counts.items()),
            "LSB_QUEUE": job.queue or "general",
            "LSF_BINDIR": str(self._spool.folder / "bin"),
            "LS_SUBCWD": self.submission.directory,
        }
        more = {
            "CUDA_VISIBLE_DEVICES": job.gpu and ",".join(map(str, range(job.gpu.num))),
            "LSB_ERRORFILE": self.error_file(),
            "LSB_INTERACTIVE": "Y" if job.is_interactive else "",
            "LSB_EXIT_REQUEUE": " ".join(map(str, sorted(job.requeue_codes))),
            "LSB_OUTPUTFILE": self.output_file(),
        }
        return found | {name: str(value) for name, value in more.items() if value}
