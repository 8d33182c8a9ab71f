"""What can go wrong, and the exit code of each kind.

HpoError
├── InputError      what the user gave does not fit: options, space, data, run directory
├── LockLostError   another start has taken over this run directory
└── DivergedError   one trial's loss is not a number any more (a result, not the search's end)
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


class DivergedError(HpoError):
    """The loss of a trial is not finite; training it again would give the same."""
