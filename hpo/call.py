"""`hpo.search`: a search as a call from a script, the same as from the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo import cli
from hpo.contract import Objective
from hpo.errors import ExitCode, InputError
from hpo.function import of
from hpo.options import Options, parse
from hpo.trial import Config


@dataclass(frozen=True)
class Answer:
    """The best of a finished search.

    Attributes:
        score: of the trial, or its mean where finalists were trained again.
        run: the run directory.
    """

    config: Config
    score: float
    trial_id: str
    run: Path


def search(
    function: Callable[..., Any] | Objective,
    space: Mapping[str, object] | str | Path,
    *,
    argv: Sequence[str] = (),
    device: str = "cpu",
    **options: Any,
) -> Answer:
    """Search a function's hyperparameters on all ranks that this script was started on.

    Args:
        function: of a configuration, or of a configuration and an `hpo.Context`.
        space: values of each hyperparameter, or the path of a search space.
        argv: options as on the command line, which replace those given by name: pass
            `sys.argv[1:]` to let whoever starts the script give some.
        device: cpu, or gpu to give each rank one.
        options: those of the command line by name: `out="results"`, `time_limit=30`, `fresh=True`.

    Returns:
        The best, on every rank, once the search is finished.

    Raises:
        SystemExit: with 2 after a line that says what is wrong with the input, with 75 if the
            search was stopped early, and with 1 if every trial failed: what a job file asks for.
    """
    words = [*_words(options), *argv]
    inner: Mapping[str, object] = {}
    if isinstance(space, Mapping):
        inner = space
    else:
        words = ["--space", str(space), *words]
    try:
        objective = of(function, "hpo.search")
    except InputError as error:
        raise SystemExit(cli.refuse(error)) from error
    code = cli.main(inner, words, device=device, objective=objective)
    if code != ExitCode.DONE:
        raise SystemExit(code)
    return _answer(parse(words, is_first=False, device=device))


def _words(options: Mapping[str, Any]) -> list[str]:
    """Write options as a command line has them."""
    words = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, list | tuple):
            words += [word for one in value for word in (option, str(one))]
        elif value is not None and value is not False:
            words += [option, str(value)]
    return words


def _answer(options: Options) -> Answer:
    from hpo import publish, record
    from hpo.rundir import RunDir

    run = RunDir(options.out)
    now = publish.standing(run, record.read(run))
    assert now.best is not None
    assert now.best_score is not None
    trial = now.best[0]
    return Answer(dict(trial.config), now.best_score, trial.id, run.root)
