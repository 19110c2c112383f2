"""What a file is told to be."""
import json
import urllib.request
from pathlib import Path

from shufflenet_det.compat.checkpoint import CheckpointError, CheckpointNotFoundError
from shufflenet_det.models import ImageClassifier, MobileNetV1, ShuffleNetV1
from shufflenet_det.models.widths import STAGE2_CHANNELS
from shufflenet_det.weights import WeightsRecord, describe_checkpoint, record_of
from shufflenet_det.weights.preprocessing import IMAGENET, RAW_BGR
from shufflenet_det.weights.public_files import public_files
from shufflenet_det.weights.public_names import find_public
from shufflenet_det.weights.record import RECORD_KEY
from shufflenet_det.weights.refused import REFUSED

import pytest
import safetensors.torch
import torch
import torchvision
from mmengine.runner import load_checkpoint

from ..compat import checkpoint_payloads as payloads
from .networks import STEMS, AuthorsNet

WIDTHS = dict(groups=3, stem_channels=12, stage_channels=(120, 240, 480))


def saved(path: Path, content: dict) -> str:
    torch.save(content, path)
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'x.pth'


@pytest.mark.parametrize('groups', STAGE2_CHANNELS)
@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.', 'student.backbone.'])
def test_ours_by_shapes(groups, prefix, path):
    net = ShuffleNetV1(groups=groups, widen_factor=0.5, with_se=groups == 3, shallow=groups == 3)
    state = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    found = describe_checkpoint(saved(path, dict(state_dict=state)))
    assert found.variant == net.variant
    assert (found.prefix, found.complete) == (prefix, True)
    assert (found.layout, found.backbone, found.shuffle) == ('ours', 'ShuffleNetV1', 'standard')
    assert (found.preprocessing, found.recorded) == (IMAGENET, False)
    # what MMDetection makes of the prefix
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix=found.prefix or None)
    loaded = ShuffleNetV1(**found.variant, init_cfg=init_cfg)
    loaded.init_weights()
    assert torch.equal(loaded.layers[2][0].depthwise_conv3x3_bn.conv.weight,
                       net.layers[2][0].depthwise_conv3x3_bn.conv.weight)


def test_a_detector_that_did_not_build_the_last_stage(path):
    net = ShuffleNetV1(widen_factor=0.5, out_indices=(2,))
    state = {f'backbone.{name}': tensor for name, tensor in net.state_dict().items()}
    found = describe_checkpoint(saved(path, state))
    assert (found.variant, found.complete) == (WIDTHS, False)


@pytest.mark.parametrize('wrapper', ['', 'module.'])
def test_stage_4_of_a_c4_detector_is_not_under_the_prefix(wrapper, path):
    net = ShuffleNetV1(widen_factor=0.5)
    state = {
        f'{wrapper}backbone.{name}'.replace('backbone.layers.2.', 'roi_head.shared_head.'): tensor
        for name, tensor in net.state_dict().items()
    }
    found = describe_checkpoint(saved(path, state))
    assert found.variant == WIDTHS
    assert (found.prefix, found.complete) == (f'{wrapper}backbone.', False)


@pytest.mark.parametrize(('groups', 'factor'), STEMS)
def test_authors_by_shapes(groups, factor, path):
    found = describe_checkpoint(saved(path, AuthorsNet(groups, factor).state_dict()))
    (public,) = (f for f in public_files() if f.name == f'authors-{factor:g}x-g{groups}')
    assert found.variant == public.needs.variant
    assert (found.layout, found.shuffle, found.preprocessing) == ('authors', 'transposed', RAW_BGR)
    assert found.complete


def test_recorded(path):
    model = ImageClassifier(
        dict(type='ShuffleNetV1', widen_factor=0.5, shuffle='none'),
        dict(type='LinearHead', num_classes=2),
        dict(type='ClassifierPreprocessor', **RAW_BGR.as_classifier_cfg()),
    )
    content = dict(meta={RECORD_KEY: record_of(model).to_json()}, state_dict=model.state_dict())
    found = describe_checkpoint(saved(path, content))
    assert (found.layout, found.variant, found.recorded) == ('ours', WIDTHS, True)
    assert (found.shuffle, found.preprocessing) == ('none', RAW_BGR)
    other = ShuffleNetV1(groups=8, widen_factor=0.5)
    content['state_dict'] = other.state_dict()
    with pytest.raises(CheckpointError, match='record of .*x.pth is not of its tensors'):
        describe_checkpoint(saved(path, content))


def test_other_networks(path):
    found = describe_checkpoint(saved(path, torchvision.models.resnet18().state_dict()))
    assert (found.layout, found.backbone, found.variant) == ('other', None, {})
    assert (found.shuffle, found.preprocessing, found.prefix) == (None, None, '')
    assert found.complete
    net = MobileNetV1(widen_factor=0.25)
    state = {f'module.backbone.{name}': tensor for name, tensor in net.state_dict().items()}
    record = WeightsRecord('MobileNetV1', {}, None, RAW_BGR)
    content = dict(meta={RECORD_KEY: record.to_json()}, state_dict=state)
    found = describe_checkpoint(saved(path, content))
    assert (found.layout, found.backbone) == ('other', 'MobileNetV1')
    assert (found.preprocessing, found.recorded) == (RAW_BGR, True)
    assert (found.prefix, found.complete) == ('module.backbone.', True)


def test_crooked_tensors_are_another_network(path):
    state = ShuffleNetV1(widen_factor=0.25).state_dict()
    for name in ('conv1.conv.weight', 'layers.0.1.g_conv_1x1_expand.conv.weight'):
        for tensor in (torch.zeros(()), torch.zeros(3, 0, 1, 1)):
            found = describe_checkpoint(saved(path, {**state, name: tensor}))
            assert found.layout in ('ours', 'other')


@pytest.mark.parametrize('file', public_files(), ids=lambda file: file.name)
def test_public_files_are_described_without_a_download(file, monkeypatch):
    def fetch(*args, **kwargs):
        pytest.fail('something was downloaded')

    monkeypatch.setattr('shufflenet_det.weights.download.build_opener', fetch)
    monkeypatch.setattr(urllib.request, 'urlopen', fetch)
    for name in (file.name, file.published_as):
        found = describe_checkpoint(f'shufflenet://{name}')
        assert WeightsRecord(
            found.backbone, found.variant, found.shuffle, found.preprocessing
        ) == file.needs
        assert (found.layout, found.prefix) == ('ours', 'backbone.')
        assert found.complete and found.recorded
    # by its address a file is what its publisher made it, without a record
    if file.url:
        found = describe_checkpoint(file.url)
        layout = 'ours' if file.collection == 'mmpretrain' else file.collection
        assert (found.layout, found.variant) == (layout, file.needs.variant)
        assert not found.recorded


def test_names_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(CheckpointNotFoundError, match='shufflenet://nix is no public file.*--list'):
        describe_checkpoint('shufflenet://nix')
    with pytest.raises(CheckpointNotFoundError, match=r'Did you mean authors-0\.5x-g3 or'):
        describe_checkpoint('shufflenet://author-0.5x-g3')
    for refused in REFUSED:
        for name, instead in zip(refused.names, refused.instead, strict=True):
            assert find_public(f'shufflenet://{instead}')
            with pytest.raises(CheckpointNotFoundError, match=instead) as error:
                describe_checkpoint(f'shufflenet://{name}')
            assert refused.reason in str(error.value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointNotFoundError, match='is shufflenet://authors-1x-g3'):
        describe_checkpoint('authors-1x-g3')
    # a file of this name is the file
    torch.save(AuthorsNet(3, 1.0).state_dict(), 'authors-1x-g3')
    assert describe_checkpoint('authors-1x-g3').layout == 'authors'


@pytest.mark.parametrize('content', [
    dict(state_dict={}), dict(epoch=1, model=dict(a=torch.zeros(1))), {}, dict(state_dict=dict(a=1))
])  # fmt: skip
def test_a_file_without_tensors(content, path):
    with pytest.raises(CheckpointError, match='x.pth is no checkpoint of a model: there is no ten'):
        describe_checkpoint(saved(path, content))


def test_files_that_are_no_checkpoint(path, tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        describe_checkpoint(str(path))
    path.write_text('no checkpoint')
    with pytest.raises(CheckpointError, match='text file'):
        describe_checkpoint(str(path))
    saved(path, ShuffleNetV1(widen_factor=0.25).state_dict())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match='cut short'):
        describe_checkpoint(str(path))
    marker = tmp_path / 'ran'
    payloads.write(path, payloads.RUNNING['os.system'](marker))
    with pytest.raises(CheckpointError, match='refused'):
        describe_checkpoint(str(path))
    assert not marker.exists()


GOOD = json.loads(WeightsRecord('ShuffleNetV1', WIDTHS, 'standard', IMAGENET).to_json())


@pytest.mark.parametrize(
    'changes',
    [
        dict(version=2),
        dict(version=None),
        dict(backbone=1),
        dict(shuffle='reversed'),
        dict(shuffle=[]),
        dict(variant=None),
        dict(variant=dict(groups=3)),
        dict(variant=GOOD['variant'] | dict(groups='3')),
        dict(variant=GOOD['variant'] | dict(stage_channels=[100, 200, 400])),
        dict(variant=GOOD['variant'] | dict(stage_channels='abc')),
        dict(variant=GOOD['variant'] | dict(stage_channels=[120, 240, 480 * 10**30])),
        dict(variant=GOOD['variant'] | dict(shallow=1)),
        dict(variant=GOOD['variant'] | dict(init_cfg={})),
        dict(preprocessing=[]),
        dict(preprocessing=GOOD['preprocessing'] | dict(mean=[1, 2])),
        dict(preprocessing=GOOD['preprocessing'] | dict(mean=[1, 2, float('nan')])),
        dict(preprocessing=GOOD['preprocessing'] | dict(mean=[1, 2, 10**400])),
        dict(preprocessing=GOOD['preprocessing'] | dict(std=[1, 0, 1])),
        dict(preprocessing=GOOD['preprocessing'] | dict(std=[1, '2', 1])),
        dict(preprocessing=GOOD['preprocessing'] | dict(channel_order='grb')),
    ],
)
def test_damaged_records(changes, tmp_path):
    damaged_record(json.dumps(GOOD | changes), tmp_path)


@pytest.mark.parametrize('text', ['', '{', '[]', '"x"', '[' * 10**5])
def test_records_that_are_none(text, tmp_path):
    damaged_record(text, tmp_path)


def damaged_record(text: str, folder: Path) -> None:
    net = ShuffleNetV1(widen_factor=0.5)
    path = str(folder / 'x.safetensors')
    safetensors.torch.save_file(net.state_dict(), path, metadata={RECORD_KEY: text})
    for use in (describe_checkpoint, lambda source: load_checkpoint(net, source)):
        with pytest.raises(CheckpointError, match=r'record of .*x\.safetensors.* is damaged'):
            use(path)


def test_good_record_and_foreign_metadata(tmp_path):
    net = ShuffleNetV1(widen_factor=0.5)
    path = str(tmp_path / 'x.safetensors')
    for metadata in ({RECORD_KEY: json.dumps(GOOD)}, {'format': 'pt', 'config': '1/0'}, None):
        safetensors.torch.save_file(net.state_dict(), path, metadata=metadata)
        load_checkpoint(net, path)
        found = describe_checkpoint(path)
        assert (found.variant, found.recorded) == (WIDTHS, RECORD_KEY in (metadata or {}))
