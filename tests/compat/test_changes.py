"""What importing the package changes in other libraries, and how that is switched off."""
import importlib
import os
import subprocess
import sys

import shufflenet_det
from shufflenet_det.compat import changes, checkpoint, checkpoint_keys, wrapping
from shufflenet_det.models import ShuffleNetV1

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from ..conftest import ROOT

NAMES = [change.name for change in changes.CHANGES]


def switch(value: str) -> dict[str, str]:
    return {changes.VARIABLE: value}


@pytest.mark.parametrize(
    'value, off',
    [
        ('', []),
        ('off', NAMES),
        ('-checkpoint', ['checkpoint']),
        (' -checkpoint, -mmcv_ext,', ['checkpoint', 'mmcv_ext']),
    ],
)
def test_changes_are_switched_off_by_name(value, off):
    assert changes.switched_off(switch(value)) == set(off)


@pytest.mark.parametrize('value', ['on', 'checkpoint', '-checkpoints', 'off,-checkpoint'])
def test_a_name_of_no_change_is_an_error_that_lists_them(value):
    with pytest.raises(ImportError, match='-ssd_head'):
        changes.make(environ=switch(value))


@pytest.fixture
def library(monkeypatch):
    """A library of one function, and a change of it."""
    made = []
    module = type(sys)('shufflenet_det.compat.probe')
    module.needed = lambda: not made
    module.install = lambda: made.append(1)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    change = changes.Change('probe', 'probe', 'a list', 'it is empty', 'it is empty')
    monkeypatch.setattr(changes, 'CHANGES', (change, ))
    return made


def test_a_change_is_made_once_and_where_it_is_needed(library):
    assert changes.make(environ={}) == ['probe'] and library == [1]
    assert changes.make(environ={}) == [] and library == [1]


def test_a_change_that_is_switched_off_is_not_made(library):
    for value in ('off', '-probe'):
        assert changes.make(environ=switch(value)) == [] and library == []


def touched() -> list:
    """What stands at the places that the changes name."""
    from mmdet.models.roi_heads.mask_heads import fcn_mask_head
    from mmengine.infer.infer import BaseInferencer

    return [
        dict(CheckpointLoader._schemes),
        list(sys.meta_path),
        list(torch.serialization.get_safe_globals()),
        BaseInferencer._init_model,
        mmengine_checkpoint.load_state_dict,
        mmengine_checkpoint._load_checkpoint_with_prefix,
        Runner.call_hook,
        BaseModel.init_weights,
        fcn_mask_head._do_paste_mask,
    ]


def test_importing_again_changes_nothing():
    before = touched()
    importlib.reload(shufflenet_det)
    changes.make()
    assert touched() == before


def test_a_function_is_wrapped_once_also_by_a_fresh_import():
    def call(value: int) -> int:
        return value

    owner = type('Library', (), dict(call=staticmethod(call)))

    def doubling(original):
        return lambda value: 2 * original(value)

    def fresh(original):
        return lambda value: 10 * original(value)

    wrapping.wrap(owner, 'call', doubling)
    owner.call = staticmethod(owner.call)
    wrapping.wrap(owner, 'call', doubling)
    assert owner.call(1) == 2
    wrapping.wrap(owner, 'call', fresh)
    assert owner.call(1) == 10


def test_what_others_put_around_a_change_stays():
    library = type(sys)('library')
    library.call = lambda value: value
    wrapping.wrap(library, 'call', lambda original: lambda value: 2 * original(value))
    ours = library.call

    def theirs(value: int) -> int:
        return ours(value) + 1

    library.call = theirs
    theirs.__dict__.update(vars(ours))
    wrapping.wrap(library, 'call', lambda original: lambda value: 2 * original(value))
    assert library.call(1) == 3


def test_a_stack_that_loads_safely_is_left_alone(monkeypatch):
    def own(filename: str, map_location: str | None = None) -> dict:
        return checkpoint.read_checkpoint(filename, map_location)

    own.__module__ = mmengine_checkpoint.__name__
    monkeypatch.setitem(CheckpointLoader._schemes, '', own)
    assert not checkpoint.needed()

    def running(filename: str, map_location: str | None = None) -> dict:
        return torch.load(filename, map_location=map_location, weights_only=False)

    def refusing(filename: str, map_location: str | None = None) -> dict:
        raise OSError

    for loader in (running, refusing):
        loader.__module__ = mmengine_checkpoint.__name__
        monkeypatch.setitem(CheckpointLoader._schemes, '', loader)
        assert checkpoint.needed()


class Hosts(nn.Module):
    """A model of a host project."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3)
        self.num_classes = 2


@pytest.fixture
def as_imported(monkeypatch):
    # a tool that ran in this process may have asked for more
    monkeypatch.setattr(checkpoint_keys, '_every_model', False)


def test_models_of_others_are_loaded_as_before(as_imported):
    model = Hosts()
    before = model.backbone.weight.clone()
    other = {'backbone.weight': torch.zeros(8, 3, 3, 3), 'strange': torch.zeros(1)}
    mmengine_checkpoint.load_state_dict(model, other)
    assert torch.equal(model.backbone.weight, before)
    mmengine_checkpoint.load_state_dict(model, {'backbone.weight': torch.zeros(4, 3, 3, 3)})
    assert not model.backbone.weight.any()
    with pytest.raises(RuntimeError, match='unexpected key'):
        mmengine_checkpoint.load_state_dict(model, other, strict=True)


def test_models_with_a_part_of_ours_are_held_to_it(as_imported):
    class Derived(ShuffleNetV1):
        """A host's own class."""

    Derived.__module__ = 'host.models'
    model = Hosts()
    model.backbone = Derived(widen_factor=0.25)
    with pytest.raises(checkpoint.CheckpointError, match='no tensor'):
        mmengine_checkpoint.load_state_dict(model, {'strange': torch.zeros(1)})


def test_the_tools_hold_every_model_to_it(as_imported):
    checkpoint_keys.hold_every_model()
    with pytest.raises(checkpoint.CheckpointError, match='no tensor'):
        mmengine_checkpoint.load_state_dict(Hosts(), {'strange': torch.zeros(1)})


HOST = """
import mmengine.runner.checkpoint as c, mmengine.runner as r, mmengine.infer.infer as i, sys, torch
import mmengine.config.utils as u, mmengine.model as m, warnings
def state():
    return [dict(c.CheckpointLoader._schemes), c.load_state_dict, c._load_checkpoint_with_prefix,
            r.load_state_dict, r.Runner.call_hook, r.FlexibleRunner.call_hook, u.load, torch.load,
            m.BaseModel.init_weights, i.BaseInferencer._init_model]
before, filters = state(), list(warnings.filters)
import shufflenet_det
after = state()
# a name of the package's own, which no other library has
after[0].pop('shufflenet://')
print([a is b or a == b for a, b in zip(before, after)], file=sys.stderr)
assert before == after
from shufflenet_det.compat.checkpoint_unpickling import _stand_ins
# torch lists classes of its own as it is imported
listed = torch.serialization.get_safe_globals()
assert not any(entry is ours for entry in listed for ours in _stand_ins.values())
from mmdet.models.dense_heads import SSDHead
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
assert not hasattr(SSDHead, 'loss_cls') and not hasattr(fcn_mask_head._do_paste_mask, '__wrapped__')
print([f for f in warnings.filters if f not in filters and 'pkg_resources' in str(f)])
shufflenet_det.models.ShuffleNetV1(widen_factor=0.25)
"""


def test_with_all_switched_off_other_libraries_stay_as_they_are():
    # but for the operators, without which there is no MMDetection here
    names = ','.join(f'-{name}' for name in NAMES if name != 'mmcv_ext')
    environ = dict(os.environ, PYTHONPATH=str(ROOT), **switch(names))
    done = subprocess.run(
        [sys.executable, '-c', HOST], env=environ, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '[]'


def test_every_change_is_in_the_document():
    text = (ROOT / 'docs' / 'compat.md').read_text()
    for change in changes.CHANGES:
        assert f'| `{change.name}` |' in text
