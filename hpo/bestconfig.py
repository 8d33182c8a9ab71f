"""`hpo best`: a run's best configuration, for people and for other programs."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from hpo import template
from hpo.commandline import default_out
from hpo.errors import ExitCode
from hpo.report import best_params, settings_text
from hpo.rundir import RunDir

FORMATS = ("text", "json", "yaml", "args")


def add_parser(commands: Any) -> None:
    best = commands.add_parser(
        "best", help="print a run's best configuration: exit 75 if there is none yet, 1 if never"
    )
    best.add_argument("dir", nargs="?", default=default_out(), metavar="DIR")
    best.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text: as best_params.txt (default); json, yaml: the hyperparameters alone;"
        " args: --name value, quoted for a shell",
    )
    best.add_argument(
        "--complete", action="store_true", help="with the defaults of what was not searched"
    )
    best.set_defaults(run=_best)


def _best(arguments: argparse.Namespace) -> int:
    from hpo import knownterms, publish, record  # with NumPy, which --help should not wait for

    run = RunDir(arguments.dir)
    its = record.read(run)
    standing = publish.standing(run, its)
    if standing.best is None:
        print(f"{run}: no trial has a score: {standing.sentence()}", file=sys.stderr)
        return ExitCode.FAILED if standing.is_finished else ExitCode.STOPPED
    config = standing.best[0].config
    complete = knownterms.of_run(its).complete(config) if arguments.complete else config
    if arguments.format == "text":
        more = {name: value for name, value in complete.items() if name not in config}
        sys.stdout.write(best_params(standing) + settings_text(more))
    else:
        sys.stdout.write(written(complete, arguments.format))
    return ExitCode.DONE


def written(config: Mapping[str, object], form: str) -> str:
    """Write a configuration as json, yaml or args."""
    if form == "json":
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    if form == "yaml":
        return settings_text(config)
    return command_line(config) + "\n"


def command_line(config: Mapping[str, object]) -> str:
    """Write a configuration as options: names as they are, text as it is, all else as JSON.

    Values are those of `{name}` in --command. Lists have no spaces, so that they stay one word
    where a shell splits what another program has written.
    """
    return " ".join(_option(name, value) for name, value in config.items())


def _option(name: str, value: object) -> str:
    if isinstance(value, list | tuple):
        word = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        word = template.word_of(value)
    if word.startswith("-"):  # most parsers take -1e-05 for an option of its own
        return shlex.quote(f"--{name}={word}")
    return f"{shlex.quote(f'--{name}')} {shlex.quote(word)}"
