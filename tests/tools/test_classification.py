"""Classification from the command line, on a rendered sample in the layout of ImageNet."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from shufflenet_det.data.sample import make_classification_sample

import pytest
import torch

from ..conftest import write_coco
from .test_tools import ENVIRONMENT, ROOT, command, run, succeeded

IMAGENET = 'configs/imagenet/shufflenet-v1-0.25x-g1_in1k.py'
SAMPLE = 'configs/sample/shufflenet-v1-0.5x-g3_sample.py'
CLASSES = 32
# small enough for seconds; mixing, so that the model draws random numbers, too
SMALL = [
    f'model.head.num_classes={CLASSES}',
    'model.data_preprocessor.mixup=0.2',
    f'model.data_preprocessor.num_classes={CLASSES}',
    'train_dataloader.batch_size=8',
    *(
        f'{split}_dataloader.{option}'
        for split in ('train', 'val', 'test')
        for option in ('num_workers=0', 'persistent_workers=False', 'pin_memory=False')
    ),
    'optim_wrapper.optimizer.lr=0.05',
    'default_hooks.checkpoint.interval=3',
    'default_hooks.checkpoint.max_keep_ckpts=-1',
    'default_hooks.logger.interval=1',
    'train_cfg.max_iters=14',
    'train_cfg.val_interval=14',
]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data') / 'sample'
    return make_classification_sample(folder, train=80, val=CLASSES, size=48)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


@pytest.fixture(scope='module')
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('uninterrupted')
    arguments = command(
        'train.py', IMAGENET, '--work-dir', work_dir, '--cfg-options', *SMALL, 'randomness.seed=7'
    )
    succeeded(run(arguments, data, IMAGENET_ROOT=str(data)))
    return work_dir


def test_killed_training_resumes_to_the_same_weights(data, trained, tmp_path):
    arguments = command('train.py', IMAGENET, '--work-dir', tmp_path, '--cfg-options', *SMALL)
    environment = {'IMAGENET_ROOT': str(data)}
    with open(tmp_path / 'killed.log', 'w') as log:
        process = subprocess.Popen(
            [*arguments, 'randomness.seed=7'],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, **environment},
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + 300
        while not (tmp_path / 'last_checkpoint').exists() and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / 'killed.log').read_text()[-3000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / 'iter_14.pth').exists(), 'the run ended before it was killed'
    # the seed is the checkpoint's
    output = succeeded(run(arguments[:5] + ['--resume'] + arguments[5:], data, **environment))
    assert 'resumed' in output
    expected, found = weights(trained / 'iter_14.pth'), weights(tmp_path / 'iter_14.pth')
    assert expected.keys() == found.keys()
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert not different


def test_test_tool_reports_errors_and_predictions(data, trained, tmp_path):
    out = tmp_path / 'predictions.json'
    arguments = command(
        'test.py', IMAGENET, trained / 'iter_14.pth', '--work-dir', tmp_path, '--out', out,
        '--cfg-options', *SMALL,
    )  # fmt: skip
    output = succeeded(run(arguments, data, IMAGENET_ROOT=str(data)))
    assert 'error/top1' in output
    metrics = json.loads((tmp_path / 'metrics.json').read_text())['metrics']
    records = json.loads(out.read_text())
    assert len(records) == CLASSES
    wrong = sum(next(iter(r['predictions'])) != r['label'] for r in records)
    assert metrics['error/top1'] == pytest.approx(100 * wrong / CLASSES)
    assert metrics['error/top5'] <= metrics['error/top1']
    process = run(
        [*arguments[:4], '--show-dir', tmp_path, *arguments[4:]], data, IMAGENET_ROOT=str(data)
    )
    assert process.returncode == 1
    assert '--show-dir' in process.stderr


def test_more_classes_than_the_head_has_is_an_error(data, tmp_path):
    options = [o for o in SMALL if not o.startswith('model.head.num_classes')]
    process = run(
        command('train.py', IMAGENET, '--work-dir', tmp_path, '--cfg-options', *options),
        data,
        IMAGENET_ROOT=str(data),
    )
    assert process.returncode == 1
    assert f'head has num_classes=1000, the data set has {CLASSES} classes' in process.stderr


def test_checkpoint_of_another_width_names_the_first_tensor(data, trained, tmp_path):
    arguments = command(
        'train.py', IMAGENET, '--work-dir', tmp_path, '--cfg-options', *SMALL,
        'model.backbone.widen_factor=0.5', f'load_from={trained / "iter_14.pth"}',
    )  # fmt: skip
    process = run(arguments, data, IMAGENET_ROOT=str(data))
    assert process.returncode == 1
    assert 'backbone.layers.0.0.g_conv_1x1_compress.conv.weight' in process.stderr
    assert '[9, 12, 1, 1] in the file and [18, 12, 1, 1] in the model' in process.stderr
    assert not list(tmp_path.glob('*.pth'))


def test_two_processes_in_mixed_precision(data, tmp_path):
    arguments = [
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone',
        'tools/train.py', IMAGENET, '--launcher', 'pytorch', '--work-dir', str(tmp_path),
        '--amp', '--auto-scale-lr', '--cfg-options', *SMALL, 'train_cfg.max_iters=4',
        'train_cfg.val_interval=4',
    ]  # fmt: skip
    output = succeeded(run(arguments, data, IMAGENET_ROOT=str(data)))
    assert 'Scaling the original LR by 0.015625' in output
    assert 'error/top1: ' in output


def test_accumulated_batches_make_the_same_number_of_steps(data, tmp_path):
    arguments = command(
        'train.py', IMAGENET, '--work-dir', tmp_path, '--accumulate', '2', '--cfg-options', *SMALL,
        'train_cfg.max_iters=3', 'train_cfg.val_interval=3', 'train_dataloader.batch_size=4',
    )  # fmt: skip
    succeeded(run(arguments, data, IMAGENET_ROOT=str(data)))
    assert (tmp_path / 'iter_6.pth').exists()


def test_classifier_initialises_the_detector_with_an_account(data, trained, tmp_path):


    coco = write_coco(tmp_path / 'coco', images=2)
    arguments = command(
        'train.py', 'configs/faster_rcnn_shufflenet.py', '--work-dir', tmp_path, '--cfg-options',
        'model.backbone.groups=1', 'model.backbone.widen_factor=0.25',
        'model.roi_head.shared_head.backbone.groups=1',
        'model.roi_head.shared_head.backbone.widen_factor=0.25',
        'model.rpn_head.in_channels=72', 'model.roi_head.bbox_roi_extractor.out_channels=72',
        'model.roi_head.bbox_head.in_channels=144', 'train_cfg.max_epochs=1',
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'train_dataloader.batch_size=2', 'model.train_cfg.rcnn.sampler.num=8',
        'train_cfg.val_begin=2',
    )  # fmt: skip
    output = succeeded(run(arguments, coco, SHUFFLENET_PRETRAINED=str(trained / 'iter_14.pth')))
    account = r'model tensors matched; 0 missing; '
    assert output.count(account) == 2
