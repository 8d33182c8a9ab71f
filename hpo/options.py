"""The options of a search, from the command line."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hpo import __version__, tracker
from hpo.commandline import USUAL_OUT, Parser, at_least, default_out
from hpo.errors import InputError
from hpo.hyperparameters import METRICS
from hpo.pruning import NAMES as PRUNERS
from hpo.pruning import Pruning
from hpo.trial import MAXIMIZE, MINIMIZE, Aim, usual_goal

MODEL_BASED = ("tpe", "gp", "cmaes", "nsga2")
SAMPLERS = ("grid", "random", "sobol", "lhs", *MODEL_BASED)

EPILOG = """\
exit codes: 0 done, 1 failed, 2 bad input, 75 stopped early: run the same command again to go on
"""


@dataclass(frozen=True)
class Options:
    """What the user chose; see `parser` for what each means."""

    data: str | None = None
    test: str | None = None
    space: str | None = None
    set: tuple[str, ...] = ()
    objective: str | None = None
    objective_version: str | None = None
    command: str | None = None
    ranks_per_trial: int = 1
    schedule: str = "dynamic"
    shard: tuple[int, int] | None = None
    epochs: int | None = None
    seed: int = 33
    threads: int = 1
    retries: int = 1
    trial_time_limit_min: float | None = None
    out: str = USUAL_OUT
    fresh: bool = False
    time_limit_min: float | None = None
    retry_failed: bool = False
    # Of these None means: what the search space's file says, else the usual.
    sampler: str | None = None
    trials: int | None = None
    metric: str | None = None
    goal: str | None = None
    pruner: str | None = None
    eta: int | None = None
    min_epochs: int | None = None
    patience: int | None = None
    finalists: int = 0
    repeats: int = 3
    refit: bool = False
    notify: str | None = None
    track: tuple[str, ...] = ()
    quiet: bool = False
    verbose: bool = False
    precision: str = "float32"
    deterministic: bool = False
    device: str = "cpu"  # or gpu: which entry was started; no option

    @property
    def aim(self) -> Aim:
        metric = self.metric or Aim.metric
        return Aim(metric, self.goal or usual_goal(metric))

    @property
    def pruning(self) -> Pruning:
        return Pruning.of(asdict(self))


_NAMES = [field.name for field in fields(Options) if field.name != "device"]


def parse(argv: Sequence[str] | None, *, is_first: bool, device: str = "cpu") -> Options:
    """Read the command line.

    Args:
        is_first: whether this rank prints; the others leave without a word.
        device: which entry was started, cpu or gpu.

    Raises:
        InputError: saying what is wrong.
        SystemExit: after --help or --version.
    """
    arguments = parser(is_first=is_first).parse_args(argv)
    values = {name: getattr(arguments, name) for name in _NAMES}
    track = tuple(dict.fromkeys(arguments.track))
    chosen = {"set": tuple(arguments.set), "track": track, "device": device}
    options = Options(**values | chosen)
    for name in ("data", "test", "out"):
        if getattr(options, name) == "":  # an unset variable in a job file
            raise InputError(f"--{name}: expected a path, found ''")
    _check_objective(options)
    if options.fresh and options.shard:
        raise InputError("--fresh: expected no --shard beside it, as shards share a directory")
    for name in ("precision", "deterministic"):
        if device == "cpu" and getattr(options, name) != getattr(Options, name):
            raise InputError(f"--{name}: expected rismpigpu.py, found the entry for CPUs")
    return options


def _check_objective(options: Options) -> None:
    own = [name for name in ("objective", "command") if getattr(options, name) is not None]
    if len(own) > 1:
        raise InputError("--command: expected no --objective beside it")
    if own and options.space is None:
        raise InputError(f"--{own[0]}: expected --space beside it, found no search space")
    if options.objective_version is not None and not own:
        raise InputError(
            "--objective-version: expected --objective or --command beside it, found neither"
        )
    if options.trial_time_limit_min is not None and options.command is None:
        raise InputError("--trial-time-limit: expected --command beside it, found none")


def parser(*, is_first: bool = True) -> argparse.ArgumentParser:
    """Describe the options of a search."""
    is_module = Path(sys.argv[0]).name == "__main__.py"
    parser = Parser(
        prog="python -m hpo search" if is_module else None,
        description="Search hyperparameters over MPI, of Keras networks or of code of one's own:"
        " mpirun -np N python rismpi.py [options]",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.speaks = lambda: is_first
    add = parser.add_argument
    add(
        "--data",
        metavar="PATH",
        help="images: CSV (label,pixel0,…; may be gzipped), .npz with x"
        " and y, or idx; default ./train.csv, else scikit-learn's digits",
    )
    add("--test", metavar="PATH", help="CSV without labels; answers go to submission.csv")
    add(
        "--space",
        metavar="PATH|NAME",
        help="a search space: a YAML file, quick, ris or big; default the one in the script",
    )
    add(
        "--set",
        metavar="KEY=V[,V…]",
        action="append",
        default=[],
        help="replace one hyperparameter's values",
    )
    add(
        "--objective",
        metavar="MODULE:FUNCTION",
        help="search a function of one's own (package.module:function or path/file.py:function;"
        " docs/objectives.md) instead of the built-in networks; wants --space",
    )
    add(
        "--command",
        metavar="'PROGRAM …'",
        help="search any program: 'python train.py {spec}' (docs/objectives.md); wants --space",
    )
    add(
        "--objective-version",
        metavar="TEXT",
        help="of --objective or --command: another one where the same configuration gives another"
        " result (default: a hash of its source)",
    )
    add(
        "--ranks-per-trial",
        metavar="K",
        type=at_least(1),
        default=Options.ranks_per_trial,
        help="ranks that train one trial together (default %(default)s)",
    )
    add(
        "--schedule",
        choices=("dynamic", "scatter"),
        default=Options.schedule,
        help="ask for each trial, or deal equal shares at the start (default %(default)s)",
    )
    add("--shard", metavar="I/N", type=shard, help="only every N-th trial, from the I-th")
    add("--epochs", metavar="N", type=at_least(1), help="the same as --set epochs=N")
    add(
        "--seed",
        metavar="N",
        type=at_least(0),
        default=Options.seed,
        help="of the split, the first weights and all other chance (default %(default)s)",
    )
    add(
        "--threads",
        metavar="N",
        type=at_least(1),
        default=Options.threads,
        help="per rank (default %(default)s: one rank per core is the fastest)",
    )
    add(
        "--retries",
        metavar="N",
        type=at_least(0),
        default=Options.retries,
        help="of a trial that raises an error (default %(default)s)",
    )
    add(
        "--out",
        metavar="DIR",
        default=default_out(),
        help="where the run lives; an unfinished one is continued (default %(default)s;"
        " HPO_OUT in the environment sets another)",
    )
    add("--fresh", action="store_true", help="rename what is in --out and start anew")
    add(
        "--time-limit",
        metavar="MIN",
        type=_minutes,
        dest="time_limit_min",
        help="stop in good order before this many minutes have passed",
    )
    add(
        "--trial-time-limit",
        metavar="MIN",
        type=_minutes,
        dest="trial_time_limit_min",
        help="with --command: end a trial's program after this many minutes; the trial has failed",
    )
    add("--retry-failed", action="store_true", help="train failed trials again")
    add(
        "--sampler",
        choices=SAMPLERS,
        help="which combinations: all of the grid (default), or --trials of them, drawn at random,"
        " evenly spread (sobol, lhs), or proposed by a model of the results (tpe, gp, cmaes,"
        " nsga2: pip install optuna)",
    )
    add("--trials", metavar="N", type=at_least(1), help="how many, where it is not the grid")
    add(
        "--metric",
        metavar="NAME",
        help=f"by which trials are compared: {', '.join(METRICS)} (default {Aim.metric})",
    )
    add(
        "--goal", choices=(MAXIMIZE, MINIMIZE), help="default: a loss is to fall, all else to rise"
    )
    add(
        "--finalists",
        metavar="K",
        type=at_least(0),
        default=Options.finalists,
        help="train the best K again with other seeds, and let their means decide",
    )
    add(
        "--repeats",
        metavar="R",
        type=at_least(1),
        default=Options.repeats,
        help="of each finalist (default %(default)s)",
    )
    add("--refit", action="store_true", help="train the winner once more on all images")
    add(
        "--pruner",
        choices=PRUNERS,
        help=f"stop trials that fall behind (default {Pruning.pruner})",
    )
    add(
        "--eta",
        metavar="N",
        type=at_least(2),
        help=f"asha, hyperband: one in N goes on to N times the epochs (default {Pruning.eta})",
    )
    add(
        "--min-epochs",
        metavar="N",
        type=at_least(1),
        help=f"no trial is stopped before (default {Pruning.min_epochs})",
    )
    add(
        "--patience",
        metavar="N",
        type=at_least(1),
        help="with --pruner patience: stop after N epochs without a better score"
        f" (default {Pruning.patience})",
    )
    add(
        "--track",
        metavar="NAME",
        action="extend",
        type=tracker.names,
        default=[],
        help=f"show trials elsewhere as well: {', '.join(tracker.NAMES)}; may be given several"
        " times",
    )
    add("--quiet", action="store_true", help="print only the end")
    add("--verbose", action="store_true", help="print every result; search.log has every epoch")
    add(
        "--notify",
        metavar="COMMAND",
        help="run this program at the end, at a stop and at the first failed trial, with the facts"
        " in its environment (docs/watching.md)",
    )
    add(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        default=Options.precision,
        help="rismpigpu.py: of layers; weights stay float32 (default %(default)s)",
    )
    add(
        "--deterministic",
        action="store_true",
        help="rismpigpu.py: the same bits at every run on GPUs of one kind; slower",
    )
    add("--version", action="version", version=f"hpo {__version__}")
    return parser


def _minutes(text: str) -> float:
    try:
        value = float(text)
        if not 0 < value < float("inf"):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected minutes above 0, found {text!r}") from None
    return value


def shard(text: str) -> tuple[int, int]:
    """Read I/N.

    Raises:
        argparse.ArgumentTypeError: if it is something else.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, found {text!r}")
    return int(match[1]), int(match[2])
