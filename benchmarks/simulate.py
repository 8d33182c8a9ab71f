"""How many ranks one manager keeps busy: a simulation with the measured service time.

Every rank asks for a trial, the manager answers one after the other, the rank trains, and asks
again with its result. What the table shows is the training of all ranks as a share of the time
that they all have, from the first question to the last result.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Callable
from functools import partial

from benchmarks import harness

N_RANKS = (1, 10, 100, 1_000, 10_000, 30_000, 100_000)
MEANS_S = (0.1, 1.0, 10.0, 60.0, 600.0)
ENOUGH = 0.95
SEED = 33
# As `benchmarks/dispatch.py` measured it at 8 ranks on two cores that others used as well.
SERVICE_US = 70.0


def busy_share(lengths_s: list[float], n_ranks: int, service_s: float, latency_s: float) -> float:
    """Simulate a search of trials that are handed out in this order.

    Args:
        latency_s: from either side's sending to the other's noticing.
    """
    questions = [(latency_s, rank) for rank in range(n_ranks)]  # by when the manager sees them
    free_s = end_s = 0.0
    for length_s in lengths_s:
        asked_s, rank = questions[0]
        free_s = max(free_s, asked_s) + service_s
        done_s = free_s + latency_s + length_s
        end_s = max(end_s, done_s)
        heapq.heapreplace(questions, (done_s + latency_s, rank))
    return sum(lengths_s) / (n_ranks * end_s)


def lengths_s(n_trials: int, mean_s: float, spread: float) -> list[float]:
    """Draw lengths, log-uniformly, the longest first; it may be `spread` times the shortest."""
    chance = random.Random(SEED)
    drawn = sorted((spread ** chance.random() for _ in range(n_trials)), reverse=True)
    scale = mean_s * n_trials / sum(drawn)
    return [scale * length for length in drawn]


def measured_service_us() -> float:
    """Read what `benchmarks/dispatch.py` has measured last, where most ranks ask."""
    try:
        rows = json.loads((harness.OUT / "dispatch.json").read_text(encoding="utf-8"))["rows"]
    except FileNotFoundError:
        return SERVICE_US
    usual = [row for row in rows if row["networks"] == 20]
    return round(max(usual, key=lambda row: row["ranks"])["µs between trials"], 1)


def first_below(share: Callable[[int], float], known: dict[int, float]) -> int | None:
    """Find the number of ranks, to a tenth, from which one manager is not enough."""
    below = [n for n in known if known[n] < ENOUGH]
    if not below:
        return None
    high = min(below)
    low = max((n for n in known if n < high), default=1)
    while high > 1.1 * low:
        middle = round(math.sqrt(low * high))
        low, high = (low, middle) if share(middle) < ENOUGH else (middle, high)
    return high


def main() -> None:
    settings = harness.arguments(
        __doc__,
        service_us=measured_service_us(),  # of the manager, for a trial
        latency_us=1000.0,  # one way: both sides look every 2 ms when nothing comes
        trials_per_rank=10,
        spread=10.0,
    )

    def share(mean_s: float, n_ranks: int) -> float:
        return busy_share(
            lengths_s(settings.trials_per_rank * n_ranks, mean_s, settings.spread),
            n_ranks,
            settings.service_us / 1e6,
            settings.latency_us / 1e6,
        )

    shares = {mean_s: {n: share(mean_s, n) for n in N_RANKS} for mean_s in MEANS_S}
    rows = [
        {"mean trial (s)": f"{mean_s:g}"}
        | {f"{n:,} ranks": f"{shares[mean_s][n]:.1%}" for n in N_RANKS}
        | {f"below {ENOUGH:.0%} from": first_below(partial(share, mean_s), shares[mean_s])}
        for mean_s in MEANS_S
    ]
    title = (
        f"Share of the ranks' time in training: {settings.service_us:g} µs of the manager for a"
        f" trial, {settings.latency_us:g} µs for a message, {settings.trials_per_rank} trials per"
        f" rank, the longest {settings.spread:g} times the shortest"
    )
    harness.show("simulate", title, rows, settings=vars(settings))


if __name__ == "__main__":
    main()
