"""Writes the config that trains a detector of ours, or of anyone, on prepared data."""
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat

from mmengine.config import Config

from ..common.config import CONFIGS
from ..common.errors import ConfigError
from ..models import backbones
from .bases import is_mixed
from .records import AnnotatedImage

DEFAULT_BASE = CONFIGS / 'rtmdet' / 'rtmdet_shufflenet-v1-0.5x-g3_light_coco-320.py'
SMALL_DATA = CONFIGS / '_base_' / 'small_data.py'
BATCH = 8
# so long detectors gain on photographs (docs/light-trials.md); 24 epochs are MMDetection's 2x
LEAST_STEPS, LEAST_EPOCHS = 2000, 24
# so few images are learned by heart unless they look different each time, to the end
# (docs/light-trials.md)
FEW_IMAGES = 1000
# at which heads without batch norm do not diverge either; a config that can take more says so
SAFE_RATE = 0.001


@dataclass(frozen=True)
class Schedule:
    """Epochs of ``steps`` batches of ``batch`` images."""

    batch: int
    steps: int
    epochs: int

    @property
    def interval(self) -> int:
        """Epochs from a validation and checkpoint to the next: five in a run."""
        return math.ceil(self.epochs / 5)


def schedule_for(images: int, steps: int | None) -> Schedule:
    """Schedule of about ``steps`` steps, by default 2000, or 24 epochs where these are more."""
    batch = min(BATCH, images)
    per_epoch = math.ceil(images / batch)
    if steps is None:
        steps = max(LEAST_STEPS, LEAST_EPOCHS * per_epoch)
    return Schedule(batch, per_epoch, max(1, round(steps / per_epoch)))


def _heads(node: object, path: str) -> str:
    """Code that sets ``num_classes`` in all heads below ``node``; empty if there is none."""
    if isinstance(node, (list, tuple)):
        if any(isinstance(item, Mapping) and 'num_classes' in item for item in node):
            return f'[dict(head, num_classes=len(classes)) for head in _base_.{path}]'
        return ''
    if not isinstance(node, Mapping):
        return ''
    parts = []
    for key, value in node.items():
        # an RPN tells objects from background only
        if key == 'num_classes':
            parts.append('num_classes=len(classes)')
        elif key != 'rpn_head' and (code := _heads(value, f'{path}.{key}')):
            parts.append(f'{key}={code}')
    return f'dict({", ".join(parts)})' if parts else ''


def _is_ours(base: Config) -> bool:
    """Whether the backbone is one of this package."""
    # in another scope it is mmdet.ShuffleNetV1
    return str(base.model.get('backbone', {}).get('type')).rsplit('.', 1)[-1] in backbones()


def _rescaled_hooks(base: Config, images: int) -> str:
    """Code that moves what hooks do at an epoch to the same share of ``epochs``; empty if nothing.

    A phase keeps an epoch at least, as long as there are enough. A base that sets ``late_epochs``
    ends with so many epochs of plain images in any training, but for one on few images.
    """
    before = base.train_cfg.max_epochs
    late = base.get('late_epochs')

    def rescaled(key: str, value: int) -> str:
        if late and key == 'switch_epoch':
            return 'max(0, epochs - _base_.late_epochs)' if images >= FEW_IMAGES else 'epochs'
        share = f'round({value} * epochs / {before})'
        return f'min(max(1, {share}), epochs - 1)' if 0 < value < before else share

    # by_epoch is a bool, which is an int, too
    settings = [
        [f', {k}={rescaled(k, v)}' for k, v in hook.items() if 'epoch' in k and type(v) is int]
        for hook in base.get('custom_hooks') or ()
    ]
    if not any(settings):
        return ''
    hooks, done = '', 0
    for index, changes in enumerate(settings):
        if changes:
            same = f'    *_base_.custom_hooks[{done}:{index}],\n' if index > done else ''
            hooks += f'{same}    dict(_base_.custom_hooks[{index}]{"".join(changes)}),\n'
            done = index + 1
    if done < len(settings):
        hooks += f'    *_base_.custom_hooks[{done}:],\n'
    if not late:
        why = 'at the same share of the epochs as in the base'
    elif images >= FEW_IMAGES:
        why = 'plain images in the last epochs'
    else:
        why = f'{images} images are few: no plain ones in the last epochs'
    return f'# {why}\ncustom_hooks = [\n{hooks}]\n'


def path_from(folder: Path, target: Path, together: Path) -> str:
    """``target`` relative to ``folder`` where ``together`` holds both, so that they can move."""
    folder, target = folder.resolve(), target.resolve()
    if folder.is_relative_to(together) and target.is_relative_to(together):
        return Path(os.path.relpath(target, folder)).as_posix()
    return target.as_posix()


def require_heads(base: Config, path: str) -> None:
    """Raise :class:`ConfigError` unless a head has ``num_classes``."""
    if not _heads(base.model, 'model'):
        raise ConfigError(f'{path} has no head with num_classes, so nothing to set to yours.')


def _optimisation(base: Config) -> str:
    """Code that sets the optimiser and its rate for ``BATCH`` images a step.

    ShuffleNets under SGD get AdamW, because a few hundred steps are too few for SGD, and so do
    those whose config has a rate for it. Other networks keep their optimiser; its rate follows the
    batch, linearly for SGD, by the root for Adam, whose steps have a length that does not depend on
    the gradient's.
    """
    wrapper = base.optim_wrapper
    optimizer = wrapper.get('optimizer') or {}
    adaptive = 'adam' in str(optimizer.get('type')).lower()
    if _is_ours(base) and ('small_data_rate' in base or not adaptive):
        rate = base.get('small_data_rate', SAFE_RATE)
        return (
            f'learning_rate = {rate}  # for {BATCH} images a step\n'
            'own_optimizer = dict(_base_.small_optim_wrapper.optimizer, lr=learning_rate)\n'
            'optim_wrapper = dict(_base_.small_optim_wrapper, optimizer=own_optimizer)\n'
            'auto_scale_lr = _base_.small_auto_scale_lr\n'
        )
    meant_for = (base.get('auto_scale_lr') or {}).get('base_batch_size')
    if not meant_for or 'lr' not in optimizer:
        return ''
    share = BATCH / meant_for
    rate = float(f'{optimizer.lr * (share**0.5 if adaptive else share):.3g}')
    return (
        f'learning_rate = {rate}  # for {BATCH} images a step; in the base {optimizer.lr} for '
        f'{meant_for}\n'
        'optim_wrapper = dict(optimizer=dict(lr=learning_rate))\n'
        f'auto_scale_lr = dict(base_batch_size={BATCH})\n'
    )


def config_text(
    base_path: str, base: Config, out: Path, images: Path, classes: tuple[str, ...],
    schedule: Schedule, train: Sequence[AnnotatedImage], seed: int,
) -> str:  # fmt: skip
    """The text of a config that inherits ``base_path`` and trains on the data in ``out``.

    Args:
        base_path: config file or ``mmdet::`` name.
        base: what it says, as :func:`.bases.adapted` made it.
        out: folder of the config and of ``annotations/{train,val}.json``.
        images: folder of the images.
        classes: names in the order of labels.
        schedule: for the training images.
        train: these.
        seed: of the run.
    """
    checkout = CONFIGS.resolve().parent
    bases = [
        path if '::' in path else path_from(out, Path(path), checkout)
        for path in (base_path, str(SMALL_DATA))
    ]
    if Path(base_path).parent == out:
        # beside the config, and moves with it
        bases[0] = Path(base_path).name
    prefix = path_from(out, images, out.resolve().parent)
    model = _heads(base.model, 'model').removeprefix('dict(').removesuffix(')')
    sampled = 'sampler' in ((base.model.get('train_cfg') or {}).get('rcnn') or {})
    if sampled and _is_ours(base):
        model += ', **_base_.small_two_stage'
    optim = _optimisation(base)
    train_data = "dict(own_dataset, ann_file='annotations/train.json', filter_cfg=own_filter)"
    if is_mixed(base.train_dataloader.dataset):
        # several images become one outside of the data set that reads them
        train_data = f'dict(dataset={train_data})'
    # epochs of the base at which validation begins, or comes oftener
    neutral = dict(val_begin=1, dynamic_intervals=None)
    loop = ''.join(f', {k}={v}' for k, v in neutral.items() if k in base.train_cfg)
    hooks = _rescaled_hooks(base, len(train))
    bases = ''.join(f'    {path!r},\n' for path in bases)
    return f'''\
# Written by tools/prepare_data.py; yours to edit.
# {len(train)} training images / {schedule.batch} a step = {schedule.steps} steps an epoch
_base_ = [
{bases}]
custom_imports = dict(imports=['shufflenet_det'], allow_failed_imports=False)
own_root = """{{{{ fileDirname }}}}/"""
own_images = {prefix + '/'!r}  # below own_root, or an absolute path
classes = {pformat(classes, width=90, compact=True)}
epochs = {schedule.epochs}  # the schedule follows
interval = (epochs + 4) // 5  # epochs from a validation and checkpoint to the next
workers = 1  # processes that read images, 0 for none
work_dir = {f'work_dirs/{out.resolve().name}'!r}
model = dict({model})
own_dataset = dict(
    type='CheckedCocoDataset',
    data_root=own_root,
    data_prefix=dict(img=own_images),
    metainfo=dict(classes=classes),
)
own_filter = dict(filter_empty_gt=False, min_size=1)  # images without objects are learned, too
own_loader = dict(num_workers=workers, persistent_workers=workers > 0)
train_dataloader = dict(
    own_loader,
    batch_size={schedule.batch},
    dataset={train_data},
)
val_dataloader = dict(own_loader, dataset=dict(own_dataset, ann_file='annotations/val.json'))
test_dataloader = val_dataloader
own_annotations = own_root + 'annotations/val.json'
val_evaluator = dict(_delete_=True, type='CheckedCocoMetric', ann_file=own_annotations)
test_evaluator = val_evaluator
{optim}train_cfg = dict(max_epochs=epochs, val_interval=interval{loop})
own_warmup = max(2, min(50, {schedule.steps} * epochs // 4))  # two is the least that LinearLR takes
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=own_warmup),
    # without T_max it falls until the end of the run, whatever that is
    dict(type='CosineAnnealingLR', by_epoch=False, eta_min_ratio=0.01),
]
own_checkpoint = dict(_base_.small_hooks.checkpoint, interval=interval)
default_hooks = dict(_base_.small_hooks, checkpoint=own_checkpoint)
{hooks}randomness = dict(seed={seed})
'''
