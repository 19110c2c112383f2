"""The authors' two 0.5x files themselves, where they are at hand."""
from pathlib import Path

from shufflenet_det.compat.checkpoint import CheckpointError
from shufflenet_det.weights import WeightsRecord, describe_checkpoint
from shufflenet_det.weights.convert import convert
from shufflenet_det.weights.download import content_of, place_of
from shufflenet_det.weights.public_names import find_public
from shufflenet_det.weights.record import RECORD_KEY

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from ..real_data import real
from .networks import AuthorsNet, pictures
from .test_convert import assert_close, assert_identical, classifier_of


@pytest.fixture(params=[3, 8])
def groups(request) -> int:
    return request.param


@pytest.fixture
def path(groups) -> Path:
    return real(f'weights/authors-0.5x-g{groups}.pth.tar')


def logits_of(checkpoint: dict, images: torch.Tensor) -> torch.Tensor:
    record = WeightsRecord.from_json(checkpoint['meta'][RECORD_KEY])
    model = classifier_of(record, bias=False)
    model.head.fc = torch.nn.Linear(model.head.fc.in_features, 1000, bias=False)
    model.load_state_dict(checkpoint['state_dict'])
    with torch.no_grad():
        return model(model.data_preprocessor(dict(inputs=images))['inputs'])


def test_the_file_is_the_one_that_the_list_names(path, groups, tmp_path, monkeypatch):
    """Its git blob id, its network, and what it computes by its name."""
    name = f'shufflenet://authors-0.5x-g{groups}'
    file = find_public(name)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    place_of(file).parent.mkdir(parents=True)
    place_of(file).symlink_to(path)
    assert content_of(file) == path.read_bytes()
    found = describe_checkpoint(str(path))
    assert (found.layout, found.variant) == ('authors', file.needs.variant)

    net = AuthorsNet(groups, 0.5, classes=1000).eval()
    content = torch.load(path, map_location='cpu', weights_only=True)['state_dict']
    net.load_state_dict({n.removeprefix('module.'): t for n, t in content.items()})
    images = pictures()
    with torch.no_grad():
        expected = net(images.float()[:, [2, 1, 0]])
    checkpoint = CheckpointLoader.load_checkpoint(name)
    assert_close(logits_of(checkpoint, images), expected)
    assert_identical(convert(checkpoint, 'x', 'authors').tensors, net.state_dict())

    if groups == 8:
        with pytest.raises(CheckpointError, match='cannot be rearranged'):
            convert(checkpoint, 'x', shuffle='standard')
        return
    standard = convert(checkpoint, 'x', shuffle='standard')
    assert standard.record.shuffle == 'standard'
    content = dict(meta={RECORD_KEY: standard.record.to_json()}, state_dict=standard.tensors)
    assert_close(logits_of(content, images), expected)


def test_a_changed_byte_is_refused(path, groups, tmp_path, monkeypatch):
    name = f'shufflenet://authors-0.5x-g{groups}'
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    kept = place_of(find_public(name))
    kept.parent.mkdir(parents=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    with pytest.raises(CheckpointError, match='git hash is'):
        CheckpointLoader.load_checkpoint(name)
