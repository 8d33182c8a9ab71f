"""Signals, time limits and kills: nothing that was finished is lost, nothing changes by a bit.

`make test-kill` repeats the kills at other random moments (KILL_ROUNDS).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import runs

ROUNDS = int(os.environ.get("KILL_ROUNDS", "1"))
EPOCHS = ("--epochs", 8)


@pytest.fixture(scope="session")
def longer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the comparable results of an undisturbed search with more epochs."""
    out = tmp_path_factory.mktemp("longer") / "results"
    done = runs.search(2, out, *EPOCHS)
    assert done.returncode == 0, done.stderr
    return runs.comparable(out)


class Started:
    """A search under way, whose processes can be found and killed."""

    def __init__(self, n_ranks: int, out: Path, *options: object) -> None:
        space = runs.space_file(out.parent)
        words = (runs.ROOT / "rismpi.py", "--out", out, "--space", space, *options)
        self.out = out
        self._before = self._states()
        self.process = subprocess.Popen(
            runs.command(n_ranks, *words),
            env=runs.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait_until_training(self) -> None:
        """Wait until a rank says that a trial is in flight."""
        _wait(lambda: self._states() - self._before or self.process.poll() is not None)

    def _states(self) -> set[Path]:
        return set(self.out.glob("state/*.json"))

    def ranks(self) -> list[int]:
        """Give the process numbers of the ranks."""
        return [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit()
            and int(process.name) != self.process.pid
            and str(self.out) in _command_line(process)
        ]

    def end(self) -> tuple[int, str]:
        """Wait for the launcher, and for ranks that outlive it; give its code and output."""
        output, _ = self.process.communicate(timeout=runs.TIMEOUT_S)
        _wait(lambda: not self.ranks())
        return self.process.returncode, output


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode().replace("\0", " ")
    except OSError:
        return ""


def _wait(happened: Callable[[], object]) -> None:
    end = time.monotonic() + runs.TIMEOUT_S
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def _finish(out: Path, n_ranks: int) -> None:
    done = runs.search(n_ranks, out, *EPOCHS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_trials_under_way_to_the_last_bit(
    longer: str, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "results"
    started = Started(2, out, *EPOCHS)
    started.wait_until_training()
    started.process.send_signal(number)
    code, output = started.end()
    assert code == 75
    assert f"stopped ({number.name}); run the same command again to go on" in output
    assert runs.status(out) == 75
    assert list(out.glob("trials/*/checkpoint.json"))
    _finish(out, n_ranks=3)
    logs = "".join(path.read_text() for path in out.glob("trials/*/trial.log"))
    assert "goes on after epoch" in logs
    assert runs.comparable(out) == longer
    assert not list(out.glob("trials/*/checkpoint.json"))
    assert runs.status(out) == 0


def test_a_signal_to_one_rank_stops_all(tmp_path: Path) -> None:
    out = tmp_path / "results"
    started = Started(3, out, "--epochs", 100_000)
    _wait(lambda: len(list(out.glob("state/*.json"))) == 3)
    os.kill(max(started.ranks()), signal.SIGTERM)
    code, _ = started.end()
    assert code == 75
    assert len(list(out.glob("trials/*/checkpoint.json"))) == 3


@pytest.mark.parametrize("schedule", ["dynamic", "scatter"])
def test_a_time_limit_ends_in_good_order(tmp_path: Path, schedule: str) -> None:
    out = tmp_path / "results"
    options = ("--epochs", 100_000, "--schedule", schedule, "--time-limit", 0.4)
    done = runs.search(2, out, *options)
    assert done.returncode == 75, done.stderr
    assert "stopped (time limit)" in done.stdout
    assert (out / "best_params.txt").read_text().startswith("# Best so far: 0 of 16 combinations")


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("victim", ["one rank", "all ranks", "mpirun"])
def test_kills_lose_nothing(longer: str, tmp_path: Path, victim: str, round_number: int) -> None:
    chance = random.Random(f"{victim} {round_number} {os.environ.get('KILL_SEED', '')}")
    out = tmp_path / "results"
    before: dict[str, bytes] = {}
    for n_ranks in (2, 3):
        started = Started(n_ranks, out, *EPOCHS)
        if chance.random() < 0.75:
            started.wait_until_training()
        time.sleep(chance.uniform(0, 3))
        ranks = started.ranks()
        victims = {
            "one rank": chance.sample(ranks, min(1, len(ranks))),
            "all ranks": ranks,
            "mpirun": [started.process.pid],
        }[victim]
        _kill(*victims)
        started.end()
        now = runs.journal(out)
        assert all(now[name].startswith(content) for name, content in before.items())
        before = now
    _finish(out, n_ranks=2)
    assert runs.comparable(out) == longer
    assert runs.n_records(out) == 16


def _kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has just finished its search
            os.kill(pid, signal.SIGKILL)


def test_a_trial_that_is_in_flight_at_five_deaths_is_given_up(tmp_path: Path) -> None:
    out = tmp_path / "results"
    fixed = ("filters=4", "batch_size=32", "learning_rate=0.1", "validation_split=0.1")
    options = [word for setting in fixed for word in ("--set", setting)] + ["--epochs", "100000"]
    for _ in range(5):
        started = Started(1, out, *options)
        started.wait_until_training()
        _kill(*started.ranks())
        started.end()
    done = runs.search(1, out, *options)
    assert done.returncode == 1
    (row,) = runs.rows(out)
    assert (row["status"], row["attempt"]) == ("failed", "5")
    assert row["error"] == "killed: in flight at 5 deaths of its rank"
