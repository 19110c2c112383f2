"""The trainings of :mod:`.claims` on a GPU: a process for each stack of networks, to records."""
import os
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from torch.utils.data import DataLoader

from ..evaluation.report import versions
from ..models.classifier import ImageClassifier
from .claims import network_config
from .claims_training import Training
from .gpu_recipe import LabelledImages, Member, Recipe
from .gpu_trainings import StackTraining, train_stack
from .records import Record, data_of, recipe_of
from .stacked import Stack

_BATCH = 1000


def pictures_of(cfg: Config) -> LabelledImages:
    """All pictures of a config's data sets, decoded, as its transforms for validation leave them.

    They are not enlarged: that is done batch by batch, from the recipe's ``enlarge``.

    Args:
        cfg: recipe whose pictures have one size.
    """
    parts = []
    steps = cfg.val_dataloader.dataset.pipeline
    pipeline = [step for step in steps if step['type'] != 'torchvision/Resize']
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        data = DATASETS.build({**loader.dataset, 'pipeline': pipeline})
        batches = list(DataLoader(data, batch_size=_BATCH, num_workers=os.cpu_count() or 1))
        pixels = torch.cat([batch['inputs'] for batch in batches])
        labels = torch.cat([batch['labels'] for batch in batches])
        parts += [pixels.permute(0, 2, 3, 1).contiguous(), labels]
    return LabelledImages(*parts)


def stacks_of(
    trainings: Sequence[Training], build: Callable[[str], ImageClassifier], most: int
) -> list[list[Training]]:
    """Trainings whose networks fit into one stack, in the order of the first of each.

    Args:
        trainings: what is to be trained.
        build: makes the classifier of a network's name.
        most: trainings in a stack.
    """
    shapes: dict[str, tuple] = {}
    groups: dict[tuple, list[Training]] = {}
    for training in trainings:
        if training.network not in shapes:
            params = Stack([build(training.network)]).params
            shapes[training.network] = tuple((n, tuple(v.shape)) for n, v in params.items())
        groups.setdefault(shapes[training.network], []).append(training)
    return [g[i : i + most] for g in groups.values() for i in range(0, len(g), most)]


def builder(recipe: Path, networks: Path) -> Callable[[str], ImageClassifier]:
    """Makes the classifier of a network's name, with the head of the recipe."""

    def build(network: str) -> ImageClassifier:
        return MODELS.build(network_config(network, recipe, networks).model)

    return build


def train_on_gpu(
    trainings: Sequence[Training], recipe: Path, networks: Path, device: str = 'cuda'
) -> list[Record]:
    """Do the trainings of one stack, or go on training.

    Args:
        trainings: of one stack.
        recipe: config of data and schedule.
        networks: folder of the configs that define the networks.
        device: ``'cuda'``, or ``'cpu'`` to try it, with the same steps in float32.
    """
    cfg = Config.fromfile(recipe)
    figures, on_gpu = recipe_of(cfg), device == 'cuda'
    # what is not bfloat16
    torch.set_float32_matmul_precision('high' if on_gpu else 'highest')
    stack = StackTraining(
        [Member(training.network, training.seed, Recipe(**figures)) for training in trainings],
        builder(recipe, networks),
        pictures_of(cfg).to(device),
        compiled=on_gpu,
        dtype=torch.bfloat16 if on_gpu else torch.float32,
    )
    names = [f'{training.network}-seed{training.seed}' for training in trainings[:3]]
    folder = trainings[0].work_dir / '+'.join(names)
    results = train_stack(stack, folder, every=cfg.train_cfg.val_interval)
    return [
        Record(
            **result,
            data=data_of(cfg),
            command=command_of(training, recipe, device),
            device=torch.cuda.get_device_name() if on_gpu else device,
            precision='bfloat16 products, float32 weights' if on_gpu else 'float32',
            versions=versions(),
            date=datetime.now(UTC).isoformat(timespec='seconds'),
        )
        for training, result in zip(trainings, results, strict=True)
    ]


def command_of(training: Training, recipe: Path, device: str) -> str:
    """What repeats one training."""
    return shlex.join(
        ['python', 'tools/claims.py', '--device', device, '--networks', training.network]
        + ['--seeds', str(training.seed), '--recipe', os.path.relpath(recipe)]
    )
