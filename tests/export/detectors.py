"""Small detectors with random weights that detect something, for tests of what is exported."""
from shufflenet_det.common.config import load_config
from shufflenet_det.models import ImageClassifier

import cv2
import numpy as np
import torch
from mmdet.models import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import Tensor, nn

from ..conftest import ROOT

FAMILIES = ('c4', 'fpn', 'light')
# the networks keep their shape and lose their width; small RoIs come from all levels
_ALL_LEVELS = {'model.roi_head.bbox_roi_extractor.finest_scale': 10}
SMALL = {
    'c4': {'model.test_cfg.rpn.nms_pre': 300, 'model.test_cfg.rpn.max_per_img': 40},
    'fpn': {
        'model.neck.out_channels': 32,
        'model.rpn_head.in_channels': 32,
        'model.rpn_head.feat_channels': 32,
        'model.roi_head.bbox_roi_extractor.out_channels': 32,
        'model.roi_head.bbox_head.in_channels': 32,
        'model.roi_head.bbox_head.fc_out_channels': 64,
        'model.test_cfg.rpn.nms_pre': 200,
        'model.test_cfg.rpn.max_per_img': 100,
        **_ALL_LEVELS,
    },
    'light': _ALL_LEVELS,
}


def detector_config(family: str, **options: object) -> Config:
    path = ROOT / f'configs/faster_rcnn/faster-rcnn_shufflenet-v1-0.5x-g3_{family}_2x_coco-300.py'
    return load_config(str(path), SMALL[family] | options)


def sample_config(family: str) -> Config:
    """Config of the detector that is trained on the sample at 300 pixels."""
    path = ROOT / f'configs/sample/faster-rcnn_shufflenet-v1-0.5x-g3_{family}_sample-300.py'
    return load_config(str(path))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise (3, height, width) of uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(fine.transpose(2, 0, 1))


def predict(model: TwoStageDetector, image: np.ndarray) -> dict[str, np.ndarray]:
    """MMDetection's own detections in an image (3, H, W) in BGR."""
    shape = image.shape[1:]
    sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape))
    with torch.no_grad():
        data = model.data_preprocessor(
            dict(inputs=[torch.from_numpy(image)], data_samples=[sample])
        )
        (sample,) = model.predict(data['inputs'], data['data_samples'], rescale=False)
    found = sample.pred_instances
    return dict(
        boxes=found.bboxes.numpy(), scores=found.scores.numpy(), labels=found.labels.numpy()
    )


def random_detector(cfg: Config, seed: int = 0) -> TwoStageDetector:
    """A detector whose places, boxes and classes differ as much as those of a trained one.

    With their initial weights all scores are equal, and a comparison would compare nothing.
    """
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    image = picture(192, 256, seed=1)
    with torch.no_grad():
        _estimate_statistics(model, image)
        head = model.roi_head.bbox_head
        for layer, spread in (
            (model.rpn_head.rpn_cls, 0.6),
            (model.rpn_head.rpn_reg, 0.2),
            (head.fc_cls, 2.0),
            (head.fc_reg, 1.0),
        ):
            _spread(model, layer, spread, image)
    return model


def random_classifier(cfg: Config) -> ImageClassifier:
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.eval()


def _estimate_statistics(model: nn.Module, image: np.ndarray) -> None:
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    model.eval()
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.momentum = None
        norm.train()
    predict(model, image)
    model.eval()


def _spread(model: nn.Module, layer: nn.Module, deviation: float, image: np.ndarray) -> None:
    """Give each output of a layer a mean of zero and a standard deviation."""
    outputs: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
        outputs.append(output.transpose(0, 1).flatten(1))

    hook = layer.register_forward_hook(keep)
    predict(model, image)
    hook.remove()
    values = torch.cat(outputs, dim=1)
    scale = deviation / values.std(dim=1).clamp(min=1e-6)
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.copy_(-values.mean(dim=1) * scale)
