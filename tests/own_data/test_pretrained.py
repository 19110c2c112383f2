"""``tools/prepare_data.py --pretrained``: a config that starts from weights, as these need it."""
import runpy
from pathlib import Path

from shufflenet_det.common.config import load_config, pretrained_of
from shufflenet_det.weights.public_files import public_files

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader

from ..conftest import ROOT
from ..weights.public import keep, stand_in
from .files import BOXES, C4, labels, write_images

NAME = 'shufflenet://authors-0.5x-g8'
LIGHT = C4.replace('_c4_', '_light_')


@pytest.fixture
def arguments(tmp_path, monkeypatch) -> list[str]:
    """Images and annotations, with random weights in the place of the authors' 0.5x with g=8."""
    file = next(file for file in public_files() if file.name == 'authors-0.5x-g8')
    keep(monkeypatch, file, stand_in(file)[1], tmp_path / 'home')
    photos = write_images(tmp_path / 'photos', *BOXES)
    return [str(photos), str(labels(photos)), '--out', str(tmp_path / 'own')]


def run(monkeypatch, *arguments: str) -> str | None:
    """The message with which the tool ends, if it fails."""
    monkeypatch.setattr('sys.argv', ['prepare_data.py', *arguments])
    try:
        runpy.run_path(str(ROOT / 'tools' / 'prepare_data.py'), run_name='__main__')
    except SystemExit as stop:
        return str(stop.code)
    return None


@pytest.mark.parametrize('base', [None, LIGHT, C4, 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'])
def test_the_config_starts_from_the_name(base, arguments, tmp_path, monkeypatch, capsys):
    more = ['--base', base] if base else []
    assert run(monkeypatch, *arguments, '--pretrained', NAME, *more) is None
    said = capsys.readouterr().out
    assert f'starts from {NAME}' in said and "'transposed'" in said
    cfg = load_config(str(tmp_path / 'own' / 'config.py'))
    assert pretrained_of(cfg.model) == [NAME]
    assert cfg.model.data_preprocessor.bgr_to_rgb is False
    model = MODELS.build(cfg.model)
    model.init_weights()
    state = CheckpointLoader.load_checkpoint(NAME)['state_dict']
    parts = {'backbone.': model.backbone}
    # as the configs have it with what SHUFFLENET_PRETRAINED names; RetinaNet's own keeps statistics
    assert model.backbone.norm_eval == (base not in (None, LIGHT))
    if base == C4:
        parts['backbone.layers.2.'] = model.roi_head.shared_head
        assert model.roi_head.shared_head.norm_eval
    for prefix, part in parts.items():
        for name, tensor in part.state_dict().items():
            assert torch.equal(tensor, state[prefix + name])


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_what_cannot_be_leaves_nothing(arguments, tmp_path, monkeypatch):
    said = run(monkeypatch, *arguments, '--pretrained', 'shufflenet://author-0.5x-g8')
    assert said.startswith('error: ') and 'Did you mean authors-0.5x-g8' in said
    assert not files_in(tmp_path / 'own')
    # the data cannot be used
    said = run(monkeypatch, *arguments, '--pretrained', NAME, '--classes', 'none')
    assert 'no object' in said and not files_in(tmp_path / 'own')
    # what is there stays
    assert run(monkeypatch, *arguments, '--pretrained', NAME) is None
    before = (tmp_path / 'own' / 'base.py').read_bytes()
    assert 'base.py, ' in run(monkeypatch, *arguments, '--pretrained', NAME)
    said = run(monkeypatch, *arguments, '--pretrained', 'shufflenet://authors-1x-g3',
               '--force', '--classes', 'none')  # fmt: skip
    assert 'no object' in said
    assert (tmp_path / 'own' / 'base.py').read_bytes() == before


def test_a_file_of_the_publisher_is_converted(arguments, tmp_path, monkeypatch, capsys):
    file = next(file for file in public_files() if file.name == 'authors-0.5x-g3')
    weights = tmp_path / '0.5x.pth.tar'
    weights.write_bytes(stand_in(file)[1])
    own = tmp_path / 'own'
    assert run(monkeypatch, *arguments, '--pretrained', str(weights)) is None
    assert f'converted {weights} to {own / "pretrained.safetensors"}' in capsys.readouterr().out
    cfg = load_config(str(own / 'config.py'))
    assert cfg.model.backbone.shuffle == 'transposed' and cfg.model.backbone.groups == 3
    assert cfg.model.data_preprocessor.mean == [0, 0, 0]
    model = MODELS.build(cfg.model)
    model.init_weights()
    state = CheckpointLoader.load_checkpoint(str(own / 'pretrained.safetensors'))['state_dict']
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, state[f'backbone.{name}'])
    before = files_in(own)
    assert 'exists already' in run(monkeypatch, *arguments, '--pretrained', str(weights))
    assert files_in(own) == before
    said = run(monkeypatch, *arguments[:2], '--out', str(tmp_path / 'other'),
               '--pretrained', str(weights), '--classes', 'none')  # fmt: skip
    assert 'no object' in said and not files_in(tmp_path / 'other')
