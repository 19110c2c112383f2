from types import SimpleNamespace

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.compat.checkpoint import CheckpointError
from shufflenet_det.engine import ConsistencyHook

import pytest
import torch
from mmdet.datasets import CocoDataset, ConcatDataset
from mmengine.config import Config
from mmengine.dataset import RepeatDataset
from torch import nn

from ..conftest import write_coco

CLASSES = ('a', 'b')


class Head(nn.Linear):
    num_classes = 2


def runner(resume: bool = False, pretrained: str = 'none') -> SimpleNamespace:
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=CLASSES)))
    return SimpleNamespace(
        model=nn.ModuleDict(dict(bbox_head=Head(2, 2), rpn_head=Head(2, 2))),
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        cfg=Config(dict(pretrained=pretrained)),
        _resume=resume,
    )


def checkpoint(run: SimpleNamespace, classes: tuple[str, ...] = CLASSES, **changes) -> dict:
    meta = dict(dataset_meta=dict(classes=classes), cfg="x = 1\npretrained = 'none'\n")
    state = {**run.model.state_dict(), **changes}
    return dict(
        state_dict={k: v for k, v in state.items() if v is not None},
        meta=meta,
        message_hub={},
        optimizer={},
    )


def test_all_is_well():
    run, hook = runner(resume=True), ConsistencyHook()
    hook.after_load_checkpoint(run, checkpoint(run))
    hook.before_train(run)
    hook.before_val(run)
    hook.before_test(run)


@pytest.mark.parametrize('stage', ['before_train', 'before_val', 'before_test'])
def test_head_with_other_classes_than_the_data(stage):
    run = runner()
    run.model['bbox_head'].num_classes = 3
    with pytest.raises(ConfigError, match='bbox_head has num_classes=3, the data set has 2'):
        getattr(ConsistencyHook(), stage)(run)


def test_checkpoint_of_other_classes_is_tested_never_and_fine_tuned_gladly():
    run, hook = runner(), ConsistencyHook()
    hook.after_load_checkpoint(run, checkpoint(run, ('a', 'c')))
    hook.before_train(run)
    with pytest.raises(ConfigError, match=r'trained for 2 classes \(a, c\).*names 2 \(a, b\)'):
        hook.before_test(run)


@pytest.mark.parametrize(
    'changes', [{'bbox_head.bias': None}, {'more.weight': torch.zeros(1)},
                {'bbox_head.weight': torch.zeros(3, 2)}],
)  # fmt: skip
def test_checkpoint_of_another_network(changes):
    run, hook = runner(), ConsistencyHook()
    hook.after_load_checkpoint(run, checkpoint(run, **changes))
    hook.before_train(run)
    with pytest.raises(CheckpointError, match='another network'):
        hook.before_test(run)
    with pytest.raises(CheckpointError, match='another network'):
        hook.after_load_checkpoint(runner(resume=True), checkpoint(run, **changes))


@pytest.mark.parametrize('part', ['message_hub', 'optimizer'])
def test_weights_alone_cannot_be_resumed(part):
    run = runner(resume=True)
    content = checkpoint(run)
    del content[part]
    with pytest.raises(CheckpointError, match=f'weights only .* no {part}'):
        ConsistencyHook().after_load_checkpoint(run, content)


def test_resuming_with_other_pretraining_is_refused():
    run = runner(resume=True, pretrained='imagenet.pth')
    with pytest.raises(ConfigError, match='SHUFFLENET_PRETRAINED=none, now it is imagenet.pth'):
        ConsistencyHook().after_load_checkpoint(run, checkpoint(run))


@pytest.mark.parametrize('wrap', [
    lambda d: d,
    lambda d: RepeatDataset(d, 2),
    lambda d: ConcatDataset([d]),
])  # fmt: skip
@pytest.mark.parametrize('stage', ['before_train', 'before_val', 'before_test'])
def test_class_that_mmdetections_own_data_set_would_drop_in_silence(stage, wrap, tmp_path):
    root = write_coco(tmp_path, classes=('cat', 'dog'), images=2)

    def run_with(*classes: str) -> SimpleNamespace:
        run = runner()
        dataset = wrap(CocoDataset(
            ann_file='annotations/instances_train2017.json', data_root=str(root),
            data_prefix=dict(img='train2017'), metainfo=dict(classes=classes), pipeline=[],
        ))  # fmt: skip
        for name in ('train', 'val', 'test'):
            setattr(run, f'{name}_dataloader', SimpleNamespace(dataset=dataset))
        return run

    getattr(ConsistencyHook(), stage)(run_with('dog', 'cat'))
    with pytest.raises(DataError, match='1 of the 2 classes .*instances_train2017.json: mouse. '):
        getattr(ConsistencyHook(), stage)(run_with('cat', 'mouse'))
