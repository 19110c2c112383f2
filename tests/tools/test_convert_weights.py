"""The command line that converts weights, in this process: each start of Python takes seconds."""
import json
import runpy
import shlex
from collections import Counter
from pathlib import Path

from shufflenet_det.compat.checkpoint import CheckpointError, read_checkpoint
from shufflenet_det.models import ImageClassifier, ShuffleNetV1
from shufflenet_det.weights import RECORD_KEY, WeightsRecord, describe_checkpoint
from shufflenet_det.weights.preprocessing import IMAGENET, RAW_BGR

import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from ..compat import checkpoint_payloads as payloads
from ..conftest import ROOT
from ..weights.networks import AuthorsNet


@pytest.fixture
def convert(monkeypatch, capsys):
    """Runs the tool; returns exit status and what it said."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr('sys.argv', ['convert_weights.py', *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / 'tools' / 'convert_weights.py'), run_name='__main__')
        except SystemExit as stop:
            said = capsys.readouterr()
            # of an interpreter that ends with a text, the status is 1
            message = stop.code if isinstance(stop.code, str) else said.err
            return (1 if isinstance(stop.code, str) else stop.code), message
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def source(tmp_path) -> Path:
    torch.save(dict(state_dict=AuthorsNet(3, 0.5).state_dict()), path := tmp_path / 'source.pth')
    return path


@pytest.mark.parametrize('name', ['out.safetensors', 'new/folder/out.pth'])
def test_converts_and_says_how_to_use_the_file(convert, source, tmp_path, name):
    out = tmp_path / name
    status, said = convert(source, out)
    assert status == 0
    found = describe_checkpoint(str(out))
    assert (found.layout, found.recorded, found.prefix) == ('ours', True, 'backbone.')
    assert (found.shuffle, found.preprocessing) == ('transposed', RAW_BGR)
    assert f'tools/swap_backbone.py CONFIG --checkpoint {out} --out NEW_CONFIG' in said
    # what it prints is a config, and loads the file
    assert f'SHUFFLENET_PRETRAINED={out} python tools/train.py CONFIG' in said
    lines = said.split('In a config:\n')[1].split('Or start')[0]
    lines, classifier = lines.rsplit('data_preprocessor=', 1)
    (tmp_path / 'config.py').write_text(
        '\n'.join(line[2:] for line in lines.splitlines()) + '\nclassifier=' + classifier
    )
    cfg = Config.fromfile(tmp_path / 'config.py')
    assert cfg.data_preprocessor.to_dict() == dict(
        type='DetDataPreprocessor', mean=[0, 0, 0], std=[1, 1, 1], bgr_to_rgb=False
    )
    model = ImageClassifier(cfg.backbone, cfg.head, cfg.classifier)
    model.init_weights()
    load_checkpoint(model, str(out), strict=True)


def test_a_printed_command_can_be_pasted(convert, source, tmp_path):
    out = tmp_path / "it's mine.pth"
    status, said = convert(source, out)
    assert status == 0
    assert shlex.split(said.splitlines()[-1])[3:5] == ['--checkpoint', str(out)]


def test_target_layout_and_order(convert, source, tmp_path):
    status, said = convert(source, tmp_path / 'a.pth', '--to', 'mmpretrain')
    assert status == 0
    assert "note: channels rearranged from shuffle='transposed' to 'standard'" in said
    status, said = convert(tmp_path / 'a.pth', tmp_path / 'b.safetensors', '--to', 'authors')
    assert status == 0 and '--to ours' in said
    back, state = (read_checkpoint(p)['state_dict'] for p in (tmp_path / 'b.safetensors', source))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert describe_checkpoint(str(tmp_path / 'b.safetensors')).recorded
    assert convert(tmp_path / 'b.safetensors', tmp_path / 'c.pth', '--shuffle', 'standard')[0] == 0
    assert describe_checkpoint(str(tmp_path / 'c.pth')).shuffle == 'standard'


@pytest.mark.parametrize('preprocessing', [IMAGENET, RAW_BGR])
def test_what_is_printed_for_mmpretrain_is_a_config_of_it(convert, tmp_path, preprocessing):
    net = ImageClassifier(
        dict(type='ShuffleNetV1', widen_factor=0.5, out_indices=(3,)),
        dict(type='LinearHead', num_classes=7),
    )
    record = WeightsRecord('ShuffleNetV1', net.backbone.variant, 'standard', preprocessing)
    torch.save(
        dict(state_dict=net.state_dict(), meta={RECORD_KEY: record.to_json()}),
        tmp_path / 'ours.pth',
    )
    status, said = convert(tmp_path / 'ours.pth', out := tmp_path / 'a.pth', '--to', 'mmpretrain')
    assert status == 0 and 'swap_backbone' not in said
    lines = said.split('In a config of mmpretrain:\n')[1].splitlines()[:-1]
    (tmp_path / 'config.py').write_text('\n'.join(line[2:] for line in lines))
    cfg = Config.fromfile(tmp_path / 'config.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        theirs = MODELS.build(
            dict(type='ImageClassifier', neck=dict(type='GlobalAveragePooling'), **cfg)
        )
    theirs.init_weights()
    first = 'backbone.conv1.conv.weight'
    assert torch.equal(theirs.state_dict()[first], net.state_dict()[first])
    load_checkpoint(theirs, str(out), strict=True)
    rgb = preprocessing == IMAGENET
    assert theirs.data_preprocessor.to_rgb is rgb
    assert theirs.data_preprocessor.mean.flatten()[0] == pytest.approx(preprocessing.mean[0])
    assert '.pth' in convert(tmp_path / 'ours.pth', out.with_suffix('.safetensors'), '--to',
                             'mmpretrain')[1].splitlines()[-2]  # fmt: skip


def test_pixels_that_the_authors_code_does_not_give_are_noted(convert, source, tmp_path):
    assert 'other pixels' not in convert(source, tmp_path / 'a.pth', '--to', 'authors')[1]
    state = AuthorsNet(3, 0.5).state_dict()
    record = WeightsRecord(
        'ShuffleNetV1', ShuffleNetV1(widen_factor=0.5).variant, 'transposed', IMAGENET
    )
    torch.save(dict(state_dict=state, meta={RECORD_KEY: record.to_json()}), source)
    said = convert(source, tmp_path / 'b.pth', '--to', 'authors')[1]
    assert "note: the authors' code gives a network BGR in 0..255, no mean, no std; these" in said
    assert 'RGB with mean (123.675, 116.28, 103.53)' in said


def test_half_the_size(convert, source, tmp_path):
    whole, half = tmp_path / 'whole.safetensors', tmp_path / 'half.safetensors'
    assert convert(source, whole)[0] == convert(source, half, '--half')[0] == 0
    # names and record take a little
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    one, other = (read_checkpoint(path)['state_dict'] for path in (whole, half))
    for name, tensor in other.items():
        assert torch.equal(tensor, one[name].half() if one[name].is_floating_point() else one[name])
    state = AuthorsNet(3, 0.5).state_dict()
    state['first_conv.1.running_var'] = torch.full((12,), 1e6)
    torch.save(state, source)
    fails(convert(source, half, '--half', '--force'), 'conv1.bn.running_var', 'too large')


def test_lists_the_public_files(convert, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    kept = tmp_path / 'hub' / 'checkpoints' / 'authors-0.5x-g3.pth.tar'
    kept.parent.mkdir(parents=True)
    kept.write_bytes(bytes(2_977_667))
    status, said = convert('--list')
    assert status == 0 and 'SHUFFLENET_PRETRAINED=shufflenet://' in said.splitlines()[-1]
    table, refused = json.loads(convert('--list', '--format', 'json')[1])
    rows = {row['name'].removeprefix('shufflenet://'): row for row in table['rows']}
    counts = Counter(name.partition('-')[0] for name in rows)
    assert (counts['authors'], counts['pytorchcv'], counts['zcls']) == (8, 11, 8)
    assert rows['mmpretrain-1x-g3']['top1_error'] == 31.87
    assert rows['authors-2x-g3']['top1_error'] == 25.9
    assert rows['authors-2x-g3']['use'] == 'SHUFFLENET_PRETRAINED=shufflenet://authors-2x-g3'
    for name, row in rows.items():
        assert f'{row["name"]} ' in said and {'licence', 'shuffle', 'pixels'} <= row.keys()
        here = name in ('authors-0.5x-g3', 'tiny-imagenet-0.5x-g3')
        assert row['here'] == ('yes' if here else 'no')
    # what is here has its size on disk, else it is that of its numbers
    assert rows['authors-0.5x-g3']['megabytes'] == 2.977667
    assert rows['zcls-0.5x-g3']['megabytes'] == pytest.approx(2.98, rel=0.03)
    assert {'tensorpack-1x-g8', 'mindcv-1x-g3', 'onnx-1x-g3'} <= {
        row['name'] for row in refused['rows']
    }


def fails(result: tuple[int, str], *patterns: str) -> None:
    status, said = result
    assert status == 1 and said.startswith('error: ')
    for pattern in patterns:
        assert pattern in said


def test_an_existing_file_is_kept_without_force(convert, source, tmp_path):
    (out := tmp_path / 'out.pth').write_text('mine')
    fails(convert(source, out), 'out.pth exists', '--force')
    assert out.read_text() == 'mine'
    assert convert(source, out, '--force')[0] == 0
    assert describe_checkpoint(str(out)).recorded


def test_bad_sources(convert, source, tmp_path):
    out, bad = tmp_path / 'out.pth', tmp_path / 'bad.pth'
    fails(convert(tmp_path / 'nix.pth', out), 'nix.pth can not be found', 'source.pth')
    bad.write_text('text')
    fails(convert(bad, out), 'bad.pth is no checkpoint')
    bad.write_bytes(source.read_bytes()[:-500])
    fails(convert(bad, out), 'cut short')
    marker = tmp_path / 'ran'
    payloads.write(bad, payloads.RUNNING['os.system'](marker))
    fails(convert(bad, out), 'bad.pth is refused')
    assert not marker.exists()
    torch.save(dict(epoch=3), bad)
    fails(convert(bad, out), 'bad.pth is no checkpoint of a model: there is no tensor in it')
    fails(convert('authors-1x-g3', out), 'of this name is shufflenet://authors-1x-g3')
    fails(convert('shufflenet://tensorpack-1x-g8', out), 'SAME', 'shufflenet://authors-1x-g8')
    torch.save(torchvision.models.resnet18().state_dict(), bad)
    fails(convert(bad, out), 'holds no ShuffleNet v1')
    assert not out.exists()
    # nothing half-written is left
    assert {path.name for path in tmp_path.iterdir()} == {'source.pth', 'bad.pth'}


def test_bad_arguments(convert, source, tmp_path):
    for arguments, pattern in (
        ((source, tmp_path / 'out.onnx'), 'must end in .safetensors or .pth'),
        ((source,), 'OUT is missing'),
        ((), 'give SOURCE and OUT'),
        ((source, 'out.pth', '--list'), 'give SOURCE and OUT'),
    ):
        status, said = convert(*arguments)
        assert status == 2 and pattern in said
    fails(convert(source, source / 'out.pth'), 'cannot write to the output folder', 'OUT')


def test_a_converted_file_of_another_width(convert, source, tmp_path):
    out = tmp_path / 'out.safetensors'
    assert convert(source, out)[0] == 0
    pretrained = dict(type='Pretrained', checkpoint=str(out), prefix='backbone.')
    # of the first, nothing fits; of the second, the stem does
    for options, pattern in (
        (dict(), r'\[12, 3, 3, 3\] in the file, \[24, 3, 3, 3\] in the model'),
        (dict(groups=1, widen_factor=0.5), r'other widths than the config.*\[30, 12, 1, 1\]'),
    ):
        net = ShuffleNetV1(**options, shuffle='transposed', init_cfg=pretrained)
        with pytest.raises(CheckpointError, match=pattern):
            net.init_weights()


def test_the_authors_file_itself_is_no_checkpoint_of_a_model(source):
    backbone = dict(type='ShuffleNetV1', widen_factor=0.5, out_indices=(3,))
    pretrained = dict(type='Pretrained', checkpoint=str(source))
    head = dict(type='LinearHead', num_classes=7)
    for prefix in (dict(), dict(prefix='backbone.')):
        model = ImageClassifier(dict(backbone, init_cfg=dict(pretrained, **prefix)), head)
        with pytest.raises(CheckpointError, match=r'Convert the file with `python tools/convert_w'):
            model.init_weights()
