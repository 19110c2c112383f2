"""Checks that run before the first image."""
import re
from collections.abc import Iterator

from mmcv.cnn import VGG
from mmdet.models.roi_heads.mask_heads import FusedSemanticHead
from mmdet.registry import HOOKS
from mmengine.fileio import load
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from ..common.errors import ConfigError, DataError, shorten
from ..compat.checkpoint import CheckpointError, KeyReport, compare_keys
from ..weights import check_preprocessing


@HOOKS.register_module()
class ConsistencyHook(Hook):
    """Compare the model, the data set and the checkpoint before the first image is used.

    Raises:
        ConfigError: a head's ``num_classes`` is not the number of the data set's classes, or a
            checkpoint to be tested or resumed was trained for other classes. Fine-tuning from a
            checkpoint (``load_from``) may change them.
        DataError: a class is not in the annotations, which MMDetection's data sets do not mind.
        CheckpointError: a checkpoint to be tested or resumed fills only a part of the model, or a
            part of the model was loaded from a file that needs another preprocessing.
    """

    def __init__(self) -> None:
        self._keys: KeyReport | None = None
        self._classes: list[str] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta') or {}
        classes = (meta.get('dataset_meta') or {}).get('classes')
        self._classes = None if classes is None else list(classes)
        self._keys = keys_of(runner.model, checkpoint)
        if runner._resume:
            # here, because next the Runner loads the state of the optimiser, which would not fit
            require_complete(self._keys)
            _require_training_state(checkpoint)
            _require_same_pretraining(runner, meta)

    def before_train(self, runner: Runner) -> None:
        check_preprocessing(runner.model)
        classes = _classes_of(runner.train_dataloader.dataset)
        self._check_heads(runner, classes)
        if runner._resume:
            self._check_checkpoint(classes)

    def before_val(self, runner: Runner) -> None:
        self._check_heads(runner, _classes_of(runner.val_dataloader.dataset))

    def before_test(self, runner: Runner) -> None:
        check_preprocessing(runner.model)
        classes = _classes_of(runner.test_dataloader.dataset)
        self._check_heads(runner, classes)
        self._check_checkpoint(classes)

    def _check_heads(self, runner: Runner, classes: tuple[str, ...] | None) -> None:
        if classes is None:
            return
        for name, module in runner.model.named_modules():
            num_classes = getattr(module, 'num_classes', None)
            # an RPN tells objects from background only; the others count something else
            if (
                num_classes is None
                or name.endswith('rpn_head')
                or isinstance(module, (FusedSemanticHead, VGG))
            ):
                continue
            if num_classes != len(classes):
                raise ConfigError(
                    f'{name} has num_classes={num_classes}, the data set has {len(classes)} '
                    f'classes: {", ".join(classes)}. Set num_classes of the heads, or '
                    f'metainfo=dict(classes=(...)) of the data sets.'
                )

    def _check_checkpoint(self, classes: tuple[str, ...] | None) -> None:
        if self._keys is not None:
            require_complete(self._keys)
        trained = self._classes
        if classes is None or trained is None or trained == list(classes):
            return
        raise ConfigError(
            f'the checkpoint was trained for {len(trained)} classes ({shorten(trained)}), the '
            f'config names {len(classes)} ({shorten(classes)}). Use the config that the checkpoint '
            f'was trained with, or to fine-tune it for other classes '
            f'`tools/train.py CONFIG --cfg-options load_from=CHECKPOINT`.'
        )


def _classes_of(dataset: Dataset) -> tuple[str, ...] | None:
    """The classes of a data set, all of which its annotations must have."""
    classes = dataset.metainfo.get('classes')
    for part in _parts(dataset):
        known = getattr(part, 'cat_ids', None)
        names = part.metainfo.get('classes')
        if known is not None and names is not None and len(known) < len(names):
            present = {c['name'] for c in load(part.ann_file)['categories']}
            raise DataError(
                f'{len(names) - len(known)} of the {len(names)} classes of the config are not in '
                f'{part.ann_file}: {shorten(n for n in names if n not in present)}. Its '
                f'categories are: {shorten(present)}. Set metainfo=dict(classes=(...)) of the data '
                f'sets to names of the file, and num_classes of the heads to their number.'
            )
    return classes


def _parts(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets that others are made of, by repetition or one after the other."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from _parts(part)


def keys_of(model: nn.Module, checkpoint: dict) -> KeyReport:
    """How the weights of a checkpoint fit a model."""
    state_dict = checkpoint.get('state_dict', checkpoint)
    return compare_keys(model, {k.removeprefix('module.'): v for k, v in state_dict.items()})


def require_complete(keys: KeyReport) -> None:
    """Raise :class:`CheckpointError` unless the checkpoint holds the model and nothing else."""
    if not keys.complete or keys.unexpected:
        raise CheckpointError(
            f'the checkpoint is of another network than the config: {keys}. Use the config that '
            f'it was trained with.'
        )


def _require_training_state(checkpoint: dict) -> None:
    missing = [key for key in ('meta', 'message_hub', 'optimizer') if key not in checkpoint]
    if missing:
        raise CheckpointError(
            f'the checkpoint holds weights only and cannot be resumed: it has no '
            f'{", ".join(missing)}. To start from its weights use '
            f'--cfg-options load_from=CHECKPOINT.'
        )


def _require_same_pretraining(runner: Runner, meta: dict) -> None:
    """With and without pretraining the batch norms train differently (see the base configs)."""
    trained = re.search(r"^pretrained = '(.*)'$", meta.get('cfg') or '', re.MULTILINE)
    now = runner.cfg.get('pretrained')
    if trained is not None and now is not None and (trained[1] == 'none') != (now == 'none'):
        raise ConfigError(
            f'the run to be resumed had SHUFFLENET_PRETRAINED={trained[1]}, now it is {now}: set '
            f'it as it was.'
        )
