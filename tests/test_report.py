"""What a person reads at the end, compared with golden texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hpo.report import (
    Standing,
    best_params,
    compact,
    results_csv,
    settings_text,
    table,
    yaml_value,
)
from hpo.trial import Result, Status, Trial

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no, "never"\n'
CONFIGS = [
    {"filters": 16, "learning_rate": 1e-05, "epochs": 2, "early_stopping_patience": None},
    {"filters": [8, 16], "learning_rate": 0.01, "epochs": 2, "early_stopping_patience": 3},
    {"filters": [8, 16], "learning_rate": 1, "epochs": 1, "early_stopping_patience": None},
    {"model": "linear", "learning_rate": 0.1, "validation_split": 0.2},
    {"model": "dense", "activation": "leaky_relu", "batch_norm": True},
]
TRIALS = [Trial(f"{index:x}" * 16, index, config) for index, config in enumerate(CONFIGS)]
RESULTS = [
    Result(
        TRIALS[0].id,
        CONFIGS[0],
        Status.DONE,
        score=0.9375,
        val_loss=1.5e-05,
        best_epoch=2,
        epochs=2,
        seconds=1.25,
        rank=3,
        host="node-07",
        threads=2,
        attempt=2,
    ),
    Result(TRIALS[1].id, CONFIGS[1], Status.FAILED, epochs=1, attempt=2, error=TRACEBACK),
    Result(
        TRIALS[3].id,
        CONFIGS[3],
        Status.DONE,
        score=0.9375,
        val_loss=0.25,
        best_epoch=4,
        epochs=4,
        seconds=0.5,
        host="node-07",
    ),
    # Of spaces that were searched here before.
    Result(
        "f" * 16,
        {"optimizer": "sgd", "filters": 4},
        Status.DONE,
        score=1.0,
        val_loss=0.0,
        best_epoch=1,
        epochs=1,
        seconds=9.0,
        host='a "quoted", name',
    ),
    Result("c" * 16, {"optimizer": "adamw"}, Status.FAILED, error="killed"),
]


def standing(trials: list[Trial], results: list[Result]) -> Standing:
    return Standing(trials, {result.id: result for result in reversed(results)})


def completed(trials: list[Trial], results: list[Result]) -> dict[str, dict[str, object]]:
    """Add a default to each configuration, as the caller of `table` does."""
    everyone = [(r.id, r.config) for r in results] + [(t.id, t.config) for t in trials]
    return {name: {"optimizer": "adam"} | config for name, config in everyone}


def load(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


# --- best_params.txt ---


def test_best_params_of_no_trial(golden):
    golden("best_params_none.txt", best_params(standing(TRIALS, [])))


def test_best_params_of_failures_only(golden):
    golden("best_params_failed.txt", best_params(standing(TRIALS[1:2], RESULTS)))


def test_best_params_of_unfinished_search(golden):
    golden("best_params_unfinished.txt", best_params(standing(TRIALS, RESULTS)))


def test_best_params_of_finished_search(golden):
    golden("best_params_finished.txt", best_params(standing([TRIALS[1], TRIALS[3]], RESULTS)))


def test_best_params_of_another_metric_say_so(golden):
    results = [replace(r, metric="val_loss", goal="minimize") for r in RESULTS]
    golden("best_params_val_loss.txt", best_params(standing([TRIALS[1], TRIALS[3]], results)))


def test_best_params_are_yaml_of_the_winner():
    assert load(best_params(standing(TRIALS, RESULTS))) == {
        "score": 0.9375,
        "trial_id": TRIALS[0].id,
        "count": 3,
        **CONFIGS[0],
    }


def test_best_is_not_sought_outside_the_space():
    assert standing(TRIALS, RESULTS).best == (TRIALS[0], RESULTS[0])
    assert standing(TRIALS[1:2], RESULTS).best is None


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        (
            TRIALS,
            "unfinished: 3 of 5 trials, 1 failed, best 0.9375 (filters 16,"
            " learning_rate 1.0e-05, epochs 2, early_stopping_patience null)",
        ),
        (TRIALS[1:2], "finished: 1 of 1 trials, 1 failed"),
        (TRIALS[2:3], "unfinished: 0 of 1 trials, 0 failed"),
    ],
)
def test_sentence_says_how_far_it_is(trials, sentence):
    assert standing(trials, RESULTS).sentence() == sentence


# --- values as YAML ---

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text("abcefinyNTO-_. :#,[]{}&*!|>'\"%@`0123456789\n", max_size=8)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=8)


@given(values)
@example("no")
@example("relu\n")
@example("é\x85ü")
@example("\x7f")
@example("\u2028")
@example("\ufeff")
@example("😀")
def test_yaml_value_reads_back_equal(value):
    found = load(settings_text({"key": value}))
    assert found == {"key": value}
    assert repr(found) == repr({"key": value})  # 1.0 is not 1, nor True


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1.0e-05"),  # YAML 1.1 takes 1e-05 for text
        (1e22, "1.0e+22"),
        (1.5e-07, "1.5e-07"),
        (0.001, "0.001"),
        (None, "null"),
        (True, "true"),
        ("shift-rotate-zoom", "shift-rotate-zoom"),
        ("off", '"off"'),
        ("1e-3", '"1e-3"'),
        ((8, [0.5, "max"]), "[8, [0.5, max]]"),
    ],
)
def test_yaml_value_is_what_every_reader_reads_alike(value, text):
    assert yaml_value(value) == text


def test_compact_is_one_line():
    assert compact({"filters": [8, 16], "augment": "none"}) == "filters [8, 16], augment none"


# --- results.csv ---


def test_results_of_all_spaces(golden):
    text = results_csv(table(standing(TRIALS, RESULTS), completed(TRIALS, RESULTS)))
    golden("results.csv", text)


def test_results_of_no_trial(golden):
    golden("results_none.csv", results_csv(table(standing([], []), {})))
