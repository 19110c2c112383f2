"""What a swap is given: configs, and backbones by name, by type and by settings."""
from shufflenet_det.common import config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.swap import SwapError, backbone_names, plan_swap
from shufflenet_det.swap.names import backbone_config, parse_backbone

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config

from ..conftest import ROOT

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'


def test_every_name_is_a_backbone():
    assert {'shufflenet-v1-1x-g3', 'shufflenet-v1-2x-g3-se', 'mobilenet-v1-1.0'} <= set(
        backbone_names()
    )
    for name in backbone_names():
        assert MODELS.build(backbone_config(name)).out_channels
    assert backbone_config('shufflenet-v1-0.5x-g4') == dict(
        type='ShuffleNetV1', groups=4, widen_factor=0.5
    )


@pytest.mark.parametrize('name', ['shufflenet-v1-1x-g5', 'ShuffleNetv1', 'resnet50', ''])
def test_unknown_backbone_is_named_with_the_nearest(name):
    with pytest.raises(ConfigError, match='no backbone named') as error:
        plan_swap(RETINANET, name)
    if name.lower().startswith('shufflenet'):
        assert 'Did you mean' in str(error.value)


def test_mistyped_setting_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="no setting 'goups'. Did you mean groups"):
        plan_swap(RETINANET, dict(type='ShuffleNetV1', goups=8))


def test_type_that_is_forgotten_is_asked_for():
    for backbone in (parse_backbone('groups=3'), dict(groups=3)):
        with pytest.raises(ConfigError, match='type= is missing in the backbone groups=3'):
            backbone_config(backbone)


def test_settings_are_words_or_literals():
    text = (
        "type=ShuffleNetV1 shuffle=transposed stage_channels=(240, 480, 960) with_se=True "
        "norm_cfg=dict(type='GN', num_groups=4, more=[dict(a=-1)])  conv_cfg=None"
    )
    assert parse_backbone(text) == dict(
        type='ShuffleNetV1',
        shuffle='transposed',
        stage_channels=(240, 480, 960),
        with_se=True,
        norm_cfg=dict(type='GN', num_groups=4, more=[dict(a=-1)]),
        conv_cfg=None,
    )
    assert parse_backbone('ShuffleNetV1') == 'ShuffleNetV1'
    assert parse_backbone(None) is None


@pytest.mark.parametrize('value', [
    "dict(type=open('x','w'))", 'dict(type=GN)', 'dict(**{})', 'dict(1)', '__import__("os")',
    '(240,', 'true', '{[]: 1}', '1+x', '',
])  # fmt: skip
def test_value_that_is_neither_is_named_and_not_run(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='of norm_cfg cannot be read') as error:
        parse_backbone(f'type=ShuffleNetV1 norm_cfg={value}')
    assert repr(value) in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['type=ShuffleNetV1 groups', 'a.b=1', '=3'])
def test_part_that_is_no_setting_is_named(text):
    with pytest.raises(ConfigError, match='expected key=value'):
        parse_backbone(text)


def test_error_without_a_message_says_where_it_was_raised():
    with pytest.raises(SwapError, match='AssertionError: __init__ of conv_module.py: assert'):
        plan_swap(RETINANET, dict(type='ShuffleNetV1', norm_cfg='BN'))


def test_missing_configs_are_an_error_not_an_empty_list(tmp_path, monkeypatch):
    monkeypatch.setattr(config, 'CONFIGS', tmp_path / 'none')
    backbone_names.cache_clear()
    with pytest.raises(ConfigError, match='configs of the package are not found.*pip install -e'):
        backbone_names()
    # which needs none of them
    assert backbone_config('ShuffleNetV1') == dict(type='ShuffleNetV1')


def test_what_is_no_config_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='not found'):
        plan_swap(str(tmp_path / 'none.py'))
    (tmp_path / 'text.py').write_text('this is = no config')
    with pytest.raises(ConfigError, match='cannot read'):
        plan_swap(str(tmp_path / 'text.py'))
    (tmp_path / 'orphan.py').write_text("_base_ = './gone.py'")
    with pytest.raises(ConfigError, match='gone.py'):
        plan_swap(str(tmp_path / 'orphan.py'))
    with pytest.raises(SwapError, match='not dict'):
        plan_swap(dict(model={}))
    (tmp_path / 'm3.py').write_text('model = 3')
    with pytest.raises(ConfigError, match='m3.py is not the config of a model: its `model` is 3'):
        plan_swap(str(tmp_path / 'm3.py'))
    with pytest.raises(SwapError, match='`model` is 3'):
        plan_swap(Config(dict(model=3)))
    assert plan_swap(ROOT / 'configs' / 'faster_rcnn_shufflenet.py').changes
