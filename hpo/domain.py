"""What one hyperparameter may be: a list of values, a range, or a normal distribution."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist

from hpo.errors import InputError

Number = int | float

# A grid holds each hyperparameter's values, though never their combinations.
MOST_VALUES = 1_000_000
_LEAST_SHARE = 2.0**-53  # a normal distribution has no value at 0
_MOST_SIGMAS = 9  # beyond what any share asks for
_RARE = 0.00135  # lies beyond three sigmas
_LARGEST_EXPONENT = math.log(1e300)


@dataclass(frozen=True)
class Choices:
    """Some values, equally likely or with these probabilities.

    Raises:
        InputError: if there are no values, or the probabilities do not fit them.
    """

    values: tuple[object, ...]
    probabilities: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise InputError("expected at least one value, found an empty list")
        shares = self.probabilities
        if shares is None:
            return
        if len(shares) != len(self.values):
            raise InputError(
                f"expected {len(self.values)} probabilities, one for each value,"
                f" found {len(shares)}"
            )
        if not all(0 <= share <= 1 for share in shares) or not math.isclose(
            math.fsum(shares), 1, abs_tol=1e-6
        ):
            raise InputError(f"expected probabilities that add up to 1, found {list(shares)}")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included, evenly spread or so in their logarithm.

    With a step they are low, low + step, …: `high` is the last of them if it is one.

    Raises:
        InputError: if there is no such range.
    """

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None
    is_integer: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise InputError(f"expected finite min and max, found {self.low} and {self.high}")
        if self.low > self.high:
            raise InputError(f"expected min up to max, found min {self.low} above max {self.high}")
        if self.log and self.low <= 0:
            raise InputError(f"expected a min above 0, as log is true, found {self.low}")
        _check_step(self.step)
        parts = (self.low, self.high, 1 if self.step is None else self.step)
        if self.is_integer and not all(float(part).is_integer() for part in parts):
            raise InputError(f"expected whole numbers as min, max and step, found {parts}")


@dataclass(frozen=True)
class Normal:
    """Normally distributed numbers, or such whose logarithm is; with a step, multiples of it.

    Raises:
        InputError: if there is no such distribution.
    """

    mean: Number
    std: Number
    log: bool = False
    step: Number | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise InputError(f"expected a finite mean, found {self.mean}")
        if not (math.isfinite(self.std) and self.std > 0):
            raise InputError(f"expected a std above 0, found {self.std}")
        _check_step(self.step)
        if self.log and abs(self.mean) + _MOST_SIGMAS * self.std > _LARGEST_EXPONENT:
            raise InputError(
                "expected mean and std of the logarithm, found numbers whose exponential is"
                f" out of bounds: {self.mean} and {self.std}"
            )


Domain = Choices | Range | Normal


def at(domain: Domain, share: float) -> object:
    """Give the value below which a share of the distribution lies (0 to below 1)."""
    if isinstance(domain, Choices):
        return domain.values[_choice(domain, share)]
    if isinstance(domain, Range):
        return _in_range(domain, share)
    value = NormalDist(domain.mean, domain.std).inv_cdf(max(share, _LEAST_SHARE))
    value = math.exp(value) if domain.log else value
    if domain.step is None:
        return value
    return _stepped(0, domain.step, round(value / domain.step))


def count(domain: Domain) -> int | None:
    """Count the values, where they are finitely many."""
    if isinstance(domain, Choices):
        return len(domain.values)
    if isinstance(domain, Range) and (domain.is_integer or domain.step is not None):
        # The last may be a little off where the step is no exact binary number.
        low, high, step = (_exact(part) for part in (domain.low, domain.high, domain.step or 1))
        return int((high - low) / step) + 1
    return 1 if isinstance(domain, Range) and domain.low == domain.high else None


def values(domain: Domain) -> list[object] | None:
    """List all values, where they are finitely many.

    Raises:
        InputError: if they are more than a grid can hold.
    """
    n = count(domain)
    if n is None:
        return None
    if n > MOST_VALUES:
        raise InputError(f"expected at most {MOST_VALUES:,} values in a grid, found {n:,}")
    if isinstance(domain, Choices):
        return list(domain.values)
    assert isinstance(domain, Range)
    return [nth(domain, index) for index in range(n)]


def ends(domain: Domain) -> list[object]:
    """Give the values that others lie between: all choices, or (nearly) the lowest and highest."""
    if isinstance(domain, Choices):
        return list(domain.values)
    if isinstance(domain, Range):
        n = count(domain)
        if n is None:
            return [float(domain.low), float(domain.high)]
        return [nth(domain, 0), nth(domain, n - 1)]
    return [at(domain, _RARE), at(domain, 1 - _RARE)]


def described(domain: Domain) -> object:
    """Write it as a plain value for YAML, which reads back as the same domain."""
    if isinstance(domain, Choices):
        if domain.probabilities is None:
            return list(domain.values)
        return {"values": list(domain.values), "probabilities": list(domain.probabilities)}
    words: dict[str, object]
    if isinstance(domain, Range):
        kind = int if domain.is_integer else float
        words = {"min": kind(domain.low), "max": kind(domain.high)}
    else:
        words = {"mean": domain.mean, "std": domain.std}
    if domain.log:
        words["log"] = True
    if domain.step is not None:
        is_integer = isinstance(domain, Range) and domain.is_integer
        words["step"] = int(domain.step) if is_integer else domain.step
    return words


def _check_step(step: Number | None) -> None:
    if step is not None and not (math.isfinite(step) and step > 0):
        raise InputError(f"expected a step above 0, found {step}")


def _choice(domain: Choices, share: float) -> int:
    last = len(domain.values) - 1
    if domain.probabilities is None:
        return min(int(share * len(domain.values)), last)
    ends = list(itertools.accumulate(domain.probabilities))
    found = bisect.bisect_right(ends, share * ends[-1])
    likely = [index for index, p in enumerate(domain.probabilities) if p > 0]
    return min(found, likely[-1])


def _in_range(domain: Range, share: float) -> object:
    n = count(domain)
    if n is None:
        low, high = float(domain.low), float(domain.high)
        return min(max(_between(low, high, share, log=domain.log), low), high)
    if not domain.log:
        return nth(domain, min(int(share * n), n - 1))
    # Each value's part is what rounds to it.
    step = domain.step or 1
    low = max(domain.low - step / 2, domain.low / 2)
    high = domain.low + (n - 0.5) * step
    index = round((_between(low, high, share, log=True) - domain.low) / step)
    return nth(domain, min(max(index, 0), n - 1))


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    if log:
        return math.exp(_between(math.log(low), math.log(high), share, log=False))
    return low * (1 - share) + high * share  # high - low may be too large for a float


def nth(domain: Range, index: int) -> Number:
    """Give one of a range's values, where they are finitely many, from 0."""
    if domain.is_integer:
        return int(domain.low) + index * int(domain.step or 1)
    return _stepped(domain.low, float(domain.step or 1), index)


def _stepped(low: Number, step: Number, index: int) -> Number:
    """Give low + index * step as people count: 0.1, 0.2, 0.3, not 0.30000000000000004."""
    value = _exact(low) + index * _exact(step)
    return int(value) if isinstance(step, int) else float(value)


def _exact(number: Number) -> Decimal:
    return Decimal(repr(number))
