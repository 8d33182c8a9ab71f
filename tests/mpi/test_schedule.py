"""The scheduler alone under mpirun, with trials that sleep; and data that ranks share."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import runs

from hpo.order import Job
from hpo.schedule import Free, Work
from hpo.trial import Result, Status, Trial

# Trials that only sleep; rank 0 prints what came back, every rank what it cost.
SLEEPERS = """
import json, os, resource, sys, time
from hpo import schedule
from hpo.order import Job, Queue
from hpo.stopping import Stop
from hpo.trial import Result, Status, Trial
from hpo.world import World

seconds = json.loads(sys.argv[1])
world, stop = World(), Stop()
came = []

def evaluate(work, link):
    if work.job.predicted_s == 13:  # unlucky: this rank is told to stop
        stop.request("told so")
        return None
    end = time.monotonic() + work.job.predicted_s
    while time.monotonic() < end:
        if stop.is_requested() or link.is_called_home():
            return None
        time.sleep(0.005)
    return Result(work.job.trial.id, {}, Status.DONE, 0.5, seconds=1.0, rank=world.rank)

jobs = [Job(Trial(str(i), i, {}), "network", s) for i, s in enumerate(seconds)]
begun = time.monotonic()
used = resource.getrusage(resource.RUSAGE_SELF)
schedule.run(world, Queue(jobs if world.is_root else []), evaluate, stop=stop,
             on_result=came.append, schedule=sys.argv[2])
now = resource.getrusage(resource.RUSAGE_SELF)
cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
shares = world.gather(cpu_s / (time.monotonic() - begun))
if world.is_root:
    print(json.dumps({"ids": sorted(int(r.id) for r in came), "shares": shares,
                      "stopped": stop.reason, "ranks": sorted({r.rank for r in came})}))
"""

LOAD = """
import sys
from hpo import data, sharedmemory
from hpo.world import World

data.SHARE_FROM_BYTES = int(sys.argv[2])
sharedmemory.FOLDER = sys.argv[3]
world = World()
found = data.load(world, sys.argv[1])
told = world.gather((found.fingerprint, found.mean, found.std, int(found.images.sum()),
                     int(found.labels.sum()), bool(world._windows)))
if world.is_root:
    print(len(set(told)), *told[0])
world.close()
"""


# The same with an observer that raises at the first result.
FAILING = SLEEPERS.replace("on_result=came.append", "on_result=lambda _: 1 / 0").replace(
    "schedule.run(",
    "sys.excepthook = lambda kind, *_: (print(kind.__name__, flush=True), world.abort(1))\n"
    "schedule.run(",
)


def scheduled(
    n_ranks: int, seconds: list[float], cwd: Path, schedule: str = "dynamic"
) -> dict[str, list[float]]:
    done = runs.run(n_ranks, "-c", SLEEPERS, json.dumps(seconds), schedule, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    "message",
    [
        Free(),
        Free(stopped="SIGTERM"),
        Free(Result("a", {"filters": [4, 6]}, Status.FAILED, 0.5, error="it broke"), "SIGINT"),
        Work(Job(Trial("a", 7, {"dropout": 0.3}), "n", 2.5, 3, True, True), (-0.9, 0.1, "b")),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Free | Work) -> None:
    assert copy.copy(message) == message  # by way of the same plain values


@pytest.mark.parametrize("schedule", ["dynamic", "scatter"])
@pytest.mark.parametrize("n_ranks", [1, 2, 3, 8])
def test_every_trial_comes_back_exactly_once(tmp_path: Path, n_ranks: int, schedule: str) -> None:
    told = scheduled(n_ranks, [0.01] * 50, tmp_path, schedule)
    assert told["ids"] == list(range(50))
    assert told["ranks"] == list(range(n_ranks))


@pytest.mark.parametrize("n_trials", [0, 1, 2])
def test_fewer_trials_than_ranks(tmp_path: Path, n_trials: int) -> None:
    assert scheduled(3, [0.01] * n_trials, tmp_path)["ids"] == list(range(n_trials))


@pytest.mark.parametrize("schedule", ["dynamic", "scatter"])
def test_a_rank_that_waits_sleeps(tmp_path: Path, schedule: str) -> None:
    # One trial, which all but one rank wait for at the end. A blocking receive or barrier would
    # use the whole of their cores.
    shares = scheduled(3, [3.0], tmp_path, schedule)["shares"]
    assert max(shares) < 0.3


def test_a_stop_on_one_rank_calls_all_home(tmp_path: Path) -> None:
    told = scheduled(3, [600.0, 600.0, 13.0, 0.0], tmp_path)
    assert told["ids"] == []
    assert told["stopped"] == "told so"


@pytest.mark.parametrize("n_ranks", [1, 3])
def test_an_error_of_the_manager_ends_all_ranks(tmp_path: Path, n_ranks: int) -> None:
    done = runs.run(n_ranks, "-c", FAILING, "[0.01, 0.01, 0.01]", "dynamic", cwd=tmp_path)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_data_are_equal_for_every_number_of_ranks_shared_or_not(
    tmp_path: Path, n_ranks: int
) -> None:
    rows = [f"{i % 10}," + ",".join(str((i * j) % 256) for j in range(16)) for i in range(3000)]
    header = "label," + ",".join(f"pixel{j}" for j in range(16))
    (tmp_path / "train.csv").write_text("\n".join([header, *rows]))
    alone = _loaded(1, tmp_path, share_from_bytes=1 << 40)
    assert _loaded(n_ranks, tmp_path, share_from_bytes=1 << 40) == (*alone[:-1], "False")
    shared = _loaded(n_ranks, tmp_path, share_from_bytes=0)
    assert shared == (*alone[:-1], str(n_ranks > 1))
    # No room, no sharing: a container's /dev/shm is often too small.
    assert _loaded(n_ranks, tmp_path, share_from_bytes=0, shared_memory="/proc") == alone


def _loaded(
    n_ranks: int, folder: Path, *, share_from_bytes: int, shared_memory: str = "/dev/shm"
) -> tuple[str, ...]:
    words = ("-c", LOAD, "train.csv", share_from_bytes, shared_memory)
    done = runs.run(n_ranks, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return tuple(done.stdout.split())
