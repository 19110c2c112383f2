"""SHUFFLENET_PRETRAINED and configs that read it, that do not, and that have other weights."""
import shlex
from pathlib import Path

from shufflenet_det import swap_backbone
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.engine.pretraining import (
    is_pretrained,
    pretraining_warning,
    reads_variable,
    require_pretraining,
)
from shufflenet_det.swap import plan_swap
from shufflenet_det.swap.writing import write_config

import pytest
from mmengine.config import Config

from ..conftest import ROOT
from ..zygote import run_forked

OURS = ROOT / 'configs' / 'faster_rcnn_shufflenet.py'
CLASSIFIER = ROOT / 'configs' / 'imagenet' / 'shufflenet-v1-1x-g3_in1k.py'
RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
C4 = 'mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py'


def swapped(base: str, out: Path, **arguments) -> Config:
    """A config as ``tools/swap_backbone.py`` writes it."""
    old = load_config(base)
    write_config(base, old, plan_swap(old, **arguments).cfg, out, 'swapped')
    return load_config(str(out))


@pytest.fixture
def variable(monkeypatch):
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', 'imagenet.pth')


def test_config_that_reads_the_variable(monkeypatch):
    cfg = load_config(str(OURS))
    require_pretraining(cfg)
    assert 'random weights. Set SHUFFLENET_PRETRAINED to' in pretraining_warning(cfg)
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', 'imagenet.pth')
    cfg = load_config(str(OURS))
    require_pretraining(cfg)
    assert reads_variable(cfg) and pretraining_warning(cfg) is None


def test_variable_that_reaches_no_part_of_the_model_is_refused(variable, monkeypatch):
    """As in a config that inherits one of ours and has another backbone without weights."""
    cfg = swap_backbone(load_config(str(OURS)), 'shufflenet-v1-0.5x-g3')
    with pytest.raises(ConfigError, match='SHUFFLENET_PRETRAINED=imagenet.pth reaches no part'):
        require_pretraining(cfg)
    monkeypatch.delenv('SHUFFLENET_PRETRAINED')
    require_pretraining(cfg)
    assert 'Set SHUFFLENET' not in pretraining_warning(cfg)
    assert 'tools/swap_backbone.py' in pretraining_warning(cfg)


@pytest.mark.parametrize('base', [RETINANET, C4])
def test_config_that_does_not_read_the_variable_is_refused(base, variable, tmp_path, monkeypatch):
    cfg = swapped(base, tmp_path / 'new.py')
    with pytest.raises(ConfigError, match='does not read SHUFFLENET_PRETRAINED') as error:
        require_pretraining(cfg)
    for remedy in (f'tools/swap_backbone.py {tmp_path}/new.py --checkpoint imagenet.pth', 'unset'):
        assert remedy in str(error.value)
    # of a C4 detector, the options would leave the shared stage without weights
    assert ('--cfg-options' in str(error.value)) == (base == RETINANET)
    monkeypatch.setenv('SHUFFLENET_PRETRAINED', 'none')
    require_pretraining(cfg)
    assert 'starts from random weights. To start from pretrained' in pretraining_warning(cfg)
    assert 'Set SHUFFLENET' not in pretraining_warning(cfg)


def test_remedies_work(variable, tmp_path):
    cfg = swapped(RETINANET, tmp_path / 'new.py')
    with pytest.raises(ConfigError) as error:
        require_pretraining(cfg)
    options = str(error.value).split('--cfg-options ')[1].split('`')[0]
    options = dict(option.split('=') for option in shlex.split(options))
    cfg = load_config(str(tmp_path / 'new.py'), options)
    assert cfg.model.backbone.init_cfg == dict(
        type='Pretrained', checkpoint='imagenet.pth', prefix='backbone.'
    )
    require_pretraining(cfg)
    # the swap, of what was swapped before
    public = 'shufflenet://mmpretrain-1x-g3'
    cfg = swapped(str(tmp_path / 'new.py'), tmp_path / 'with.py', checkpoint=public)
    require_pretraining(cfg)
    assert is_pretrained(cfg)


def test_config_with_weights_of_its_own_is_warned_of_only(variable, tmp_path):
    public = 'shufflenet://mmpretrain-1x-g3'
    with_weights = swapped(RETINANET, tmp_path / 'new.py', checkpoint=public)
    for cfg in (with_weights, load_config(RETINANET), load_config(str(CLASSIFIER))):
        require_pretraining(cfg)
        assert 'does not read SHUFFLENET_PRETRAINED, which is set' in pretraining_warning(cfg)


def test_weights_of_a_teacher_are_not_those_of_the_model():
    cfg = load_config('mmdet::lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.teacher_backbone.init_cfg = dict(type='Pretrained', checkpoint='teacher.pth')
    assert not is_pretrained(cfg)


def test_variable_of_mmdetections_configs_is_not_ours(monkeypatch):
    """Some set ``pretrained`` to the address of their backbone's weights."""
    cfg = load_config('mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py')
    assert cfg.pretrained.startswith('https://')
    require_pretraining(swap_backbone(cfg))


def test_train_tool_stops_before_anything_is_built(variable, tmp_path):
    swapped(RETINANET, tmp_path / 'new.py')
    arguments = ['tools/train.py', tmp_path / 'new.py', '--work-dir', tmp_path / 'out']
    process = run_forked(arguments)
    assert process.returncode == 1
    assert process.stderr.strip().splitlines()[-1].startswith('error: this config does not read')
