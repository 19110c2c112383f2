"""Each load says what matched, and fails when nothing did."""
import logging

from shufflenet_det.compat import checkpoint, checkpoint_keys
from shufflenet_det.compat.checkpoint import CheckpointError, compare_keys

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, BaseTTAModel
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import load_checkpoint, load_state_dict
from torch import nn

checkpoint.install()
checkpoint_keys.install()


@pytest.fixture(autouse=True)
def _as_in_the_tools(monkeypatch):
    # also models without a part of this package, as the ones below
    monkeypatch.setattr(checkpoint_keys, '_every_model', True)


class Detector(BaseModule):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 5)


class Backbone(BaseModule):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(3, 4, 3)


class Renaming(nn.Linear):
    """A layer that reads its weights under old names, as mmcv and mmdet have."""

    def _load_from_state_dict(self, state_dict, prefix, *args):
        if prefix + 'kernel' in state_dict:
            state_dict[prefix + 'weight'] = state_dict.pop(prefix + 'kernel').T
        super()._load_from_state_dict(state_dict, prefix, *args)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'x.pth'


@pytest.fixture
def said():
    """Levels and messages of mmengine's logger."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def save(path, state_dict):
    torch.save({'state_dict': state_dict}, path)
    return str(path)


def test_all_match(path, said):
    load_checkpoint(Detector(), save(path, Detector().state_dict()))
    assert said[-1] == ('INFO', f'Loaded checkpoint {path}: 8 of 8 model tensors matched; '
                                '0 missing; 0 unexpected')


def test_some_match(path, said):
    state = Detector().state_dict()
    state['head.weight'] = torch.zeros(7, 4)
    state['neck.weight'] = state.pop('head.bias')
    del state['backbone.1.num_batches_tracked']
    target = Detector()
    load_checkpoint(target, save(path, state))
    level, message = said[-1]
    assert level == 'WARNING'
    assert message == (
        f'Loaded checkpoint {path}: 6 of 8 model tensors matched; 1 missing (head.bias); 1 of '
        'another shape (head.weight: [7, 4] in the file, [5, 4] in the model); 1 unexpected '
        '(neck.weight)')
    assert str(compare_keys(target, state)) in message
    assert torch.equal(target.backbone[0].weight, state['backbone.0.weight'])


@pytest.mark.parametrize('load', ['load_checkpoint', 'init_cfg'])
def test_none_match(load, path):
    name = save(path, {'encoder.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match='(?s)encoder.weight.*backbone.0.weight') as info:
        if load == 'init_cfg':
            Detector(dict(type='Pretrained', checkpoint=name)).init_weights()
        else:
            load_checkpoint(Detector(), name)
    assert name in str(info.value)


@pytest.mark.parametrize('part', [False, True])
def test_a_backbone_of_another_width_is_an_error(path, part):
    wide = Detector()
    wide.backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    state = wide.state_dict()
    shapes = r'\[8, 3, 3, 3\] in the file and \[4, 3, 3, 3\] in the model'
    match = rf'0.weight, {shapes} \(5 more differ\)'
    with pytest.raises(CheckpointError, match=match):
        if part:
            # one tensor fits, as the stems of neighbouring widths do
            state = {k.removeprefix('backbone.'): v for k, v in state.items() if 'back' in k}
            target = Detector().backbone.append(nn.Linear(1, 1))
            load_checkpoint(target, save(path, {**state, '2.bias': torch.zeros(1)}))
        else:
            load_checkpoint(Detector(), save(path, state))


def test_shapes_alone_are_no_match(path):
    with pytest.raises(CheckpointError, match=r'2 of another shape \(weight: \[3, 3\]'):
        load_checkpoint(nn.Linear(2, 2), save(path, nn.Linear(3, 3).state_dict()))
    with pytest.raises(CheckpointError, match='first names in the file:  none'):
        load_checkpoint(nn.Linear(2, 2), save(path, {}))


def test_a_prefix_that_would_help_is_named(path):
    whole = {f'backbone.{k}': v for k, v in Backbone().state_dict().items()}
    whole['head.fc.weight'] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="prefix='backbone.'"):
        load_checkpoint(Backbone(), save(path, whole))
    with pytest.raises(CheckpointError, match="only what the model calls 'backbone.'"):
        load_checkpoint(Detector(), save(path, Detector().backbone.state_dict()))
    torch.save({'model': Backbone().state_dict()}, path)
    with pytest.raises(CheckpointError, match="under 'model'") as info:
        load_checkpoint(Backbone(), str(path))
    assert str(path) in str(info.value)


def test_pretrained_prefix(path, said):
    source = Backbone()
    name = save(path, {f'backbone.{k}': v for k, v in source.state_dict().items()})
    for prefix in ('backbone', 'backbone.'):
        target = Backbone(dict(type='Pretrained', checkpoint=name, prefix=prefix))
        target.init_weights()
        assert torch.equal(source.conv.weight, target.conv.weight)
        assert any(f'{name}: 2 of 2' in message for _, message in said)
        said.clear()
    with pytest.raises(CheckpointError, match=r"(?s)prefix 'neck\.'.*'backbone\.'"):
        Backbone(dict(type='Pretrained', checkpoint=name, prefix='neck')).init_weights()
    save(path, {f'module.backbone.{k}': v for k, v in source.state_dict().items()})
    with pytest.raises(CheckpointError, match="Use prefix='module.backbone.'"):
        Backbone(dict(type='Pretrained', checkpoint=name, prefix='backbone')).init_weights()


def test_wrappers(path, said):
    name = save(path, {f'module.{k}': v for k, v in Detector().state_dict().items()})

    class Testable(Detector):

        def test_step(self, data):
            return data

    class TTA(BaseTTAModel):

        def merge_preds(self, data_samples_list):
            return data_samples_list

    for model in (Detector(), nn.DataParallel(Detector()), TTA(Testable())):
        load_checkpoint(model, name)
        assert '8 of 8' in said[-1][1]
    load_checkpoint(nn.Sequential(nn.DataParallel(Backbone())),
                    save(path, nn.Sequential(Backbone()).state_dict()))
    assert '2 of 2' in said[-1][1]


def test_names_that_a_layer_translates_do_match(path, said):
    state = {'fc.kernel': torch.ones(2, 3), 'fc.bias': torch.ones(3)}
    model = nn.ModuleDict({'fc': Renaming(2, 3)})
    load_checkpoint(model, save(path, state))
    assert '2 of 2 model tensors matched; 0 missing; 0 unexpected' in said[-1][1]
    assert model['fc'].weight.sum() == 6


def test_modules_without_tensors_and_plain_state_dicts(said):
    load_state_dict(nn.ReLU(), {})
    assert not said
    load_state_dict(nn.Linear(2, 2), nn.Linear(2, 2).state_dict())
    assert said[-1][1].startswith('Loaded a state dict: 2 of 2')
    assert load_state_dict is mmengine_checkpoint.load_state_dict


def test_nothing_else_is_printed_of_names_that_do_not_fit(said, capsys):
    load_state_dict(nn.Linear(2, 2), {'weight': torch.zeros(2, 2), 'other': torch.zeros(1)})
    assert said[-1][1].endswith('1 of 2 model tensors matched; 1 missing (bias); '
                                '1 unexpected (other)')
    printed = capsys.readouterr()
    assert 'match exactly' not in printed.out + printed.err


def test_strict_still_raises():
    with pytest.raises(RuntimeError, match='missing keys'):
        load_state_dict(nn.Linear(2, 2), {'weight': torch.zeros(2, 2)}, strict=True)
