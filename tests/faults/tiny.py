"""The training of a tiny detector, and what two runs of it must have in common."""
import json
from pathlib import Path

from shufflenet_det.compat.checkpoint import read_checkpoint
from shufflenet_det.data.sample_dataset import SampleDataset

import cv2
import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..zygote import ROOT

CLASSES = SampleDataset.METAINFO['classes']
BASE = ROOT / 'configs/sample/faster-rcnn_shufflenet-v1-0.5x-g3_c4_sample-300.py'
EPOCHS = 3
CONFIG = f"""
_base_ = {str(BASE)!r}
model = dict(
    rpn_head=dict(feat_channels=16),
    train_cfg=dict(rpn=dict(sampler=dict(num=16)),
                   rpn_proposal=dict(nms_pre=50, max_per_img=20), rcnn=dict(sampler=dict(num=8))),
    test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=10)))
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=(96, 64), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                                          'scale_factor'))]
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False,
                        dataset=dict(pipeline=pipeline, filter_cfg=dict(min_size=8)))
val_dataloader = dict(num_workers=0, persistent_workers=False,
                      dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs={EPOCHS}, val_interval={EPOCHS})
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max={EPOCHS}, eta_min=1e-5)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(max_keep_ckpts=1))
custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', momentum=0.1)]
"""


def write_data(root: Path, images: int = 7) -> Path:
    """Images in both orientations with one or two boxes, for training and validation alike."""
    rng = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    tables = dict(images=[], annotations=[],
                  categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)])
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
    for number in range(1, images + 1):
        width, height = (80, 60) if number % 3 else (60, 80)
        picture = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
        name = f'{number:03d}.jpg'
        tables['images'].append(dict(id=number, file_name=name, width=width, height=height))
        for part in range(1 + number % 2):
            x, y, w, h = 4 + 26 * part, 5 + number, 24, 36
            picture[y : y + h, x : x + w] = 120 + 60 * part
            tables['annotations'].append(
                dict(id=len(tables['annotations']) + 1, image_id=number, bbox=[x, y, w, h],
                     area=w * h, iscrowd=0, category_id=1 + (number + part) % len(CLASSES))
            )
        for split in ('train2017', 'val2017'):
            cv2.imwrite(str(root / split / name), picture)
    for split in ('train2017', 'val2017'):
        (root / f'annotations/instances_{split}.json').write_text(json.dumps(tables))
    return root


def write_config(path: Path, more: str = '') -> Path:
    path.write_text(CONFIG + more)
    return path


def state_of(path: Path) -> dict:
    """All of a checkpoint that a run decides: no times, no names of folders."""
    content = read_checkpoint(path)
    hub = content['message_hub']
    scalars = {name: buffer for name, buffer in hub['log_scalars'].items()
               if 'time' not in name and 'memory' not in name}
    meta = {key: content['meta'][key] for key in ('epoch', 'iter', 'seed', 'progress')}
    parts = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')
    return dict(meta=meta, scalars=scalars, **{part: content.get(part) for part in parts})


def differences(one: object, other: object, where: str = '') -> list[str]:
    """Where two states are not the same, to the last bit."""
    if isinstance(one, HistoryBuffer):
        one, other = list(one.data), list(other.data)
    if isinstance(one, dict):
        if set(one) != set(other):
            return [f'{where}: keys {sorted(map(str, set(one) ^ set(other)))}']
        return [d for key in one for d in differences(one[key], other[key], f'{where}/{key}')]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [f'{where}: {len(one)} and {len(other)}']
        pairs = zip(one, other, strict=True)
        return [d for i, (a, b) in enumerate(pairs) for d in differences(a, b, f'{where}/{i}')]
    if isinstance(one, torch.Tensor | np.ndarray):
        one, other = torch.as_tensor(one), torch.as_tensor(other)
        same = one.dtype == other.dtype and one.shape == other.shape and (
            one.numpy().tobytes() == other.numpy().tobytes())
        return [] if same else [where]
    return [] if one == other or (one != one and other != other) else [f'{where}: {one}, {other}']
