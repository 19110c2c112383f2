"""Rewrites change what runs and not what comes out."""
from pathlib import Path
from xml.etree import ElementTree

from shufflenet_det.common.config import load_config
from shufflenet_det.export.agreement import compare
from shufflenet_det.export.dimensions import name_dimensions
from shufflenet_det.export.networks import PlainBackbone, exportable
from shufflenet_det.export.plain_unit import plain_units
from shufflenet_det.export.rewrites import (
    Rewrite,
    absorb_orders,
    align_bottlenecks,
    drop_groups,
    fill_groups,
    fill_stem,
    fold_division,
    rewritten,
    skip_normalisation,
    take_orders,
)
from shufflenet_det.export.writers import REWRITES, WRITERS
from shufflenet_det.models import ClassifierPreprocessor, ShuffleNetV1, switch_to_deploy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from ..conftest import ROOT
from .detectors import picture, random_classifier

SHUFFLENET = ROOT / 'configs/imagenet/shufflenet-v1-0.5x-g3_in1k.py'
VARIANTS = (
    dict(groups=3, widen_factor=0.5),
    dict(groups=3, widen_factor=0.5, shuffle='transposed'),
    dict(groups=3, widen_factor=0.5, shuffle='none'),
    dict(groups=1, widen_factor=0.25),
    dict(groups=8, widen_factor=0.5, with_se=True),
)
NETWORK_REWRITES = (fold_division, take_orders, align_bottlenecks, fill_stem, fill_groups)


def random_backbone(**options: object) -> PlainBackbone:
    """A backbone in deploy form, whose channels all differ."""
    torch.manual_seed(0)
    holder = nn.Module()
    holder.data_preprocessor = ClassifierPreprocessor()
    holder.backbone = ShuffleNetV1(**options).eval()
    for norm in holder.backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
    return PlainBackbone(switch_to_deploy(holder)).eval()


def levels(network: nn.Module) -> list[torch.Tensor]:
    with torch.no_grad():
        return network(torch.from_numpy(picture(70, 93)[None]))


def assert_same(network: nn.Module, changed: nn.Module) -> None:
    for expected, found in zip(levels(network), levels(changed), strict=True):
        assert expected.std() > 0
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize('options', VARIANTS, ids=str)
def test_each_rewrite_of_a_network_gives_the_same(options):
    network = random_backbone(out_indices=(1, 2, 3), **options)
    for change in NETWORK_REWRITES:
        assert_same(network, rewritten(network, [Rewrite('', change)]))
    assert_same(network, rewritten(network, [Rewrite('', change) for change in NETWORK_REWRITES]))


@pytest.mark.parametrize('options', VARIANTS, ids=str)
def test_dense_convolutions_absorb_the_shuffle(options):
    network = random_backbone(out_indices=(1, 2, 3), **options)
    filling = [align_bottlenecks, fill_stem, fill_groups]
    for before in ([], [take_orders], filling):
        changed = rewritten(network, [Rewrite('', change) for change in (*before, absorb_orders)])
        assert_same(network, changed)
        assert all(unit.order is None for unit in plain_units(changed))
        flat = rewritten(changed, [Rewrite('', drop_groups)])
        assert_same(network, flat)
        assert all(u.compress.groups == u.expand.groups == 1 for u in plain_units(flat))
    # what is not shuffled keeps its groups, and so does what comes before the shuffle
    shuffled = options['groups'] > 1 and options.get('shuffle') != 'none'
    *_, last = plain_units(rewritten(network, [Rewrite('', absorb_orders)]))
    assert last.compress.groups == options['groups']
    assert last.expand.groups == (1 if shuffled else options['groups'])


def test_pixels_are_normalised_only_where_that_changes_them():
    network = random_backbone(groups=3, widen_factor=0.25)
    change = [Rewrite('', skip_normalisation)]
    kept = rewritten(network, change).preprocess
    assert kept.subtracts and kept.divides
    network.preprocess.mean.zero_()
    network.preprocess.std.fill_(1)
    changed = rewritten(network, change)
    assert not (changed.preprocess.subtracts or changed.preprocess.divides)
    assert_same(network, changed)


def test_rewrites_do_what_they_say():
    network = random_backbone(groups=3, widen_factor=0.5, out_indices=(1, 2, 3))
    before = rewritten(network, [])
    assert [unit.depthwise.groups for unit in plain_units(before)][:5] == [30, 30, 30, 30, 60]
    assert not rewritten(network, [Rewrite('', fold_division)]).preprocess.divides
    orders = [unit.order is None for unit in plain_units(rewritten(network, [
        Rewrite('', take_orders),
    ]))]  # fmt: skip
    # the first unit's convolution is dense
    assert orders == [True] + [False] * 15
    aligned = rewritten(network, [Rewrite('', align_bottlenecks)])
    assert [unit.depthwise.groups for unit in plain_units(aligned)][:5] == [32, 36, 36, 36, 60]
    filled = rewritten(network, [Rewrite('', fill_stem)])
    assert filled.backbone.conv1.out_channels == 16
    groups = rewritten(network, [Rewrite('', fill_groups)])
    widths = [unit.depthwise.groups for unit in plain_units(groups)]
    # 10 and 20 channels a group would take too many more
    assert widths == [30] * 4 + [60] * 8 + [144] * 4
    assert [unit.expand.in_channels for unit in plain_units(groups)][-1] == 144
    # the network itself is not touched
    assert network.preprocess.divides and network.backbone.conv1.out_channels == 12


def test_a_stem_that_is_a_level_keeps_its_channels():
    network = random_backbone(groups=3, widen_factor=0.5)
    changed = rewritten(network, [Rewrite('', fill_stem)])
    assert changed.backbone.conv1.out_channels == 12
    assert_same(network, changed)


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = random_classifier(load_config(str(SHUFFLENET)))
    source = exportable(model, None, None)
    folder = tmp_path_factory.mktemp('written')
    for format_, names in (('onnx', ['model.onnx']), ('openvino', ['model.xml', 'model.bin'])):
        for label, rewrites in (('plain', ()), ('rewritten', REWRITES[format_])):
            place = folder / label
            place.mkdir(exist_ok=True)
            WRITERS[format_](source, place, rewrites)
            assert all((place / name).is_file() for name in names)
    return folder


def test_onnx_runtime_fuses_additions_where_dimensions_have_names(written):
    images = np.stack([picture(70, 93, seed) for seed in range(2)])
    left, results = [], []
    for label in ('plain', 'rewritten'):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(written / f'{label}.onnx')
        session = onnxruntime.InferenceSession(
            str(written / label / 'model.onnx'), options, providers=['CPUExecutionProvider']
        )
        nodes = onnx.load(options.optimized_model_filepath).graph.node
        left.append(sum(node.op_type in ('Add', 'Relu') for node in nodes))
        results.append(dict(logits=session.run(None, {'image': images})[0]))
    assert left[0] >= 13 and left[1] == 0
    assert compare('classifier', *results).agrees


def test_first_convolution_of_openvino_reads_planes(written):
    for label, expected in (('plain', []), ('rewritten', ['/backbone/conv1/Conv/WithoutBiases'])):
        layers = ElementTree.parse(written / label / 'model.xml').iter('layer')
        found = [
            layer.get('name')
            for layer in layers
            if layer.find('data') is not None and layer.find('data').get('PrimitivesPriority')
        ]
        assert found == expected


def test_names_are_equal_only_where_sizes_are():
    maps = [
        helper.make_tensor_value_info('image', TensorProto.FLOAT, ['batch', 2, 'height', 'width'])
    ]
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, [2, 2, k, k], [0.0] * 4 * k * k)
        for name, k in (('w1', 1), ('w3', 3))
    ]

    def conv(source: str, out: str, weight: str = 'w3', **options: object) -> onnx.NodeProto:
        return helper.make_node('Conv', [source, weight], [out], **options)

    nodes = [
        conv('image', 'half', strides=[2, 2], pads=[1] * 4),
        helper.make_node(
            'MaxPool', ['image'], ['pooled'], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        ),
        conv('half', 'same', pads=[1] * 4),
        conv('half', 'dilated', pads=[2] * 4, dilations=[2, 2]),
        conv('half', 'point', 'w1'),
        conv('image', 'unpadded', strides=[2, 2]),
        helper.make_node('GlobalAveragePool', ['half'], ['mean']),
        # the gate comes first
        helper.make_node('Mul', ['mean', 'half'], ['gated']),
        helper.make_node('Add', ['gated', 'pooled'], ['sum']),
    ]
    outputs = [helper.make_tensor_value_info('sum', TensorProto.FLOAT, ['n', 2, 'h', 'w'])]
    graph = helper.make_graph(nodes, 'graph', maps, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    name_dimensions(model)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    half = shapes['half']
    assert half[:2] == ['batch', 2] and half[2] != half[3]
    assert all(shapes[name] == half for name in ('pooled', 'same', 'dilated', 'point', 'gated'))
    assert shapes['unpadded'][2:] != half[2:]
    assert shapes['mean'][2:] == [1, 1]
