"""Image classification: a backbone, a head and the preprocessing, on mmengine's Runner."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseDataPreprocessor, BaseModel, BaseModule
from torch import Tensor, nn
from torchvision.transforms import v2

from ..common.errors import ConfigError

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class ClassifierPreprocessor(BaseDataPreprocessor):
    """Normalises batches on the device of the model and, in training, mixes their images.

    Images come as bytes (N, 3, H, W) and leave as float32 of the same shape: a batch travels from
    the workers at a quarter of the size.

    Args:
        mean, std: of the channels as the network sees them, for pixels in 0..255.
        rgb_to_bgr: whether the network sees BGR, as the authors' public weights expect it.
        mixup: parameter of mixup's Beta distribution (arXiv 1710.09412); 0 for none.
        cutmix: parameter of CutMix's Beta distribution (arXiv 1905.04899); 0 for none. With both,
            each batch takes one of the two at random.
        num_classes: classes of the head; needed for mixing, whose labels are probabilities.

    Raises:
        ConfigError: mixing without ``num_classes``.
    """

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        rgb_to_bgr: bool = False,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.rgb_to_bgr = rgb_to_bgr
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)
        if (mixup or cutmix) and num_classes is None:
            raise ConfigError('mixup and cutmix need num_classes of data_preprocessor.')
        mixing = [
            transform(alpha=alpha, num_classes=num_classes)
            for transform, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix))
            if alpha
        ]
        self.mixing = v2.RandomChoice(mixing) if mixing else None

    def forward(self, data: dict, training: bool = False) -> dict:
        """``dict(inputs=..., labels=..., paths=...)`` to the same, ready for the model."""
        data = self.cast_data(data)
        inputs = data['inputs'].flip(1) if self.rgb_to_bgr else data['inputs']
        # in place: fresh buffers of this size cost more than the arithmetic
        inputs = inputs.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)
        if training and self.mixing is not None:
            inputs, data['labels'] = self.mixing(inputs, data['labels'])
        return {**data, 'inputs': inputs}


class ClassificationHead(BaseModule):
    """What turns features into logits, and logits into a loss.

    Args:
        num_classes: number of classes.
        label_smoothing: share of the label that is spread over all classes.
        init_cfg: initialisation.
    """

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross entropy with labels (N,), or probabilities (N, num_classes) of mixed images."""
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return dict(loss=loss)


@MODELS.register_module()
class LinearHead(ClassificationHead):
    """Global average pooling and one linear layer, as in ShuffleNet, MobileNet and ResNet.

    Args:
        num_classes: number of classes.
        backbone: the network in front of it, which tells its channels.
        in_channels: channels of its last level, for a backbone without ``out_channels``.
        dropout: probability of dropping a feature before the linear layer.
        bias: whether the linear layer has a bias; the authors' public weights have none.
        label_smoothing: share of the label that is spread over all classes.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Module | None = None,
        in_channels: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        label_smoothing: float = 0.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        init_cfg = init_cfg or dict(type='Normal', layer='Linear', std=0.01)
        super().__init__(num_classes, label_smoothing, init_cfg)
        if in_channels is None:
            if not hasattr(backbone, 'out_channels'):
                raise ConfigError(
                    f'{type(backbone).__name__} does not tell its channels (out_channels): give '
                    f'in_channels of the head.'
                )
            in_channels = backbone.out_channels[-1]
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to logits (N, num_classes)."""
        return self.fc(self.dropout(x.mean(dim=(2, 3))))


@MODELS.register_module()
class OriginalHead(ClassificationHead):
    """The layers that AlexNet, VGG-16, GoogLeNet and SqueezeNet have behind their features.

    Args:
        num_classes: number of classes.
        backbone: one that has ``original_head(num_classes)``.
        label_smoothing: share of the label that is spread over all classes.

    Raises:
        ConfigError: the backbone has no such head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Module,
        label_smoothing: float = 0.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(num_classes, label_smoothing, init_cfg)
        if not hasattr(backbone, 'original_head'):
            raise ConfigError(
                f'{type(backbone).__name__} has no head of its own: use type=LinearHead.'
            )
        self.layers = backbone.original_head(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to logits (N, num_classes)."""
        return self.layers(x)


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Any registered backbone with a classification head.

    The backbone's weights are saved under ``backbone.``: a detector starts from a checkpoint of
    this model with ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')``.

    Args:
        backbone: config of the backbone; the last level that it returns is classified.
        head: config of the head.
        data_preprocessor: config of the preprocessor.
        init_cfg: initialisation of the whole model.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        preprocessor = data_preprocessor or dict(type='ClassifierPreprocessor')
        super().__init__(MODELS.build(preprocessor), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build({**head, 'backbone': self.backbone})

    def forward(
        self,
        inputs: Tensor,
        labels: Tensor | None = None,
        paths: Sequence[str] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[dict]:
        """Classify a batch.

        Args:
            inputs: preprocessed images (N, 3, H, W).
            labels: class indices (N,), or in training probabilities (N, num_classes).
            paths: files of the images, N of them.
            mode: ``'tensor'`` returns logits (N, num_classes), ``'loss'`` the losses,
                ``'predict'`` for each image its logits (num_classes,), label and path.
        """
        if mode not in ('tensor', 'loss', 'predict'):
            raise ConfigError(f"mode must be 'tensor', 'loss' or 'predict', not {mode!r}.")
        logits = self.head(self.backbone(inputs)[-1])
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            return self.head.loss(logits, labels)
        labels = [None] * len(logits) if labels is None else labels
        paths = [None] * len(logits) if paths is None else paths
        return [
            dict(logits=row, label=label, path=path)
            for row, label, path in zip(logits, labels, paths, strict=True)
        ]
