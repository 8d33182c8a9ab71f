"""Programs under way: nothing of them is left, however they or those who started them end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

from hpo.process import Process, ending

TIMEOUT_S = 60


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "log").open("ab") as file:
        yield file


def start(log: IO[bytes], *words: str, environ: Mapping[str, str] = os.environ) -> Process:
    return Process(words, environ, stdout=log, stderr=log)


def wait(happened: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def end_of(program: Process) -> int:
    codes: list[int] = []
    wait(lambda: codes or (code := program.wait()) is not None and not codes.append(code))
    return codes[0]


def text(log: IO[bytes]) -> str:
    return Path(log.name).read_text()


def is_running(pid: int) -> bool:
    """Tell whether a process still does something; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("code", [0, 3, 77])
def test_exit_code(log, code):
    with start(log, "sh", "-c", f"exit {code}") as program:
        assert end_of(program) == code


def test_it_reads_nothing_and_its_words_are_its_own(log):
    with start(log, "sh", "-c", 'cat; echo "$1|$2"', "sh", "a b", "$HOME;*") as program:
        assert end_of(program) == 0
    assert text(log) == "a b|$HOME;*\n"


def test_its_environment_is_the_given_one(log):
    with start(log, "env", environ={"PATH": os.environ["PATH"], "A": "1"}) as program:
        assert end_of(program) == 0
    names = {line.partition("=")[0] for line in text(log).splitlines()}
    assert {"PATH", "A"} <= names <= {"PATH", "A", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_signal_is_an_ending(log):
    with start(log, "sh", "-c", "kill -SEGV $$") as program:
        assert end_of(program) == -signal.SIGSEGV
    assert ending(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert ending(-99) == "killed by signal 99"
    assert ending(3) == "exit code 3"


def test_a_program_that_is_not_there_says_so_at_its_end(log):
    with start(log, "no-such-program") as program:
        assert end_of(program) == 127
    assert "no-such-program" in text(log)


SAVES = """
trap 'echo saved; exit 0' TERM
echo ready
while :; do sleep 0.05; done
"""


def test_a_stopped_program_may_save(log):
    with start(log, "sh", "-c", SAVES) as program:
        wait(lambda: "ready" in text(log))
        program.stop()
    assert text(log).splitlines()[-1] == "saved"


def test_a_stopped_programs_child_may_save_though_its_parent_is_gone(log):
    with start(log, "sh", "-c", 'sh -c "$1"; :', "sh", SAVES) as program:
        wait(lambda: "ready" in text(log))
        program.stop()
    assert text(log).splitlines()[-1] == "saved"


STUBBORN = "trap '' TERM; sleep 1000 & echo $$ $!; while :; do sleep 0.05; done"


def test_a_program_that_does_not_stop_is_killed_with_its_children(log):
    with start(log, "sh", "-c", STUBBORN) as program:
        wait(lambda: text(log).endswith("\n"))
        program.stop(grace_s=0.1)
    wait(lambda: not any(is_running(int(pid)) for pid in text(log).split()))


def test_what_a_program_leaves_running_is_killed_at_its_end(log):
    with start(log, "sh", "-c", "sleep 1000 & echo $!") as program:
        assert end_of(program) == 0
    wait(lambda: not is_running(int(text(log))))


def test_an_exception_kills_it(log):
    with pytest.raises(KeyboardInterrupt), start(log, "sh", "-c", STUBBORN):
        wait(lambda: text(log).endswith("\n"))
        raise KeyboardInterrupt
    wait(lambda: not any(is_running(int(pid)) for pid in text(log).split()))


STARTER = """
import os, sys, time
from hpo.process import Process
with open(sys.argv[1], "ab") as log:
    program = Process(["sh", "-c", sys.argv[2]], os.environ, stdout=log, stderr=log)
    time.sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(log, number):
    words = [sys.executable, "-c", STARTER, log.name, STUBBORN]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, env=environ) as its:
        wait(lambda: text(log).endswith("\n"))
        assert all(is_running(int(pid)) for pid in text(log).split())
        its.send_signal(number)
    wait(lambda: not any(is_running(int(pid)) for pid in text(log).split()))


def test_nothing_is_left_of_many(log):
    with start(log, "true") as program:
        end_of(program)
    before = open_files()
    for n in range(50):
        with start(log, "true") as program:
            if n % 2:
                assert end_of(program) == 0
    assert open_files() == before
    with pytest.raises(ChildProcessError):  # no child, no zombie
        os.waitpid(-1, os.WNOHANG)
