"""The search's entry: options, threads, and the exit code on which all ranks agree."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo import backend, launcher, options, quiet
from hpo.errors import ExitCode, InputError, LockLostError
from hpo.stopping import Stop

if TYPE_CHECKING:
    from hpo.contract import Objective
    from hpo.world import World

_BEGAN_S = time.monotonic()


def main(
    space: Mapping[str, object] | None,
    argv: Sequence[str] | None = None,
    *,
    device: str = "cpu",
    objective: Objective | None = None,
) -> int:
    """Run a search from a script; give the exit code.

    Args:
        space: the script's own search space, used unless the options name another; None if it has
            none.
        argv: the options; those of the command line if None.
        device: cpu, or gpu to give each rank one.
        objective: what is searched; default: what the options name, or the built-in networks.
    """
    quiet.show_anything()
    is_first = launcher.is_first()
    try:
        chosen = options.parse(argv, is_first=is_first, device=device)
        if space is None and chosen.space is None:
            raise InputError("--space: expected a search space, found none")
        if objective is not None and (chosen.objective or chosen.command):
            raise InputError("--objective: expected none, as the script has its own")
        if objective is None and not (chosen.objective or chosen.command):
            backend.chosen()
    except InputError as error:
        return refuse(error, is_first=is_first)
    stop = Stop(chosen.time_limit_min, started_s=_BEGAN_S)
    stop.listen()
    backend.prepare(chosen.threads, device)
    level = logging.ERROR if chosen.quiet else logging.WARNING
    console = quiet.Console()
    console.setLevel(level)
    logger = logging.getLogger("hpo")
    logger.handlers[:] = [console]  # none of an earlier search of this process
    logger.setLevel(logging.DEBUG if chosen.verbose else logging.INFO)

    world = None
    try:
        # Only now, as NumPy and MPI read their threads when they are loaded, and a mistyped
        # option should cost nothing.
        from hpo import story
        from hpo.world import World

        world = World()
        return story.run(world, chosen, space or {}, stop, objective)
    except InputError as error:
        return refuse(error, is_first=is_first)
    except LockLostError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return _abort(world, error.exit_code)
    except BrokenPipeError:
        quiet.say_no_more()
        return _abort(world, ExitCode.FAILED)
    except KeyboardInterrupt:
        print("interrupted: leaving at once; nothing that was finished is lost", flush=True)
        return _abort(world, ExitCode.STOPPED)
    except BaseException:
        traceback.print_exc()
        return _abort(world, ExitCode.FAILED)


def _abort(world: World | None, code: ExitCode) -> int:
    """End all ranks: they would wait for this one for ever."""
    if world is not None:
        world.abort(code)
    return code


def refuse(error: InputError, *, is_first: bool | None = None) -> int:
    """Say what is wrong with the input, on one rank; give the exit code."""
    if launcher.is_first() if is_first is None else is_first:
        print(f"error: {error}", file=sys.stderr, flush=True)
    return error.exit_code
