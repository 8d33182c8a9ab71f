"""Objectives that are functions of a user's: found by name, or made by `@hpo.objective`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo import prepared, source
from hpo.contract import Context, Objective, Setting, refuse
from hpo.epochs import SCORE
from hpo.errors import InputError
from hpo.options import Options
from hpo.prepared import Prepared
from hpo.terms import OpenTerms, Terms, nearest
from hpo.trial import MAXIMIZE, MINIMIZE, Config
from hpo.world import World

Function = Callable[..., Any]


class FunctionObjective(Objective):
    """A function of a configuration, and of its trial if it takes two."""

    def __init__(
        self,
        function: Function,
        *,
        version: int | str | None = None,
        metric: str = SCORE,
        goal: str | None = None,
        defaults: Mapping[str, object] | None = None,
        prepare: Callable[..., Mapping[str, Any]] | None = None,
        cost: Callable[[Config], float] | None = None,
        start: Callable[[Setting], None] | None = None,
    ) -> None:
        """Take a function; see `objective`."""
        self.function = function
        self.__doc__ = function.__doc__
        self.metric, self.goal = metric, goal
        self._defaults = dict(defaults or {})
        self._prepare, self._cost, self._start = prepare, cost, start
        where = getattr(function, "__module__", None) or "function"
        self.name = f"{_stem(where)}:{getattr(function, '__name__', type(function).__name__)}"
        if goal not in (None, MAXIMIZE, MINIMIZE):
            raise InputError(
                f"{self.name}: goal: expected {MAXIMIZE} or {MINIMIZE}, found {goal!r}"
            )
        self._given_version = version
        self._takes_trial = _takes_trial(function, self.name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    @property
    def version(self) -> int | str:
        """The one that is given, or a hash of its source."""
        if self._given_version is None:
            try:
                self._given_version = source.version(self.function, self._defaults)
            except (OSError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{self.name}: expected a version, as its source cannot be read ({error});"
                    " give --objective-version, or version= to @hpo.objective"
                ) from error
        return self._given_version

    @version.setter
    def version(self, value: int | str) -> None:
        self._given_version = value

    def check(self, options: Options) -> None:
        names = ("test", "refit", "precision", "deterministic")
        refuse(options, names, "an objective of one's own")

    def terms(self, data: Mapping[str, Any] | None = None) -> Terms:
        return OpenTerms(self._defaults, self._cost)

    def load(self, world: World, options: Options) -> Prepared:
        if self._prepare is None:
            return world.on_root(lambda: prepared.of_path(options.data))
        arrays: list[Mapping[str, Any]] = []  # on the root alone
        world.on_root(lambda: arrays.append(self._prepared(options.data)))
        found = prepared.share(world, options.data or "none", arrays[0] if world.is_root else None)
        return replace(found, path=os.path.abspath(options.data)) if options.data else found

    def _prepared(self, path: str | None) -> Mapping[str, Any]:
        prepare = self._prepare
        assert prepare is not None
        try:
            takes_path = bool(inspect.signature(prepare).parameters)
            found: Mapping[str, Any] = prepare(path) if takes_path else prepare()
            return found
        except Exception as error:
            raise InputError(
                f"{self.name}: expected prepare to give arrays by name, but it raised"
                f" {_reason(error)}"
            ) from error

    def open(self, world: World, setting: Setting) -> None:
        torch = sys.modules.get("torch")
        if torch is not None:  # it may have been loaded before its threads were said
            torch.set_num_threads(setting.threads)
        if self._start is not None:
            self._start(setting)

    def train(self, config: Config, trial: Context) -> object:
        return self.function(config, trial) if self._takes_trial else self.function(config)


def objective(
    function: Function | None = None,
    *,
    version: int | str | None = None,
    metric: str = SCORE,
    goal: str | None = None,
    defaults: Mapping[str, object] | None = None,
    prepare: Callable[..., Mapping[str, Any]] | None = None,
    cost: Callable[[Config], float] | None = None,
    start: Callable[[Setting], None] | None = None,
) -> Any:
    """Say of a function what a search should know; `@hpo.objective(metric="val_loss")`.

    Args:
        version: another one where the same configuration gives another result; without it, a hash
            of the function's source and of what it uses of its own module.
        metric: by which trials are compared, where the search's options name none.
        goal: maximize or minimize; default: a loss or an error is to fall, all else to rise.
        defaults: complete a configuration; with them, other names in a space are refused.
        prepare: makes the data, a dictionary of NumPy arrays, once, on rank 0; it may take the
            path that --data names. Every trial finds them in `trial.data`.
        cost: guesses the seconds of a configuration, so that long trials start first.
        start: called once on each rank before its first trial, with device, threads and data.
    """

    wrap = partial(
        FunctionObjective,
        version=version,
        metric=metric,
        goal=goal,
        defaults=defaults,
        prepare=prepare,
        cost=cost,
        start=start,
    )
    return wrap if function is None else wrap(function)


def find(target: str) -> Objective:
    """Import what --objective names: `package.module:function` or `path/file.py:function`.

    Raises:
        InputError: saying what cannot be imported and why, or what is no function.
    """
    what = f"--objective {target}"
    before, colon, name = target.rpartition(":")
    if not (colon and before and name):
        raise InputError(f"{what}: expected package.module:function or path/file.py:function")
    if before.endswith(".py") and not Path(before).is_file():
        raise InputError(f"{what}: expected a file {before}, found none")
    try:
        module = _from_file(Path(before)) if before.endswith(".py") else _from_path(before)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{what}: expected a module that can be imported, but it raised {_reason(error)}"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        functions = [key for key, value in vars(module).items() if callable(value)]
        raise InputError(f"{what}: expected a function {name!r} in it; {nearest(name, functions)}")
    return of(found, what)


def of(found: object, what: str) -> Objective:
    """Take a function, or what `@hpo.objective` has made of one.

    Raises:
        InputError: if it is neither.
    """
    if isinstance(found, Objective):
        return found
    if not callable(found):
        raise InputError(
            f"{what}: expected a function, found {type(found).__name__} {found!r:.60}"
        )
    return FunctionObjective(found)


def _from_file(path: Path) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"objective_{path.stem}"
    sys.path.insert(0, str(path.parent.absolute()))  # its own neighbours
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # its name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _stem(module: str) -> str:
    """Name a module the same whether it was run, imported from a file, or by its own name."""
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "main").stem
    return module.removeprefix("objective_")


def _takes_trial(function: Function, name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of C, which has no signature
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.default is p.empty and p.kind in kinds]
    positional = [p for p in parameters if p.kind in kinds]
    is_open = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 2 or not (positional or is_open):
        raise InputError(
            f"{name}: expected a function of a configuration, or of a configuration and a trial,"
            f" found {name.rpartition(':')[2]}{inspect.signature(function)}"
        )
    return is_open or len(positional) > 1


def _reason(error: BaseException) -> str:
    """Say what was raised, and where in the user's code."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(("<", str(_HERE)))]
    place = f" ({_shown(own[-1].filename)}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def _shown(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


_HERE = Path(__file__).parent
