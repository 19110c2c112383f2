"""Configs that inherit another: short, and read as what was meant."""
import math
from pathlib import Path

from shufflenet_det.common.config import load_config
from shufflenet_det.common.config_differences import as_code, differences, overrides, plain
from shufflenet_det.common.config_writing import base_reference, check_output, write_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.swap import plan_swap

import mmdet
import pytest
from mmengine.config import Config

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'


def written(base: str, out: Path, **arguments) -> Config:
    old = load_config(base)
    swap = plan_swap(old, **arguments)
    write_config(base, old, swap.cfg, out, 'a heading')
    read = Config.fromfile(out)
    assert plain(read) == plain(swap.cfg)
    return read


@pytest.mark.parametrize(
    'base',
    [
        RETINANET,
        'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
        'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py',
        'mmdet::libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py',
        'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py',
    ],
    ids=lambda base: Path(base).stem,
)
def test_written_config_reads_as_what_was_meant_and_is_short(base, tmp_path):
    out = tmp_path / 'new.py'
    written(base, out)
    lines = out.read_text().splitlines()
    assert lines[0] == '# a heading'
    assert lines[1] == f'_base_ = {base!r}'
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 40 or 'mask2former' in base
    assert list(tmp_path.iterdir()) == [out]


def test_config_of_a_user_is_inherited_by_a_relative_path(tmp_path):
    (tmp_path / 'mine').mkdir()
    base = tmp_path / 'mine' / 'base.py'
    base.write_text(f'_base_ = {RETINANET!r}\nmodel = dict(bbox_head=dict(num_classes=3))\n')
    out = tmp_path / 'new.py'
    cfg = written(str(base), out)
    assert cfg.model.bbox_head.num_classes == 3
    assert "_base_ = 'mine/base.py'" in out.read_text()


def test_config_inside_mmdetection_is_inherited_by_its_name(tmp_path):
    packaged = Path(mmdet.__file__).parent / '.mim' / 'configs' / RETINANET.partition('::')[2]
    assert base_reference(str(packaged), tmp_path / 'new.py') == RETINANET


def test_swapped_config_can_be_swapped_again(tmp_path):
    written(RETINANET, tmp_path / 'one.py')
    cfg = written(str(tmp_path / 'one.py'), tmp_path / 'two.py', backbone='mobilenet-v1-0.5')
    assert cfg.model.neck.in_channels == [64, 128, 256, 512]
    assert 'groups' not in cfg.model.backbone
    assert cfg.custom_imports.imports == ['shufflenet_det']


def test_exchange_that_changes_nothing_says_so(tmp_path):
    written(RETINANET, tmp_path / 'one.py')
    same = plan_swap(str(tmp_path / 'one.py'))
    assert same.changes == [] and str(same).startswith('nothing differs')
    cfg = written(str(tmp_path / 'one.py'), tmp_path / 'two.py')
    assert plain(cfg) == plain(load_config(str(tmp_path / 'one.py')))


def test_config_that_would_read_otherwise_is_not_left_behind(tmp_path):
    old = load_config(RETINANET)
    new = plan_swap(old).cfg
    # a class cannot be written
    new.model.backbone.type = dict
    with pytest.raises(ConfigError, match='cannot be inherited'):
        write_config(RETINANET, old, new, tmp_path / 'new.py', '')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['own.py', 'base.py'])
def test_config_that_is_inherited_is_not_overwritten(name, tmp_path):
    (tmp_path / 'base.py').write_text(f'_base_ = {RETINANET!r}\n')
    (tmp_path / 'own.py').write_text("_base_ = 'base.py'\n")
    before = (tmp_path / name).read_text()
    with pytest.raises(ConfigError, match='choose another name'):
        written(str(tmp_path / 'own.py'), tmp_path / name)
    assert (tmp_path / name).read_text() == before


def test_new_style_config_is_swapped_but_not_inherited(tmp_path):
    base = tmp_path / 'lazy.py'
    base.write_text(
        'from mmengine.config import read_base\n'
        'from mmdet.models import FPN, ResNet, RetinaHead, RetinaNet\n'
        'model = dict(type=RetinaNet, backbone=dict(type=ResNet, depth=18),\n'
        '             neck=dict(type=FPN, in_channels=[64, 128, 256, 512], out_channels=16,\n'
        '                       num_outs=5),\n'
        '             bbox_head=dict(type=RetinaHead, num_classes=3, in_channels=16))\n'
    )
    assert plan_swap(str(base)).cfg.model.neck.in_channels == [24, 240, 480, 960]
    with pytest.raises(ConfigError, match=r'cannot be inherited .*In Python, .*dump'):
        written(str(base), tmp_path / 'new.py')
    assert list(tmp_path.iterdir()) == [base]


def test_outputs_that_cannot_be_are_refused(tmp_path):
    (tmp_path / 'there.py').touch()
    with pytest.raises(ConfigError, match='exists.*--force'):
        check_output(tmp_path / 'there.py', force=False)
    assert check_output(tmp_path / 'there.py', force=True)
    with pytest.raises(ConfigError, match='ends in .py'):
        check_output(tmp_path / 'new.yaml', force=False)
    with pytest.raises(ConfigError, match='no folder'):
        check_output(tmp_path / 'none' / 'new.py', force=False)
    if Path('/proc').is_dir():
        with pytest.raises(ConfigError, match='cannot write to the output folder /proc'):
            check_output('/proc/new.py', force=False)


def test_what_cannot_be_written_is_not_the_fault_of_the_base(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='cannot write .*new.py: File exists. Choose another'):
        written(RETINANET, tmp_path / 'file' / 'new.py')


def test_overrides_are_what_mmengine_merges(tmp_path):
    old = dict(
        kept=dict(type='A', x=1, y=[1, 2]),
        other=dict(type='A', x=1),
        shrunk=dict(x=1, y=2),
        replaced=dict(type='A', x=1),
        same=3,
    )
    new = dict(
        kept=dict(type='A', x=1, y=[3]),
        other=dict(type='B', x=1),
        shrunk=dict(x=1),
        replaced=4,
        same=3,
        added=dict(z=(1,)),
    )
    found = overrides(old, new)
    assert found == dict(
        kept=dict(y=[3]),
        other=dict(_delete_=True, type='B', x=1),
        shrunk=dict(_delete_=True, x=1),
        replaced=4,
        added=dict(z=(1,)),
    )
    found.pop('replaced')  # mmengine does not put a number in the place of a dict
    new['replaced'] = old['replaced']
    for name, settings in (('old', old), ('new', dict(_base_='old.py', **found))):
        text = ''.join(f'{k} = {as_code(v)}\n' for k, v in settings.items())
        (tmp_path / f'{name}.py').write_text(text)
    assert Config.fromfile(tmp_path / 'new.py').to_dict() == new


def test_differences_name_what_was_added_changed_and_removed():
    old = Config(dict(a=1, b=dict(type='X', c=2, d=3), e=[1]))
    new = Config(dict(a=1, b=dict(type='X', c=4), e=[1.0], f=dict(g='h')))
    assert [str(change) for change in differences(old, new)] == [
        'b.c: 2 -> 4',
        'b.d: 3 (removed)',
        "f: dict(g='h') (added)",
    ]


def test_code_is_python_that_reads_as_the_value():
    value = dict(
        keys={'backbone.norm': dict(lr_mult=0.1), 'x': None},
        one=(1,),
        nested=[dict(type='A' * 40, value=-1.5e-7), dict(type='B' * 40, flags=(True, False))] * 2,
        empty=[[], (), {}],
        infinite=[math.inf, -math.inf],
        words={'class': 1},
    )
    code = as_code(value, room=90)
    assert eval(code, dict(dict=dict, float=float)) == value
    assert max(map(len, code.splitlines())) <= 100
