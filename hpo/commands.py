"""`python -m hpo COMMAND`: look at a space or a run, make a run's files again, ask its model."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo import (
    architecture,
    artifacts,
    bestconfig,
    cli,
    compare,
    cost,
    datafile,
    export,
    gathering,
    hyperparameters,
    lock,
    quiet,
    sampling,
    spacefile,
    spacetext,
    status,
    submit,
    tracking,
    watch,
)
from hpo.classifierterms import ANY_IMAGES, ClassifierTerms
from hpo.commandline import Parser, default_out
from hpo.duration import duration
from hpo.errors import ExitCode, InputError
from hpo.rundir import RunDir, write_whole
from hpo.space import Combinations
from hpo.written import Written

# Costs of at most this many kinds of trials are added up; of more, an even sample.
_SAMPLE = 10_000
_BUNDLED_SIDE, _BUNDLED_IMAGES, _CLASSES = 8, 1797, 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    quiet.show_anything()
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["search"]:
        on_gpus = words[1:3] == ["--device", "gpu"]
        return cli.main(None, words[3 if on_gpus else 1 :], device="gpu" if on_gpus else "cpu")
    try:
        arguments = _parser().parse_args(argv)
        return int(arguments.run(arguments))
    except BrokenPipeError:
        quiet.say_no_more()
        return ExitCode.FAILED
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> Parser:
    parser = Parser(prog="python -m hpo", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    space = commands.add_parser("space", help="count and show a search space")
    space.add_argument(
        "space",
        nargs="?",
        default="rismpi.py",
        metavar="FILE|NAME",
        help="a space, sweep, job specification, params.yaml, CSV or Excel table (docs/spaces.md),"
        " a script with SPACE = {…}, quick, ris or big; default rismpi.py",
    )
    space.add_argument("--set", action="append", default=[], metavar="KEY=V[,V…]")
    space.add_argument(
        "--data",
        metavar="PATH",
        help="the images to estimate the cost for; default ./train.csv if it is there,"
        " else scikit-learn's digits",
    )
    space.add_argument(
        "--convert",
        nargs="?",
        const="-",
        metavar="OUT.yaml",
        help="write it as this program's own YAML; default: standard output",
    )
    space.set_defaults(run=_space)

    # Its options are those of rismpi.py, which reads them itself; see `main`.
    commands.add_parser(
        "search", add_help=False, help="search: the same as rismpi.py, from anywhere"
    )

    status.add_parser(commands)
    watch.add_parser(commands)
    tracking.add_parser(commands)
    artifacts.add_parser(commands)
    submit.add_parsers(commands)

    report = commands.add_parser("report", help="make a run's files again from its journal")
    report.add_argument("dir", nargs="?", default=default_out(), metavar="DIR")
    report.add_argument(
        "--figures",
        metavar="FOLDER",
        help="draw pictures into it, too (needs matplotlib; docs/export.md)",
    )
    report.add_argument("--format", choices=("png", "svg"), help="of the pictures; default png")
    report.set_defaults(run=_report)

    predict = commands.add_parser("predict", help="answer new images with a run's best model")
    predict.add_argument("dir", metavar="DIR")
    predict.add_argument("csv", metavar="CSV", help="images as for --test")
    predict.add_argument("--out", metavar="FILE", help="default: standard output")
    predict.set_defaults(run=_predict)

    bestconfig.add_parser(commands)
    export.add_parser(commands)
    compare.add_parser(commands)
    return parser


def _space(arguments: argparse.Namespace) -> int:
    written = spacefile.with_set(spacefile.read(arguments.space), arguments.set)
    if arguments.convert is not None:
        return _convert(written, arguments.convert)
    is_known = all(name in hyperparameters.TABLE for name in written.names)
    if is_known:
        sampling.check(written, ANY_IMAGES)
    if written.continuous:
        print(_sampled(written))
    elif is_known:
        print(_counted(sampling.grid(written, ANY_IMAGES), arguments.data))
    else:
        print(f"{_combinations(written.grid({}, {}))}, {_unknown(written)}")
    print("\n".join(spacetext.lines(written)))
    return ExitCode.DONE


def _convert(written: Written, out: str) -> int:
    """Write a space as this program's own YAML."""
    text = spacetext.yaml(written)
    if out == "-":
        sys.stdout.write(text)
    else:
        try:
            write_whole(Path(out), text)
        except OSError as error:
            raise InputError(f"--convert {out}: {error.strerror}") from error
    return ExitCode.DONE


def _combinations(grid: Combinations) -> str:
    return f"{grid.count:,} combination{'s' if grid.count > 1 else ''}"


def _sampled(written: Written) -> str:
    n, n_continuous = len(written.names), len(written.continuous)
    return (
        f"{n} hyperparameter{'s' if n > 1 else ''}, {n_continuous} of them continuous"
        f"{_to_give(written.settings)}"
    )


def _to_give(settings: Mapping[str, object]) -> str:
    """Say what a search of a continuous space needs that its file does not say."""
    has_sampler = settings.get("sampler", "grid") != "grid"
    lacking = [] if has_sampler else ["--sampler"]
    lacking += [] if "trials" in settings else ["--trials"]
    return f": give {' and '.join(lacking)}" if lacking else ""


def _unknown(written: Written) -> str:
    unknown = [name for name in written.names if name not in hyperparameters.TABLE]
    shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
    return f"of hyperparameters that the built-in networks do not have: {shown}"


def _counted(grid: Combinations, data: str | None) -> str:
    """Say how many combinations there are and what they cost."""
    side, n_images = _BUNDLED_SIDE, _BUNDLED_IMAGES
    data_path = data or datafile.default_path()
    if data_path != datafile.BUNDLED:
        side, n_images = _size(data_path)
    ClassifierTerms(side, n_images, _CLASSES).check_fit(grid)
    seconds, n_flop = _cost(grid, side, n_images)
    networks = grid.project(hyperparameters.NETWORK_NAMES).count
    seconds += networks * cost.COMPILE_S
    return (
        f"{_combinations(grid)}, {networks:,} network{'s' if networks > 1 else ''},"
        f" about {duration(seconds)} of one core ({n_flop / 1e12:,.1f} TFLOP)"
        f" for {n_images:,} images of {side}×{side}"
    )


def _size(path: str) -> tuple[int, int]:
    from hpo import data, world  # what reads and checks images; half a second

    found = data.load(world.World(), path)
    return found.side, found.n_images


def _cost(grid: Combinations, side: int, n_images: int) -> tuple[float, float]:
    """Estimate core-seconds and floating-point operations of a whole grid, without building it."""
    kinds = grid.project(hyperparameters.COST_NAMES)
    step = math.ceil(kinds.count / _SAMPLE)
    sampled = range(0, kinds.count, step)
    seconds = n_flop = 0.0
    for index in sampled:
        config = hyperparameters.complete(kinds[index], side)
        work = architecture.multiply_adds(architecture.layers(config, side, _CLASSES))
        seconds += cost.predicted_s(config, n_images, work)
        n_flop += cost.flop(config, n_images, work)
    scale = grid.count / len(sampled)
    return seconds * scale, n_flop * scale


def _report(arguments: argparse.Namespace) -> int:
    from hpo import canvas, publish, record, webreport

    if arguments.figures is None and arguments.format is not None:
        raise InputError("--format: expected --figures FOLDER beside it, found none")
    run = RunDir(arguments.dir)
    its = record.read(run)
    if arguments.figures is not None:
        canvas.check_installed()
    if not (alive := lock.alive(run.state)):
        gathering.take_over_all(run, alive)
    standing = publish.publish(run, its, publish.standing(run, its).trials)
    webreport.write(run)
    print(f"{run}: {standing.sentence()}")
    print(f"a report to look at is in {run.report}")
    if arguments.figures is not None:
        _draw(run, Path(arguments.figures), arguments.format or "png")
    if publish.missing_model(run, its, standing):
        raise InputError(
            f"{run}: expected the winner's model in {run.models}, found none; run the search"
            " again, it trains this one trial once more for it"
        )
    return ExitCode.DONE


def _draw(run: RunDir, folder: Path, form: str) -> None:
    from hpo import pictures

    written, left_out = pictures.write(run.root, folder, form)
    n = len(written)
    names = ", ".join(path.name for path in written)
    print(f"{n} picture{'' if n == 1 else 's'} in {folder}{': ' if names else ''}{names}")
    for why in left_out:
        print(f"  left out {why}")


def _predict(arguments: argparse.Namespace) -> int:
    from hpo import bestmodel, data, record

    run = RunDir(arguments.dir)
    its = record.read(run)
    if not bestmodel.is_builtin(its):
        raise InputError(
            f"{run}: expected a search of the built-in networks, found one of"
            f" {its.identity['objective']}; its model is in {run.best_folder}"
        )
    if not run.best_model.exists():
        raise InputError(f"{run}: expected a best_model.keras, found none yet")
    text = bestmodel.answers_csv(run, data.load_unlabelled(arguments.csv, its.data["side"]))
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        try:
            write_whole(Path(arguments.out), text)
        except OSError as error:
            raise InputError(f"--out {arguments.out}: {error.strerror}") from error
    return ExitCode.DONE
