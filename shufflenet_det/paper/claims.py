"""The paper's claims as experiments: which networks, which comparisons, and what was measured.

Each network is trained with the same recipe from several seeds on the rendered classification
sample; a claim compares the mean errors of two of them.
"""
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint
from scipy.stats import ttest_ind
from torch import set_num_threads

from ..common.cli import write_atomically
from ..common.errors import ConfigError, DataError

# 13 MFLOPs at 224, where the paper has no MobileNet: the narrowest of its own is 0.25 (41 MFLOPs)
MOBILENET_13 = 'mobilenet-v1-0.125'


@dataclass(frozen=True)
class Claim:
    """``better`` has a lower error than ``worse``, the paper says.

    Attributes:
        about: what is compared.
        better, worse: networks, named as the configs in ``configs/imagenet`` are.
        paper: the paper's top-1 errors of the two in percent, where it has them.
    """

    about: str
    better: str
    worse: str
    paper: tuple[float, float] | None


def _claims() -> tuple[Claim, ...]:
    shuffle = {
        ('0.25x', 3): (55.0, 56.3),
        ('0.25x', 8): (52.7, 56.5),
        ('0.5x', 3): (43.2, 45.7),
        ('0.5x', 8): (42.3, 48.1),
    }
    claims = [
        Claim(
            'channel shuffle (Table 3)',
            f'shufflenet-v1-{width}-g{groups}',
            f'shufflenet-v1-{width}-g{groups}-noshuffle',
            errors,
        )
        for (width, groups), errors in shuffle.items()
    ]
    units = {
        38: ('shufflenet-v1-0.5x-g4', 41.6, {'resnet': 48.8, 'xception': 45.1, 'resnext': 46.0}),
        13: ('shufflenet-v1-0.25x-g8', 52.7, {'resnet': 63.7, 'xception': 57.1, 'resnext': 65.2}),
    }
    for mflops, (ours, error, others) in units.items():
        claims += [
            Claim(f'unit at {mflops} MFLOPs (Table 4)', ours, f'{unit}-like-{mflops}', (error, e))
            for unit, e in others.items()
        ]
    claims += [
        Claim('MobileNet at 38 MFLOPs (Table 5)', units[38][0], 'mobilenet-v1-0.25', (41.6, 49.4)),
        Claim('MobileNet at 13 MFLOPs', units[13][0], MOBILENET_13, None),
    ]
    return tuple(claims)


CLAIMS = _claims()
NETWORKS = tuple(dict.fromkeys(n for claim in CLAIMS for n in (claim.better, claim.worse)))


@dataclass(frozen=True)
class Training:
    """One training: a network and a seed, in a folder of its own."""

    network: str
    seed: int
    work_dir: Path

    @property
    def folder(self) -> Path:
        return self.work_dir / self.network / f'seed{self.seed}'

    @property
    def result(self) -> Path:
        return self.folder / 'result.json'


def run_config(run: Training, recipe: Path, networks: Path) -> Config:
    """The recipe's config with the network of one run in it.

    Args:
        run: what to train.
        recipe: config of data and schedule, the same for all.
        networks: folder of the configs that define the networks.
    """
    cfg = Config.fromfile(recipe)
    source = 'mobilenet-v1-0.25' if run.network == MOBILENET_13 else run.network
    path = networks / f'{source}_in1k.py'
    if not path.is_file():
        raise ConfigError(f'no network {run.network}: there is no {path}.')
    cfg.model.backbone = Config.fromfile(path).model.backbone
    if run.network == MOBILENET_13:
        cfg.model.backbone.widen_factor = 0.125
    cfg.work_dir = str(run.folder)
    cfg.randomness = dict(seed=run.seed)
    # MMEngine keeps one logger for each name in a process
    cfg.experiment_name = f'{run.network}-seed{run.seed}'
    cfg.resume = find_latest_checkpoint(run.folder) is not None
    return cfg


def train(run: Training, recipe: Path, networks: Path) -> Training:
    """Train, or go on training, and write ``result.json``; one thread, console output to a file."""
    set_num_threads(1)
    run.folder.mkdir(parents=True, exist_ok=True)
    with open(run.folder / 'console.log', 'a') as log:
        sys.stdout.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    runner = Runner.from_cfg(run_config(run, recipe, networks))
    runner.train()
    metrics = runner.val_loop.run()
    write_atomically(run.result, json.dumps(dict(metrics, iterations=runner.iter)) + '\n')
    for checkpoint in run.folder.glob('epoch_*.pth'):
        checkpoint.unlink()
    return run


def errors_of(runs: Sequence[Training]) -> dict[str, list[float]]:
    """Top-1 errors in percent of the finished runs, by network, in the order of the seeds.

    Raises:
        DataError: a result is damaged.
    """
    errors: dict[str, list[float]] = {}
    for run in runs:
        if not run.result.is_file():
            continue
        try:
            error = json.loads(run.result.read_text())['error/top1']
        except (json.JSONDecodeError, KeyError) as problem:
            raise DataError(
                f'{run.result} is damaged ({problem!r}): delete it to run it again.'
            ) from None
        errors.setdefault(run.network, []).append(error)
    return errors


def verdict(better: Sequence[float], worse: Sequence[float]) -> tuple[float, float, str]:
    """Compare the errors of two networks over seeds, with Welch's t-test.

    Args:
        better, worse: errors in percent of the network that the paper finds better, and of the
            other; two or more of each.

    Returns:
        Difference of the means (positive: as the paper says), its p-value (two-sided), and
        ``'seen'`` or ``'opposite'`` where p is below 0.05, else ``'not seen'``.
    """
    difference = mean(worse) - mean(better)
    p_value = float(ttest_ind(better, worse, equal_var=False).pvalue)
    if not p_value < 0.05:
        return difference, p_value, 'not seen'
    return difference, p_value, 'seen' if difference > 0 else 'opposite'
