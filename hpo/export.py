"""`hpo export`: a run for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hpo.commandline import default_out
from hpo.errors import ExitCode, InputError

FORMATS = ("optuna", "cv-results")


def add_parser(commands: Any) -> None:
    export = commands.add_parser("export", help="give a run to Optuna, or as scikit-learn has it")
    export.add_argument("dir", nargs="?", default=default_out(), metavar="DIR")
    export.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("FORMAT", "FILE"),
        help="optuna FILE|URL: a study in an SQLite file (.db), a journal file (any other name) or"
        " a database; what is in it already stays. cv-results FILE.json: the arrays of"
        " scikit-learn's cv_results_",
    )
    export.add_argument("--name", help="of the study; default: the run directory's")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    form, target = arguments.to
    if form not in FORMATS:
        raise InputError(f"--to: expected one of {', '.join(FORMATS)}, found {form!r}")
    if form == "optuna":
        from hpo import optunastudy

        study = optunastudy.to_optuna(arguments.dir, target, arguments.name)
        n = len(study.get_trials(deepcopy=False))
        print(f"{target}: study {study.study_name} has {n:,} trial{'s' if n > 1 else ''}")
        return ExitCode.DONE
    if arguments.name is not None:
        raise InputError(f"--name: expected --to optuna, found --to {form}")
    from hpo import cvresults

    n = cvresults.save(arguments.dir, Path(target))
    print(f"{target}: {n:,} trial{'s' if n > 1 else ''}")
    return ExitCode.DONE
