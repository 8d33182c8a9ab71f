"""`hpo compare`: numbers that can be counted on fingers, and what is not compared."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import written_runs

from hpo import commands, sidebyside
from hpo.history import Started
from hpo.occupancy import Occupancy
from hpo.trial import MINIMIZE, Aim, Status

FOUR = {"lr": [0.1, 0.2], "n": [1, 2]}


def told(trial):
    return {"score": trial.config["lr"] + trial.config["n"]}


def compared(capsys, *paths, code=0):
    words = ["compare", *map(str, paths), "--format", "json"]
    assert commands.main(words) == code
    return SimpleNamespace(**json.loads(capsys.readouterr().out))


def test_bad_input_is_one_line(tmp_path, capsys):
    run = written_runs.write(tmp_path / "r", FOUR, told).root
    for words, expected in (
        ((run,), f"expected two run directories or more, found {run} alone"),
        ((run, tmp_path), f"{tmp_path}: expected a run directory, found no search.yaml in it"),
        (
            (run, run, "--figure", "x.pdf"),
            "--figure: expected FILE.png or FILE.svg, found 'x.pdf'",
        ),
    ):
        assert commands.main(["compare", *map(str, words)]) == 2
        assert capsys.readouterr() == ("", f"error: {expected}\n")


@pytest.mark.parametrize(
    "words",
    [["report", "{run}", "--figures", "f"], ["compare", "{run}", "{run}", "--figure", "f.png"]],
)
def test_without_matplotlib_the_command_that_installs_it_is_named(tmp_path, words):
    run = written_runs.write(tmp_path / "r", FOUR, told).root
    code = "import sys; sys.modules['matplotlib'] = None; from hpo.commands import main;"
    done = subprocess.run(
        [sys.executable, "-c", f"{code} sys.exit(main({[w.format(run=run) for w in words]}))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: figures: expected matplotlib to be installed, found none;"
        " pip install 'matplotlib>=3.8,<4'\n"
    )


def test_speed_up_and_efficiency_of_the_same_trials(tmp_path, capsys):
    # A start takes a second before the first trial, and each trial a second.
    one = written_runs.write(tmp_path / "one", FOUR, told, n_ranks=1)
    two = written_runs.write(tmp_path / "two", FOUR, told, n_ranks=2)
    its = compared(capsys, one, two)
    assert [run["wall_s"] for run in its.runs] == [5, 3]
    assert [run["core_hours"] * 3600 for run in its.runs] == [5, pytest.approx(6)]
    assert [run["busy_share"] for run in its.runs] == [0.8, pytest.approx(4 / 6)]
    against = its.runs[1]["against_first"]
    assert against["speed_up"] == pytest.approx(5 / 3)
    assert against["efficiency"] == pytest.approx(5 / 6)
    assert (against["n_common"], against["n_same"], against["same_difference"]) == (4, 4, 0)
    assert its.notes[0].endswith("the same trials, whose scores are equal")


def test_a_larger_space_counts_by_what_both_have_trained(tmp_path, capsys):
    one = written_runs.write(tmp_path / "one", FOUR, told, n_ranks=1)
    more = written_runs.write(tmp_path / "more", FOUR | {"n": [1, 2, 3, 4]}, told, n_ranks=1)
    against = compared(capsys, one, more).runs[1]["against_first"]
    assert against["n_common"] == 4
    assert against["speed_up"] == pytest.approx(5 / (9 / 2))


def test_scores_that_do_not_agree_are_told(tmp_path, capsys):
    one = written_runs.write(tmp_path / "one", FOUR, told)
    off = written_runs.write(
        tmp_path / "off", FOUR, lambda trial: {"score": told(trial)["score"] + 0.25 * trial.index}
    )
    seed = written_runs.write(
        tmp_path / "seed", FOUR, lambda t: {"score": t.config["n"]}, identity={"seed": 34}
    )
    its = compared(capsys, one, off, seed)
    first, second = (run["against_first"] for run in its.runs[1:])
    assert (first["n_same"], first["same_difference"]) == (4, 0.75)
    assert (second["n_same"], second["n_common"]) == (0, 4)
    assert second["other_difference"] == pytest.approx(0.2)
    assert second["same_difference"] is None


def test_what_cannot_be_compared_is_said_and_not_computed(tmp_path, capsys):
    one = written_runs.write(tmp_path / "one", FOUR, told)
    loss = written_runs.write(
        tmp_path / "loss",
        FOUR,
        told,
        aim=Aim("loss", MINIMIZE),
        identity={"data": "other"},
        data={"path": "other.csv", "fingerprint": "other"},
    )
    assert commands.main(["compare", str(one), str(loss)]) == 0
    out = capsys.readouterr().out
    rows = {line[:22].strip(): line[22:].split() for line in out.splitlines()}
    assert "the metrics differ: best scores are not to be compared\n" in out
    assert "the data differ: scores stand on other data" in out
    assert "(score, maximize)" in out
    assert "differ by" not in out
    assert rows["speed-up"] == ["first", "–"]
    pair = compared(capsys, one, loss).runs[1]["against_first"]
    assert (pair["speed_up"], pair["other_difference"]) == (None, None)


def test_runs_without_any_result(tmp_path, capsys):
    begun = written_runs.write(tmp_path / "begun", FOUR, lambda trial: None)

    def failed(trial):
        return {"status": Status.FAILED, "error": "no"}

    over = written_runs.write(tmp_path / "failed", FOUR, failed)
    its = compared(capsys, begun, over)
    assert [run["best_score"] for run in its.runs] == [None, None]
    assert its.runs[1]["against_first"]["speed_up"] is None
    assert commands.main(["compare", str(begun), str(over)]) == 0
    assert "0 done, 0 failed, 4 to come" in capsys.readouterr().out


def test_starts_side_by_side_count_once():
    def start(at_s, end_s):
        return Occupancy(Started("s", at_s, "h", 2, 1, ended_s=end_s, exit_code=0), (), 2, 3)

    starts = [start(0, 10), start(2, 6), start(8, 20), start(100, 110)]
    assert sidebyside.wall_s(starts) == 30
    assert sidebyside.wall_s(starts, until_s=9) == 9
    assert sidebyside.wall_s(starts, until_s=105) == 25
    assert sidebyside.core_hours(starts) * 3600 == pytest.approx((10 + 4 + 12 + 10) * 6)
    assert sidebyside.core_hours(starts, until_s=5) * 3600 == pytest.approx((5 + 3) * 6)
