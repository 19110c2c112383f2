import json

from shufflenet_det.benchmark import measure as measuring
from shufflenet_det.benchmark import timing
from shufflenet_det.benchmark.machine import check_device
from shufflenet_det.benchmark.measure import measure
from shufflenet_det.benchmark.networks import find_network
from shufflenet_det.benchmark.peers import peer_of
from shufflenet_det.benchmark.speed import DEPLOY, MODES, Setting, all_settings
from shufflenet_det.benchmark.speed_report import (
    describe_run,
    plot,
    render,
    speed_table,
    write_json,
)
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.tables import as_text
from shufflenet_det.models import ShuffleNetV1

import pytest
import torch

SMALL = 'shufflenet-v1-0.25x-g1'


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, 'SHORTEST_TURN', 0)
    monkeypatch.setitem(measuring.MATMUL_SIZE, 'cpu', 16)


def randomise_statistics(model: torch.nn.Module) -> None:
    for name, tensor in model.state_dict().items():
        if 'running' in name:
            tensor.uniform_(0.5, 1.5)


@pytest.mark.parametrize('name', ['1x-g3', '0.5x-g8', '2x-g1'])
@pytest.mark.parametrize('classifier', [False, True])
def test_twin_has_our_weights(name, classifier):
    pytest.importorskip('mmpretrain')
    ours = find_network(f'shufflenet-v1-{name}', classifier)
    twin = find_network(ours.twin, classifier)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        a, b = (network.build().eval()(image) for network in (ours, twin))
    if not classifier:
        (a,), (b,) = a, b
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item())


def test_twin_has_the_levels_of_ours_and_their_gradients():
    pytest.importorskip('mmpretrain')
    ours = ShuffleNetV1(widen_factor=0.5, out_indices=(0, 2), norm_eval=True)
    randomise_statistics(ours)
    twin = peer_of(ours).train()
    assert not twin.conv1.bn.training
    image = torch.rand(2, 3, 32, 32)
    outputs = [network(image) for network in (ours.train(), twin)]
    torch.testing.assert_close(*outputs)
    gradients = []
    for network, output in zip((ours, twin), outputs, strict=True):
        sum(level.mean() for level in output).backward()
        gradients.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('name', [SMALL, 'torchvision:shufflenet_v2_x0_5'])
def test_deploy_form_computes_the_same(name):
    network = find_network(name)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        plain, deployed = network.build().eval()(image), network.form(DEPLOY)(image)
    torch.testing.assert_close(plain, deployed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('shufflenet-v1-1x-g33', 'groups=33 has no widths'),
        ('shufflenet-v1-0.5x-g3-shalow', 'Did you mean shufflenet-v1-0.5x-g3-shallow'),
        ('mobilenet_v3_smal', 'Did you mean torchvision:mobilenet_v3_small'),
        ('torchvision:alexnett', 'Did you mean torchvision:alexnet'),
        ('mmpretrain:alexnet', 'AlexNet is no ShuffleNetV1'),
        ('mmpretrain:type=ShuffleNetV1 with_se=True', 'cannot have with_se=True'),
        ('type=ShuffleNetV1 group=3', "no setting 'group'. Did you mean groups"),
    ],
)
def test_names_that_cannot_be(name, message):
    with pytest.raises(ConfigError, match=message):
        find_network(name).build()


def test_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    check_device('cpu')
    with pytest.raises(ConfigError, match='finds no CUDA device'):
        check_device('cuda')


def test_settings_are_all_combinations():
    settings = all_settings([1, 8, 1], [(224, 224), (300, 400)], [1, 2], ['fp32'], device='cpu')
    assert len(set(settings)) == len(settings) == 8
    assert settings[0] == Setting(1, (224, 224), 1, 'fp32', 'cpu')


def test_images_that_are_too_small():
    with pytest.raises(ConfigError, match='torchvision:alexnet does not run at .*, 16x16'):
        measure([find_network('torchvision:alexnet')], [Setting(1, (16, 16), 1, 'fp32',
                                                                          'cpu')])  # fmt: skip


def test_every_side_mode_and_setting_has_a_row(tmp_path):
    pytest.importorskip('mmpretrain')
    other = 'torchvision:shufflenet_v2_x0_5'
    names = (SMALL, f'mmpretrain:{SMALL}', other)
    networks = [find_network(name) for name in names]
    settings = [Setting(1, (32, 64), 1, 'fp32', 'cpu'), Setting(2, (32, 64), 1, 'bf16', 'cpu')]
    rows = measure(networks, settings, rounds=2, warmup=1)
    assert [(r['batch'], r['dtype'], r['name'], r['mode']) for r in rows] == [
        (s.batch, s.dtype, n.name, mode) for s in settings for n in networks for mode in MODES
    ]
    for row in rows:
        assert len(row['seconds']) == 2 and row['low'] <= row['median'] <= row['high']
        is_baseline = row['name'] == f'mmpretrain:{SMALL}' and row['mode'] != 'deploy'
        assert ('ratio' in row) != is_baseline
        assert (row.get('memory', 0) > 0) == (row['mode'] == 'train')
        if row['name'] != other and row['mode'] != 'train':
            assert row['difference'] < (1e-4 if row['dtype'] == 'fp32' else 0.1)
    ours, twin = rows[0], rows[3]
    assert ours['params'] == twin['params'] and ours['macs'] == twin['macs']
    ratios = [b / a for a, b in zip(ours['seconds'], twin['seconds'], strict=True)]
    assert ours['ratio'] == pytest.approx(sum(ratios) / 2)
    assert ours['rate'] == pytest.approx(ours['macs'] / ours['median'])
    about = describe_run(rows, dict(rounds=2))
    write_json(tmp_path / 'new' / 'speed.json', about)
    content = json.loads((tmp_path / 'new' / 'speed.json').read_text())
    assert content['rows'] == rows and content['options'] == dict(rounds=2)
    assert {'command', 'date', 'machine', 'versions'} <= set(content)
    table = speed_table('Backbones', rows)
    assert table.title == 'Backbones: 32x64, threads 1, cpu'
    assert 'batch' in table.cells()[0] and 'threads' not in table.cells()[0]
    assert about['machine']['processor'] in render([table], about, markdown=True)
    assert '[1] layers of mmpretrain' in as_text([table])
    plot(rows, tmp_path / 'pictures' / 'speed.png')
    assert (tmp_path / 'pictures' / 'speed.png').read_bytes().startswith(b'\x89PNG')
