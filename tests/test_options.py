"""The options of a search: their defaults, and what is said of a bad one."""

from __future__ import annotations

import pytest

from hpo.classifier import Classifier
from hpo.errors import ExitCode, InputError
from hpo.options import MODEL_BASED, Options, parse
from hpo.resolve import with_settings
from hpo.trial import Aim

HINT = " (--help lists the options)"


@pytest.fixture(autouse=True)
def no_run_directory_in_the_environment(monkeypatch):
    monkeypatch.delenv("HPO_OUT", raising=False)


def refusal(*argv: str) -> str:
    with pytest.raises(InputError) as refused:
        parse(argv, is_first=True)
    assert refused.value.exit_code == ExitCode.BAD_INPUT == 2
    return str(refused.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--shard", "3/2"], "argument --shard: expected I/N with I from 1 to N, found '3/2'"),
        (["--shard", "0/2"], "argument --shard: expected I/N with I from 1 to N, found '0/2'"),
        (["--shard", "1"], "argument --shard: expected I/N with I from 1 to N, found '1'"),
        (["--shard=-1/2"], "argument --shard: expected I/N with I from 1 to N, found '-1/2'"),
        (["--shard", "1/2/3"], "argument --shard: expected I/N with I from 1 to N, found '1/2/3'"),
        (["--epochs", "0"], "argument --epochs: expected a whole number from 1, found '0'"),
        (["--epochs", "1.5"], "argument --epochs: expected a whole number from 1, found '1.5'"),
        (["--epochs", ""], "argument --epochs: expected a whole number from 1, found ''"),
        (["--seed=-1"], "argument --seed: expected a whole number from 0, found '-1'"),
        (["--seed", "x"], "argument --seed: expected a whole number from 0, found 'x'"),
        (["--eta", "1"], "argument --eta: expected a whole number from 2, found '1'"),
        (
            ["--min-epochs", "0"],
            "argument --min-epochs: expected a whole number from 1, found '0'",
        ),
        (["--threads", "0"], "argument --threads: expected a whole number from 1, found '0'"),
        (["--retries=-1"], "argument --retries: expected a whole number from 0, found '-1'"),
        (["--time-limit", "0"], "argument --time-limit: expected minutes above 0, found '0'"),
        (["--time-limit", "nan"], "argument --time-limit: expected minutes above 0, found 'nan'"),
        (["--time-limit", "inf"], "argument --time-limit: expected minutes above 0, found 'inf'"),
        (["--time-limit", "1h"], "argument --time-limit: expected minutes above 0, found '1h'"),
        (["--data"], "argument --data: expected one argument"),
        (["--set"], "argument --set: expected one argument"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["train.csv"], "unrecognized arguments: train.csv"),
        (["--quiet=yes"], "argument --quiet: ignored explicit argument 'yes'"),
        # No abbreviations: an option added later must not change what a job file means.
        (["--sched", "scatter"], "unrecognized arguments: --sched scatter"),
        (["--epoch", "2"], "unrecognized arguments: --epoch 2"),
    ],
)
def test_parse_bad_option_is_refused(argv, message):
    assert refusal(*argv) == message + HINT


def test_parse_unknown_schedule_is_refused_with_the_known_ones():
    message = refusal("--schedule", "static")
    assert message.startswith("argument --schedule: invalid choice: 'static'")
    assert "dynamic" in message and "scatter" in message


def test_parse_fresh_beside_shard_is_refused():
    assert refusal("--fresh", "--shard", "1/2") == (
        "--fresh: expected no --shard beside it, as shards share a directory"
    )


SWEEP = {"sampler": "tpe", "trials": 40, "metric": "val_loss", "goal": "minimize", "eta": 4}


def chosen(*argv: str, **settings: object) -> Options:
    return with_settings(parse(argv, is_first=True), settings, "sweep.yaml", Classifier())


def not_chosen(*argv: str, **settings: object) -> str:
    with pytest.raises(InputError) as refused:
        chosen(*argv, **settings)
    return str(refused.value)


def test_settings_of_a_file_are_taken():
    options = chosen(**SWEEP)
    assert (options.sampler, options.trials, options.pruning.eta) == ("tpe", 40, 4)
    assert options.aim == Aim("val_loss", "minimize")


def test_settings_of_a_file_lose_against_the_command_line():
    options = chosen("--sampler", "random", "--trials", "3", "--eta", "2", **SWEEP)
    assert (options.sampler, options.trials, options.pruning.eta) == ("random", 3, 2)
    assert chosen("--sampler", "grid", **SWEEP).trials is None


def test_settings_goal_is_not_that_of_another_metric():
    assert chosen("--metric", "val_accuracy", **SWEEP).aim == Aim()


def test_settings_metric_that_is_not_reported_is_refused_naming_the_file():
    assert not_chosen(**SWEEP | {"metric": "f1"}) == (
        "sweep.yaml: metric: expected one of loss, accuracy, val_loss, val_accuracy, found 'f1';"
        " --metric chooses another"
    )
    assert not_chosen("--metric", "f1").startswith("--metric: metric: expected one of loss,")


def test_settings_eta_must_be_whole():
    message = "sweep.yaml: eta: expected a whole number from 2, found 1.5"
    assert not_chosen(eta=1.5) == message
    assert chosen(eta=3.0).eta == 3


def test_trials_need_a_sampler_and_a_sampler_needs_trials():
    assert not_chosen("--trials", "3").startswith("--trials: expected --sampler random, sobol")
    assert not_chosen(sampler="grid", trials=3).startswith(
        "sweep.yaml: trials: expected --sampler"
    )
    assert not_chosen("--sampler", "sobol") == (
        "--sampler sobol: expected --trials N beside it, found no number"
    )


@pytest.mark.parametrize("sampler", MODEL_BASED)
@pytest.mark.parametrize("other", [("--shard", "1/2"), ("--schedule", "scatter")])
def test_model_based_samplers_need_the_results_of_all(sampler, other):
    assert not_chosen("--sampler", sampler, "--trials", "3", *other) == (
        f"{other[0]}: expected none beside --sampler {sampler}, whose next trial depends on the"
        " results of all ranks"
    )


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband", "patience"])
def test_parse_pruner_needs_ranks_that_speak(pruner):
    assert not_chosen("--pruner", pruner, "--schedule", "scatter") == (
        f"--pruner {pruner}: expected --schedule dynamic, found scatter, in which ranks do not"
        " speak while they train"
    )


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_parse_pruner_that_compares_is_for_no_shard(pruner):
    assert not_chosen("--pruner", pruner, "--shard", "1/2") == (
        f"--pruner {pruner}: expected no --shard beside it, as it compares all trials"
    )


def test_parse_nothing_gives_the_defaults():
    assert parse([], is_first=True) == Options(
        data=None,
        test=None,
        space=None,
        set=(),
        schedule="dynamic",
        shard=None,
        epochs=None,
        seed=33,
        threads=1,
        retries=1,
        out="results",
        fresh=False,
        time_limit_min=None,
        retry_failed=False,
        sampler=None,
        trials=None,
        metric=None,
        goal=None,
        pruner=None,
        eta=None,
        min_epochs=None,
        patience=None,
        quiet=False,
        verbose=False,
        precision="float32",
        deterministic=False,
        device="cpu",
    )


@pytest.mark.parametrize(
    ("argv", "expected"), [([], "/app/store/results"), (["--out", "here"], "here")]
)
def test_parse_out_has_the_default_of_the_environment(monkeypatch, argv, expected):
    monkeypatch.setenv("HPO_OUT", "/app/store/results")
    assert parse(argv, is_first=True).out == expected


def test_parse_out_of_an_empty_variable_is_the_usual_default(monkeypatch):
    monkeypatch.setenv("HPO_OUT", "")
    assert parse([], is_first=True).out == "results"


def test_parse_every_option(tmp_path):
    (tmp_path / "test.csv").touch()
    argv = (
        "--data train.csv --space ris --set filters=16,32 --set dropout=0.5 --schedule scatter"
        " --shard 2/2 --epochs 1 --seed 0 --threads 4 --retries 0 --out elsewhere"
        " --time-limit 1.5 --retry-failed --quiet --verbose --test"
    )
    assert parse([*argv.split(), str(tmp_path / "test.csv")], is_first=True) == Options(
        data="train.csv",
        test=str(tmp_path / "test.csv"),
        space="ris",
        set=("filters=16,32", "dropout=0.5"),
        schedule="scatter",
        shard=(2, 2),
        epochs=1,
        seed=0,
        threads=4,
        retries=0,
        out="elsewhere",
        fresh=False,
        time_limit_min=1.5,
        retry_failed=True,
        quiet=True,
        verbose=True,
    )


def test_parse_options_of_the_gpu_entry():
    argv = ["--precision", "mixed_bfloat16", "--deterministic"]
    assert parse(argv, is_first=True, device="gpu") == Options(
        precision="mixed_bfloat16", deterministic=True, device="gpu"
    )


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("--precision", ["--precision", "mixed_bfloat16"]),
        ("--deterministic", ["--deterministic"]),
    ],
)
def test_parse_options_of_the_gpu_entry_are_refused_on_cpus(name, argv):
    assert refusal(*argv) == f"{name}: expected rismpigpu.py, found the entry for CPUs"


def test_parse_what_cpus_compute_in_may_be_said():
    assert parse(["--precision", "float32"], is_first=True) == Options()


def test_parse_unknown_precision_is_refused_with_the_known_ones():
    message = refusal("--precision", "float16")
    assert "float32" in message and "mixed_bfloat16" in message


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_parse_help_is_printed_by_the_first_rank_only(capsys, option):
    printed = []
    for is_first in (True, False):
        with pytest.raises(SystemExit) as left:
            parse([option], is_first=is_first)
        assert left.value.code == 0
        printed.append(capsys.readouterr().out)
    assert printed[0]
    assert printed[1] == ""


def test_parse_trial_time_limit_is_of_a_command():
    assert refusal("--trial-time-limit", "5") == (
        "--trial-time-limit: expected --command beside it, found none"
    )
    argv = ["--command", "sh {spec}", "--space", "space.yaml", "--trial-time-limit", "0.5"]
    assert parse(argv, is_first=True).trial_time_limit_min == 0.5
