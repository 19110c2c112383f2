"""Random weights with which a detector decides: its places, boxes and classes differ.

With their initial weights all scores of a detector are nearly equal, so that rounding decides which
boxes are kept, and a comparison of engines would compare nothing.
"""
import math
from statistics import NormalDist

import torch
from mmcv.cnn import ConvModule
from mmdet.models import BaseDetector
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from .dense_description import DenseSettings
from .dense_settings import is_dense, read_dense
from .detector_settings import read_detection_settings, read_proposal_settings

# detections before the suppression that a detector should have in a picture
_CANDIDATES = 250
_LEAST_SCORE = 0.05


@torch.no_grad()
def make_decisive(model: BaseDetector, images: Tensor, seed: int = 0) -> None:
    """Give a detector such weights.

    Args:
        model: one that can be exported, changed in place and put into evaluation mode.
        images: (N, 3, H, W) of uint8, as a pipeline delivers them, on which it is to decide.
            Several, because a level of a single place has no deviation in one, and because what is
            estimated on one alone is far off on another.
        seed: of all that is random.

    Raises:
        ConfigError: it cannot be exported.
    """
    # before anything is computed: heads of another kind have other layers
    settings = read_dense(model) if is_dense(model) else None
    if settings is None:
        read_proposal_settings(model.rpn_head)
        read_detection_settings(model.roi_head)
    torch.manual_seed(seed)
    model.init_weights()
    _estimate_statistics(model, images)
    if settings is not None:
        for layer in _last_layers(model.bbox_head):
            _spread(model, layer, images, settings)
        return
    rpn, heads = model.rpn_head, model.roi_head.bbox_head
    for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
        _scale(model, head.fc_cls, images, 2.0)
        _scale(model, head.fc_reg, images, 1.0)
    _scale(model, rpn.rpn_cls, images, 0.6)
    _scale(model, rpn.rpn_reg, images, 0.2)


def _predict(model: BaseDetector, images: Tensor) -> None:
    shape = tuple(images.shape[2:])
    samples = [DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape)) for _ in images]
    data = model.data_preprocessor(dict(inputs=list(images), data_samples=samples))
    model.predict(data['inputs'], data['data_samples'], rescale=False)


def _estimate_statistics(model: BaseDetector, images: Tensor) -> None:
    """Batch norms whose running statistics are those of pictures."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    model.eval()
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.momentum = None
        norm.reset_running_stats()
        # the model stays in evaluation mode: some freeze norms in training mode
        norm.training = True
    _predict(model, images)
    model.eval()


def _last_layers(head: nn.Module) -> list[nn.Conv2d]:
    """The convolutions of a head that nothing normalises."""
    inside = {
        id(conv) for m in head.modules() if isinstance(m, ConvModule) for conv in m.modules()
    }
    return [m for m in head.modules() if isinstance(m, nn.Conv2d) and id(m) not in inside]


def _outputs(model: BaseDetector, layer: nn.Module, images: Tensor) -> Tensor:
    """All values of each channel of a layer's outputs (channels, N)."""
    found: list[Tensor] = []
    hook = layer.register_forward_hook(
        lambda _, inputs, output: found.append(output.transpose(0, 1).flatten(1))
    )
    _predict(model, images)
    hook.remove()
    return torch.cat(found, dim=1) if found else torch.empty(layer.weight.shape[0], 0)


def _scale(
    model: BaseDetector, layer: nn.Module, images: Tensor, deviation: float, mean: float = 0.0
) -> int:
    """Give each channel of a layer a mean and a standard deviation; the values of a channel."""
    nn.init.normal_(layer.weight, 0, 0.01)
    values = _outputs(model, layer, images)
    if values.shape[1] < 2:
        return values.shape[1]
    scale = deviation / values.std(dim=1).clamp(min=1e-6)
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    if layer.bias is not None:
        bias = layer.bias if layer.bias is not None else 0
        layer.bias.copy_(mean - (values.mean(dim=1) - bias) * scale)
    return values.shape[1]


def _spread(
    model: BaseDetector, layer: nn.Conv2d, images: Tensor, settings: DenseSettings
) -> None:
    priors = {len(level['priors']) for level in settings.levels}
    classes = settings.num_classes + (settings.score == 'softmax')
    channels = layer.out_channels
    numbers = 4 * (settings.coding.get('bins', 0) + 1)
    if settings.joined:
        count = _scale(model, layer, images, 0.4)
        weight, bias = (x.view(-1, 5 + classes, *x.shape[1:]) for x in (layer.weight, layer.bias))
        weight[:, 4:] *= 5
        bias[:, 4:] *= 5
        bias[:, 5:] += _mean_of_classes(settings, count * channels, 2.0)
    elif channels in {n * classes for n in priors}:
        count = _scale(model, layer, images, 2.0)
        mean = _mean_of_classes(settings, count * channels, 2.0)
        if settings.score == 'softmax':
            layer.bias.view(-1, classes)[:, -1] -= mean
        else:
            layer.bias += mean
    elif channels in {n * numbers for n in priors}:
        far = settings.coding['kind'] == 'distances' and not settings.coding['bins']
        _scale(model, layer, images, 0.4, 1.5 if far else 0.0)
    else:
        _scale(model, layer, images, 1.0, 1.0 if channels in priors else 0.0)


def _mean_of_classes(settings: DenseSettings, number: int, deviation: float) -> float:
    """The mean of logits with which as many as there should be are above the least score."""
    least = max(settings.score_threshold, _LEAST_SCORE)
    share = min(0.4, _CANDIDATES / number)
    return math.log(least / (1 - least)) - NormalDist().inv_cdf(1 - share) * deviation
