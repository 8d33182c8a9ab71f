"""What of trackers needs none of their packages: refusals, secrets, and what is news."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import runs

from hpo import journal, tracker, trackfeed
from hpo.errors import InputError
from hpo.rundir import RunDir
from hpo.trial import Result, Status


def test_an_unknown_tracker_is_refused_with_the_list(tmp_path: Path) -> None:
    done = runs.search(2, tmp_path / "results", "--track", "wandb,comet")
    assert done.returncode == 2
    assert done.stderr == (
        "error: argument --track: expected wandb, mlflow or tensorboard, found 'comet'"
        " (--help lists the options)\n"
    )


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="mlflow is there")
def test_a_missing_package_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()  # a folder of that name is no package
    options = ("--track", "mlflow", "--data", "nothing.csv")
    done = runs.search(2, tmp_path / "results", *options)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --track mlflow: expected the package mlflow, found none; pip install mlflow\n"
    )
    assert not (tmp_path / "results").exists()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a run directory, found no search.yaml"):
        trackfeed.search(RunDir(tmp_path))


def test_keys_and_passwords_are_left_out_of_what_is_told() -> None:
    environ = {
        "WANDB_API_KEY": "0123456789",
        "MLFLOW_TRACKING_URI": "http://me:open-sesame@host:5000",
        "A_TOKEN": "no",  # too short to be left out everywhere
    }
    told = "no: http://me:open-sesame@host:5000 refused 0123456789"
    assert tracker.without_secrets(told, environ) == "no: http://me:***@host:5000 refused ***"


SEARCH = """\
space: {learning_rate: [0.1, 0.01], epochs: [2]}
identity: {objective: mine, metric: score, goal: maximize}
data: {path: none, fingerprint: none}
options: {}
"""


def test_results_are_news_once_and_again_where_another_counts(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.make()
    run.search.write_text(SEARCH)
    feed = trackfeed.Feed(trackfeed.search(run))

    def news() -> list[tuple[str, Status, str]]:
        return [(its.id, its.result.status, its.name) for its in feed.news()]

    def result(name: str, rate: float, status: Status, **more: object) -> Result:
        return Result(name, {"learning_rate": rate, "epochs": 2}, status, **more)  # type: ignore[arg-type]

    assert news() == []
    first = journal.Writer(run.journal, "20260101T000000-aaaaaa", 0)
    first.append(result("a", 0.1, Status.PRUNED, score=0.5, epochs=1))
    first.append(result("b", 0.01, Status.FAILED, error="no"))
    with first.path.open("ab") as file:
        file.write(b'{"id": "c", "conf')  # it is being written
    assert news() == [("a", Status.PRUNED, "lr0p1"), ("b", Status.FAILED, "lr1em2")]
    assert news() == []
    later = journal.Writer(run.journal, "20260102T000000-bbbbbb", 1)
    later.append(result("a", 0.1, Status.DONE, score=0.75, epochs=2))
    assert news() == [("a", Status.DONE, "lr0p1")]
    later.append(result("a", 0.1, Status.FAILED, error="it was done already"))
    for writer in (first, later):
        writer.close()
    assert news() == []
    assert {its.id for its in trackfeed.Feed(trackfeed.search(run)).news()} == {"a", "b"}
