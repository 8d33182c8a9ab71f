"""CSV and Excel tables: each row is an experiment, equal ones too."""

from __future__ import annotations

import sys
from pathlib import Path

import openpyxl
import pytest

from hpo import sampling, spacefile, spaceyaml
from hpo.classifierterms import ANY_IMAGES, ClassifierTerms
from hpo.errors import InputError
from hpo.report import Standing
from hpo.trial import Result, Status

TABLE = "filters,learning_rate,activation\n8,0.01,relu\n[8, 16],1e-3,\n8,0.01,relu\n"
ROWS = [
    {"filters": 8, "learning_rate": 0.01, "activation": "relu"},
    {"filters": [8, 16], "learning_rate": 0.001},
    {"filters": 8, "learning_rate": 0.01, "activation": "relu"},
]


def rows(source: Path | str) -> list[dict[str, object]]:
    written = spacefile.read(str(source))
    sampling.check(written, ANY_IMAGES)
    return list(sampling.grid(written, ANY_IMAGES))


def message(source: Path | str) -> str:
    with pytest.raises(InputError) as refused:
        rows(source)
    return str(refused.value)


def workbook(path: Path, *lines: list[object]) -> Path:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    book.save(path)
    return path


# --- what is refused ---


@pytest.mark.parametrize("row", ["0", "4", "-1", "x", ""])
def test_row_out_of_range_is_refused(tmp_path, row):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    assert message(f"{path}:{row}") == (
        f"{path}: expected a row from 1 to 3 (the header is not counted), found {row}"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": expected a header and a row for each experiment, found neither"),
        ("filters,seed\n", ": expected a row for each experiment, found only a header"),
        ("seed,seed\n1,2\n", ":1: expected each name once in the header, found seed twice"),
        (
            "filters,seed\n8,1\n\n8,1,5\n",
            ":4: expected no more values than names in the header, found 5 in column 3",
        ),
        (
            "filters,seed\n8,1\n0,1\n",
            ":3: filters: expected a whole number from 1 to 65,536 (doubled in each further"
            " block) or a list of one for each block, found 0",
        ),
        (
            "filters,sead\n8,1\n",
            ":2: unknown hyperparameter 'sead'; did you mean 'seed'?",
        ),
        ('filters,seed\n"8,1\n', ":2: expected CSV, but unexpected end of data"),
    ],
)
def test_table_that_is_wrong_is_refused_with_its_line(tmp_path, text, expected):
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert message(path) == f"{path}{expected}"


def test_excel_that_is_none_is_refused(tmp_path):
    path = tmp_path / "table.xlsx"
    path.write_text("filters\n8\n")
    assert message(path) == f"{path}: expected an Excel workbook, found something else"


def test_excel_formula_without_a_value_is_refused(tmp_path):
    path = workbook(tmp_path / "table.xlsx", ["filters", "seed"], [8, "=1+1"])
    assert message(path) == (
        f"{path}:2: expected values, found a formula that no program has computed yet: =1+1;"
        " open and save the file in a spreadsheet program"
    )


def test_excel_without_its_package_is_refused_with_the_command(tmp_path, monkeypatch):
    path = workbook(tmp_path / "table.xlsx", ["filters"], [8])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert message(path) == (
        f"{path}: expected openpyxl for Excel tables, found none; pip install 'openpyxl>=3.1'"
    )


# --- what is read ---


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "\ufeff" + TABLE.replace("\n", "\r\n"),
        TABLE.replace("[8, 16]", "[8| 16]").replace(",", ";").replace("|", ","),
        TABLE.replace("[8, 16]", '"[8, 16]"') + ",,\n",
    ],
)
def test_csv_rows_are_experiments(tmp_path, text):
    path = tmp_path / "table"
    path.write_text(text if ";" in text else text.replace("\n[8, 16]", '\n"[8, 16]"'), newline="")
    assert rows(path) == ROWS


def test_excel_rows_are_experiments(tmp_path):
    path = workbook(
        tmp_path / "table.xlsx",
        ["filters", "learning_rate", "activation"],
        [8, 0.01, "relu"],
        ["[8, 16]", 0.001, None],
        [8, "0.01", "relu"],
    )
    assert rows(path) == ROWS
    assert rows(f"{path}:2") == [ROWS[1]]


def test_cells_are_read_as_yaml_has_them(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,d,e,f\ntrue,null,1e3,-5,yes,.5\n")
    (found,) = spacefile.read(str(path)).grid({}, {})
    assert repr(found) == ("{'a': True, 'b': None, 'c': 1000.0, 'd': -5, 'e': 'yes', 'f': 0.5}")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("(3e-3, 1e-3)", [0.003, 0.001]),
        (" (500,) ", [500]),
        ("()", []),
        ("(3e-3)", "(3e-3)"),
        ("(fast, slow)", "(fast, slow)"),
        ("(2 ** 99999, 1)", "(2 ** 99999, 1)"),
        ("(a) and (b)", "(a) and (b)"),
    ],
)
def test_tuple_in_a_cell_is_a_list_and_what_looks_like_one_a_text(tmp_path, cell, value):
    table = workbook(tmp_path / "table.xlsx", ["strategy"], [cell])
    assert list(spacefile.read(str(table)).grid({}, {})) == [{"strategy": value}]


def test_set_adds_to_all_rows(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("seed,filters\n1,8\n2,8\n")
    written = spacefile.with_set(spacefile.read(str(path)), ["epochs=1", "filters=4"])
    assert list(sampling.grid(written, ANY_IMAGES)) == [
        {"epochs": 1, "filters": 4, "seed": 1},
        {"epochs": 1, "filters": 4, "seed": 2},
    ]


def test_equal_rows_are_rows_of_one_trial(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("seed,filters\n1,8\n2,8\n1,8\n")
    written = spacefile.read(str(path))
    trials = sampling.trials(sampling.grid(written, ANY_IMAGES), ClassifierTerms(8), {})
    assert trials[0].id == trials[2].id != trials[1].id
    results = {t.id: Result(t.id, t.config, Status.DONE, score=0.5) for t in trials}
    assert Standing(trials, results).sentence().startswith("finished: 3 of 3 trials, 0 failed")
    again = spacefile.of_run(spaceyaml.described(written), "search.yaml")
    assert sampling.trials(sampling.grid(again, ANY_IMAGES), ClassifierTerms(8), {}) == trials
