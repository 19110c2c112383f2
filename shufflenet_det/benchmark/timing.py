"""Times of several sides that take turns, so that a busy machine slows all of them alike."""
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .machine import synchronise

Call = Callable[[], object]

SHORTEST_TURN = 0.02
"""Seconds: a side that is done sooner is called several times a turn."""
MOST_CALLS = 200


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some figures."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of one or more figures."""
    low, median, high = np.percentile(values, (25, 50, 75)).tolist()
    return Spread(median, low, high)


def take_turns(
    sides: Mapping[str, Call], rounds: int, warmup: int, device: str = 'cpu'
) -> dict[str, list[float]]:
    """Run the sides alternately: A B C A B C ...

    Args:
        sides: what to time, by name.
        rounds: turns of each side.
        warmup: calls of each side before the first turn, 1 or more; the last one tells how many
            calls make a turn of :data:`SHORTEST_TURN`.
        device: ``'cpu'`` or ``'cuda'``, which is waited for before the clock is read.

    Returns:
        Seconds a call by side, one figure for each turn, in the order of the rounds.
    """
    calls = {}
    for name, run in sides.items():
        for _ in range(warmup):
            taken = _turn(run, 1, device)
        calls[name] = min(MOST_CALLS, max(1, math.ceil(SHORTEST_TURN / max(taken, 1e-9))))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            times[name].append(_turn(run, calls[name], device))
    return times


def _turn(call: Call, calls: int, device: str) -> float:
    synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    synchronise(device)
    return (time.perf_counter() - start) / calls


def speedup(times: Sequence[float], baseline: Sequence[float]) -> Spread:
    """How many times as fast as the baseline, from the turns of the same round."""
    return spread([base / own for own, base in zip(times, baseline, strict=True)])


def timed(times: Sequence[float], baseline: Sequence[float] | None) -> dict:
    """The figures of a row: seconds a call and, unless it is the baseline, the ratio to it."""
    own = spread(times)
    row = dict(median=own.median, low=own.low, high=own.high, seconds=list(times))
    if baseline is not None and baseline is not times:
        ratio = speedup(times, baseline)
        row |= dict(ratio=ratio.median, ratio_low=ratio.low, ratio_high=ratio.high)
    return row
