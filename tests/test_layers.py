"""Modules stand in levels, heavy libraries behind one door each, and nothing runs foreign code."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each module imports only modules of lower levels.
LEVELS = """
__init__ augment container cost duration epochfile errors imagefile launcher mounts proc quiet
ranklog rundir schedules sockets stopping trial trialnames updates

architecture arithmetic arrayfile arrays backend checkpoint commandline csvfile document domain
epochs finals halving importance job journal lock order process proposals record rules scheduler
seeds sharedmemory source template terminal usage

datafile engine expression history jobfile metriclines models pruning report sitefile space
state tracker world

climb commandfiles cores data devices gathering groups occupancy refinements schedule scored
snapshot terms trackmlflow tracktensorboard trackwandb walltime written

artifacts canvas draw graph hyperparameters liveview meeting notify plain prepared spaceyaml

classifierterms fetching jobspec library model_based options paramsfile progress spacetext
sweepfile tablefile train

asking bestmodel contract knownterms sampling spacefile

attempt classifier dataparallel finalists function mistakes program resolve todo trackfeed

objectives publish tracking worker

bestconfig findings onlooker status trackprocess

cvresults frame optunastudy sidebyside watch webfacts

export figures webreport

pictures plan

compare precheck story

cli submit

call commands

__main__
"""
LEVEL = {
    module: number
    for number, modules in enumerate(LEVELS.split("\n\n"))
    for module in modules.split()
}
DOORS = {
    "mpi4py": {"world"},
    "optuna": {"model_based", "optunastudy"},
    "sqlalchemy": {"optunastudy"},
    "scipy": {"draw"},
    "matplotlib": {"canvas"},
    "keras": {"dataparallel", "models", "plain"},
    "tensorflow": {"graph", "refinements", "updates"},
    "jax": {"dataparallel", "plain"},
    "torch": {"dataparallel", "plain"},
    "wandb": {"trackwandb"},
    "mlflow": {"trackmlflow"},
    "tensorboard": {"tracktensorboard"},
}
FOREIGN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}

FILES = sorted((ROOT / "hpo").glob("*.py"))
SCRIPTS = [ROOT / "rismpi.py", ROOT / "rismpigpu.py", ROOT / "mpitest.py"]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Name what a file imports, inside functions too: `hpo.space`, `numpy.typing`, `os`."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            of_package = node.module == "hpo"
            names |= {f"hpo.{a.name}" if of_package else node.module for a in node.names}
    return names


def own(path: Path) -> set[str]:
    """Name the modules of this package that a file imports."""
    if path.stem == "__init__":
        return set()  # it loads what it offers when that is asked for
    found = {name.split(".")[1] for name in imported(path) if name.startswith("hpo.")}
    return {"__init__" if name.startswith("__version") else name for name in found}


def libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_levels_name_every_module_once():
    named = sorted(LEVELS.split())
    assert named == sorted(path.stem for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_module_imports_only_lower_levels(path):
    assert {name for name in own(path) if LEVEL[name] >= LEVEL[path.stem]} == set()


def test_a_search_knows_its_objective_by_the_contract_alone():
    """The built-in networks have no private door: only `objectives` names them."""
    built_in = {"classifier", "train", "engine", "graph", "plain", "models", "data", "library"}
    for module in ("story", "worker", "attempt", "schedule", "todo", "contract"):
        assert own(ROOT / "hpo" / f"{module}.py") & built_in == set(), module


@pytest.mark.parametrize("library", DOORS)
def test_library_is_imported_behind_its_door_only(library):
    assert {path.stem for path in [*FILES, *SCRIPTS] if library in libraries(path)} == (
        DOORS[library]
    )


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=lambda path: path.stem)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", [*FILES, *SCRIPTS], ids=lambda path: path.stem)
def test_module_runs_no_foreign_code(path):
    assert libraries(path) & FOREIGN == set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__", "locals"}
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False
        if isinstance(node, ast.keyword) and node.arg == "shell":
            raise AssertionError(f"{path}:{node.lineno}: a shell")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_yaml_is_read_by_readers_that_make_plain_values(path):
    kinds = {
        ast.unparse(keyword.value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "YAML"
        for keyword in node.keywords
        if keyword.arg == "typ"
    }
    assert kinds <= {"'safe'", "'rt'"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_numpy_reads_no_pickles(path):
    """np.load's default is that of the installed NumPy: it is said each time."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
            assert "allow_pickle" in {keyword.arg for keyword in node.keywords}


RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    {run}
except SystemExit as left:
    assert not left.code, left.code
heavy = {{"tensorflow", "keras", "mpi4py", "torch", "jax", "pandas", "sklearn",
    "optuna", "scipy"}}
print("loaded:", *sorted(heavy & set(sys.modules)))
"""
HPO = "runpy.run_module('hpo', run_name='__main__')"
RISMPI = "runpy.run_path('rismpi.py', run_name='__main__')"
RISMPIGPU = "runpy.run_path('rismpigpu.py', run_name='__main__')"


def started(run: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run some Python in a process of its own, which then tells what heavy libraries it has."""
    return subprocess.run(
        [sys.executable, "-c", RUN.format(run=run), *argv],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("run", "argv"),
    [
        (HPO, ["hpo", "--help"]),
        (HPO, ["hpo", "space", "ris"]),
        (RISMPI, ["rismpi.py", "--help"]),
        (RISMPI, ["rismpi.py", "--version"]),
        (RISMPIGPU, ["rismpigpu.py", "--help"]),
        ("import hpo.report", ["-"]),
        ("import hpo.commands", ["-"]),
        ("import hpo.tracking", ["-"]),
    ],
)
def test_start_without_heavy_libraries(run, argv):
    done = started(run, *argv)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_mistyped_option_costs_no_heavy_library():
    run = f"try: {RISMPI}\n    except SystemExit as left: assert left.code == 2"
    done = started(run, "rismpi.py", "--epochs", "0")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "error: argument --epochs: expected a whole number from 1, found '0'"
        " (--help lists the options)\n"
    )
    assert done.stdout == "loaded:\n"
