"""The stand-in for LSF runs jobs for real: their variables, ends, signals, order and launches."""

from __future__ import annotations

import getpass
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from spool import State
from standin import Lsf

ROOT = Path(__file__).parents[2]
MPIRUN = Path(sys.executable).parent / "mpirun"
MINUTE_S = 0.2

Start = Callable[..., Lsf]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give what makes a cluster; its end must leave none of its processes."""
    clusters: list[Lsf] = []

    def make(*hosts: str, minute_s: float = MINUTE_S, slots_per_host: int = 8) -> Lsf:
        folder = tmp_path / f"lsf{len(clusters)}"
        lsf = Lsf(folder, hosts or ("hostA",), slots_per_host=slots_per_host, minute_s=minute_s)
        clusters.append(lsf)
        return lsf

    yield make
    for lsf in clusters:
        lsf.stop()
    assert marked(tmp_path) == []


@pytest.fixture
def lsf(start: Start) -> Lsf:
    return start()


def marked(folder: Path) -> list[str]:
    """Name the processes that carry a job's variable of a cluster in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes().split(b"\0")
            if any(f"LSB_JOBFILENAME={folder}/".encode() in word for word in environment):
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def script(*lines: str, options: str = "") -> str:
    written = [f"#BSUB {line}" for line in options.splitlines()]
    return "\n".join(["#!/bin/bash", *written, *lines, ""])


def is_running(state: State) -> bool:
    return state.stat == "RUN"


def wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline_s, path
        time.sleep(0.02)


def bjobs(lsf: Lsf, *words: object, cwd: Path) -> list[str]:
    done = lsf.run("bjobs", "-noheader", "-o", "jobid stat exit_code", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- a job ---


def test_job_runs_in_its_directory_with_its_variables(lsf: Lsf, tmp_path: Path) -> None:
    text = script(
        "pwd",
        "env | grep -E '^(LSB_|LSF_|LS_|GIVEN)' | sort",
        "echo oops >&2",
        options="-J plain\n-q general\n-o out.%J.%I",
    )
    done = lsf.run("bsub", cwd=tmp_path, text=text, GIVEN="kept")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Job <1> is submitted to queue <general>.\n"
    assert lsf.wait(1) == {0: State("DONE", 0, ("hostA",), n_runs=1)}
    folder = lsf.spool.folder
    assert (tmp_path / "out.1.0").read_text().splitlines() == [
        str(tmp_path),
        "GIVEN=kept",
        f"LSB_DJOB_HOSTFILE={folder}/jobs/1/0.hosts",
        "LSB_DJOB_NUMPROC=1",
        "LSB_HOSTS=hostA",
        f"LSB_JOBFILENAME={folder}/jobs/1/0.sh",
        "LSB_JOBID=1",
        "LSB_JOBINDEX=0",
        "LSB_JOBINDEX_END=0",
        "LSB_JOBINDEX_STEP=0",
        "LSB_JOBNAME=plain",
        "LSB_MAX_NUM_PROCESSORS=1",
        "LSB_MCPU_HOSTS=hostA 1 ",
        f"LSB_OUTPUTFILE={tmp_path}/out.1.0",
        "LSB_QUEUE=general",
        f"LSF_BINDIR={lsf.bin}",
        f"LS_SUBCWD={tmp_path}",
        "oops",
    ]


def test_command_line_is_a_job(lsf: Lsf, tmp_path: Path) -> None:
    done = lsf.run("bsub", "-o", "out", "echo", "a  b", "$LSB_JOBID", "(c)", cwd=tmp_path)
    assert done.stdout == "Job <1> is submitted to default queue <general>.\n"
    lsf.wait(1)
    assert (tmp_path / "out").read_text() == "a  b 1 (c)\n"


def test_interactive_job_gives_its_output_and_exit_code(lsf: Lsf, tmp_path: Path) -> None:
    done = lsf.run("bsub", "-Is", "-q", "a", "echo $LSB_INTERACTIVE; exit 3", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "Job <1> is submitted to queue <a>.",
        "<<Waiting for dispatch ...>>",
        "<<Starting on hostA>>",
        "Y",
    ]


def test_wrong_file_is_refused(lsf: Lsf, tmp_path: Path) -> None:
    done = lsf.run("bsub", cwd=tmp_path, text=script("true", options="-n 2\n-M 16"))
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.startswith("line 3: -M: expected a whole number with a unit")
    assert done.stderr.endswith(". Job not submitted.\n")
    done = lsf.run("bjobs", "-a", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "No unfinished job found\n")


def test_output_is_appended_overwritten_or_mailed(lsf: Lsf, tmp_path: Path) -> None:
    for options in ("-o log -eo err", "-oo over -N -u a@b.org", "-o none/log", "-J mailed"):
        for _ in range(2):
            lsf.wait(lsf.submit(script("echo out; echo err >&2", options=options), cwd=tmp_path))
    assert (tmp_path / "log").read_text() == "out\n" * 2
    assert (tmp_path / "err").read_text() == "err\n"
    assert (tmp_path / "over").read_text() == "out\nerr\n"
    assert {path.name for path in lsf.spool.mail.iterdir()} == {f"{n}.0" for n in range(3, 9)}
    assert (lsf.spool.mail / "3.0").read_text().startswith("To: a@b.org\nSubject: Job 3: <")
    assert (lsf.spool.mail / "8.0").read_text() == (
        "To: \nSubject: Job 8: <mailed> Done\n\nout\nerr\n"
    )


def test_failure_is_an_exit_with_its_code(lsf: Lsf, tmp_path: Path) -> None:
    lsf.wait(lsf.submit(script("exit 66"), cwd=tmp_path))
    lsf.wait(lsf.submit(script("kill -SEGV $$"), cwd=tmp_path))
    assert bjobs(lsf, "-a", cwd=tmp_path) == ["1 EXIT 66", "2 EXIT 139"]


def test_bjobs_shows_what_has_not_finished(lsf: Lsf, tmp_path: Path) -> None:
    job_id = lsf.submit(script("sleep 60"), "-J", "sleeper", cwd=tmp_path)
    lsf.wait(job_id, is_running)
    done = lsf.run("bjobs", cwd=tmp_path)
    head, row = done.stdout.splitlines()
    assert head == "JOBID USER STAT QUEUE FROM_HOST EXEC_HOST JOB_NAME SUBMIT_TIME"
    assert row.split()[:4] == ["1", getpass.getuser(), "RUN", "general"]
    assert row.split()[5:7] == ["1*hostA", "sleeper"]
    done = lsf.run("bjobs", "-o", "stat job_name delimiter=','", 1, cwd=tmp_path)
    assert done.stdout == "STAT,JOB_NAME\nRUN,sleeper\n"
    done = lsf.run("bjobs", "7", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (255, "", "Job <7> is not found\n")


# --- arrays ---


def test_array_runs_each_element_and_one_fails(lsf: Lsf, tmp_path: Path) -> None:
    text = script(
        'echo "$LSB_JOBINDEX of $LSB_JOBINDEX_END: $LSB_JOBNAME"',
        "[ $LSB_JOBINDEX != 2 ]",
        options='-J "grid[1-3]"\n-o log.%J.%I',
    )
    states = lsf.wait(lsf.submit(text, cwd=tmp_path))
    assert {n: (state.stat, state.exit_code) for n, state in states.items()} == {
        1: ("DONE", 0),
        2: ("EXIT", 1),
        3: ("DONE", 0),
    }
    assert bjobs(lsf, 1, cwd=tmp_path) == ["1 DONE -", "1 EXIT 1", "1 DONE -"]
    assert bjobs(lsf, "1[2]", cwd=tmp_path) == ["1 EXIT 1"]
    for n in (1, 2, 3):
        assert (tmp_path / f"log.1.{n}").read_text() == f"{n} of 3: grid[{n}]\n"


def test_array_of_listed_elements_replaces_the_files(lsf: Lsf, tmp_path: Path) -> None:
    text = script("echo $LSB_JOBINDEX_END", options='-J "grid[1-9]"\n-o log.%I')
    assert list(lsf.wait(lsf.submit(text, "-J", "grid[2,5]", cwd=tmp_path))) == [2, 5]
    assert (tmp_path / "log.5").read_text() == "5\n"


def test_array_keeps_its_limit(lsf: Lsf, tmp_path: Path) -> None:
    text = script("date +%s.%N", "sleep 0.2", "date +%s.%N", options='-o "log.%I"')
    lsf.wait(lsf.submit(text, "-J", "grid[1-5]%2", cwd=tmp_path))
    moments = []
    for n in range(1, 6):
        began, ended = (tmp_path / f"log.{n}").read_text().split()
        moments += [(float(began), 1), (float(ended), -1)]
    at_once = [sum(step for _, step in sorted(moments)[: n + 1]) for n in range(len(moments))]
    assert max(at_once) == 2


# --- requeuing ---


def test_listed_exit_code_requeues_with_the_same_id(lsf: Lsf, tmp_path: Path) -> None:
    text = script(
        'echo "$LSB_JOBID ${LSB_RESTART-unset} $LSB_EXIT_REQUEUE" >> runs',
        'echo "output of run $(wc -l < runs)"',
        "[ $(wc -l < runs) = 3 ] || exit 99",
        options='-Q "98 99"\n-o log',
    )
    states = lsf.wait(lsf.submit(text, cwd=tmp_path))
    assert states == {0: State("DONE", 0, ("hostA",), n_runs=3)}
    assert (tmp_path / "runs").read_text() == "1 unset 98 99\n" * 3
    assert (tmp_path / "log").read_text() == "output of run 3\n"


def test_other_exit_codes_do_not_requeue(lsf: Lsf, tmp_path: Path) -> None:
    states = lsf.wait(lsf.submit(script("exit 9", options="-Q 99"), cwd=tmp_path))
    assert (states[0].stat, states[0].exit_code, states[0].n_runs) == ("EXIT", 9, 1)


def test_requeued_job_goes_to_the_head_of_the_queue(start: Start, tmp_path: Path) -> None:
    lsf = start(slots_per_host=1)
    first = script("echo 1 >> order", "[ $(grep -c 1 order) = 2 ] || exit 99", options="-Q 99")
    lsf.submit(script("while ! [ -e go ]; do sleep 0.05; done"), cwd=tmp_path)
    lsf.submit(first, cwd=tmp_path)
    last = lsf.submit(script("echo 2 >> order"), cwd=tmp_path)
    (tmp_path / "go").touch()
    lsf.wait(last)
    assert (tmp_path / "order").read_text() == "1\n1\n2\n"


# --- limits and signals ---

# In the foreground of the script, so that a trap runs when the sleep ends.
IDLE = "while true; do sleep 0.05; done"


def test_run_limit_is_announced_then_ends_the_job(lsf: Lsf, tmp_path: Path) -> None:
    text = script("trap 'date +%s.%N >> warned' USR1", IDLE, options="-W 10\n-wt 5\n-wa USR1")
    began_s = time.time()
    states = lsf.wait(lsf.submit(text, cwd=tmp_path))
    ended_s = time.time()
    assert (states[0].stat, states[0].exit_code) == ("EXIT", 140)  # 128 + USR2
    (warned_s,) = map(float, (tmp_path / "warned").read_text().split())
    assert warned_s - began_s > 5 * MINUTE_S
    assert ended_s - began_s > 10 * MINUTE_S
    assert ended_s - warned_s > 2 * MINUTE_S


def test_warned_job_ends_itself_and_goes_on(lsf: Lsf, tmp_path: Path) -> None:
    text = script(
        "[ -e warned ] && exit 0",
        "trap 'touch warned; exit 99' USR2",
        IDLE,
        options="-W 300\n-wt 295\n-wa USR2\n-Q 99",
    )
    states = lsf.wait(lsf.submit(text, cwd=tmp_path))
    assert (states[0].stat, states[0].n_runs) == ("DONE", 2)


def test_job_that_ignores_its_limit_is_killed(start: Start, tmp_path: Path) -> None:
    lsf = start(minute_s=0.1)
    text = script("trap 'touch asked' USR2", IDLE, options="-W 10\n-Q 99")
    states = lsf.wait(lsf.submit(text, cwd=tmp_path))
    assert (states[0].exit_code, states[0].n_runs) == (137, 1)
    assert (tmp_path / "asked").exists()


def test_job_past_its_limit_is_not_requeued(lsf: Lsf, tmp_path: Path) -> None:
    text = script("trap 'exit 99' USR2", IDLE, options="-W 5\n-Q 99")
    states = lsf.wait(lsf.submit(text, cwd=tmp_path))
    assert (states[0].stat, states[0].exit_code, states[0].n_runs) == ("EXIT", 99, 1)


@pytest.mark.parametrize(
    ("trap", "options", "code"),
    [
        ("touch ready; exec sleep 60", "", 130),
        ("trap '' INT", "", 143),
        ("trap '' INT TERM", "", 137),
        ("trap 'exit 9' TERM; trap '' INT", "-Q 9", 9),
        ("trap 'touch caught' INT TERM", "-n 2", 137),
    ],
    ids=["int", "term", "kill", "own-code", "parallel"],
)
def test_bkill_sends_one_signal_after_another(
    start: Start, tmp_path: Path, trap: str, options: str, code: int
) -> None:
    lsf = start(minute_s=3)  # half a second from one to the next
    job_id = lsf.submit(script(trap, "touch ready", IDLE, options=options), cwd=tmp_path)
    wait_for(tmp_path / "ready")
    done = lsf.run("bkill", job_id, cwd=tmp_path)
    assert done.stdout == "Job <1> is being terminated\n"
    states = lsf.wait(job_id)
    assert (states[0].stat, states[0].exit_code, states[0].n_runs) == ("EXIT", code, 1)
    assert not (tmp_path / "caught").exists()
    done = lsf.run("bkill", job_id, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (255, "Job <1>: Job has already finished\n")


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1", "10"])
def test_bkill_sends_a_signal_to_every_process(lsf: Lsf, tmp_path: Path, name: str) -> None:
    child = "(trap 'touch child; exit' USR1; touch ready; " + IDLE + ") &"
    text = script("trap 'touch parent' USR1", child, "wait; wait")
    job_id = lsf.submit(text, cwd=tmp_path)
    wait_for(tmp_path / "ready")
    assert lsf.run("bkill", "-s", name, job_id, cwd=tmp_path).stdout.endswith("signaled\n")
    assert lsf.wait(job_id)[0].stat == "DONE"
    assert (tmp_path / "child").exists()
    assert (tmp_path / "parent").exists()


def test_bkill_ends_one_element_or_what_has_not_started(lsf: Lsf, tmp_path: Path) -> None:
    job_id = lsf.submit(script("sleep 60"), "-J", "grid[1-3]%1", cwd=tmp_path)
    lsf.wait(job_id, lambda state: state.stat != "RUN" or state.n_runs == 1)
    for element in ("1[3]", "1[1]"):
        assert lsf.run("bkill", element, cwd=tmp_path).returncode == 0
    deadline_s = time.monotonic() + 30
    while [state.stat for state in lsf.states(job_id).values()] != ["EXIT", "RUN", "EXIT"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert [state.n_runs for state in lsf.states(job_id).values()] == [1, 1, 0]
    assert lsf.run("bkill", "9", cwd=tmp_path).stderr == "Job <9>: No matching job found\n"


def test_signal_does_not_reach_a_job_that_has_not_started(lsf: Lsf, tmp_path: Path) -> None:
    lsf.submit(script("while ! [ -e go ]; do sleep 0.05; done"), cwd=tmp_path)
    lsf.submit(script("true"), "-w", "done(1)", cwd=tmp_path)
    assert lsf.run("bkill", "-s", "USR1", 2, cwd=tmp_path).returncode == 0
    (tmp_path / "go").touch()
    assert lsf.wait(2)[0].stat == "DONE"


def test_processes_that_the_script_leaves_are_ended(lsf: Lsf, tmp_path: Path) -> None:
    leave = "setsid sleep 61 & sleep 62 & env -i sleep 63 & disown -a"
    lsf.wait(lsf.submit(script(leave, "sleep 0.1"), cwd=tmp_path))
    assert marked(tmp_path) == []


# --- order ---


@pytest.mark.parametrize(
    ("dependency", "code", "runs"),
    [
        ("done(1)", 0, True),
        ("done(1)", 3, False),
        ("ended(1)", 3, True),
        ("exit(1)", 3, True),
        ("exit(1, 3)", 3, True),
        ("exit(1, > 3)", 3, False),
        ('exit("first") && !done(first)', 3, True),
    ],
)
def test_dependency_holds_a_job_until_it_is_met(
    lsf: Lsf, tmp_path: Path, dependency: str, code: int, runs: bool
) -> None:
    text = script("while ! [ -e go ]; do sleep 0.05; done", f"exit {code}")
    lsf.submit(text, "-J", "first", cwd=tmp_path)
    lsf.submit(script("[ -e go ]"), "-w", dependency, cwd=tmp_path)
    lsf.submit(script("true"), "-w", "started(1)", cwd=tmp_path)
    lsf.wait(3)
    assert lsf.states(2)[0].stat == "PEND"
    (tmp_path / "go").touch()
    lsf.wait(1)
    if runs:
        assert lsf.wait(2)[0].stat == "DONE"
    else:
        lsf.wait(lsf.submit(script("true"), cwd=tmp_path))
        assert lsf.states(2)[0].stat == "PEND"


def test_dependencies_on_arrays(lsf: Lsf, tmp_path: Path) -> None:
    lsf.submit(script("exit $((LSB_JOBINDEX == 2))"), "-J", "grid[1-3]", cwd=tmp_path)
    lsf.submit(script("true"), "-w", "numended(1,*) && numexit(1, 1)", cwd=tmp_path)
    lsf.submit(script("true"), "-J", "next[1-3]", "-w", 'done("grid[*]")', cwd=tmp_path)
    lsf.submit(script("true"), "-w", "numdone(1,*)", cwd=tmp_path)
    lsf.wait(2)
    lsf.wait(3, lambda state: state.is_finished() or state.n_runs == 0)
    lsf.wait(lsf.submit(script("true"), "-w", "done(3[1]) && done(3[3])", cwd=tmp_path))
    assert [state.stat for state in lsf.states(3).values()] == ["DONE", "PEND", "DONE"]
    assert lsf.states(4)[0].stat == "PEND"


@pytest.mark.parametrize(
    ("dependency", "expected"),
    [
        ("done(9)", "-w: 9: No matching job found"),
        ('done("other")', "-w: other: No matching job found"),
        ("numdone(1,*)", "-w: numdone: expected an array, found job 1"),
        ("done(1[2])", "-w: 1[2]: No matching job found"),
        ('done("first[1-2]")', "command line: -w: expected one element's index or *"),
    ],
)
def test_impossible_dependency_is_refused(
    lsf: Lsf, tmp_path: Path, dependency: str, expected: str
) -> None:
    lsf.submit(script("true"), "-J", "first", cwd=tmp_path)
    done = lsf.run("bsub", "-w", dependency, cwd=tmp_path, text=script("true"))
    assert done.returncode == 255
    assert done.stderr.startswith(expected)


# --- several hosts ---


@pytest.mark.parametrize(
    ("options", "placed"),
    [
        ("-n 3", "hostA 3 "),
        ("-n 6", "hostA 4 hostB 2 "),
        ('-n 4 -R "span[ptile=2]"', "hostA 2 hostB 2 "),
        ('-n 4 -R "span[hosts=1]"', "hostA 4 "),
    ],
)
def test_tasks_are_placed_on_hosts(
    start: Start, tmp_path: Path, options: str, placed: str
) -> None:
    lsf = start("hostA", "hostB", slots_per_host=4)
    text = script(
        'echo "$LSB_MCPU_HOSTS"',
        'echo "$LSB_HOSTS"',
        "tr '\\n' ' ' < $LSB_DJOB_HOSTFILE; echo",
        "echo $LSB_DJOB_NUMPROC",
        options=f"{options}\n-o log",
    )
    lsf.wait(lsf.submit(text, cwd=tmp_path))
    words = placed.split()
    hosts = [host for host, n in zip(words[::2], words[1::2], strict=True) for _ in range(int(n))]
    assert (tmp_path / "log").read_text() == (
        f"{placed}\n{' '.join(hosts)}\n{' '.join(hosts)} \n{len(hosts)}\n"
    )


def test_job_waits_for_free_slots_and_one_too_large_is_refused(
    start: Start, tmp_path: Path
) -> None:
    lsf = start(slots_per_host=2)
    lsf.submit(script("while ! [ -e go ]; do sleep 0.05; done", options="-n 2"), cwd=tmp_path)
    lsf.submit(script("true"), cwd=tmp_path)
    lsf.wait(1, is_running)
    assert lsf.states(2)[0].stat == "PEND"
    (tmp_path / "go").touch()
    assert lsf.wait(2)[0].stat == "DONE"
    done = lsf.run("bsub", cwd=tmp_path, text=script("true", options="-n 3"))
    assert done.stderr.startswith("-n: expected tasks that fit on 1 hosts with 2 slots each")


def test_blaunch_runs_a_command_on_the_jobs_hosts_only(start: Start, tmp_path: Path) -> None:
    lsf = start("hostA", "hostB")
    text = script(
        "blaunch hostA 'echo $HOSTNAME $LSB_JOBID'",
        "blaunch -n hostB cat",
        "blaunch hostC true",
        options='-n 2 -R "span[ptile=1]" -o log',
    )
    assert lsf.wait(lsf.submit(text, cwd=tmp_path))[0].exit_code == 255
    assert (tmp_path / "log").read_text() == (
        "hostA 1\nblaunch: expected one of the job's hosts ['hostA', 'hostB'], found hostC\n"
    )
    assert lsf.spool.launches.read_text() == "1 hostA\n1 hostB\n"
    assert lsf.run("blaunch", "hostA", "true", cwd=tmp_path).returncode == 255


@pytest.mark.parametrize("launcher", ["", "-launcher lsf -rmk lsf"])
def test_mpirun_spans_hosts_through_blaunch(start: Start, tmp_path: Path, launcher: str) -> None:
    lsf = start("hostA", "hostB")
    program = shlex.join([sys.executable, str(ROOT / "mpitest.py"), "results"])
    hosts = "bash -c 'echo $PMI_HOSTNAME $PMI_RANK/$PMI_SIZE'"
    text = script(
        f"{MPIRUN} {launcher} {hosts}",
        f"exec {MPIRUN} {launcher} {program}",
        options='-n 4 -R "span[ptile=2]" -o log -e err',
    )
    states = lsf.wait(lsf.submit(text, cwd=tmp_path, PYTHONPATH=str(ROOT)))
    assert (states[0].stat, (tmp_path / "err").read_text()) == ("DONE", "")
    assert Counter(lsf.spool.launches.read_text().splitlines()) == {"1 hostA": 2, "1 hostB": 2}
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(lines[:4]) == ["hostA 0/4", "hostA 1/4", "hostB 2/4", "hostB 3/4"]
    assert "all 4 ranks took part" in lines
    assert (tmp_path / "results" / "mpitest.txt").is_file()


def test_killed_mpirun_leaves_no_rank(start: Start, tmp_path: Path) -> None:
    lsf = start("hostA", "hostB")
    text = script(
        f"{MPIRUN} bash -c 'touch $PMI_RANK; sleep 60'",
        options='-n 4 -R "span[ptile=2]"',
    )
    job_id = lsf.submit(text, cwd=tmp_path)
    for rank in range(4):
        wait_for(tmp_path / str(rank))
    lsf.run("bkill", job_id, cwd=tmp_path)
    assert lsf.wait(job_id)[0].exit_code == 137
    assert marked(tmp_path) == []


# --- the stand-in itself ---


def test_stop_ends_what_runs(tmp_path: Path) -> None:
    with Lsf(tmp_path / "lsf") as lsf:
        lsf.submit(script("touch ready; setsid sleep 60 & sleep 60"), cwd=tmp_path)
        wait_for(tmp_path / "ready")
        assert marked(tmp_path) != []
    assert marked(tmp_path) == []


def test_failure_of_the_scheduler_is_raised(tmp_path: Path) -> None:
    lsf = Lsf(tmp_path / "lsf")
    with pytest.raises(FileNotFoundError):
        lsf.wait(lsf.submit(script("true"), "-cwd", "missing", cwd=tmp_path))
    with pytest.raises(FileNotFoundError):
        lsf.stop()


def test_ids_are_given_once(lsf: Lsf, tmp_path: Path) -> None:
    ids = [lsf.submit(script("true"), cwd=tmp_path) for _ in range(4)]
    assert all(later == earlier + 1 for earlier, later in pairwise(ids))
