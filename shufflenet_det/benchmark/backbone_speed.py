"""Speed and memory of backbones, ours and those of other libraries, side by side."""
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..models.complexity import count_module
from .memory import peak_memory
from .networks import ComparedNetwork
from .speed import DEPLOY, FORWARD, TRAIN, Key, Setting, attempt, baselines, compare
from .timing import Call


def measure_backbones(
    networks: Sequence[ComparedNetwork],
    settings: Sequence[Setting],
    modes: Sequence[str] = (FORWARD, DEPLOY, TRAIN),
    baseline: str | None = None,
    rounds: int = 15,
    warmup: int = 3,
    compiled: bool = False,
) -> list[dict]:
    """Compare networks on random images.

    Args:
        networks: the sides.
        settings: each gives a row for each network and mode.
        modes: inference, inference in deploy form, training step without optimiser. The first two
            take turns together, and so do all training steps.
        baseline: name of the side with which to compare; see :func:`baselines`.
        rounds, warmup: turns, and calls before them.
        compiled: run every side through ``torch.compile``.

    Returns:
        Rows of name, mode and setting with seconds a call (median, quartiles, all turns),
        ``ratio`` to the baseline (2: half its time), multiply-adds a second and their share of
        what a matrix product reaches, peak memory of the training step in bytes without weights
        and images, parameters, multiply-adds of an image, and the greatest difference of the
        outputs from the baseline's relative to their greatest value.

    Raises:
        ConfigError: a network cannot be built or run, or the baseline is not there.
    """
    against = baselines({n.name: n.twin for n in networks}, baseline)
    device = settings[0].device
    models = _build(networks, modes, device)
    called = {k: torch.compile(m) if compiled else m for k, m in models.items()}
    params = {n.name: sum(p.numel() for p in n.build().parameters()) for n in networks}
    macs = {size: _count(networks, size) for size in dict.fromkeys(s.size for s in settings)}
    rows = []
    for setting in settings:
        torch.manual_seed(0)
        images = torch.randn(setting.batch, 3, *setting.size, device=device)
        counted = {name: count * setting.batch for name, count in macs[setting.size].items()}
        figures: dict[Key, dict] = {}
        with setting.applied():
            for run, group in ((_inference, (FORWARD, DEPLOY)), (training_step, (TRAIN,))):
                sides = {
                    key: run(model, images, setting)
                    for key, model in called.items()
                    if key[1] in group
                }
                if sides:
                    figures |= compare(sides, setting, against, counted, rounds, warmup)
            for key in figures:
                if key[1] == TRAIN:
                    figures[key]['memory'] = step_memory(models[key], called[key], images, setting)
            differences = _differences(called, images, setting, against)
        for network in networks:
            for mode in modes:
                rows.append(
                    dict(name=network.name, mode=mode)
                    | setting.row()
                    | figures[network.name, mode]
                    | dict(
                        difference=differences.get((network.name, mode)),
                        params=params[network.name],
                        macs=macs[setting.size][network.name],
                        note=network.note,
                    )
                )
    return rows


def _build(
    networks: Sequence[ComparedNetwork], modes: Sequence[str], device: str
) -> dict[Key, nn.Module]:
    """A model by network and mode; for training another one, because its statistics change."""
    models = {}
    for mode in modes:
        for network in networks:
            if mode == DEPLOY:
                model = network.deployed(device)
            else:
                model = network.build().to(device).train(mode == TRAIN)
            models[network.name, mode] = model
    return models


def _count(networks: Sequence[ComparedNetwork], size: tuple[int, int]) -> dict[str, int]:
    image = torch.zeros(1, 3, *size)
    setting = Setting(1, size, 1, 'fp32', 'cpu')
    counts = {}
    for network in networks:
        layers = attempt(network.name, setting, partial(count_module, network.build(), image))
        counts[network.name] = sum(layer.macs for layer in layers)
    return counts


def _inference(model: Callable, images: Tensor, setting: Setting) -> Call:
    def run() -> object:
        with torch.no_grad(), setting.autocast():
            return model(images)

    return run


def training_step(model: nn.Module, images: Tensor, setting: Setting) -> Call:
    """Forward and backward pass; the loss is the sum of the means of all outputs."""

    def run() -> None:
        model.zero_grad()
        with setting.autocast():
            outputs = tree_leaves(model(images))
            loss = sum(output.float().mean() for output in outputs)
        loss.backward()

    return run


def step_memory(model: nn.Module, called: Callable, images: Tensor, setting: Setting) -> int:
    """Bytes that a training step needs at its peak beyond weights, statistics and images."""
    model.zero_grad()
    return peak_memory(training_step(called, images, setting), setting.device)


def _differences(
    models: dict[Key, Callable], images: Tensor, setting: Setting, against: dict[str, str]
) -> dict[Key, float]:
    """How far the outputs of inference are from the baseline's, where they have its shape.

    Networks with the same weights differ by rounding alone.
    """
    outputs = {
        key: tree_leaves(_inference(model, images, setting)())[-1].float()
        for key, model in models.items()
        if key[1] != TRAIN
    }
    found = {}
    for key, output in outputs.items():
        base = outputs.get((against[key[0]], FORWARD))
        if base is not None and base.shape == output.shape:
            found[key] = ((output - base).abs().max() / base.abs().max()).item()
    return found
