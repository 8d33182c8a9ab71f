"""Lengths of time for people."""

from __future__ import annotations


def precise(seconds: float) -> str:
    """Write a length of time; of seconds, parts too."""
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)


def duration(seconds: float) -> str:
    """Write a length of time with its two largest units."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{hours} h {m} min"
    return f"{minutes} min {s} s" if minutes else f"{s} s"
