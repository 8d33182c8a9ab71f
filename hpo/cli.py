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
    from hpo.world import World

_BEGAN_S = time.monotonic()


def main(
    space: Mapping[str, object], argv: Sequence[str] | None = None, *, device: str = "cpu"
) -> int:
    """Run a search from a script; give the exit code.

    Args:
        space: the script's own search space, used unless the options name another.
        argv: the options; those of the command line if None.
        device: cpu, or gpu to give each rank one.
    """
    quiet.show_anything()
    is_first = launcher.is_first()
    try:
        chosen = options.parse(argv, is_first=is_first, device=device)
        backend.chosen()
    except InputError as error:
        return _refuse(error, is_first=is_first)
    stop = Stop(chosen.time_limit_min, started_s=_BEGAN_S)
    stop.listen()
    backend.prepare(chosen.threads, device)
    level = logging.ERROR if chosen.quiet else logging.WARNING
    console = quiet.Console()
    console.setLevel(level)
    logging.getLogger("hpo").addHandler(console)
    logging.getLogger("hpo").setLevel(logging.INFO)

    world = None
    try:
        # Only now, as NumPy and MPI read their threads when they are loaded, and a mistyped
        # option should cost nothing.
        from hpo import search
        from hpo.world import World

        world = World()
        return search.run(world, chosen, space, stop)
    except InputError as error:
        return _refuse(error, is_first=is_first)
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


def _refuse(error: InputError, *, is_first: bool) -> int:
    if is_first:
        print(f"error: {error}", file=sys.stderr, flush=True)
    return error.exit_code
