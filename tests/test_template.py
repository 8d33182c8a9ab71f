"""A command's text: words, names in braces, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import ContractError, InputError
from hpo.template import Template, word_of

OWN = ("spec", "seed")


def test_words_are_those_of_a_shell_but_no_shell_sees_them():
    template = Template("""python 'my train.py' --a="{lr} $HOME" {seed} '; ls' ~""", OWN)
    assert template.fill({"lr": 0.1, "seed": 7}) == [
        *("python", "my train.py", "--a=0.1 $HOME", "7", "; ls", "~"),
    ]


def test_values_cannot_make_new_words_or_names():
    template = Template("run {a}", OWN)
    assert template.fill({"a": "x; rm -rf {seed} 'y"}) == ["run", "x; rm -rf {seed} 'y"]


def test_doubled_braces_are_braces():
    assert Template("awk '{{print {n}}}' {{}}", OWN).fill({"n": 1}) == ["awk", "{print 1}", "{}"]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        *(("relu", "relu"), ("", ""), (1, "1"), (0.1, "0.1"), (1e-05, "1e-05"), (True, "true")),
        *((None, "null"), ([32, 64], "[32, 64]"), ({"a": "é"}, '{"a": "é"}'), (Path("a"), "a")),
    ],
)
def test_a_value_is_text_or_json(value, word):
    assert word_of(value) == word


def test_names_that_only_a_configuration_fills():
    template = Template("run {lr} {spec} --x={units}{lr}", OWN)
    assert template.names == ["lr", "spec", "units"]
    assert template.hyperparameters == ["lr", "units"]


@pytest.mark.parametrize("text", ["", "  ", "''"])
def test_an_empty_text_is_refused(text):
    with pytest.raises(InputError, match="--command: expected a program and its arguments, found"):
        Template(text, OWN)


def test_an_open_quotation_is_refused():
    with pytest.raises(InputError, match="--command: expected words as in a shell, found No clos"):
        Template("python 'train.py", OWN)


@pytest.mark.parametrize("word", ["{lr", "lr}", "{a{b}", "{a}}"])
def test_a_brace_without_a_partner_is_refused(word):
    with pytest.raises(InputError, match=r"expected a name in braces, found '[{}]' alone in"):
        Template(f"python {word}", OWN)


def test_an_unknown_name_is_refused_with_those_that_are_known():
    template = Template("python {learning_rat}", OWN)
    expected = (
        "--command: unknown name {learning_rat}; known are learning_rate, seed, spec"
        " ({{ and }} stand for braces)"
    )
    with pytest.raises(InputError) as raised:
        template.check_names(["learning_rate", "seed"])
    assert str(raised.value) == expected
    template.check_names(["learning_rat"])


def test_a_name_without_a_value_fails_the_trial():
    with pytest.raises(ContractError, match=r"expected a value for \{momentum\} in every"):
        Template("python {momentum}", OWN).fill({})


def test_a_program_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there").write_text("")
    for text, wrong in (
        ("no-such-program {spec}", "found no 'no-such-program' on PATH"),
        ("./missing", "found that './missing' does not exist"),
        ("./there", r"found that './there' is no executable file \(chmod \+x\)"),
        ("/", "found that '/' is no executable file"),
    ):
        with pytest.raises(InputError, match=f"--command: expected a program, {wrong}"):
            Template(text, OWN).check_program()
    Path("there").chmod(0o755)
    for text in ("./there", sys.executable, "sh", "{solver} x"):
        Template(text, OWN).check_program()


def test_version_is_of_the_words_and_of_the_files_among_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("1")
    first = Template("python train.py  {lr}", OWN).version()
    assert first == Template("python 'train.py' {lr}", OWN).version()
    assert first != Template("python train.py {spec}", OWN).version()
    Path("train.py").write_text("2")
    assert first != Template("python train.py {lr}", OWN).version()
