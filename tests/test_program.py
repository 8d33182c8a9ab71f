"""A program as an objective: heard, stopped, continued, refused; real programs, a small worker."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hpo.contract import Context, Leave, Setting, drive
from hpo.epochs import measured
from hpo.errors import CommandError, ContractError, DivergedError, InputError
from hpo.groups import Group
from hpo.launcher import without
from hpo.options import Options
from hpo.program import Program
from hpo.space import Grid
from hpo.world import World

# What the programs of these tests begin with: `tell` prints a line of metrics.
PRELUDE = """
import json, os, pathlib, signal, sys, time
def tell(**metrics):
    print(json.dumps(metrics), flush=True)
epochs_done = int(os.environ["HPO_EPOCH"])
checkpoint = pathlib.Path(os.environ["HPO_CHECKPOINT"], "epoch")
"""
# Goes on from where it has saved itself, to epoch 5; all its lines are heard at once.
SAVES = """
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
checkpoint.write_text("5")
lines = [json.dumps({"epoch": epoch, "loss": 10 - epoch}) + "\\n" for epoch in range(first, 6)]
os.write(1, "".join(lines).encode())
"""
MOST_ASKED = 100  # times half a second
WAITS = "\nwhile True: time.sleep(0.05)\n"


class Bench:
    """Plays the worker in one trial's folder: hears, and ends a start where a test wants it."""

    def __init__(self, folder: Path, world: World, **options: object) -> None:
        self.folder, self._world = folder, world
        self.options = Options(**{"metric": "loss", "goal": "minimize"} | options)
        self.history: list[Mapping[str, float]] = []
        self.n_asked = 0
        self._leaves_after: int | None = None
        self.before_leaving: Callable[[], object] = bool
        self.script = folder.parent / "train.py"

    def run(
        self,
        code: str,
        *words: str,
        leaves_after: int | None = None,
        config: Mapping[str, object] | None = None,
    ) -> list[float]:
        """Run a start of a trial whose program is some Python; give all losses so far."""
        self.script.write_text(PRELUDE + code)
        self._leaves_after = leaves_after
        self.folder.mkdir(exist_ok=True)
        objective = Program(" ".join([sys.executable, str(self.script), *words]))
        setting = Setting(self.options, None)
        objective.check(self.options)
        objective.open(self._world, setting)
        context = Context(
            "abc",
            seed=7,
            setting=setting,
            folder=self.folder,
            group=Group(self._world),
            reporter=self,
        )
        try:
            drive(objective, dict(config or {}), context, self)
        except Leave:
            assert leaves_after is not None
        return [its[self.options.aim.metric] for its in self.history]

    def output(self) -> list[str]:
        lines = (self.folder / "output.log").read_text().splitlines()
        return [line for line in lines if not line.startswith("---")]

    def report(self, told: object, *, is_last: bool = False) -> None:
        self.n_asked += told is None
        assert self.n_asked < MOST_ASKED, "it tells nothing more"
        if told is not None:
            self.history.append(measured(told, self.options.aim, self.n_epochs + 1))
        elif is_last:
            assert self.history
        if not is_last and len(self.history) == self._leaves_after:
            self.before_leaving()
            raise Leave

    def restore(self, load: object) -> bool:
        return bool(self.history)

    def rewind(self, n_epochs: int) -> None:
        del self.history[n_epochs:]

    def ready(self) -> None:
        pass

    @property
    def n_epochs(self) -> int:
        return len(self.history)


@pytest.fixture
def bench(tmp_path: Path, world: World) -> Bench:
    return Bench(tmp_path / "trial", world)


def test_a_program_that_fails_is_told_with_its_code_and_last_lines(bench):
    with pytest.raises(CommandError) as raised:
        bench.run("tell(loss=1); print('seen'); sys.exit('no such optimizer')")
    assert str(raised.value).splitlines() == [
        *("errors.log ends:", "no such optimizer", "exit code 1: no such optimizer")
    ]


def test_a_program_that_is_killed_is_told_with_the_signal(bench):
    with pytest.raises(CommandError, match="^killed by SIGKILL$"):
        bench.run("os.kill(os.getpid(), signal.SIGKILL)")


def test_a_program_without_a_metric_fails_for_good(bench):
    expected = "expected a line of JSON with the metric 'loss', found none: hello"
    with pytest.raises(ContractError, match=expected):
        bench.run("print('hello')")


def test_a_program_with_other_metrics_only_is_told_which(bench):
    with pytest.raises(ContractError, match="found only 'accuracy', 'auc'; --metric chooses anot"):
        bench.run("tell(accuracy=1, auc=2, host='a')")


def test_a_loss_that_is_no_number_ends_the_trial_for_good(bench):
    with pytest.raises(DivergedError):
        bench.run(
            "checkpoint.write_text('1'); tell(loss=2); tell(loss=math.nan)".replace(
                "math.nan", "float('nan')"
            )
            + WAITS
        )
    bench.history.clear()
    assert bench.run("tell(loss=3 if checkpoint.exists() else epochs_done)") == [0]


def test_a_program_that_takes_too_long_is_ended(bench):
    bench.options = Options(metric="loss", trial_time_limit_min=0.001)
    with pytest.raises(ContractError) as raised:
        bench.run(WAITS)
    *_, summary = str(raised.value).splitlines()
    assert summary.startswith("took longer than 0.001 minutes (--trial-time-limit)")


def test_one_shot(bench):
    assert bench.run("print('hello'); tell(loss=0.5, note='a', steps=3)") == [0.5]
    assert bench.history == [{"loss": 0.5, "steps": 3.0}]
    assert bench.output() == ["hello", '{"loss": 0.5, "note": "a", "steps": 3}']
    assert not (bench.folder / "command.json").exists()


def test_a_last_line_needs_no_end(bench):
    assert bench.run("""print('{"loss": 2}', end='')""") == [2]


def test_lines_of_the_file_for_metrics(bench):
    code = """
with open(sys.argv[1], "w") as file:
    for loss in 3, 2, 1:
        print(json.dumps({"loss": loss}), file=file)
"""
    assert bench.run(code, "{metrics}") == [3, 2, 1]
    assert bench.run(code, "{metrics}") == [3, 2, 1]


def test_errors_are_kept_apart_from_lines_that_tell_metrics(bench):
    code = "sys.stderr.write('50%| half'); sys.stderr.flush(); tell(loss=1)"
    assert bench.run(code) == [1]
    assert (bench.folder / "errors.log").read_text().endswith("\n50%| half")


def test_a_line_is_reported_while_the_program_goes_on(bench):
    assert bench.run("tell(loss=1)" + WAITS, leaves_after=1) == [1]


def test_a_silent_program_can_be_stopped(bench):
    assert bench.run(WAITS, leaves_after=0) == []
    assert bench.n_asked == 1


def test_a_stopped_program_may_save_and_goes_on_from_there(bench):
    code = (
        """
if checkpoint.exists():
    tell(epoch=int(checkpoint.read_text()) + 1, loss=1)
    sys.exit()
def save(*_):
    checkpoint.write_text("1")
    sys.exit()
signal.signal(signal.SIGTERM, save)
tell(epoch=1, loss=2)
"""
        + WAITS
    )
    assert bench.run(code, leaves_after=1) == [2]
    assert bench.run(code) == [2, 1]


def test_epochs_that_were_not_heard_before_a_stop_are_not_lost(bench):
    """The program is ahead of the search: it has saved five epochs when it is stopped at two."""
    assert bench.run(SAVES + WAITS, leaves_after=2) == [9, 8]
    code = "assert epochs_done == 5, epochs_done\ntell(epoch=6, loss=4)"
    assert bench.run(code) == [9, 8, 7, 6, 5, 4]


def test_epochs_that_were_not_heard_are_asked_for_again_one_by_one(bench):
    bench.run(SAVES + WAITS, leaves_after=2)
    code = "tell(epoch=6, loss=4)" + WAITS
    for n in (3, 4, 5):
        assert len(bench.run(code, leaves_after=n)) == n
    assert bench.run("tell(epoch=6, loss=4)") == [9, 8, 7, 6, 5, 4]


def test_a_search_that_forgot_is_told_all_again(bench):
    """Its rank was killed: what the program had saved is further than the search's record."""
    bench.run(SAVES + WAITS, leaves_after=4)
    bench.history.clear()
    assert bench.run("tell(epoch=6, loss=4)") == [9, 8, 7, 6, 5, 4]


def test_a_program_that_begins_again_takes_its_reports_back(bench):
    code = "for epoch in range(3): tell(loss=epoch * 10 + epochs_done)\n"
    assert bench.run(code + WAITS, leaves_after=3) == [0, 10, 20]
    assert bench.run(code) == [3, 13, 23]


def test_a_program_that_goes_on_from_an_earlier_checkpoint_takes_back_the_rest(bench):
    bench.run("for n in range(1, 5): tell(epoch=n, loss=n)" + WAITS, leaves_after=4)
    assert bench.run("for n in 3, 4: tell(epoch=n, loss=n * 10)") == [1, 2, 30, 40]


def test_a_program_that_was_ended_between_saving_and_telling_begins_anew(bench):
    code = """
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
for epoch in range(first, 4):
    checkpoint.write_text(str(epoch))
    tell(epoch=epoch, loss=epoch)
"""
    bench.run("tell(epoch=1, loss=1)" + WAITS, leaves_after=1)
    (bench.folder / "checkpoint" / "epoch").write_text("2")
    assert bench.run(code) == [1, 2, 3]
    assert len((bench.folder / "output.log").read_text().split("---")) == 4


def test_a_program_that_was_ended_between_saving_its_last_epoch_and_telling_begins_anew(bench):
    code = "if not checkpoint.exists(): [tell(epoch=epoch, loss=epoch) for epoch in (1, 2, 3)]"
    bench.run("tell(epoch=1, loss=1); tell(epoch=2, loss=2)" + WAITS, leaves_after=2)
    (bench.folder / "checkpoint" / "epoch").write_text("3")
    assert bench.run(code) == [1, 2, 3]


def test_a_program_that_has_ended_is_not_started_again(bench):
    """The search is behind a program that has told all: it hears the rest later."""
    pid = bench.folder / "pid"
    bench.before_leaving = lambda: ended(int(pid.read_text()))
    code = f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n" + SAVES
    assert bench.run(code, leaves_after=3) == [9, 8, 7]
    bench.before_leaving = bool
    assert bench.run("sys.exit('started again')", leaves_after=4) == [9, 8, 7, 6]
    assert bench.run("sys.exit('started again')") == [9, 8, 7, 6, 5]
    assert not (bench.folder / "command.json").exists()


def ended(pid: int) -> None:
    """Wait for the end of a child, and leave its exit code to be asked for."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_trial_that_has_ended_begins_anew(bench):
    assert bench.run(SAVES) == [9, 8, 7, 6, 5]
    bench.history.clear()
    assert bench.run(SAVES) == [9, 8, 7, 6, 5]


def test_a_trial_that_has_failed_begins_anew(bench):
    with pytest.raises(CommandError):
        bench.run(SAVES + "sys.exit(1)")
    bench.history.clear()
    assert bench.run(SAVES) == [9, 8, 7, 6, 5]


def test_a_note_that_cannot_be_read_is_left_aside(bench):
    bench.run(SAVES + WAITS, leaves_after=3)
    (bench.folder / "command.json").write_text("{")
    assert bench.run(SAVES) == [9, 8, 7, 6, 5]


def test_the_time_of_earlier_starts_counts(bench):
    bench.run("tell(loss=1)" + WAITS, leaves_after=1)
    first = json.loads((bench.folder / "command.json").read_text())["seconds"]
    bench.run("tell(loss=1)" + WAITS, leaves_after=1)
    assert json.loads((bench.folder / "command.json").read_text())["seconds"] > first > 0


def test_outputs_of_all_starts_are_kept_each_under_a_heading(bench):
    bench.run("print('one'); tell(loss=1)" + WAITS, leaves_after=1)
    bench.run("print('two'); tell(loss=1)", "'a b'")
    text = (bench.folder / "output.log").read_text().splitlines()
    assert text[1::3] == ["one", "two"]
    assert text[3].startswith("--- ")
    assert text[3].endswith(f"{sys.executable} {bench.script} 'a b'")


def test_what_a_program_is_given(bench, monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    bench.options = Options(metric="loss", data="images.csv")
    names = ("spec", "trial", "id", "seed", "checkpoint", "metrics", "data")
    code = """
print(json.dumps([sys.argv[1:], dict(os.environ)]))
print(json.dumps([pathlib.Path(sys.argv[1]).read_text(), os.listdir(sys.argv[5])]))
tell(loss=1)
"""
    config = {"learning_rate": 1e-05, "layers": [32, 64], "optimizer": "adam"}
    bench.run(code, *(f"{{{name}}}" for name in names), "--lr={learning_rate}", config=config)
    (words, environ), (spec, saved), _ = map(json.loads, bench.output())
    folder = bench.folder
    assert words == [
        *(f"{folder}/spec.yaml", f"{folder}", "abc", "7", f"{folder}/checkpoint"),
        *(f"{folder}/metrics.jsonl", "images.csv", "--lr=1e-05"),
    ]
    assert spec == "learning_rate: 1.0e-05\nlayers: [32, 64]\noptimizer: adam\n"
    assert saved == []
    own = ("SPEC", "TRIAL_DIR", "TRIAL_ID", "SEED", "CHECKPOINT", "METRICS", "DATA")
    assert [environ[f"HPO_{name}"] for name in own] == words[:7]
    assert (environ["HPO_EPOCH"], environ["HPO_RANK"]) == ("0", "0")
    assert "PMI_RANK" not in environ


def test_a_hyperparameter_may_have_the_name_of_something_else(bench):
    bench.run("tell(loss=float(sys.argv[1]))", "{seed}", config={"seed": 5})
    assert bench.history == [{"loss": 5.0}]


def test_data_that_are_not_given_are_refused(bench):
    with pytest.raises(InputError, match=r"--command: expected --data, as it has \{data\}"):
        bench.run("", "{data}")


def test_names_are_checked_against_the_space():
    terms = Program("sh {lr} {momentum} {spec}").terms()
    with pytest.raises(InputError, match=r"unknown name \{momentum\}; known are lr, spec, trial"):
        terms.check({"lr": [1]}, {"lr": "space"})
    terms.check(
        {"lr": [1], "momentum": [0], "more": [1]}, dict.fromkeys(("lr", "momentum", "more"), "")
    )
    terms.check_fit(Grid({"lr": [1, 2], "momentum": [0]}))


def test_identity_is_of_the_text_or_given():
    assert Program("sh a").version != Program("sh b").version
    assert Program("sh a", "v1").version == "v1"
    assert Program("sh a").name == "command"


def test_a_program_is_no_rank_of_its_search():
    told = {
        **dict.fromkeys(("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "HYDI_CONTROL_FD"), "1"),
        **dict.fromkeys(("SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOBID", "SLURM_NODELIST"), "1"),
        **dict.fromkeys(("LSB_HOSTS", "LSB_MCPU_HOSTS", "MPI_LOCALRANKID"), "1"),
    }
    kept = {"PATH": "a", "SLURM_JOB_ID": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "0"}
    assert without(told | kept) == kept


def test_infinity_is_no_number_either(bench):
    with pytest.raises(DivergedError):
        bench.run(f"tell(loss={math.inf!r})".replace("inf", "float('inf')"))
