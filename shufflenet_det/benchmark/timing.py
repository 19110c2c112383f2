"""Times of several sides that take turns, so that a busy machine slows all of them alike."""
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from timeit import Timer

import numpy as np

from .machine import synchronise

Call = Callable[[], object]

SHORTEST_TURN = 0.02
"""Seconds: a side that is done sooner is called several times a turn."""
MOST_CALLS = 200
QUARTILES, RANGE = (25, 50, 75), (0, 50, 100)


def take_turns(
    sides: Mapping[Hashable, Call],
    rounds: int,
    warmup: int,
    device: str = 'cpu',
    clock: Callable[[], float] | None = None,
) -> dict[Hashable, list[float]]:
    """Run the sides alternately: A B C A B C ...

    Args:
        sides: what to time, by name.
        rounds: turns of each side.
        warmup: calls of each side before the first turn, 1 or more; the last one tells how many
            calls make a turn of :data:`SHORTEST_TURN`.
        device: ``'cpu'`` or ``'cuda'``, which is waited for before the clock is read.
        clock: by default that on the wall.

    Returns:
        Seconds a call by side, one figure for each turn, in the order of the rounds.
    """
    clock = clock or time.perf_counter

    def now() -> float:
        synchronise(device)
        return clock()

    timers = {name: Timer(run, timer=now) for name, run in sides.items()}
    calls = {}
    for name, timer in timers.items():
        *_, taken = timer.repeat(warmup, number=1)
        calls[name] = min(MOST_CALLS, max(1, math.ceil(SHORTEST_TURN / max(taken, 1e-9))))
    times: dict[Hashable, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, timer in timers.items():
            times[name].append(timer.timeit(calls[name]) / calls[name])
    return times


def spread(
    values: Sequence[float], key: str = '', percentiles: tuple[int, int, int] = QUARTILES
) -> dict[str, float]:
    """Median and quartiles of some figures: ``median``, ``low`` and ``high``, or, with a key,
    ``<key>``, ``<key>_low`` and ``<key>_high``."""
    low, median, high = np.percentile(values, percentiles).tolist()
    if key:
        return {key: median, f'{key}_low': low, f'{key}_high': high}
    return dict(median=median, low=low, high=high)


def speedup(times: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """How many times as fast as the baseline, by the turns of the same round."""
    return [base / own for own, base in zip(times, baseline, strict=True)]


def timed(times: Sequence[float], **baselines: Sequence[float] | None) -> dict:
    """The figures of a row: seconds a call and, by key, ratios to those baselines that are there
    and are not the side itself."""
    row = spread(times) | dict(seconds=list(times))
    for key, baseline in baselines.items():
        if baseline is not None and baseline is not times:
            row |= spread(speedup(times, baseline), key)
    return row
