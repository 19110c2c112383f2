"""Speed of detectors, from images in memory to detections or gradients, and of their parts."""
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from .detector_parts import BACKWARD, DATA, TOTAL, Size, Tracer
from .detectors import Detector
from .input_pipeline import write_photos
from .memory import peak_memory
from .networks import deploy
from .speed import DEPLOY, FORWARD, TRAIN, Key, Setting, baselines, compare
from .timing import Run


def measure_detectors(
    detectors: Sequence[Detector],
    settings: Sequence[Setting],
    modes: Sequence[str] = (FORWARD, DEPLOY, TRAIN),
    baseline: str | None = None,
    rounds: int = 15,
    warmup: int = 3,
    by_part: bool = True,
) -> list[dict]:
    """Compare detectors on random images with random weights.

    How many boxes an untrained RPN finds is an accident, so the second stage gets a fixed set of
    boxes after the RPN has done its work. The number of detections is an accident, too.

    Args:
        detectors: the sides.
        settings: each gives a row for each detector and mode.
        modes: prediction, prediction in deploy form, training step without optimiser.
        baseline: name of the side with which to compare; see :func:`.speed.baselines`.
        rounds, warmup: turns, and calls before them.
        by_part: also measure the parts, in rounds of their own.

    Returns:
        Rows of name, mode and setting with the figures of
        :func:`.backbone_speed.measure_backbones`, proposals an image, detections of the batch,
        and ``parts``: median seconds by part.

    Raises:
        ConfigError: a detector cannot be built or run, or the baseline is not there.
    """
    against = baselines({d.name: d.twin for d in detectors}, baseline)
    sides = {d.name: d for d in detectors}
    rows = []
    for size in dict.fromkeys(setting.size for setting in settings):
        device = settings[0].device
        models = {
            (d.name, mode): _build(d, mode, size, device) for mode in modes for d in detectors
        }
        counted = {name: d.count(size) for name, d in sides.items()}
        for setting in (s for s in settings if s.size == size):
            figures = _measure(sides, models, counted, setting, against, rounds, warmup, by_part)
            for name, side in sides.items():
                for mode in modes:
                    params = sum(p.numel() for p in models[name, mode].parameters())
                    shared = dict(params=params, macs=counted[name], note=side.note)
                    shared['proposals'] = side.proposals(mode == TRAIN)
                    rows.append(
                        dict(name=name, mode=mode)
                        | setting.row()
                        | figures[name, mode]
                        | shared
                    )
    return rows


def _build(detector: Detector, mode: str, size: Size, device: str) -> nn.Module:
    model = detector.build(size).to(device).train(mode == TRAIN)
    if mode == DEPLOY:
        model = deploy(model, detector.ours)
    detector.fix_proposals(model, size)
    return model


def _measure(
    sides: dict[str, Detector],
    models: dict[Key, nn.Module],
    counted: dict[str, int | None],
    setting: Setting,
    against: dict[str, str],
    rounds: int,
    warmup: int,
    by_part: bool,
) -> dict[Key, dict]:
    batches = {n: d.batch(setting.size, setting.batch, setting.device) for n, d in sides.items()}
    calls = {
        key: partial(
            _step if key[1] == TRAIN else _predict, sides[key[0]], model, batches[key[0]], setting
        )
        for key, model in models.items()
    }
    in_batch = {name: count and count * setting.batch for name, count in counted.items()}
    figures: dict[Key, dict] = {}
    with setting.applied():
        for group in ((FORWARD, DEPLOY), (TRAIN,)):
            runs = {key: run for key, run in calls.items() if key[1] in group}
            if runs:
                # in training the second stage has another number of RoIs than what is counted
                macs = dict.fromkeys(in_batch) if TRAIN in group else in_batch
                figures |= compare(runs, setting, against, macs, rounds, warmup)
        for key, call in calls.items():
            if key[1] == TRAIN:
                models[key].zero_grad()
                figures[key]['memory'] = peak_memory(call, setting.device)
            else:
                figures[key]['detections'] = call()
        if by_part:
            parts = _measure_parts(sides, models, calls, setting, rounds)
            for key in figures:
                figures[key]['parts'] = parts[key]
    return figures


def _predict(detector: Detector, model: nn.Module, batch: object, setting: Setting) -> int:
    with torch.no_grad(), setting.autocast():
        return detector.predict(model, batch)


def _step(
    detector: Detector,
    model: nn.Module,
    batch: object,
    setting: Setting,
    tracer: Tracer | None = None,
) -> None:
    model.zero_grad()
    with setting.autocast():
        loss: Tensor = detector.loss(model, batch)
    with tracer.part(BACKWARD) if tracer else nullcontext():
        loss.backward()


def _measure_parts(
    sides: dict[str, Detector],
    models: dict[Key, nn.Module],
    calls: dict[Key, Run],
    setting: Setting,
    rounds: int,
) -> dict[Key, dict[str, float]]:
    """Median seconds of each part, of rounds in which the sides take turns."""
    found: dict[Key, list[dict[str, float]]] = {key: [] for key in models}
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), 1)
        (photo,) = Path(folder).rglob('*.jpg')
        readers = {name: side.data(photo, setting.size) for name, side in sides.items()}
        for _ in range(rounds):
            for key, model in models.items():
                tracer = Tracer(setting.device)
                reader = readers[key[0]]
                if reader:
                    with tracer.part(DATA):
                        for _ in range(setting.batch):
                            reader()
                options = dict(tracer=tracer) if key[1] == TRAIN else {}
                with tracer.watching(model, sides[key[0]].parts):
                    calls[key](**options)
                found[key].append(tracer.seconds)
    return {key: _medians(turns) for key, turns in found.items()}


def _medians(turns: list[dict[str, float]]) -> dict[str, float]:
    parts = dict.fromkeys(part for turn in turns for part in turn)
    medians = {part: median(turn.get(part, 0.0) for turn in turns) for part in parts}
    whole = [sum(s for part, s in turn.items() if part != DATA) for turn in turns]
    return medians | {TOTAL: median(whole)}
