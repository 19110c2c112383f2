"""Counts against counts by hand, and detectors against themselves under other conditions."""
from collections.abc import Callable
from copy import deepcopy
from functools import cache

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models.complexity import Complexity, count_config, count_module
from shufflenet_det.models.shufflenet_v1 import ShuffleNetV1
from shufflenet_det.models.widths import count_mflops

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import DeformConv2d

from ..conftest import ROOT

C4 = str(ROOT / 'configs' / 'faster_rcnn_shufflenet.py')
ATTENTION = 2 * 4 * (5 * 5 * 4 + 5 * 5 * 4)  # 2 images, 4 heads of 4 channels, 5 tokens


class Function(nn.Module):
    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def macs(module: nn.Module, *shapes: tuple[int, ...]) -> int:
    return sum(layer.macs for layer in count_module(module, *map(torch.rand, shapes)))


@pytest.mark.parametrize(
    ('module', 'shapes', 'by_hand'),
    [
        (nn.Conv2d(6, 8, 3, 2, 1), [(2, 6, 11, 12)], 2 * 8 * 6 * 9 * 6 * 6),
        (nn.Conv2d(6, 9, 3, 2, 1, groups=3), [(2, 6, 11, 12)], 2 * 9 * 2 * 9 * 6 * 6),
        (nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6), [(1, 6, 7, 5)], 6 * 9 * 35),
        (nn.Conv1d(6, 4, 3), [(2, 6, 11)], 2 * 4 * 6 * 3 * 9),
        (nn.Conv3d(6, 4, 3), [(1, 6, 5, 6, 7)], 4 * 6 * 27 * 60),
        (nn.ConvTranspose2d(6, 9, 2, 2, groups=3), [(2, 6, 5, 4)], 2 * 6 * 3 * 4 * 20),
        (DeformConv2d(4, 6, 3, padding=1, groups=2), [(1, 4, 8, 7), (1, 18, 8, 7)], 6 * 2 * 9 * 56),
        (nn.Linear(5, 7), [(2, 3, 5)], 2 * 3 * 35),
        (nn.Linear(5, 7, bias=False), [(2, 3, 5)], 2 * 3 * 35),
        (Function(torch.bmm), [(2, 3, 4), (2, 4, 5)], 2 * 60),
        (Function(lambda q, x: torch.einsum('bqc,bchw->bqhw', q, x)),
         [(2, 3, 4), (2, 4, 5, 6)], 2 * 3 * 4 * 30),
        (Function(F.scaled_dot_product_attention), [(2, 4, 5, 4)] * 3, ATTENTION),
        (nn.MultiheadAttention(16, 4, batch_first=True), [(2, 5, 16)] * 3,
         ATTENTION + 4 * 2 * 5 * 16 * 16),
        (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), [(2, 5, 16)],
         ATTENTION + 4 * 2 * 5 * 16 * 16 + 2 * 2 * 5 * 16 * 32),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2)), [(1, 3, 8, 8)], 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else '',
)  # fmt: skip
def test_operators_are_counted_as_by_hand(module, shapes, by_hand):
    assert macs(module, *shapes) == by_hand


@pytest.mark.parametrize(('groups', 'factor'), [(1, 0.25), (3, 1.0), (8, 0.5)])
def test_shufflenet_is_counted_as_its_formula_says(groups, factor):
    net = ShuffleNetV1(groups=groups, widen_factor=factor)
    stem, *stages = net.out_channels
    formula = count_mflops(stem, stages, groups, num_classes=0)
    assert macs(net, (1, 3, 224, 224)) == pytest.approx(formula * 1e6, abs=1)


def test_nothing_is_computed_but_everything_counted():
    net = ShuffleNetV1(widen_factor=0.25).eval()
    outputs = []
    net.layers[2].register_forward_hook(lambda *args: outputs.append(args[2]))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.rand(1, 3, 96, 64))
    assert 2 * macs(net, (1, 3, 96, 64)) == counter.get_total_flops()
    computed, counted = outputs
    assert counted.shape == computed.shape
    assert computed.any() and not counted.any()


class Shared(nn.Module):
    """One layer for two inputs, a layer that shares its weights, and a product of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.tied = nn.Conv2d(3, 4, 1)
        self.tied.weight = self.conv.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        out = self.conv(x) + self.tied(x)
        self.conv(x[..., :2])
        return out.flatten(2) @ out.flatten(2).transpose(1, 2)


def test_multiply_adds_belong_to_the_layer_that_ran():
    layers = {layer.name: layer for layer in count_module(Shared(), torch.rand(1, 3, 5, 7))}
    assert (layers['conv'].macs, layers['conv'].params) == (12 * (35 + 10), 12 + 4)
    assert (layers['tied'].macs, layers['tied'].params) == (12 * 35, 4)
    assert (layers[''].macs, layers[''].params) == (4 * 4 * 35, 0)
    assert (layers['unused'].macs, layers['unused'].params) == (0, 6)
    assert layers['unused'].output_shape is None
    assert layers['tied'].output_shape == (1, 4, 5, 7)


def test_switches_of_pytorch_are_put_back():
    count_module(nn.Linear(2, 2), torch.rand(1, 2))
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()


def parts(counted: Complexity) -> dict[str, int]:
    return {part.name: part.macs for part in counted.parts()}


@cache
def _read(path: str) -> Config:
    return load_config(path)


def config(path: str = C4, **options: object) -> Config:
    # configs based on MMDetection's take a second to read
    cfg = deepcopy(_read(path))
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    return cfg


def c4(shape: tuple[int, int], **options: object) -> Complexity:
    return count_config(config(**options), shape)


def test_two_stage_detector_by_parts():
    small = c4((96, 128))
    assert small.proposals == 300
    assert small.input_shape == (96, 128)
    by_part = parts(small)
    assert set(by_part) == {'backbone', 'rpn_head', 'roi_head.shared_head', 'roi_head.bbox_head'}
    assert sum(by_part.values()) == small.macs
    # 3x3 convolution to 240, then 15 anchors of one score and four coordinates
    assert by_part['rpn_head'] == 6 * 8 * (480 * 240 * 9 + 240 * 15 * 5)
    assert by_part['roi_head.bbox_head'] == 300 * 960 * (81 + 4 * 80)
    model = MODELS.build(config().model)
    assert small.params == sum(p.numel() for p in model.parameters())

    # neither another image nor other random weights move the second stage, other proposals do
    torch.manual_seed(1)
    other = parts(c4((192, 192), model__test_cfg__rpn__max_per_img=100))
    assert other['roi_head.shared_head'] * 3 == by_part['roi_head.shared_head']
    assert other['backbone'] == 3 * by_part['backbone']


def test_input_is_padded_as_in_testing():
    assert c4((70, 97)).input_shape == (96, 128)


def test_one_stage_detector_is_counted_as_it_runs():
    cfg = config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    counted = count_config(cfg, (64, 96))
    assert counted.proposals is None
    assert set(parts(counted)) == {'backbone', 'neck', 'bbox_head'}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        MODELS.build(cfg.model).eval()(torch.rand(1, 3, 64, 96))
    assert 2 * counted.macs == counter.get_total_flops()


def test_transformer_detector_by_parts():
    counted = count_config(config('mmdet::detr/detr_r50_8xb2-150e_coco.py'), (64, 96))
    by_part = parts(counted)
    tokens, channels, hidden = 2 * 3, 256, 2048
    # queries, keys, values and output; the two products of attention; the two layers behind them
    layer = 4 * tokens * channels**2 + 2 * tokens**2 * channels + 2 * tokens * channels * hidden
    assert by_part['encoder'] == 6 * layer
    assert by_part['neck'] == tokens * 2048 * channels
    assert {'backbone', 'decoder', 'bbox_head'} < set(by_part)


def test_learned_proposals_are_as_many_as_the_config_says():
    cfg = config('mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    counted = count_config(cfg, (64, 96))
    assert counted.proposals == cfg.model.rpn_head.num_proposals == 100
    assert parts(counted)['roi_head.bbox_head'] > 0


def test_models_that_cannot_be_counted_are_errors():
    without_rpn = config(model__type='FastRCNN')
    del without_rpn.model['rpn_head']
    with pytest.raises(ConfigError, match='FastRCNN takes its proposals from a file'):
        count_config(without_rpn, (64, 96))
    with pytest.raises(ConfigError, match='ShuffleNetV1.*neither a detector nor'):
        count_config(Config(dict(model=dict(type='ShuffleNetV1'))), (64, 64))
    with pytest.raises(ConfigError, match='cannot count NoSuchNet at 64x64 pixels: KeyError'):
        count_config(Config(dict(model=dict(type='NoSuchNet'))), (64, 64))
    with pytest.raises(ConfigError, match='0x64 pixels'):
        c4((0, 64))
    alexnet = config(str(ROOT / 'configs' / 'imagenet' / 'alexnet_in1k.py'))
    with pytest.raises(ConfigError, match='ImageClassifier at 32x32 pixels.*larger --shape'):
        count_config(alexnet, (32, 32))
