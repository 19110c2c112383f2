"""Conversions keep what a network computes, and there and back nothing changes."""
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.compat.checkpoint import CheckpointError, read_checkpoint
from shufflenet_det.models import ImageClassifier, ShuffleNetV1
from shufflenet_det.weights import WeightsRecord, record_of
from shufflenet_det.weights.convert import as_file, convert
from shufflenet_det.weights.public_files import public_files
from shufflenet_det.weights.record import RECORD_KEY

import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from ..conftest import ROOT
from .networks import STEMS, AuthorsNet, pictures, randomise

mmpretrain = pytest.importorskip('mmpretrain.models', reason='mmpretrain is not installed')

ALL = list(STEMS)
# the pairs whose shuffle can be rearranged
REARRANGED = [(3, 0.5), (3, 1.0), (3, 1.5), (3, 2.0), (8, 2.0)]


def authors_net(groups: int, factor: float) -> tuple[AuthorsNet, Tensor, Tensor]:
    """The network with random weights, RGB images and the logits of them."""
    net, images = AuthorsNet(groups, factor), pictures()
    bgr = images.float()[:, [2, 1, 0]]
    randomise(net, bgr)
    with torch.no_grad():
        return net, images, net(bgr)


def classifier_of(record: WeightsRecord, bias: bool, **changes) -> ImageClassifier:
    backbone = dict(type=record.backbone, **record.variant, out_indices=(3,))
    preprocessing = record.preprocessing.as_classifier_cfg()
    return ImageClassifier(
        backbone={**backbone, 'shuffle': record.shuffle, **changes},
        head=dict(type='LinearHead', num_classes=7, bias=bias),
        data_preprocessor=dict(type='ClassifierPreprocessor', **preprocessing),
    ).eval()


def logits(model: ImageClassifier, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(model.data_preprocessor(dict(inputs=images))['inputs'])


def assert_close(found: Tensor, expected: Tensor) -> None:
    # images differ, or equal logits would prove nothing
    assert expected.std(0).mean() > 0.05 * expected.abs().max()
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def assert_identical(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize(('groups', 'factor'), ALL)
def test_authors_weights_compute_the_same_here_and_come_back_bit_by_bit(
    groups, factor, tmp_path: Path
):
    suffix = '.safetensors' if groups == 3 else '.pth'
    net, images, expected = authors_net(groups, factor)
    source = {f'module.{name}': tensor for name, tensor in net.state_dict().items()}
    converted = convert(source, 'x')
    (path := tmp_path / f'x{suffix}').write_bytes(as_file(converted, suffix))

    model = classifier_of(converted.record, bias=False)
    load_checkpoint(model, str(path), strict=True)
    assert_close(logits(model, images), expected)

    content = read_checkpoint(path)
    record = WeightsRecord.from_json(content['meta'][RECORD_KEY])
    assert record == converted.record
    assert record in [file.needs for file in public_files()]
    assert_identical(convert(content, 'x', 'authors').tensors, net.state_dict())


@pytest.mark.parametrize(('groups', 'factor'), ALL)
def test_transposed_weights_are_useless_in_standard_order_until_rearranged(groups, factor):
    net, images, expected = authors_net(groups, factor)
    converted = convert(dict(state_dict=net.state_dict()), 'x')
    trap = classifier_of(converted.record, bias=False, shuffle='standard')
    trap.load_state_dict(converted.tensors)
    assert (logits(trap, images) - expected).abs().max() > 0.1 * expected.abs().max()

    if (groups, factor) not in REARRANGED:
        with pytest.raises(CheckpointError, match='other numbers of channels from group to group'):
            convert(net.state_dict(), 'x', shuffle='standard')
        return
    standard = convert(net.state_dict(), 'x', shuffle='standard')
    model = classifier_of(standard.record, bias=False)
    assert {unit.shuffle for unit in model.backbone.layers[1]} == {'standard'}
    model.load_state_dict(standard.tensors)
    assert_close(logits(model, images), expected)
    content = dict(state_dict=standard.tensors, meta={RECORD_KEY: standard.record.to_json()})
    assert_identical(convert(content, 'x', 'authors').tensors, net.state_dict())


class MMPretrain(nn.Module):
    """mmpretrain's classifier, as a function of preprocessed images."""

    def __init__(self, groups: int, factor: float) -> None:
        super().__init__()
        backbone = dict(type='ShuffleNetV1', groups=groups, widen_factor=factor)
        channels = int({3: 960, 8: 1536}[groups] * factor)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.net = mmpretrain.ImageClassifier(
                backbone=backbone,
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=7, in_channels=channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.net.head(self.net.extract_feat(x))


@pytest.mark.parametrize(('groups', 'factor'), [(3, 0.5), (3, 1.0), (3, 2.0), (8, 1.0)])
def test_mmpretrains_weights_compute_the_same_here_and_come_back_bit_by_bit(groups, factor):
    theirs, images = MMPretrain(groups, factor), pictures()
    converted = convert(theirs.net.state_dict(), 'x')
    ours = classifier_of(converted.record, bias=True)
    inputs = ours.data_preprocessor(dict(inputs=images))['inputs']
    randomise(theirs, inputs)
    converted = convert(dict(state_dict=theirs.net.state_dict(), meta={}), 'x')
    ours.load_state_dict(converted.tensors)
    with torch.no_grad():
        assert_close(logits(ours, images), theirs(inputs))
    content = dict(state_dict=converted.tensors, meta={RECORD_KEY: converted.record.to_json()})
    assert_identical(convert(content, 'x', 'mmpretrain').tensors, theirs.net.state_dict())


@pytest.mark.parametrize(('groups', 'factor'), [(3, 0.5), (3, 1.0), (3, 2.0), (8, 2.0)])
def test_authors_weights_compute_the_same_in_mmpretrain_and_come_back(groups, factor):
    net, images, expected = authors_net(groups, factor)
    converted = convert(net.state_dict(), 'x', 'mmpretrain')
    theirs = MMPretrain(groups, factor).eval()
    theirs.net.load_state_dict(converted.tensors)
    with torch.no_grad():
        assert_close(theirs(images.float()[:, [2, 1, 0]]), expected)
    content = dict(state_dict=converted.tensors, meta={RECORD_KEY: converted.record.to_json()})
    assert_identical(convert(content, 'x', 'authors').tensors, net.state_dict())


def test_dtypes_and_missing_counters_stay_as_they_are():
    state = AuthorsNet(3, 0.5).half().state_dict()
    state = {n: t for n, t in state.items() if not n.endswith('num_batches_tracked')}
    converted = convert(state, 'x', shuffle='standard')
    content = dict(state_dict=converted.tensors, meta={RECORD_KEY: converted.record.to_json()})
    assert_identical(convert(content, 'x', 'authors').tensors, state)


def ours(**changes) -> ImageClassifier:
    backbone = dict(type='ShuffleNetV1', groups=3, widen_factor=0.5, out_indices=(3,))
    return ImageClassifier(
        backbone=backbone | changes, head=dict(type='LinearHead', num_classes=7)
    )


def test_what_a_layout_cannot_hold_is_refused():
    state = ours().state_dict()
    with pytest.raises(CheckpointError, match='no bias and the source has one that is not zero'):
        convert({**state, 'head.fc.bias': torch.ones(7)}, 'x', 'authors')
    with pytest.raises(CheckpointError, match='a classifier'):
        convert({n: t for n, t in state.items() if 'head' not in n}, 'x', 'authors')
    for variant in (dict(shallow=True), dict(with_se=True)):
        for layout in ('authors', 'mmpretrain'):
            with pytest.raises(CheckpointError, match='squeeze-and-excitation'):
                convert(ours(**variant).state_dict(), 'x', layout)
    # its stem is int(24 * 1.5)
    with pytest.raises(CheckpointError, match='no width factor that gives a stem of 24'):
        convert(ours(widen_factor=1.5).state_dict(), 'x', 'mmpretrain')
    with pytest.raises(ConfigError, match="always have shuffle='standard'"):
        convert(state, 'x', 'mmpretrain', shuffle='transposed')


def test_weights_of_other_and_of_incomplete_networks_are_refused():
    with pytest.raises(CheckpointError, match='x holds no ShuffleNet v1 .*conv1.weight'):
        convert(torchvision.models.resnet18().state_dict(), 'x')
    state = AuthorsNet(3, 0.5).state_dict()
    with pytest.raises(CheckpointError, match=r"like a file of the authors' code.*extra\.weight"):
        convert({**state, 'extra.weight': torch.zeros(1)}, 'x')
    del state['features.9.branch_main_2.0.weight']
    with pytest.raises(CheckpointError, match=r'lacks layers\.1\.5\.g_conv_1x1_expand'):
        convert(state, 'x')
    state = ours().state_dict()
    with pytest.raises(CheckpointError, match=r'another shape of layers\.2\.1'):
        wrong = {'backbone.layers.2.1.depthwise_conv3x3_bn.conv.weight': torch.zeros(7, 1, 3, 3)}
        convert(state | wrong, 'x')
    with pytest.raises(CheckpointError, match=r'another shape of head\.fc\.weight'):
        convert({**state, 'head.fc.weight': torch.zeros(7, 9)}, 'x')
    for name in ('head.fc.weight', 'head.fc.bias'):
        with pytest.raises(CheckpointError, match=rf'another shape of {name}'):
            convert({**state, name: torch.zeros(())}, 'x')


def test_backbone_of_a_c4_detector_in_training():
    config = ROOT / 'configs/faster_rcnn/faster-rcnn_shufflenet-v1-0.5x-g3_c4_2x_coco-300.py'
    detector = MODELS.build(load_config(str(config)).model)
    record = record_of(detector)
    content = dict(
        meta=dict(epoch=1, cfg='x = 1'), state_dict=detector.state_dict(), optimizer={},
        message_hub={},
    )  # fmt: skip
    converted = convert(content, 'x')
    assert converted.record == record
    (note,) = (note for note in converted.notes if 'only the backbone' in note)
    assert note.endswith('without roi_head, rpn_head')
    net = ShuffleNetV1(**record.variant)
    net.load_state_dict({n.removeprefix('backbone.'): t for n, t in converted.tensors.items()})
    assert_identical(
        {f'layers.2.{n}': t for n, t in detector.roi_head.shared_head.state_dict().items()},
        {n: t for n, t in net.state_dict().items() if n.startswith('layers.2.')},
    )
    del content['state_dict']['roi_head.shared_head.0.g_conv_1x1_compress.conv.weight']
    with pytest.raises(CheckpointError, match=r'lacks layers\.2\.0\.g_conv_1x1_compress'):
        convert(content, 'x')
