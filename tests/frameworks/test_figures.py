"""`hpo.figures`: every picture of runs of all kinds, by matplotlib itself."""

from __future__ import annotations

import base64
import json
import math

import pytest
import written_runs

import hpo
from hpo import commands, findings, pictures, sidebyside
from hpo.errors import InputError
from hpo.trial import MINIMIZE, Aim, Status

pytest.importorskip("matplotlib", reason="no matplotlib (make test-frameworks)")

OF_TRIALS = (
    *("history", "hyperparameters", "parallel", "importances", "interaction", "curves", "cost"),
)


def plain(config):
    score = 0.9 - abs(math.log10(config["lr"]) + 2) / 10
    return {"score": score, "epochs": 3, "series": {"score": [score / 2, score]}}


def rough(trial):
    """Give a loss over decades, of names and values that are hard to write."""
    c = trial.config
    if c["lr$"] == 1:
        return {"status": Status.FAILED, "error": "no"}
    loss = 10 ** (2 * abs(math.log10(c["lr$"]) + 2) - 2) * (1 + c.get("part_of_$x$", 0) / 9)
    if c["kind"] == "b$c":
        return {
            "score": 9 * loss, "status": Status.PRUNED, "series": {"loss": [9 * loss]},
            "seconds": 0.2,
        }  # fmt: skip
    return {"score": loss, "epochs": 3, "series": {"loss": [9 * loss, 3 * loss, loss]}}


ROUGH = {
    "lr$": [0.0001, 0.001, 0.01, 0.1, 1],
    "a_very_long.name_of_a_hyperparameter": [1, 2, 3],
    "kind": ["a rather long name of a kind", "b$c", [1, 2], None],
    "part_of_$x$": {"values": [2, 3], "when": {"kind": ["b$c"]}},
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Give tables of runs by name."""
    root = tmp_path_factory.mktemp("runs")

    def failed(trial):
        return {"status": Status.FAILED, "error": "no"}

    def by(config):
        return plain(config)

    made = {
        "single": written_runs.write(root / "single", {"lr": [0.01]}, lambda t: by(t.config)),
        "one hyperparameter": written_runs.write(
            root / "one", {"lr": [0.001, 0.01, 0.1]}, lambda t: by(t.config)
        ),
        "all failed": written_runs.write(root / "failed", {"lr": [0.01, 0.1]}, failed),
        "rough": written_runs.write(
            *(root / "rough", ROUGH, rough),
            aim=Aim("loss", MINIMIZE),
            options={"pruner": "patience"},
            n_ranks=5,
        ),
        "many": written_runs.write(
            *(root / "many", {"lr": {"min": 1e-4, "max": 0.1, "log": True}, "n": [1, 2, 3]}),
            lambda t: by(t.config),
            options={"sampler": "random", "trials": 200},
            n_ranks=70,
        ),
    }
    return {name: (run, hpo.load(run.root)) for name, run in made.items()}


def drawn(figure):
    """Draw a figure, out of which nothing may stick; give its words."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    drawn_in, whole_in = figure.get_tightbbox(), figure.bbox_inches.padded(0.01)
    assert whole_in.contains(*drawn_in.min), (drawn_in, whole_in)
    assert whole_in.contains(*drawn_in.max), (drawn_in, whole_in)
    return [its.get_text() for its in figure.findobj(Text)]


@pytest.mark.parametrize("name", OF_TRIALS)
@pytest.mark.parametrize("run", ["one hyperparameter", "rough", "many"])
def test_words_stay_inside_their_picture(tables, run, name):
    draw = getattr(hpo.figures, name)
    if run == "one hyperparameter" and name in ("importances", "interaction"):
        with pytest.raises(InputError, match="expected"):
            draw(tables[run][1])
        return
    words = drawn(draw(tables[run][1]))
    assert any(("loss" if run == "rough" else "score") in its for its in words)


def test_history_tells_what_became_of_trials(tables):
    words = drawn(hpo.figures.history(tables["rough"][1]))
    assert {"done (36)", "pruned (24)", "failed (15)", "best so far"} <= set(words)
    assert "The best loss of 75 trials: 0.01" in words
    axes = hpo.figures.history(tables["rough"][1]).axes[0]
    assert axes.get_yscale() == "log"
    words = drawn(hpo.figures.history(tables["all failed"][1]))
    assert "No score yet: 2 trials, none trained to its end" in words


def test_axes_are_as_their_values(tables):
    scales = {
        axes.get_xlabel(): axes.get_xscale()
        for axes in hpo.figures.hyperparameters(tables["rough"][1]).axes
        if axes.axison
    }
    assert scales == {
        r"lr\$": "log",
        "a_very_long.name_of_a_hyperparameter": "linear",
        "kind": "linear",
        r"part_of_\$x\$": "linear",
    }
    assert "none" in drawn(hpo.figures.hyperparameters(tables["rough"][1], ["part_of_$x$"]))
    with pytest.raises(InputError, match="expected one of .*, found 'lr'"):
        hpo.figures.hyperparameters(tables["rough"][1], ["lr"])


def test_interaction_has_the_median_of_each_cell(tables):
    table = tables["one hyperparameter"][1].copy()
    table["twice"] = ["a", "b", "b"]
    table.attrs["hyperparameters"].append("twice")
    shown = hpo.figures.interaction(table, ("lr", "twice")).axes[0].images[0].get_array()
    assert shown.mask.tolist() == [[False, True, True], [True, False, False]]
    assert shown[1, 1:].tolist() == [0.9, pytest.approx(0.8)]


def test_timeline_shows_ranks_that_had_nothing_to_do(tables):
    run, _ = tables["single"]
    assert {"rank 0", "rank 1"} <= set(drawn(hpo.figures.timeline(run.root)))
    words = " ".join(drawn(hpo.figures.timeline(tables["many"][0].root)))
    assert "70 ranks" in words
    assert "the first 64 shown" in words


def test_a_folder_has_what_can_be_drawn_and_says_why_the_rest_cannot(tables, tmp_path, capsys):
    expected = {
        "single": {"history", "hyperparameters", "parallel", "curves", "cost", "timeline"},
        "all failed": {"history", "timeline"},
        "rough": {*OF_TRIALS, "timeline"},
    }
    for form in ("png", "svg"):
        for name, names in expected.items():
            folder = tmp_path / form / name
            written, left_out = pictures.write(tables[name][0].root, folder, form)
            assert {path.stem for path in folder.iterdir()} == names
            assert len(written) + len(left_out) == 10
            assert all("expected" in why for why in left_out)
    again = tmp_path / "again"
    pictures.write(tables["single"][0].root, again, "svg")
    for path in again.iterdir():  # two that are equal can be told to be
        assert path.read_bytes() == (tmp_path / "svg" / "single" / path.name).read_bytes()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        pictures.write(tables["single"][0].root, tmp_path / "file", "png")


def test_mistakes_are_shown_with_their_images(tmp_path):
    run = written_runs.write(tmp_path / "r", {"lr": [0.01]}, lambda t: plain(t.config))
    with pytest.raises(InputError, match="nothing is known of it"):
        hpo.figures.confusion(run.root)
    winner = findings.read(run.root).standing.kept
    image = base64.b64encode(bytes(range(64))).decode()
    told = {
        "trial_id": winner.id, "classes": 2, "side": 8, "confusion": [[3, 0], [1, 2]],
        "mistakes": [{"label": 1, "answer": 0, "probability": 0.75, "image": image}],
    }  # fmt: skip
    run.best_mistakes.write_text(json.dumps(told))
    assert "5 of 6 right (83.3%)" in drawn(hpo.figures.confusion(run.root))
    words = drawn(hpo.figures.worst_mistakes(run.root))
    assert "1, not 0\n75% sure" in words
    run.best_mistakes.write_text(json.dumps(told | {"mistakes": []}))
    with pytest.raises(InputError, match="all were right"):
        hpo.figures.worst_mistakes(run.root)


def test_comparison_does_not_draw_scores_of_other_metrics(tables, tmp_path, capsys):
    def words(*names):
        found = (findings.read(tables[name][0].root) for name in names)
        sides = [sidebyside.side(its, name) for its, name in zip(found, names, strict=True)]
        return drawn(hpo.figures.comparison(sides))

    assert "best score" in words("single", "many", "all failed")
    told = words("single", "rough")
    assert "the metrics differ:\nbest scores are not to be compared" in told
    assert "best score" not in told
    paths = [str(tables[name][0]) for name in ("single", "many")]
    out = tmp_path / "new" / "c.svg"
    assert commands.main(["compare", *paths, "--figure", str(out)]) == 0
    assert out.read_text().startswith("<?xml")


@pytest.mark.filterwarnings("ignore")  # of what is experimental in Optuna
def test_optuna_draws_what_was_exported(tables, tmp_path):
    optuna = pytest.importorskip("optuna", reason="no optuna (requirements-dev.txt)")
    from optuna.visualization import matplotlib as drawings

    study = hpo.to_optuna(tables["rough"][0].root, optuna.storages.InMemoryStorage())
    params = ["lr$", "kind"]
    for axes in (
        drawings.plot_optimization_history(study),
        drawings.plot_intermediate_values(study),
        drawings.plot_slice(study, params=params),
        drawings.plot_contour(study, params=params),
        drawings.plot_parallel_coordinate(study, params=params),
        drawings.plot_param_importances(study),
        drawings.plot_timeline(study),
    ):
        assert axes is not None
