"""Speed and memory of backbones or detectors, ours and those of other libraries, side by side."""
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from itertools import product

import numpy as np
import torch
from torch import nn

from .detector_parts import measure_parts
from .machine import DTYPES
from .memory import peak_memory
from .speed import DEPLOY, FORWARD, MODES, TRAIN, Key, Setting, Side, Size, attempt, baselines
from .timing import Call, speedup, take_turns, timed

MATMUL: Key = ('matrix product', FORWARD)
MATMUL_SIZE = {'cpu': 1024, 'cuda': 8192}
"""Rows and columns of the product that measures the machine."""


def measure(
    sides: Sequence[Side],
    settings: Sequence[Setting],
    modes: Sequence[str] = MODES,
    baseline: str | None = None,
    rounds: int = 15,
    warmup: int = 3,
    compiled: bool = False,
    by_part: bool = False,
) -> list[dict]:
    """Compare networks or detectors on random images with random weights.

    How many boxes an untrained RPN finds is an accident, so the second stage of a detector gets a
    fixed set of boxes after the RPN has done its work. How many are detected is one, too.

    Args:
        sides: what to compare.
        settings: each gives a row for each side and mode.
        modes: inference, inference in deploy form, training step without optimiser. The first two
            take turns together, and so do all training steps.
        baseline: name of the side with which to compare; see :func:`baselines`.
        rounds, warmup: turns, and calls before them.
        compiled: run every side through ``torch.compile``.
        by_part: of detectors, also measure the parts, in rounds of their own.

    Returns:
        Rows of name, mode and setting with seconds a call (median, quartiles, all turns),
        ``ratio`` to the baseline (2: half its time), multiply-adds a second and their share of
        what a matrix product reaches, peak memory of the training step in bytes without weights
        and images, parameters, and multiply-adds of an image. Of networks also the greatest
        difference of the outputs from the baseline's relative to their greatest value; of
        detectors proposals an image, detections of the batch, and median seconds by part.

    Raises:
        ConfigError: a side cannot be built or run, or the baseline is not there.
    """
    against = baselines({side.name: side.twin for side in sides}, baseline)

    @cache
    def models_of(size: Size, device: str) -> dict[Key, nn.Module]:
        # a model for each mode, because training changes statistics
        models = {(s.name, mode): s.form(mode, size, device) for mode in modes for s in sides}
        if compiled:
            for model in models.values():
                model.compile()
        return models

    @cache
    def complexities_of(size: Size) -> dict[str, dict[str, int | None]]:
        alone = Setting(1, size, 1, 'fp32', 'cpu')
        return {
            side.name: dict(
                macs=attempt(side.name, alone, partial(side.count, size)),
                params=sum(p.numel() for p in side.build(size).parameters()),
            )
            for side in sides
        }

    rows = []
    for setting in settings:
        complexities = complexities_of(setting.size)
        models = models_of(setting.size, setting.device)
        calls = _calls(sides, models, setting)
        macs = {}
        for side, mode in product(sides, modes):
            passes, image = side.step_macs if mode == TRAIN else 1, complexities[side.name]['macs']
            macs[side.name, mode] = image * setting.batch * passes if image and passes else None
        figures: dict[Key, dict] = {}
        with setting.applied():
            for group in ((FORWARD, DEPLOY), (TRAIN,)):
                runs = {key: call for key, call in calls.items() if key[1] in group}
                if runs:
                    figures |= _compare(runs, setting, against, macs, rounds, warmup)
            outputs = {key: call() for key, call in calls.items() if key[1] != TRAIN}
            for key in figures:
                if key[1] == TRAIN:
                    # gradients count too
                    models[key].zero_grad()
                    figures[key]['memory'] = peak_memory(calls[key], setting.device)
            if by_part:
                parts = measure_parts(sides, models, calls, setting, rounds)
                for key in figures:
                    figures[key]['parts'] = parts[key]
        for side, mode in product(sides, modes):
            expected = outputs.get((against[side.name], FORWARD))
            rows.append(
                dict(name=side.name, mode=mode)
                | setting.row()
                | figures[side.name, mode]
                | side.figures(mode, outputs.get((side.name, mode)), expected)
                | complexities[side.name]
                | dict(note=side.note)
            )
    return rows


def _calls(
    sides: Sequence[Side], models: Mapping[Key, nn.Module], setting: Setting
) -> dict[Key, Call]:
    calls = {}
    for side in sides:
        batch = side.batch(setting.size, setting.batch, setting.device)
        for (name, mode), model in models.items():
            if name == side.name:
                call = _training_step if mode == TRAIN else _predict
                calls[name, mode] = partial(call, side, model, batch, setting)
    return calls


def _predict(side: Side, model: nn.Module, batch: object, setting: Setting) -> object:
    with torch.no_grad(), setting.autocast():
        return side.predict(model, batch)


def _training_step(
    side: Side,
    model: nn.Module,
    batch: object,
    setting: Setting,
    backward: AbstractContextManager | None = None,
) -> None:
    """Forward and backward pass, the latter in a context of its own."""
    model.zero_grad()
    with setting.autocast():
        loss = side.loss(model, batch)
    with backward or nullcontext():
        loss.backward()


def _compare(
    sides: Mapping[Key, Call],
    setting: Setting,
    against: Mapping[str, str],
    macs: Mapping[Key, int | None],
    rounds: int,
    warmup: int,
) -> dict[Key, dict]:
    """Time sides in turns, and a square matrix product, as the measure of the machine, with them.

    Both modes of inference are compared with the baseline's plain forward pass, where that is
    among the sides.
    """
    for (name, _), run in sides.items():
        attempt(name, setting, run)
    shape, dtype = (MATMUL_SIZE[setting.device],) * 2, DTYPES[setting.dtype]
    a, b = (torch.rand(shape, device=setting.device, dtype=dtype) for _ in range(2))
    times = take_turns({**sides, MATMUL: lambda: a @ b}, rounds, warmup, setting.device)
    machine_macs = shape[0] ** 3
    rows = {}
    for key in sides:
        name, mode = key
        base = against[name]
        plain = times.get((base, FORWARD)) if mode == DEPLOY else None
        row = timed(times[key], ratio=plain or times[base, mode])
        if macs[key] is not None:
            # of the same round, as the ratio is
            share = np.median(speedup(times[key], times[MATMUL])).item()
            row['share'] = macs[key] / machine_macs * share
            row['rate'] = macs[key] / row['median']
        rows[key] = row | dict(machine_rate=machine_macs / np.median(times[MATMUL]).item())
    return rows
