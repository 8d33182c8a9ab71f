"""`--notify`: what the command is told, and that nothing it does matters to the search."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from hpo import notify
from hpo.errors import ExitCode, InputError
from hpo.notify import Notifier, Tally
from hpo.report import Standing
from hpo.trial import Aim, Result, Status, Trial

TELL = """\
import json, os, sys
told = {k: v for k, v in os.environ.items() if k.startswith(("HPO_", "PMI_"))}
with open("told.jsonl", "a") as file:
    file.write(json.dumps(told) + "\\n")
print("told", told["HPO_EVENT"])
sys.exit(int(sys.argv[1]))
"""
AIM = Aim("accuracy")
TRIALS = [Trial("a1", 0, {"x": 1}), Trial("b2", 1, {"x": [2, "two"]})]
GOOD = Result("a1", {"x": 1}, Status.DONE, score=0.5, val_loss=1.0)
BAD = Result("b2", {"x": [2, "two"]}, Status.FAILED, error="Traceback:\nValueError: no\0thing")
NOW = Standing(TRIALS, {"a1": GOOD, "b2": BAD})


@pytest.fixture
def notifier(tmp_path, monkeypatch):
    (tmp_path / "tell.py").write_text(TELL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PMI_RANK", "0")

    def make(code: int = 0) -> Notifier:
        return Notifier(f"'{sys.executable}' tell.py {code}", "results", AIM)

    return make


def told() -> list[dict[str, str]]:
    return [json.loads(line) for line in Path("told.jsonl").read_text().splitlines()]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [its.getMessage() for its in caplog.records if its.levelno >= logging.WARNING]


def test_each_ending_has_its_event_and_the_facts(notifier, caplog):
    caplog.set_level(logging.INFO, "hpo")
    its = notifier()
    its.ended(ExitCode.DONE, NOW)
    its.ended(ExitCode.STOPPED, NOW, "SIGUSR1")
    its.ended(ExitCode.FAILED, Standing(TRIALS, {"b2": BAD}))
    its.crashed(OSError("no space"), Standing(TRIALS, {}))
    finished, stopped, failed, crashed = told()
    assert finished == {
        "HPO_EVENT": "finished",
        "HPO_OUT": str(Path("results").resolve()),
        "HPO_METRIC": "accuracy",
        "HPO_GOAL": "maximize",
        "HPO_N_DONE": "2",
        "HPO_N_FAILED": "1",
        "HPO_N_PRUNED": "0",
        "HPO_N_TRIALS": "2",
        "HPO_BEST_SCORE": "0.5",
        "HPO_BEST_TRIAL_ID": "a1",
        "HPO_BEST_CONFIG": '{"x": 1}',
        "HPO_EXIT_CODE": "0",
        **dict.fromkeys(("HPO_ERROR", "HPO_REASON", "HPO_TRIAL_ID", "HPO_CONFIG"), ""),
    }
    differ = ("HPO_EVENT", "HPO_EXIT_CODE", "HPO_REASON", "HPO_ERROR", "HPO_BEST_SCORE")
    assert [[its[name] for name in differ] for its in (stopped, failed, crashed)] == [
        ["stopped", "75", "SIGUSR1", "", "0.5"],
        ["failed", "1", "", "ValueError: no?thing", ""],
        ["failed", "1", "", "OSError: no space", ""],
    ]
    assert "--notify (finished): done\ntold finished" in caplog.messages
    assert not warnings(caplog)


def test_only_the_first_failed_trial_is_told_and_before_the_end(notifier):
    its = notifier()
    for _ in range(2):
        its.trial_failed(BAD, Tally.of_standing(NOW))
    its.ended(ExitCode.DONE, NOW)
    first, last = told()
    assert (first["HPO_EVENT"], last["HPO_EVENT"]) == ("trial-failed", "finished")
    assert first["HPO_TRIAL_ID"] == "b2"
    assert json.loads(first["HPO_CONFIG"]) == BAD.config
    assert (first["HPO_ERROR"], first["HPO_EXIT_CODE"]) == ("ValueError: no?thing", "")


def test_command_that_fails_is_one_warning(notifier, caplog):
    notifier(3).ended(ExitCode.DONE, NOW)
    (warning,) = warnings(caplog)
    assert warning.endswith("tell.py 3: exit code 3")


def test_command_that_hangs_is_ended_with_all_that_it_has_started(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(notify, "LIMIT_S", 0.3)
    monkeypatch.setattr(notify, "GRACE_S", 0.1)
    script = tmp_path / "hang"
    script.write_text("#!/bin/sh\ntrap '' TERM\necho begun\nsleep 600 & wait; sleep 600\n")
    script.chmod(0o755)
    Notifier(str(script), "results", AIM).ended(ExitCode.DONE, NOW)
    (warning,) = warnings(caplog)
    assert warning.endswith("ended, as it took longer than 0.3 s")


def test_program_that_has_gone_since_is_one_warning(tmp_path, caplog):
    Notifier(str(tmp_path / "gone"), "results", AIM).ended(ExitCode.DONE, NOW)
    (warning,) = warnings(caplog)
    assert warning.endswith("gone: exit code 127")


def test_without_a_command_nothing_is_told():
    its = Notifier(None, "results", AIM)
    its.trial_failed(BAD, Tally.of_standing(NOW))
    its.ended(ExitCode.DONE, NOW)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "--notify: expected a command, found ''"),
        ("  ", "--notify: expected a command, found '  '"),
        ("''", "--notify: expected a command, found \"''\""),
        ("say 'hello", '--notify: expected a command, found "say \'hello" (No closing quotation)'),
        ("no-such-program x", "--notify: expected a program, found no 'no-such-program' on PATH"),
        ("./none", "--notify: expected a program, found no './none' that is executable"),
    ],
)
def test_command_that_cannot_be_run_is_refused(command, message):
    with pytest.raises(InputError) as refused:
        notify.check(command)
    assert str(refused.value) == message
