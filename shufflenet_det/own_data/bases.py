"""Any config of a detector of boxes, as one that trains by epochs on one data set in COCO's layout.

What MMDetection's configs have around their data is taken off: repetition, several data sets one
after the other, samplers, iterations in place of epochs. The pipelines stay, those that mix several
images among them.
"""
import copy
from collections.abc import Mapping

from mmdet.datasets import BaseDetDataset, CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

from ..common.config import load_config
from ..common.errors import ConfigError
from .resolution import resize, walk

# mixes images, with a pipeline of its own; every other wrapper only says what comes how often
MIXES = 'MultiImageMixDataset'
_NEEDED = ('train_dataloader', 'val_dataloader', 'val_evaluator', 'test_evaluator', 'optim_wrapper')
# steps that read what boxes do not say
_MORE_THAN_BOXES = ('with_mask', 'with_seg')
_OTHER_STEPS = {
    'LoadPanopticAnnotations': 'segmentation',
    'LoadProposals': 'the proposals of another detector',
}


def load_base(path: str, size: int | None = None) -> tuple[Config, Config]:
    """A config as it is, and as it can train on anyone's boxes.

    Args:
        path: a file, or a name such as ``mmdet::yolox/yolox_tiny_8xb8-300e_coco.py``.
        size: as :func:`adapted` takes it.

    Raises:
        ConfigError: as :func:`adapted`, or there is no such file.
    """
    base = load_config(path)
    return base, adapted(base, path, size)


def adapted(base: Config, path: str, size: int | None = None) -> Config:
    """The config with one data set for training, one for validation, and epochs.

    Args:
        base: config of a detector.
        path: of it, for messages.
        size: pixels of the short side of an image in testing; what the config says if None.

    Raises:
        ConfigError: it trains no detector of boxes, or cannot have this size.
    """
    missing = [key for key in _NEEDED if not base.get(key)]
    if missing:
        raise ConfigError(
            f'{path} sets no {", ".join(missing)}: name a config that trains and tests.'
        )
    cfg = copy.deepcopy(base)
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.dataset = _single(loader.dataset, f'{path} reads its {split} data with')
        _require_boxes(loader.dataset, path)
    sampler = cfg.train_dataloader.get('sampler') or {}
    if sampler.get('type') != 'DefaultSampler':
        # which draw without an end, or by class or source
        cfg.train_dataloader.sampler = ConfigDict(type='DefaultSampler', shuffle=True)
    if cfg.val_dataloader != base.val_dataloader:
        cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    _train_by_epochs(cfg, path)
    _keep_negatives(cfg)
    if size is not None:
        resize(cfg, size, path)
    return cfg


def _single(dataset: ConfigDict, who: str) -> ConfigDict:
    """The one data set inside of what is around it, with its pipeline."""
    kind = dataset.get('type')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', kind)
    if name == MIXES:
        return ConfigDict({**dataset, 'dataset': _single(dataset.dataset, who)})
    if 'dataset' in dataset:
        return _single(dataset.dataset, who)
    if dataset.get('datasets'):
        parts = [_single(part, who) for part in dataset.datasets]
        if any(part.get('pipeline') != parts[0].get('pipeline') for part in parts):
            raise ConfigError(
                f'{who} several data sets, each with a pipeline of its own, as semi-supervised '
                'training does: name the config of a detector that is trained on one.'
            )
        return parts[0]
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    if cls is None or not issubclass(cls, BaseDetDataset) or not dataset.get('pipeline'):
        raise ConfigError(f'{who} {name}, which has no boxes: name the config of a detector.')
    if issubclass(cls, CocoDataset) and set(dataset) <= _COCO_KEYS:
        return dataset
    kept = {key: dataset[key] for key in ('pipeline', 'test_mode') if key in dataset}
    return ConfigDict(type='CocoDataset', **kept)


# of a CocoDataset, what the config for one's own data replaces or may stay
_COCO_KEYS = {
    'type', '_scope_', 'data_root', 'ann_file', 'data_prefix', 'metainfo', 'filter_cfg', 'pipeline',
    'test_mode', 'backend_args', 'indices', 'serialize_data', 'lazy_init', 'max_refetch',
}  # fmt: skip


def _require_boxes(dataset: ConfigDict, path: str) -> None:
    for step in walk(dataset):
        for key in _MORE_THAN_BOXES:
            if step.get(key):
                raise ConfigError(
                    f'{path} trains masks ({step["type"]} {key}): name the config of a detector '
                    'of boxes.'
                )
        other = _OTHER_STEPS.get(str(step.get('type')).rsplit('.', 1)[-1])
        if other:
            raise ConfigError(f'{path} trains with {other}: name the config of a detector of '
                              'boxes.')  # fmt: skip


def _train_by_epochs(cfg: Config, path: str) -> None:
    if not cfg.get('train_cfg'):
        raise ConfigError(f'{path} sets no train_cfg: name a config that trains and tests.')
    if 'max_epochs' in cfg.train_cfg:
        return
    cfg.train_cfg = ConfigDict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
    processor = cfg.get('log_processor')
    if processor and not processor.get('by_epoch', True):
        processor.by_epoch = True
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint and not checkpoint.get('by_epoch', True):
        checkpoint.by_epoch = True


def _keep_negatives(cfg: Config) -> None:
    """Without it YOLOX's pipeline fails at an image without objects, and others pass it over."""
    for part in (cfg.train_dataloader.dataset, cfg.get('custom_hooks')):
        for step in walk(part):
            if step.get('type') == 'FilterAnnotations' and not step.get('keep_empty', True):
                step.keep_empty = True


def is_mixed(dataset: Mapping) -> bool:
    """Whether a data set of :func:`adapted` mixes several images of another."""
    return 'dataset' in dataset
