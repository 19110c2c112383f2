"""Whatever Runner saves a model with a backbone of ours writes what its weights need."""
from pathlib import Path

from shufflenet_det import weights
from shufflenet_det.compat.checkpoint import read_checkpoint
from shufflenet_det.models import ImageClassifier, ShuffleNetV1
from shufflenet_det.weights import (
    RECORD_KEY,
    Preprocessing,
    WeightsRecord,
    describe_checkpoint,
    record_of,
)
from shufflenet_det.weights.preprocessing import IMAGENET, RAW_BGR

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import FlexibleRunner, Runner
from torch import nn
from torch.utils.data import DataLoader

VARIANT = dict(groups=3, stem_channels=12, stage_channels=(120, 240, 480))
NEEDS = WeightsRecord('ShuffleNetV1', VARIANT, 'transposed', RAW_BGR)


def classifier(kind: str = 'ShuffleNetV1', **options) -> ImageClassifier:
    preprocessing = dict(type='ClassifierPreprocessor', **RAW_BGR.as_classifier_cfg())
    head = dict(type='LinearHead', num_classes=2)
    # an earlier Runner may have made its own scope the default
    with DefaultScope.overwrite_default_scope('mmdet'):
        return ImageClassifier(dict(type=kind, **options), head, preprocessing)


def transposed() -> ImageClassifier:
    return classifier(widen_factor=0.5, shuffle='transposed')


class Trained(BaseModel):
    """A classifier of ours with the loss of a stranger."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner.data_preprocessor)
        self.inner = inner

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> dict:
        return dict(loss=sum(parameter.square().sum() for parameter in self.parameters()))


def runner_of(model: nn.Module, work_dir: Path, epochs: int, **options) -> Runner:
    images = [dict(inputs=torch.zeros(3, 8, 8, dtype=torch.uint8))] * 2
    return Runner(
        model,
        str(work_dir),
        train_dataloader=DataLoader(images, batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[dict(type='EMAHook', momentum=0.5)],
        experiment_name=f'{work_dir.name}-{epochs}',
        **options,
    )


def test_a_runner_of_mmengine_alone_trains_resumes_and_records(tmp_path):
    runner_of(Trained(transposed()), tmp_path, 1).train()
    first = read_checkpoint(tmp_path / 'epoch_1.pth')
    assert WeightsRecord.from_json(first['meta'][RECORD_KEY]) == NEEDS
    assert first['meta']['epoch'] == 1 and {'ema_state_dict', 'optimizer'} <= first.keys()
    runner_of(Trained(transposed()), tmp_path, 2, resume=True).train()
    second = read_checkpoint(tmp_path / 'epoch_2.pth')
    assert second['meta']['iter'] == 2
    assert WeightsRecord.from_json(second['meta'][RECORD_KEY]) == NEEDS
    found = describe_checkpoint(str(tmp_path / 'epoch_2.pth'))
    assert (found.recorded, found.prefix) == (True, 'inner.backbone.')
    assert (found.shuffle, found.preprocessing) == ('transposed', RAW_BGR)


class Seen(Hook):

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.keys = set(checkpoint['meta'])


def saved_by(kind: type, model: nn.Module) -> tuple[dict, set[str]]:
    """The ``meta`` that a runner saves, and what of it its hooks see."""
    runner, hook = object.__new__(kind), Seen()
    runner.model, runner._hooks = model, [hook]
    if kind is FlexibleRunner:
        runner.strategy = type('Strategy', (), dict(model=model))
    runner.call_hook('before_save_checkpoint', checkpoint=(checkpoint := dict(meta=dict(epoch=1))))
    return checkpoint['meta'], hook.keys


@pytest.mark.parametrize('kind', [Runner, FlexibleRunner])
@pytest.mark.parametrize('wrap', [lambda model: model, nn.DataParallel])
def test_every_runner_and_every_wrapper(kind, wrap):
    weights.install()
    meta, seen = saved_by(kind, wrap(transposed()))
    assert meta == {'epoch': 1, RECORD_KEY: NEEDS.to_json()} and seen == set(meta)


def test_checkpoints_of_strangers_stay_as_they_are():
    stranger = Trained(classifier('MobileNetV1', widen_factor=0.25))
    stranger.inner.backbone = nn.Conv2d(3, 8, 3)
    assert record_of(stranger) is None
    assert saved_by(Runner, stranger)[0] == dict(epoch=1)


def test_the_record_is_of_the_model_as_it_is():
    model = classifier(widen_factor=0.5, shuffle='none')
    model.data_preprocessor.mean = torch.tensor([1.0, 2, 3]).view(3, 1, 1)
    preprocessing = Preprocessing((1, 2, 3), RAW_BGR.std, 'bgr')
    assert record_of(model) == WeightsRecord('ShuffleNetV1', VARIANT, 'none', preprocessing)
    other = classifier('MobileNetV1', widen_factor=0.25)
    assert record_of(other) == WeightsRecord('MobileNetV1', {}, None, RAW_BGR)
    # inside another model too
    assert record_of(nn.ModuleDict(dict(student=other))).backbone == 'MobileNetV1'


def test_networks_that_differ_have_no_variant_in_common(tmp_path):
    model = transposed()
    model.reid_backbone = ShuffleNetV1(widen_factor=0.25, shuffle='transposed', with_se=True)
    record = record_of(model)
    assert (record.variant, record.shuffle) == ({}, 'transposed')
    content = dict(meta={RECORD_KEY: record.to_json()}, state_dict=model.state_dict())
    torch.save(content, path := tmp_path / 'x.pth')
    found = describe_checkpoint(str(path))
    assert (found.variant, found.prefix, found.recorded) == (VARIANT, 'backbone.', True)
    assert found.shuffle == 'transposed' and found.preprocessing != IMAGENET
