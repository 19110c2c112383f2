"""What can be exported: detectors, classifiers and backbones, each beside PyTorch's own results."""
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shufflenet_runtime.sessions import Outputs

import numpy as np
import torch
from mmdet.models import BaseDetector, SingleStageDetector
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..common.config import innermost_dataset
from ..common.errors import ConfigError
from ..models import ImageClassifier, switch_to_deploy
from ..weights.preprocessing import preprocessing_of
from .dense import PlainDenseDetector
from .dense_settings import is_dense
from .detector import PlainDetector
from .detector_settings import check_kind
from .preprocessor import PlainPreprocessor
from .refusing import predicts_as

IMAGE = 'image'
"""Name of the input."""

KINDS = ('detector', 'classifier', 'backbone')
_IMAGE_AXES = {2: 'height', 3: 'width'}


@dataclass(frozen=True)
class Exportable:
    """A network that can be exported.

    Attributes:
        kind: one of :data:`KINDS`.
        network: images (N, 3, H, W) of uint8 to the tensors that ``outputs`` names.
        outputs: names of the results, in order, and for each its axes that vary.
        axes: axes of the images that vary.
        size: height and width, where only one size will do.
        example: height and width of an example, where any size will do.
        predict: PyTorch's own results, by the names of ``outputs``, for images of uint8 or float32
            in the network's order of channels.
        description: what the network means, for ``deploy.json``.
    """

    kind: str
    network: nn.Module
    outputs: Mapping[str, Mapping[int, str]]
    axes: Mapping[int, str]
    predict: Callable[[np.ndarray], Outputs]
    size: tuple[int, int] | None = None
    example: tuple[int, int] = (224, 288)
    description: Mapping[str, Any] = field(default_factory=dict)


def random_images(source: Exportable) -> np.ndarray:
    """An example of the input, (1, 3, H, W) of uint8."""
    height, width = source.size or source.example
    return np.random.default_rng(0).integers(0, 256, (1, 3, height, width), dtype=np.uint8)


class PlainClassifier(nn.Module):
    """Images to logits."""

    def __init__(self, model: ImageClassifier) -> None:
        super().__init__()
        self.preprocess = PlainPreprocessor(model.data_preprocessor)
        self.backbone, self.head = model.backbone, model.head

    def forward(self, image: Tensor) -> Tensor:
        """Images (N, 3, H, W) to logits (N, num_classes)."""
        return self.head(self.backbone(self.preprocess(image))[-1])


class PlainBackbone(nn.Module):
    """Images to the levels of a backbone."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.preprocess = PlainPreprocessor(model.data_preprocessor)
        self.backbone = model.backbone

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the levels (N, C, h, w) that the backbone returns."""
        return tuple(self.backbone(self.preprocess(image)))


def exportable(
    model: BaseModel,
    labels: Sequence[str] | None,
    resize: Mapping[str, Any] | None,
    backbone_only: bool = False,
) -> Exportable:
    """Prepare a trained model.

    Args:
        model: a detector or a classifier with its weights; it is not changed.
        labels: names of its classes.
        resize: rule of its test pipeline (:mod:`shufflenet_runtime.resizing`).
        backbone_only: whether to export its backbone alone.

    Raises:
        ConfigError: the model has a part that cannot be exported exactly.
    """
    model.eval()
    preprocessing = preprocessing_of(model.data_preprocessor)
    if preprocessing is None:
        name = type(model.data_preprocessor).__name__
        raise ConfigError(f'cannot export data_preprocessor: what {name} does is not known.')
    pad = model.data_preprocessor
    description = dict(
        channels=preprocessing.channel_order,
        preprocessing=dict(
            mean=preprocessing.mean,
            std=preprocessing.std,
            pad_divisor=getattr(pad, 'pad_size_divisor', 1),
            pad_value=getattr(pad, 'pad_value', 0),
        ),
    )
    if backbone_only:
        return _backbone(model, description)
    if isinstance(model, ImageClassifier):
        return _classifier(model, labels, resize, description)
    return _detector(model, labels, resize, description)


def plain_detector(model: BaseDetector) -> PlainDetector | PlainDenseDetector:
    """A detector as plain tensor code.

    Raises:
        ConfigError: it has a part that cannot be exported exactly.
    """
    return (PlainDenseDetector if is_dense(model) else PlainDetector)(model)


def require_boxes(model: Mapping[str, Any]) -> None:
    """Refuse a model by its config, before it is built, whose kind of detector has no boxes here.

    Raises:
        ConfigError: says what is refused.
    """
    owner = MODELS.get(model['type'])
    if owner is None or not issubclass(owner, BaseDetector):
        return
    if not predicts_as(owner, SingleStageDetector):
        check_kind(owner, 'mask_head' in (model.get('roi_head') or {}))


def _detector(
    model: BaseDetector,
    labels: Sequence[str] | None,
    resize: Mapping[str, Any] | None,
    description: dict,
) -> Exportable:
    # before folding, which takes a while
    plain_detector(model)
    network = plain_detector(switch_to_deploy(copy.deepcopy(model)))
    settings = network.settings
    flipped = model.data_preprocessor._channel_conversion
    _check_labels(labels, network.num_classes)

    @torch.no_grad()
    def predict(images: np.ndarray) -> Outputs:
        (image,) = images
        # as the pipeline delivers it
        image = torch.from_numpy(np.ascontiguousarray(image[::-1] if flipped else image))
        shape = tuple(image.shape[1:])
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
        data = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]))
        (sample,) = model.predict(data['inputs'], data['data_samples'], rescale=False)
        found = sample.pred_instances
        return dict(
            boxes=found.bboxes.numpy(), scores=found.scores.numpy(), labels=found.labels.numpy()
        )

    return Exportable(
        kind='detector',
        network=network.eval(),
        outputs={name: {0: 'detections'} for name in ('boxes', 'scores', 'labels')},
        axes=_IMAGE_AXES,
        predict=predict,
        **_example(resize),
        description=dict(
            labels=labels,
            thresholds=dict(
                score=settings.score_threshold,
                iou=settings.iou_threshold,
                max_per_image=settings.max_per_img,
            ),
            **description,
        ),
    )


def _example(resize: Mapping[str, Any] | None) -> dict[str, tuple[int, int]]:
    """The size to which images are brought, where that is one: SSD works on no smaller ones."""
    if resize is None or resize['rule'] != 'exact' or resize.get('pad'):
        return {}
    return dict(example=(resize['height'], resize['width']))


def _classifier(
    model: ImageClassifier,
    labels: Sequence[str] | None,
    resize: Mapping[str, Any] | None,
    description: dict,
) -> Exportable:
    _check_labels(labels, model.head.num_classes)
    size = None
    if any(_needs_one_size(part) for part in model.modules()):
        if resize is None or resize['rule'] != 'crop':
            raise ConfigError('cannot export: the test pipeline does not tell the size of images.')
        size = (resize['crop'], resize['crop'])
    return Exportable(
        kind='classifier',
        network=PlainClassifier(switch_to_deploy(copy.deepcopy(model))).eval(),
        outputs=dict(logits={0: 'batch'}),
        axes={0: 'batch', **({} if size else _IMAGE_AXES)},
        predict=_run(PlainClassifier(model), ['logits']),
        size=size,
        description=dict(labels=labels, **description),
    )


def _backbone(model: BaseModel, description: dict) -> Exportable:
    network = PlainBackbone(switch_to_deploy(copy.deepcopy(model)))
    names = [f'level{number}' for number in range(len(model.backbone.out_indices))]
    axes = {0: 'batch', **_IMAGE_AXES}
    return Exportable(
        kind='backbone',
        network=network.eval(),
        outputs={
            name: {0: 'batch', 2: f'height{n}', 3: f'width{n}'} for n, name in enumerate(names)
        },
        axes=axes,
        predict=_run(PlainBackbone(model), names),
        description=description,
    )


def _run(network: nn.Module, names: Sequence[str]) -> Callable[[np.ndarray], Outputs]:
    @torch.no_grad()
    def run(images: np.ndarray) -> Outputs:
        results = network(torch.from_numpy(images))
        results = (results,) if isinstance(results, Tensor) else results
        return {name: x.numpy() for name, x in zip(names, results, strict=True)}

    return run


def _needs_one_size(layer: nn.Module) -> bool:
    """Whether ONNX has the layer for one size of its input only."""
    adaptive = isinstance(layer, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d))
    return adaptive and layer.output_size not in (1, (1, 1))


def _check_labels(labels: Sequence[str] | None, num_classes: int) -> None:
    if labels is not None and len(labels) != num_classes:
        raise ConfigError(
            f'the model has {num_classes} classes and the data set names {len(labels)}: set '
            f'num_classes of the heads, or metainfo=dict(classes=(...)) of the data sets.'
        )


def labels_of(cfg: Config, checkpoint: Mapping[str, Any]) -> list[str] | None:
    """Names of the classes: those that a checkpoint was trained for, else those of the config.

    Returns:
        The names, or None where neither knows them, as with a folder of images for each class.
    """
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    if meta.get('classes'):
        return list(meta['classes'])
    dataset = innermost_dataset(cfg.get('test_dataloader'))
    named = (dataset.get('metainfo') or {}).get('classes')
    if not named:
        kind = DATASETS.get(dataset['type']) if 'type' in dataset else None
        named = (getattr(kind, 'METAINFO', None) or {}).get('classes')
    return list(named) if named else None
