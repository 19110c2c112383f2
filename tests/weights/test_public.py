"""Every public file, by its name: loaded, converted, equal to its publisher's network."""
import csv
import json
import re
from pathlib import Path

from shufflenet_det.compat.checkpoint import CheckpointError
from shufflenet_det.models import ImageClassifier
from shufflenet_det.weights import WeightsRecord, describe_checkpoint, public_files
from shufflenet_det.weights.convert import as_file, convert
from shufflenet_det.weights.listing import public_table
from shufflenet_det.weights.preprocessing import IMAGENET
from shufflenet_det.weights.record import RECORD_KEY

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from .networks import pictures
from .public import keep, stand_in, zipped
from .test_convert import assert_identical, classifier_of

FILES = [file for file in public_files.public_files() if file.url]
LIKE = 'authors', 'pytorchcv', 'zcls', 'mmpretrain'


def test_there_are_all_of_them():
    names = {file.name for file in FILES}
    assert len(names) == len(FILES) == 28
    assert len({file.filename for file in FILES}) == len({file.url for file in FILES}) == 28
    assert {f'authors-{w}x-g{g}' for w in (0.5, 1, 1.5, 2) for g in (3, 8)} <= names
    assert {f'zcls-{w}x-g{g}' for w in (0.5, 1, 1.5, 2) for g in (3, 8)} <= names
    assert {f'pytorchcv-1x-g{groups}' for groups in (1, 2, 3, 4, 8)} <= names


def test_pytorchcvs_addresses_and_hashes_are_those_of_its_own_list():
    package = pytest.importorskip('pytorchcv', reason='pytorchcv is not installed')
    path = Path(package.__file__).parent / 'models' / 'common' / 'model_metainfos.csv'
    with open(path) as file:
        rows = {row[0]: row for row in csv.reader(file) if re.match('shufflenet_g', row[0])}
    ours = {file.published_as: file for file in FILES if file.collection == 'pytorchcv'}
    assert ours.keys() == rows.keys() and len(rows) == 11
    for name, row in rows.items():
        error, sha1, release = row[2], row[3], row[4]
        filename = f'{name}-{error}-{sha1[:8]}.pth.zip'
        repository = 'https://github.com/osmr/imgclsmob/releases/download'
        assert ours[name].url == f'{repository}/{release}/{filename}'
        assert ours[name].digest == public_files.Digest('sha1', sha1)
        assert f'{ours[name].top5_error:.2f}' == f'{int(error) / 100:.2f}'


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_by_name_it_computes_what_its_publishers_network_does(file, tmp_path, monkeypatch):
    """In double precision, in which what rounding leaves is not taken for agreement."""
    images = pictures(3)
    preprocess = classifier_of(file.needs, bias=True).data_preprocessor
    inputs = preprocess(dict(inputs=images))['inputs']
    net, content = stand_in(file, inputs)
    keep(monkeypatch, file, content, tmp_path)

    name = f'shufflenet://{file.name}'
    checkpoint = CheckpointLoader.load_checkpoint(name)
    assert WeightsRecord.from_json(checkpoint['meta'][RECORD_KEY]) == file.needs
    bias = 'head.fc.bias' in checkpoint['state_dict']
    model = classifier_of(file.needs, bias=bias)
    load_checkpoint(model, name, strict=True)
    with torch.no_grad():
        expected = net.double()(inputs.double())
        found = model.double()(inputs.double())
    assert expected.std(0).mean() > 0.05 * expected.abs().max()
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    assert difference <= 1e-5
    # for the table in a report: pytest -rP
    print(f'{file.name}: difference {difference:.1e}')

    # and back, from the file that the tool writes
    (path := tmp_path / 'ours.safetensors').write_bytes(
        as_file(convert(checkpoint, name), '.safetensors')
    )
    ours = CheckpointLoader.load_checkpoint(str(path))
    back = convert(ours, 'x', file.collection).tensors
    original = (net.net if file.collection == 'mmpretrain' else net).float().state_dict()
    if file.collection == 'zcls':
        from .networks import as_zcls

        original = as_zcls(original)['model']
    assert_identical(back, original)


@pytest.mark.parametrize('collection', ['pytorchcv', 'zcls'])
def test_files_of_other_code_are_written_as_that_code_reads_them(collection, tmp_path):
    file = next(f for f in FILES if f.name == f'{collection}-0.5x-g3')
    net, content = stand_in(file)
    for name, written in (('a.pth', content), ('a.pth.zip', zipped(a=content))):
        (tmp_path / name).write_bytes(written)
        found = describe_checkpoint(str(tmp_path / name))
        assert (found.layout, found.variant) == (collection, file.needs.variant)
        checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / name))
        ours = convert(checkpoint, name)
        assert ours.record == file.needs
    back = convert(
        dict(state_dict=ours.tensors, meta={RECORD_KEY: ours.record.to_json()}), 'x', collection
    )
    (path := tmp_path / 'back.pth').write_bytes(as_file(back, '.pth'))
    read = torch.load(path, weights_only=True)
    if collection == 'pytorchcv':
        net.load_state_dict(read)
    else:
        assert_identical(read['model'], torch.load(tmp_path / 'a.pth', weights_only=True)['model'])
        # with the record, which pytorchcv has no room for
        assert convert(read, 'x').record == file.needs


def test_weights_for_other_pixels_do_not_go_to_pytorchcv(monkeypatch, tmp_path):
    authors = stand_in(next(f for f in FILES if f.name == 'authors-0.5x-g3'))[1]
    (path := tmp_path / 'a.pth').write_bytes(authors)
    with pytest.raises(CheckpointError, match='a network of pytorchcv gets RGB with mean'):
        convert(CheckpointLoader.load_checkpoint(str(path)), 'x', 'pytorchcv')


@pytest.mark.parametrize('collection', LIKE)
def test_a_kept_file_that_was_not_published_is_refused(collection, tmp_path, monkeypatch):
    file = next(f for f in FILES if f.collection == collection)
    content = stand_in(file)[1]
    path = keep(monkeypatch, file, content, tmp_path)
    changed = bytearray(content)
    changed[-1] ^= 1
    path.write_bytes(zipped(a=bytes(changed)) if path.suffix == '.zip' else bytes(changed))
    with pytest.raises(CheckpointError, match=f'{file.digest.kind} hash is') as error:
        CheckpointLoader.load_checkpoint(f'shufflenet://{file.name}')
    assert f'delete {path}' in str(error.value)
    if path.suffix == '.zip':
        path.write_bytes(zipped(a=content, b=content))
        with pytest.raises(CheckpointError, match='2 files in it'):
            CheckpointLoader.load_checkpoint(f'shufflenet://{file.name}')


def test_a_file_of_another_network_than_the_list_says(tmp_path, monkeypatch):
    one, other = (next(f for f in FILES if f.name == f'authors-{w}x-g3') for w in ('0.5', '1'))
    keep(monkeypatch, one, stand_in(other)[1], tmp_path)
    with pytest.raises(CheckpointError, match=r'where .*\(120, 240, 480\)\} was published'):
        CheckpointLoader.load_checkpoint(f'shufflenet://{one.name}')


@pytest.fixture
def packaged(tmp_path, monkeypatch) -> Path:
    """A file of 16-bit weights in the package, with what is told of it."""
    model = ImageClassifier(
        dict(type='ShuffleNetV1', widen_factor=0.5), dict(type='LinearHead', num_classes=3)
    ).half()
    record = WeightsRecord('ShuffleNetV1', model.backbone.variant, 'standard', IMAGENET)
    content = dict(state_dict=model.state_dict(), meta={RECORD_KEY: record.to_json()})
    for module in ('public_files', 'download'):
        monkeypatch.setattr(f'shufflenet_det.weights.{module}.PACKAGED', tmp_path)
    path = tmp_path / 'tiny-imagenet-0.5x-g3.safetensors'
    path.write_bytes(as_file(convert(content, 'x'), path.suffix))
    path.with_suffix('.json').write_text(
        json.dumps(dict(data='some pictures', top1_error=40.5, licence='research only'))
    )
    return path


def test_weights_in_the_package(packaged, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', '/dev/null')
    name = 'shufflenet://tiny-imagenet-0.5x-g3'
    row = public_table().rows[-1]
    assert (row['name'], row['here'], row['top1_error']) == (name, 'yes', 40.5)
    assert row['licence'] == 'research only' and 'errors on some pictures' in row['note']
    found = describe_checkpoint(name)
    assert (found.shuffle, found.preprocessing, found.recorded) == ('standard', IMAGENET, True)
    net = classifier_of(public_files.public_files()[-1].needs, bias=True)
    load_checkpoint(net.backbone, name, revise_keys=[(r'^backbone\.', '')])
    expected = CheckpointLoader.load_checkpoint(str(packaged))['state_dict']
    assert expected['backbone.conv1.conv.weight'].dtype == torch.float16
    assert torch.equal(
        net.backbone.conv1.conv.weight, expected['backbone.conv1.conv.weight'].float()
    )


def test_the_packages_own_weights_load_without_a_network(monkeypatch):
    monkeypatch.setenv('TORCH_HOME', '/dev/null')
    file = public_files.public_files()[-1]
    assert (file.name, file.url) == ('tiny-imagenet-0.5x-g3', None)
    model = ImageClassifier(
        dict(type='ShuffleNetV1', widen_factor=0.5), dict(type='LinearHead', num_classes=200)
    ).eval()
    load_checkpoint(model, f'shufflenet://{file.name}', strict=True)
    with torch.no_grad():
        scores = model(torch.zeros(1, 3, 128, 128)).softmax(1)
    assert scores.isfinite().all() and 0.005 < scores.max() < 1


def test_weights_in_the_package_without_what_is_told_of_them(packaged):
    packaged.with_suffix('.json').unlink()
    with pytest.raises(CheckpointError, match='or the JSON file beside it is damaged'):
        describe_checkpoint('shufflenet://tiny-imagenet-0.5x-g3')
    packaged.unlink()
    with pytest.raises(CheckpointError, match='tiny-imagenet-0.5x-g3 is no public file'):
        describe_checkpoint('shufflenet://tiny-imagenet-0.5x-g3')


def test_a_public_file_is_weights_only(tmp_path, monkeypatch):
    from ..compat import checkpoint_payloads as payloads

    file = next(f for f in FILES if f.name == 'authors-0.5x-g3')
    payloads.write(path := tmp_path / 'x.pth', payloads.RUNNING['os.system'](tmp_path / 'ran'))
    keep(monkeypatch, file, path.read_bytes(), tmp_path)
    with pytest.raises(CheckpointError, match='shufflenet://authors-0.5x-g3 is refused'):
        CheckpointLoader.load_checkpoint(f'shufflenet://{file.name}')
    assert not (tmp_path / 'ran').exists()
