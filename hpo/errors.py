"""What can go wrong, and the exit code of each kind.

HpoError
├── InputError      what the user gave does not fit: options, space, data, run directory
├── FilesError      a file of the run directory cannot be written
├── LockLostError   another start has taken over this run directory
├── CommandError    one trial's command ended badly (a result, no end)
├── DivergedError   one trial's loss is no number any more, or too large (a result, no end)
└── ContractError   one trial's objective told what is no result (a result, no end)
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    DONE = 0
    FAILED = 1  # every trial failed, or this program did
    BAD_INPUT = 2
    STOPPED = 75  # EX_TEMPFAIL of sysexits.h: run the same command again to go on


class HpoError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = ExitCode.FAILED


class InputError(HpoError):
    """Something the user gave; the message says what was expected, what was found and where."""

    exit_code = ExitCode.BAD_INPUT


class LockLostError(HpoError):
    """The lock of the run directory belongs to another start now."""


class FilesError(HpoError):
    """A file of the run directory cannot be read or written."""


class CommandError(HpoError):
    """A trial's command has failed; another try may help."""


class DivergedError(HpoError):
    """A trial's loss is not finite or above its limit; training it again would give the same."""


class ContractError(HpoError):
    """An objective told what no trial may tell; trying again would give the same."""
