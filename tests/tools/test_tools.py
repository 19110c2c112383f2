"""The command lines as a user runs them, on a data set with COCO's layout and 80 categories."""
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from shufflenet_det.evaluation import FIGURES
from shufflenet_det.models import ShuffleNetV1
from shufflenet_det.weights import describe_checkpoint
from shufflenet_det.weights.preprocessing import IMAGENET

import pytest
import torch
from mmdet.apis import DetInferencer
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..conftest import ROOT, write_coco
from ..zygote import run_forked

CONFIG = 'configs/faster_rcnn_shufflenet.py'
ENVIRONMENT = {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
# small enough for seconds; the network and its head stay those of the config
SMALL = [
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'model.train_cfg.rcnn.sampler.num=8',
    'model.test_cfg.rpn.max_per_img=20',
    # of batch norms with random weights the statistics have to be learned: with `norm_eval` scores
    # underflow to 0 and some images have no detection at all
    'randomness.seed=0',
]


def command(tool: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, f'tools/{tool}', *map(str, arguments)]


def run(arguments: list[str], root: Path, **environment: str) -> subprocess.CompletedProcess:
    if arguments[1] != '-m':
        return run_forked(arguments[1:], **ENVIRONMENT, COCO_DATA_ROOT=str(root), **environment)
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, 'COCO_DATA_ROOT': str(root), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def succeeded(process: subprocess.CompletedProcess) -> str:
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return process.stdout + process.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A data set, and the work folder and log of a run that was killed and resumed."""
    root = write_coco(tmp_path_factory.mktemp('data') / 'coco', images=6)
    work_dir = tmp_path_factory.mktemp('work')
    train = command('train.py', CONFIG, '--work-dir', work_dir, '--cfg-options', *SMALL,
                    'train_cfg.max_epochs=2', 'train_cfg.val_interval=2')  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT, 'COCO_DATA_ROOT': str(root)}
    with open(work_dir / 'killed.log', 'w') as log:
        process = subprocess.Popen(train, cwd=ROOT, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        # the checkpoint is complete once its name is noted
        while not (work_dir / 'last_checkpoint').exists() and time.monotonic() < deadline:
            assert process.poll() is None, (work_dir / 'killed.log').read_text()[-3000:]
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (work_dir / 'epoch_2.pth').exists(), 'the run ended before it was killed'
    output = succeeded(run(train[:5] + ['--resume'] + train[5:], root))
    return root, work_dir, output


def test_killed_training_resumes_after_the_last_epoch(trained):
    _, work_dir, output = trained
    assert re.search(r'weights +resumed from .*, 1 epochs and \d+ batches done', output)
    assert 'Epoch(train) [1]' not in output
    assert re.search(r'Loaded checkpoint .*epoch_1.pth: (\d+) of \1 model tensors matched', output)
    assert (work_dir / 'epoch_2.pth').exists()


def test_training_from_random_weights_is_said(trained):
    assert 'random weights' in (trained[1] / 'killed.log').read_text()


def test_figures_are_those_of_pycocotools_from_the_result_file(trained, tmp_path):
    root, work_dir, _ = trained
    out = tmp_path / 'detections.json'
    output = succeeded(
        run(
            command('test.py', CONFIG, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'test',
                    '--out', out, '--show-dir', tmp_path / 'shown', '--cfg-options', *SMALL,
                    'model.test_cfg.rcnn.score_thr=0.0'),
            root,
        )
    )  # fmt: skip
    content = json.loads((tmp_path / 'test' / 'metrics.json').read_text())
    truth = COCO(str(root / 'annotations' / 'instances_val2017.json'))
    evaluation = COCOeval(truth, truth.loadRes(str(out)), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = [content['metrics'][f'coco/bbox_{name}'] for name in FIGURES]
    assert figures == evaluation.stats.tolist()
    printed = '-' if figures[0] < 0 else f'{figures[0]:.3f}'
    assert re.search(rf'\| mAP .*\n.*\n\| {printed} ', output)
    assert '| toothbrush ' in output
    assert (content['resolution'], content['pretrained']) == ([1000, 600], 'none')
    assert content['versions']['torch'] == torch.__version__.split('+')[0]
    assert len(content['checkpoint_sha256']) == 64
    assert len(list((tmp_path / 'shown').glob('*.jpg'))) == 6


def test_result_file_of_mmdetection(trained, tmp_path):
    root, work_dir, _ = trained
    out = tmp_path / 'detections.pkl'
    succeeded(
        run(
            command('test.py', CONFIG, work_dir / 'epoch_2.pth', '--work-dir', tmp_path,
                    '--out', out, '--cfg-options', *SMALL, 'model.test_cfg.rcnn.score_thr=0.0'),
            root,
        )
    )  # fmt: skip
    results = pickle.loads(out.read_bytes())
    assert len(results) == 6 and 'pred_instances' in results[0]
    fused = tmp_path / 'fused.pkl'
    succeeded(
        run(
            command('test.py', CONFIG, work_dir / 'epoch_2.pth', '--work-dir', tmp_path,
                    '--out', fused, '--fuse-conv-bn', '--cfg-options', *SMALL,
                    'model.test_cfg.rcnn.score_thr=0.0'),
            root,
        )
    )  # fmt: skip
    for one, other in zip(pickle.loads(fused.read_bytes()), results, strict=True):
        a, b = (result['pred_instances']['scores'] for result in (one, other))
        # rounding may let suppression choose another box, so that the scores behind it move up
        assert len(a) == len(b) == 100 and a[0] > 1e-4
        assert (a - b).abs().max() < 0.02 * a[0]


def test_image_demo_draws_and_writes(trained, tmp_path):
    root, work_dir, _ = trained
    images = sorted((root / 'val2017').iterdir())[:2]
    succeeded(
        run(
            command('image_demo.py', *images, CONFIG, work_dir / 'epoch_2.pth',
                    '--out-dir', tmp_path),
            root,
        )
    )  # fmt: skip
    assert {p.name for p in (tmp_path / 'vis').iterdir()} == {i.name for i in images}
    assert len(list((tmp_path / 'preds').glob('*.json'))) == 2


def test_image_demo_keeps_all_results_and_names_what_it_cannot_read(trained, tmp_path):
    root, work_dir, _ = trained
    photos = tmp_path / 'photos'
    for index, name in enumerate(
        ('cam1/x.jpg', 'cam2/x.jpg', 'cam2/x.jfif', 'cam2/x.png')
    ):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / 'val2017' / f'{index + 1:012d}.jpg', photos / name)
    (photos / 'cam1' / 'empty.jpg').write_bytes(b'')
    (photos / 'cam1' / 'text.jpg').write_text('no image')
    (photos / 'cam2' / 'phone.heic').write_bytes(b'')
    process = run(
        command('image_demo.py', photos, CONFIG, work_dir / 'epoch_2.pth', '--out-dir',
                tmp_path / 'out', '--batch-size', 2),
        root,
    )  # fmt: skip
    fails(process, '2 of 6 images failed')
    for name in ('empty.jpg', 'text.jpg'):
        assert f'error: cannot read image {photos}/cam1/{name}' in process.stderr
    assert 'not read. Convert them to JPEG or PNG: cam2/phone.heic' in process.stderr
    for folder, names in (
        ('vis', {'cam1/x.jpg', 'cam2/x.jpg', 'cam2/x.jfif.jpg', 'cam2/x.png'}),
        ('preds', {'cam1/x.json', 'cam2/x.jpg.json', 'cam2/x.jfif.json', 'cam2/x.png.json'}),
    ):
        base = tmp_path / 'out' / folder
        assert {p.relative_to(base).as_posix() for p in base.rglob('*.*')} == names


def test_results_of_images_without_annotations_and_of_one_name(trained, tmp_path):
    root, work_dir, _ = trained
    tables = json.loads((root / 'annotations' / 'instances_val2017.json').read_text())
    images = tables['images'][:2]
    for image, name in zip(images, ('cam1/x.jpg', 'cam2/x.jpg'), strict=True):
        (tmp_path / name).parent.mkdir()
        shutil.copy(root / 'val2017' / image['file_name'], tmp_path / name)
        image['file_name'] = name
    path = tmp_path / 'image_info.json'
    path.write_text(json.dumps(dict(images=images, categories=tables['categories'])))
    out = tmp_path / 'found.json'
    succeeded(
        run(
            command('test.py', CONFIG, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'test',
                    '--out', out, '--show-dir', tmp_path / 'shown', '--cfg-options',
                    'test_dataloader.num_workers=0', 'model.test_cfg.rcnn.score_thr=0.0',
                    f'test_dataloader.dataset.ann_file={path}',
                    f'test_dataloader.dataset.data_prefix.img={tmp_path}/',
                    f'test_evaluator.ann_file={path}', 'test_evaluator.format_only=True'),
            root,
        )
    )  # fmt: skip
    assert {found['image_id'] for found in json.loads(out.read_text())} == {1, 2}
    shown = {p.relative_to(tmp_path / 'shown').as_posix() for p in tmp_path.glob('shown/**/*.jpg')}
    assert shown == {'cam1/x.jpg', 'cam2/x.jpg'}


def test_page_of_a_run_that_was_resumed_and_tested(trained):
    pytest.importorskip('bokeh', reason='bokeh, of the extra `report`, is not installed')
    pytest.importorskip('hotcoco', reason='hotcoco, of the extra `report`, is not installed')
    root, work_dir, output = trained
    assert f'tools/report.py {work_dir}' in output, 'the training says how to look at it'
    output = succeeded(
        run(
            command('test.py', CONFIG, work_dir / 'epoch_2.pth', '--work-dir', work_dir,
                    '--report', '--cfg-options', *SMALL, 'model.test_cfg.rcnn.score_thr=0.0'),
            root,
        )
    )  # fmt: skip
    assert f'look at {work_dir / "report.html"}' in output
    assert 'bbox is evaluated by hotcoco' in output
    content = json.loads((work_dir / 'metrics.json').read_text())
    assert content['milliseconds'] > 0
    assert content['size_bytes'] == (work_dir / 'epoch_2.pth').stat().st_size
    assert content['images_folder'] == str(root / 'val2017')
    page = (work_dir / 'report.html').read_text()
    assert 'Training is done (epoch 2 of 2, iteration ' in page
    assert 'class="note"' not in page, 'nothing is missing'
    assert page.count('<figure>') == content['images'] == 6
    assert f'<td class="">{content["metrics"]["coco/bbox_AR@100"]:.3f}</td>' in page


def test_two_processes_train_on_cpu(tmp_path):
    root = write_coco(tmp_path / 'coco')
    arguments = [
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone',
        'tools/train.py', CONFIG, '--launcher', 'pytorch', '--work-dir', str(tmp_path / 'work'),
        '--amp', '--auto-scale-lr', '--cfg-options', *SMALL, 'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
    ]  # fmt: skip
    output = succeeded(run(arguments, root))
    assert 'Scaling the original LR by 0.25' in output
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()
    assert re.search(r'coco/bbox_mAP: ', output)


def test_inferencer_of_mmdetection_takes_config_and_checkpoint(trained, monkeypatch):
    root, work_dir, _ = trained
    monkeypatch.chdir(ROOT)
    inferencer = DetInferencer(CONFIG, str(work_dir / 'epoch_2.pth'), device='cpu')
    image = root / 'val2017' / '000000000001.jpg'
    (prediction,) = inferencer(str(image), pred_score_thr=0.0)['predictions']
    assert set(prediction) == {'labels', 'scores', 'bboxes'}


def test_checkpoints_say_what_their_weights_need(trained):
    _, work_dir, _ = trained
    found = describe_checkpoint(str(work_dir / 'epoch_2.pth'))
    assert found.variant == ShuffleNetV1().variant
    assert (found.recorded, found.shuffle, found.preprocessing) == (True, 'standard', IMAGENET)


def fails(process: subprocess.CompletedProcess, *patterns: str) -> None:
    """The last word is a message that begins with `error:`, without a traceback in it."""
    assert process.returncode != 0
    last = process.stderr.rstrip().rsplit('error: ', 1)[-1]
    assert 'error: ' in process.stderr and 'Traceback' not in last, process.stderr[-3000:]
    for pattern in patterns:
        assert re.search(pattern, last), last


def test_missing_data_root(tmp_path):
    fails(
        run(command('train.py', CONFIG, '--work-dir', tmp_path), tmp_path / 'nowhere'),
        'annotation file not found', 'nowhere', 'COCO_DATA_ROOT', 'make_sample_data',
    )  # fmt: skip


@pytest.mark.parametrize(
    'option',
    [
        'load_from=nowhere/weights.pth',
        'model.backbone.init_cfg.checkpoint=nowhere/weights.pth',
    ],
)
def test_missing_weights_are_named_before_the_data_are_read(tmp_path, option):
    options = [option]
    if 'init_cfg' in option:
        options.append('model.backbone.init_cfg.type=Pretrained')
    work_dir = tmp_path / 'w'
    process = run(
        command('train.py', CONFIG, '--work-dir', work_dir, '--cfg-options', *options),
        tmp_path / 'no-data',
    )
    fails(process, 'checkpoint nowhere/weights.pth can not be found: there is no folder nowhere')
    assert not list(work_dir.glob('**/*.log'))


def test_unreadable_image_in_a_worker_process(tmp_path):
    root = write_coco(tmp_path / 'coco')
    broken = root / 'train2017' / '000000000003.jpg'
    broken.write_bytes(b'not an image')
    options = [o for o in SMALL if not o.startswith('train_dataloader')]
    fails(
        run(
            command('train.py', CONFIG, '--work-dir', tmp_path / 'work', '--cfg-options', *options),
            root,
        ),
        rf'^cannot read image {broken}',
    )


def test_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    fails(
        run(command('train.py', CONFIG, '--work-dir', tmp_path / 'file' / 'work'), tmp_path),
        'cannot write to the output folder',
    )


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('model.backbone.groups=5', 'groups=5 has no widths'),
        ('model.backbone.widen_factr=2', 'unknown config option .* Did you mean widen_factor'),
        ('model.roi_head.bbox_head.num_classes=7', 'num_classes=7, the data set has 80 classes'),
    ],
)
def test_config_options_that_cannot_be(tmp_path, option, message):
    root = write_coco(tmp_path / 'coco')
    fails(
        run(command('train.py', CONFIG, '--work-dir', tmp_path / 'w', '--cfg-options', option),
            root),
        message,
    )  # fmt: skip


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize('kind', ['missing', 'truncated', 'other', 'part', 'malicious'])
def test_checkpoints_that_cannot_be_used(trained, tmp_path, kind):
    root, work_dir, _ = trained
    path, marker = tmp_path / 'checkpoint.pth', tmp_path / 'marker'
    good = work_dir / 'epoch_2.pth'
    message = {
        'missing': 'checkpoint.pth can ?not be found',
        'truncated': 'checkpoint.pth',
        'other': 'no tensor of .*checkpoint.pth fits the model',
        'part': 'of another network than the config: .*[0-9]+ missing',
        'malicious': 'mkdir',
    }[kind]
    if kind == 'truncated':
        path.write_bytes(good.read_bytes()[:100000])
    elif kind == 'other':
        torch.save(dict(state_dict=torch.nn.Linear(2, 2).state_dict()), path)
    elif kind == 'part':
        state = torch.load(good)['state_dict']
        torch.save({k: v for k, v in state.items() if 'rpn' not in k}, path)
    elif kind == 'malicious':
        torch.save(dict(state_dict={}, meta=Malicious(marker)), path)
    process = run(
        command('test.py', CONFIG, path, '--work-dir', tmp_path / 'w', '--cfg-options', *SMALL),
        root,
    )
    fails(process, message)
    assert not marker.exists()
    assert not (tmp_path / 'w' / 'metrics.json').exists()
