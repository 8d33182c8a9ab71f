"""Search spaces are read as they were written, and what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo import hyperparameters, record, sampling, spacefile
from hpo.classifierterms import ANY_IMAGES
from hpo.domain import Choices
from hpo.errors import InputError
from hpo.rundir import RunDir

ROOT = Path(__file__).parent.parent


def opened(path: Path, content: str | bytes) -> dict[str, list[object]]:
    """Read and check a space as a search does."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    written = spacefile.read(str(path))
    sampling.check(written, ANY_IMAGES)
    return written.values


def message(path: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as refused:
        opened(path, content)
    return str(refused.value)


# --- what is refused ---


def test_read_missing_file_is_refused(tmp_path):
    path = tmp_path / "space.yaml"
    with pytest.raises(InputError) as refused:
        spacefile.read(str(path))
    assert str(refused.value) == (
        f"{path}: expected a search space's file or one of quick, ris, big, found neither"
    )


def test_read_directory_without_search_is_refused(tmp_path):
    with pytest.raises(InputError) as refused:
        spacefile.read(str(tmp_path))
    assert str(refused.value).endswith(", found a directory without a search.yaml")


@pytest.mark.parametrize("name", ["space.yaml", "space.py"])
def test_read_binary_file_is_refused(tmp_path, name):
    path = tmp_path / name
    assert message(path, bytes(range(256))) == f"{path}: expected a text file, found a binary one"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": expected `name: [value, …]` lines, found an empty file"),
        ("{}\n", ": expected at least one hyperparameter, found none"),
        (
            "a\x01: 1\n",
            ": expected YAML, but unacceptable character #x0001:"
            " special characters are not allowed",
        ),
        ("filters: [16\nepochs: 2\n", ":2: expected YAML, but expected ',' or ']', but got ':'"),
        (
            "filters: [16]\nepochs: 2\nfilters: [32]\n",
            ':3: expected YAML, but found duplicate key "filters" with value "[32]"'
            ' (original value: "[16]")',
        ),
        ("seed: 1\n\n3: [4]\n", ":3: expected a hyperparameter's name, found 3"),
        (
            "seed: 1\nfilterz: [16]\n",
            ":2: unknown hyperparameter 'filterz'; did you mean 'filters'?",
        ),
        (
            "seed: 1\nqqq: [16]\n",
            f":2: unknown hyperparameter 'qqq'; known are {', '.join(hyperparameters.TABLE)}",
        ),
        ("# why\nfilters: []\n", ":2: filters: expected at least one value, found an empty list"),
        ("epochs: [1, 0]\n", ":1: epochs: expected a whole number from 1 to 1,000,000, found 0"),
        ("conv_layers: 2.0\n", ":1: conv_layers: expected a whole number from 1 to 10, found 2.0"),
        ("blocks: true\n", ":1: blocks: expected a whole number from 1 to 10, found True"),
        (
            "seed: 1\ndropout:\n- 0.5\n- 1\n",
            ":2: dropout: expected a number from 0 to below 1, found 1",
        ),
        ("dropout: [.nan]\n", ":1: dropout: expected finite numbers, found nan"),
        ("model: [cnn, mlp]\n", ":1: model: expected one of cnn, dense, linear, found 'mlp'"),
        (
            "lr_final: 1\n",
            ":1: lr_final: expected null (0 for cosine and linear, 0.01 for"
            " exponential) or a share of the learning rate above 0 and below 1, found 1",
        ),
        (
            "lr_schedule: warm\n",
            ":1: lr_schedule: expected one of constant, cosine, linear, exponential, step,"
            " found 'warm'",
        ),
        ("momentum: 1\n", ":1: momentum: expected a number from 0 to below 1, found 1"),
        (
            "gradient_clip: 0\n",
            ":1: gradient_clip: expected null (never) or a number above 0, found 0",
        ),
        ("loss_limit: -1\n", ":1: loss_limit: expected null (none) or a number above 0, found -1"),
        (
            "early_stopping_metric: [null, score]\n",
            ":1: early_stopping_metric: expected one of null, loss, accuracy, val_loss,"
            " val_accuracy, found 'score'",
        ),
        (
            "early_stopping_goal: max\n",
            ":1: early_stopping_goal: expected one of null, minimize, maximize, found 'max'",
        ),
        (
            "filters: [[16, 0]]\n",
            ":1: filters: expected a whole number from 1 to 65,536 (doubled in each further"
            " block) or a list of one for each block, found [16, 0]",
        ),
        (
            "dropout: 2024-01-01\n",
            ":1: dropout: expected numbers, texts, true, false, null or lists of them,"
            " found datetime.date(2024, 1, 1)",
        ),
    ],
)
def test_read_yaml_that_is_wrong_is_refused_with_its_line(tmp_path, text, expected):
    path = tmp_path / "space.yaml"
    assert message(path, text) == f"{path}{expected}"


@pytest.mark.parametrize("text", ["- filters\n", "just words\n", "16\n"])
def test_read_yaml_of_another_kind_is_refused_in_plain_words(tmp_path, text):
    path = tmp_path / "space.yaml"
    found = message(path, text)
    assert found.startswith(f"{path}: expected `name: [value, …]` lines, found a")
    assert "commented" not in found  # a class of ruamel's


@pytest.mark.parametrize("text", ["filters: " + "[" * 5000, "<<: 3\n", "dropout: 2024-99-99\n"])
def test_read_strange_yaml_is_refused_by_name(tmp_path, text):
    path = tmp_path / "space.yaml"
    assert message(path, text).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed = 3\n", ": expected a line SPACE = {…}, found none"),
        ("SPACE = {\n", ":1: expected Python, but '{' was never closed"),
        (
            "import math\nSPACE = {'dropout': [math.pi]}\n",
            ":2: expected SPACE to be a plain dictionary of lists; what is computed can only be"
            " read by running the script",
        ),
    ],
)
def test_read_script_without_a_plain_space_is_refused(tmp_path, text, expected):
    path = tmp_path / "space.py"
    assert message(path, text) == f"{path}{expected}"


def test_read_script_with_null_bytes_is_refused_in_plain_words(tmp_path):
    path = tmp_path / "space.py"
    found = message(path, b"SPACE = {'seed': [1]}\x00\n")
    assert found.startswith(f"{path}:") and "None" not in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("filters", "--set: expected KEY=V[,V…], found 'filters'"),
        ("=16", "--set: expected KEY=V[,V…], found '=16'"),
        ("filters=", "--set: filters: expected at least one value, found an empty list"),
        ("filters=16],[32", "--set filters: expected values of YAML, found '16],[32'"),
        ("filters=16,,32", "--set filters: expected values of YAML, found '16,,32'"),
        ("dropout=.inf", "--set: dropout: expected finite numbers, found inf"),
        ("dropout=2024-99-99", "--set dropout: expected values of YAML, found '2024-99-99'"),
        ("seed=!!int x", "--set seed: expected values of YAML, found '!!int x'"),
    ],
)
def test_set_that_is_wrong_is_refused(text, expected):
    with pytest.raises(InputError) as refused:
        spacefile.parse_set(text)
    assert str(refused.value) == expected


# --- what is read ---


def test_read_yaml_gives_plain_values(tmp_path):
    text = """\
    learning_rate: [1e-3, 0.01, 1]   # 1e-3 is a number
    filters: 16
    dense_units:
      - 64
      - [128, 64]
    early_stopping_patience: [null, 3]
    batch_norm: [true, false]
    activation: [relu, "tanh"]
    """
    values = opened(tmp_path / "space.yaml", text)
    assert values == {
        "learning_rate": [0.001, 0.01, 1],
        "filters": [16],
        "dense_units": [64, [128, 64]],
        "early_stopping_patience": [None, 3],
        "batch_norm": [True, False],
        "activation": ["relu", "tanh"],
    }
    kinds = {type(value) for choices in values.values() for value in choices}
    assert kinds == {float, int, list, type(None), bool, str}


def test_read_yaml_anchors_are_values(tmp_path):
    text = "dense_units: &sizes [16, 32]\nfilters: *sizes\nbatch_norm: &yes true\n"
    values = opened(tmp_path / "space.yaml", text)
    assert values == {"dense_units": [16, 32], "filters": [16, 32], "batch_norm": [True]}
    assert type(values["batch_norm"][0]) is bool


def test_read_yaml_merged_keys_are_keys(tmp_path):
    assert opened(tmp_path / "space.yaml", "<<: {filters: [16]}\nseed: 1\n") == {
        "filters": [16],
        "seed": [1],
    }


def test_read_yaml_of_nothing_but_merged_keys(tmp_path):
    assert opened(tmp_path / "space.yaml", "<<: {filters: [16]}\n") == {"filters": [16]}


def test_read_yaml_with_byte_order_mark_and_crlf(tmp_path):
    text = b"\xef\xbb\xbffilters: [16]\r\nseed: 1\r\n"
    assert opened(tmp_path / "space.yaml", text) == {"filters": [16], "seed": [1]}


def test_read_run_directory_is_its_search(tmp_path):
    run = RunDir(tmp_path)
    space = {"filters": [16, [8, 16]], "learning_rate": [1e-05, 1], "activation": ["relu"]}
    record.Record(space, {"seed": 33}, {"side": 8}, {"epochs": None}).write(run)
    assert spacefile.read(str(tmp_path)).values == space
    assert spacefile.read(str(run.search)).values == space


def test_read_script_does_not_run_it(tmp_path):
    text = (
        "import os\n"
        "os.abort()\n"
        "SPACE: dict = {'filters': [16, (8, 16)], 'dropout': 0.5, 'activation': 'relu'}\n"
    )
    assert opened(tmp_path / "script.py", text) == {
        "filters": [16, [8, 16]],
        "dropout": [0.5],
        "activation": ["relu"],
    }


@pytest.mark.parametrize(
    ("source", "n_combinations", "n_networks"),
    [("quick", 12, 2), ("ris", 2880, 20), (str(ROOT / "rismpi.py"), 324, 6)],
)
def test_shipped_space_has_known_size(source, n_combinations, n_networks):
    written = spacefile.read(source)
    sampling.check(written, ANY_IMAGES)
    grid = sampling.grid(written, ANY_IMAGES)
    networks = grid.project(hyperparameters.NETWORK_NAMES)
    assert (grid.count, networks.count) == (n_combinations, n_networks)


def test_shipped_big_space_fits_its_check():
    written = spacefile.read("big")
    sampling.check(written, ANY_IMAGES)


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("epochs=1", "epochs", [1]),
        (" filters = 16 , 32 ", "filters", [16, 32]),
        ("learning_rate=1e-3,0.01", "learning_rate", [0.001, 0.01]),
        ("dense_units=[32,64],[64,128],8", "dense_units", [[32, 64], [64, 128], 8]),
        ("early_stopping_patience=null,2", "early_stopping_patience", [None, 2]),
        ("batch_norm=true,false", "batch_norm", [True, False]),
        ("activation=relu,'tanh'", "activation", ["relu", "tanh"]),
    ],
)
def test_set_gives_a_key_and_its_values(text, key, values):
    assert spacefile.parse_set(text) == (key, Choices(tuple(values)))


def test_set_replaces_values_and_names_itself_in_errors():
    written = spacefile.read("quick").replaced(*spacefile.parse_set("epochs=0"), place="--set")
    with pytest.raises(InputError) as refused:
        sampling.check(written, ANY_IMAGES)
    assert str(refused.value) == (
        "--set: epochs: expected a whole number from 1 to 1,000,000, found 0"
    )
