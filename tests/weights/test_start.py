"""One word starts a detector: widths, shuffle, stem and pixels follow the weights."""
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.compat.checkpoint import CheckpointError, CheckpointNotFoundError
from shufflenet_det.engine.pretraining import pretraining_warning, require_pretraining
from shufflenet_det.models import ImageClassifier
from shufflenet_det.weights import record_of
from shufflenet_det.weights.convert import as_file, convert
from shufflenet_det.weights.preprocessing import RAW_BGR
from shufflenet_det.weights.public_files import public_files
from shufflenet_det.weights.record import RECORD_KEY
from shufflenet_det.weights.start import start_from, started_from

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import CheckpointLoader

from ..conftest import ROOT, write_coco
from ..zygote import run_forked
from .networks import AuthorsNet
from .public import keep, stand_in

FILES = [file for file in public_files() if file.url]
DETECTORS = ('c4', 'fpn', 'light')
FOLDER = ROOT / 'configs' / 'faster_rcnn'
AUTHORS = 'shufflenet://authors-0.5x-g3'


def config_file(detector: str, width: str = '1x') -> str:
    return str(FOLDER / f'faster-rcnn_shufflenet-v1-{width}-g3_{detector}_2x_coco-300.py')


def built(cfg: Config) -> BaseModel:
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def assert_started(model: BaseModel, checkpoint: dict, keeps_statistics: bool = True) -> None:
    """Every tensor of backbone and shared stage is that of the checkpoint."""
    state = checkpoint['state_dict']
    parts = {'backbone.': model.backbone}
    if hasattr(model.roi_head, 'shared_head'):
        parts['backbone.layers.2.'] = model.roi_head.shared_head
    for prefix, part in parts.items():
        for name, tensor in part.state_dict().items():
            if not name.endswith('num_batches_tracked'):
                assert torch.equal(tensor, state[prefix + name].float()), prefix + name
        assert part.norm_eval == keeps_statistics


def step(model: BaseModel) -> None:
    """A training step on a small image, which meets all channels that must fit."""
    inputs = demo_mm_inputs(1, [[3, 64, 64]], num_items=[1], num_classes=80)
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)


# each name with one detector here, with all of them in the slow test
ONE_EACH = [(file, DETECTORS[index % 3]) for index, file in enumerate(FILES)]


def started(file, detector: str, home: Path, monkeypatch, width: str) -> BaseModel:
    keep(monkeypatch, file, stand_in(file)[1], home)
    name = f'shufflenet://{file.name}'
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', name)
    cfg = load_config(config_file(detector, width))
    model = built(cfg)
    needed = record_of(model)
    assert (needed.variant, needed.shuffle) == (file.needs.variant, file.needs.shuffle)
    assert needed.preprocessing == file.needs.preprocessing
    assert_started(model, CheckpointLoader.load_checkpoint(name), detector != 'light')
    said = started_from(cfg)
    for what in (name, repr(file.needs.shuffle), f'groups={needed.variant["groups"]}'):
        assert what in said
    require_pretraining(cfg)
    assert pretraining_warning(cfg) is None
    return model


@pytest.mark.parametrize(('file', 'detector'), ONE_EACH, ids=lambda v: getattr(v, 'name', v))
def test_a_detector_starts_from_each_name(file, detector, tmp_path, monkeypatch):
    model = started(file, detector, tmp_path, monkeypatch, '0.5x')
    # a step takes longer than all the rest
    if file.name in ('authors-0.5x-g8', 'pytorchcv-0.25x-g3', 'pytorchcv-1x-g4'):
        step(model)


@pytest.mark.slow
@pytest.mark.parametrize('detector', DETECTORS)
@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_every_detector_starts_from_each_name_and_takes_a_step(
    file, detector, tmp_path, monkeypatch
):
    step(started(file, detector, tmp_path, monkeypatch, '1x'))


@pytest.fixture
def authors(tmp_path, monkeypatch) -> str:
    """The name of the authors' 0.5x, with random weights in its place."""
    file = next(file for file in FILES if file.name == 'authors-0.5x-g3')
    keep(monkeypatch, file, stand_in(file)[1], tmp_path / 'home')
    return AUTHORS


def test_without_the_variable_the_configs_are_what_they_were():
    widths = [24, 240, 480, 960]
    for detector, levels in (('c4', widths[2:3]), ('fpn', widths), ('light', widths[1:])):
        cfg = load_config(config_file(detector))
        assert started_from(cfg) is None
        model = MODELS.build(cfg.model)
        assert list(model.backbone.out_channels) == levels
        assert cfg.model.data_preprocessor.bgr_to_rgb is True
        assert not model.backbone.norm_eval


@pytest.mark.parametrize('start', [500, dict(backbone='r50')])
def test_a_variable_of_this_name_in_another_config_says_nothing(start):
    assert started_from(Config(dict(start=start))) is None


def test_a_converted_file_does_as_its_name_does(authors, tmp_path, monkeypatch):
    (path := tmp_path / 'converted.pth').write_bytes(
        as_file(convert(CheckpointLoader.load_checkpoint(authors), 'x'), '.pth')
    )
    models = []
    for word in (authors, str(path)):
        monkeypatch.setenv('SHUFFLENET_PRETRAINED', word)
        models.append(load_config(config_file('c4')).model.to_dict())
        for part in (models[-1]['backbone'], models[-1]['roi_head']['shared_head']):
            assert part['init_cfg'].pop('checkpoint') == word
    assert models[0] == models[1]


def test_a_plain_file_sets_the_width_and_leaves_the_rest(tmp_path, monkeypatch):
    """It does not say what it needs, so what the config says of that stays."""
    donor = MODELS.build(dict(type='ShuffleNetV1', widen_factor=0.5, shuffle='none'))
    torch.save(donor.state_dict(), path := tmp_path / 'plain.pth')
    (tmp_path / 'child.py').write_text(
        f'_base_ = {config_file("fpn")!r}\nmodel = dict(backbone=dict(shuffle="none"))\n'
    )
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', str(path))
    cfg = load_config(str(tmp_path / 'child.py'))
    assert cfg.model.backbone.shuffle == 'none' and 'prefix' not in cfg.model.backbone.init_cfg
    assert cfg.model.neck.in_channels == [12, 120, 240, 480]
    model = built(cfg)
    assert torch.equal(model.backbone.conv1.conv.weight, donor.conv1.conv.weight)


def test_words_that_cannot_be_looked_into_are_taken_as_they_are():
    for word in ('nowhere.pth', 'https://example.invalid/x.pth'):
        start = start_from(word)
        assert start['init_cfg'] == dict(type='Pretrained', checkpoint=word, prefix='backbone.')
        assert start['stage4_init_cfg']['prefix'] == 'backbone.layers.2.'
        assert not start['backbone'] and not start['pixels'] and not start['channels']
    for word in ('shufflenet://nix', 'authors-1x-g3', 'shufflenet://mindcv-1x-g3'):
        with pytest.raises(CheckpointNotFoundError):
            start_from(word)


@pytest.mark.parametrize('detector', DETECTORS)
def test_a_wrong_pairing_is_refused(detector, authors, monkeypatch):
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', authors)
    # one's own setting wins over that of the weights, and is refused
    for option, said in (
        ({'model.backbone.shuffle': 'standard'}, "needs shuffle='transposed'"),
        ({'model.data_preprocessor.bgr_to_rgb': True}, 'needs pixels as BGR'),
        ({'model.data_preprocessor.mean': [103.53, 116.28, 123.675]}, 'needs pixels as BGR'),
    ):
        with pytest.raises(CheckpointError, match=said):
            built(load_config(config_file(detector), option))
    for option in (
        {'model.backbone.stage_channels': [240, 480, 960], 'model.backbone.stem_channels': 24},
        {'model.neck.in_channels': [24, 240, 480, 960]},
        {'model.rpn_head.in_channels': 480},
    ):
        key = next(iter(option))
        if ('neck' in key) == (detector == 'c4') and 'backbone' not in key:
            continue
        if detector == 'light' and 'neck' in key:
            option = {key: [240, 480, 960]}
        with pytest.raises(ConfigError, match='in_channels of') as error:
            built(load_config(config_file(detector), option))
        assert 'tools/swap_backbone.py' in str(error.value)


@pytest.mark.parametrize('way', ['child', 'options'])
@pytest.mark.parametrize('detector', DETECTORS)
def test_init_cfg_where_everyone_writes_it(way, detector, authors, tmp_path):
    """In a child config, and by --cfg-options; the shared stage of C4 follows."""
    # rearranged, so that it needs the order that the configs have
    state = CheckpointLoader.load_checkpoint(authors)
    converted = convert(state, 'x', shuffle='standard')
    (path := tmp_path / 'standard.pth').write_bytes(as_file(converted, '.pth'))
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
    pixels = RAW_BGR.as_detector_cfg()
    if way == 'child':
        (tmp_path / 'child.py').write_text(
            f'_base_ = {config_file(detector, "0.5x")!r}\n'
            f'model = dict(data_preprocessor={pixels!r},\n'
            f'             backbone=dict(norm_eval=True, init_cfg={init_cfg!r}))\n'
        )
        cfg = load_config(str(tmp_path / 'child.py'))
    else:
        options = {f'model.backbone.init_cfg.{key}': value for key, value in init_cfg.items()}
        options |= {f'model.data_preprocessor.{key}': value for key, value in pixels.items()}
        options |= {'model.backbone.norm_eval': True}
        cfg = load_config(config_file(detector, '0.5x'), options)
    model = built(cfg)
    assert_started(model, dict(state_dict=converted.tensors))
    # in the config of another width, by the name itself, and under other pixels
    for width, checkpoint, said in (
        ('1x', str(path), 'of another shape|other widths than the config'),
        ('0.5x', authors, "needs shuffle='transposed'"),
        ('0.5x', str(path), 'needs pixels as BGR'),
    ):
        wrong = load_config(config_file(detector, width))
        wrong.model.backbone.init_cfg = dict(init_cfg, checkpoint=checkpoint)
        with pytest.raises(CheckpointError, match=said):
            built(wrong)


def test_two_starts_are_refused(authors, monkeypatch):
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', authors)
    cfg = load_config(config_file('fpn'), {'model.backbone.init_cfg.checkpoint': 'other.pth'})
    with pytest.raises(ConfigError, match='init_cfg names other.pth and SHUFFLENET_PRETRAINED'):
        require_pretraining(cfg)


def test_a_stage_with_a_start_of_its_own_keeps_it(tmp_path):
    donor = ImageClassifier(
        dict(type='ShuffleNetV1', widen_factor=0.5), dict(type='LinearHead', num_classes=2)
    )
    content = dict(meta={RECORD_KEY: record_of(donor).to_json()}, state_dict=donor.state_dict())
    torch.save(content, path := tmp_path / 'x.pth')
    other = {n: t + 1 if t.is_floating_point() else t for n, t in donor.state_dict().items()}
    torch.save(dict(state_dict=other), tmp_path / 'other.pth')
    cfg = load_config(config_file('c4', '0.5x'))
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
    cfg.model.roi_head.shared_head.init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'other.pth'), prefix='backbone.layers.2.'
    )
    model = built(cfg)
    name = '0.g_conv_1x1_compress.conv.weight'
    assert torch.equal(
        model.roi_head.shared_head.state_dict()[name], other[f'backbone.layers.2.{name}']
    )


def test_the_log_of_a_training_says_what_was_set_and_matched(tmp_path):
    """tools/train.py for two steps: the whole way of the one word."""
    converted = convert(AuthorsNet(3, 0.5).state_dict(), 'x')
    (path := tmp_path / 'converted.safetensors').write_bytes(as_file(converted, '.safetensors'))
    environment = dict(
        SHUFFLENET_PRETRAINED=str(path),
        COCO_DATA_ROOT=str(write_coco(tmp_path / 'coco', images=2)),
    )
    process = run_forked(
        ['tools/train.py', config_file('c4'), '--work-dir', tmp_path / 'out',
         '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=9',
         'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
         'model.train_cfg.rpn_proposal.max_per_img=8', 'model.train_cfg.rcnn.sampler.num=8'],
        **environment,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    said = process.stdout
    assert f'The detector starts from {path}. Set by these weights' in said
    assert "shuffle='transposed'" in said and 'bgr_to_rgb=False' in said
    lines = [line for line in said.splitlines() if f'Loaded checkpoint {path}:' in line]
    # backbone and shared stage
    assert len(lines) == 2 and all(' 0 missing' in line for line in lines)
