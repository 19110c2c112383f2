"""The main job on sample data: pretrain a backbone, train detectors with it, evaluate, show.

python tools/demo.py [--work-dir work_dirs/demo] [--scratch]
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.options import positive
from shufflenet_det.evaluation.pictures import contact_sheet

from terminaltables import AsciiTable

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs' / 'sample'
CONFIG = 'faster-rcnn_shufflenet-v1-0.5x-g3_c4_sample-{}.py'
CLASSIFIER = CONFIGS / 'shufflenet-v1-0.5x-g3_sample.py'
RESOLUTIONS = (300, 600)
# tools/test.py evaluates, so training need not
NO_VALIDATION = ('--cfg-options', 'train_cfg.val_begin=100')
COCO_VARIABLES = ('COCO_DATA_ROOT', 'SHUFFLENET_PRETRAINED')
FIGURES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Pretrain, train and evaluate on sample data')
    parser.add_argument('--work-dir', type=Path, default='work_dirs/demo', help='output folder')
    parser.add_argument('--data', type=Path, default='data', help='folder for sample data')
    parser.add_argument(
        '--scratch',
        action='store_true',
        help='then train the same detectors from random weights, too, and compare',
    )
    parser.add_argument('--pictures', type=positive, default=6, help='pictures in a contact sheet')
    return parser.parse_args()


def step(title: str, tool: str, *arguments: str | Path, **environment: str) -> None:
    """Print and run one command line; a failure ends the demo with the tool's own message."""
    command = [f'tools/{tool}', *map(str, arguments)]
    print(f'\n=== {title}\n$ python {shlex.join(command)}', flush=True)
    start = time.monotonic()
    # variables that are set for COCO must not reach the sample
    inherited = {k: v for k, v in os.environ.items() if k not in COCO_VARIABLES}
    process = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**inherited, **environment}, check=False
    )
    if process.returncode:
        sys.exit(process.returncode)
    print(f'=== took {time.monotonic() - start:.0f} s', flush=True)


def pretrain(work_dir: Path, data: Path) -> Path:
    """Train the classifier and test it; returns its checkpoint."""
    environment = {'SAMPLE_CLASSIFICATION_ROOT': str(data)}
    step(
        'pretrain a classifier',
        'train.py',
        *(CLASSIFIER, '--work-dir', work_dir, *NO_VALIDATION),
        **environment,
    )
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    step(
        'test the classifier',
        'test.py',
        *(CLASSIFIER, checkpoint, '--work-dir', work_dir, '--out', work_dir / 'val.json'),
        **environment,
    )
    return Path(checkpoint)


def detect(work_dir: Path, data: Path, pretrained: Path | None, pictures: int) -> None:
    """Train and test the detector at 300 pixels, then that one at 600."""
    environment = {'SAMPLE_DATA_ROOT': str(data)}
    start = 'from random weights'
    if pretrained:
        environment['SHUFFLENET_PRETRAINED'] = str(pretrained)
        start = 'from the classifier'
    checkpoint = None
    for resolution in RESOLUTIONS:
        config = CONFIGS / CONFIG.format(resolution)
        folder = work_dir / str(resolution)
        options = [*NO_VALIDATION]
        if checkpoint:
            # the second detector is the first one, fine-tuned at the higher resolution
            options.append(f'load_from={checkpoint}')
            start = f'from the detector at {RESOLUTIONS[0]}'
        step(
            f'train a detector at {resolution}, {start}',
            'train.py',
            *(config, '--work-dir', folder, *options),
            **environment,
        )
        checkpoint = (folder / 'last_checkpoint').read_text().strip()
        results = folder / 'val.json'
        step(
            f'test the detector at {resolution}',
            'test.py',
            *(config, checkpoint, '--work-dir', folder, '--out', results),
            **environment,
        )
        contact_sheet(
            data / 'annotations' / 'instances_val2017.json',
            data / 'val2017',
            results,
            work_dir / f'detections_{resolution}.jpg',
            pictures,
        )


def report(work_dir: Path) -> dict[str, Path]:
    """Write the pages of the detectors, side by side, and of the classifier."""
    pages = {
        'detectors': [work_dir / str(resolution) for resolution in RESOLUTIONS],
        'classifier': [work_dir / 'classifier'],
    }
    written = {}
    for kind, folders in pages.items():
        written[kind] = work_dir / f'{kind}.html'
        step(f'a page for the {kind}', 'report.py', *folders, '--out', written[kind])
    return written


def metrics_files(work_dir: Path) -> list[Path]:
    """What the tests of the classifier and of the detectors with its backbone leave behind."""
    folders = ('classifier', *map(str, RESOLUTIONS))
    return [work_dir / folder / 'metrics.json' for folder in folders]


def results_table(folders: dict[str, Path]) -> str:
    """Figures by start and resolution, from the ``metrics.json`` of the detectors."""
    rows = [('backbone', 'resolution', *FIGURES)]
    for start, folder in folders.items():
        for resolution in RESOLUTIONS:
            content = json.loads((folder / str(resolution) / 'metrics.json').read_text())
            metrics = content['metrics']
            long_side, short_side = content['resolution']
            figures = (f'{metrics[f"coco/bbox_{figure}"]:.3f}' for figure in FIGURES)
            rows.append((start, f'{short_side} (long side at most {long_side})', *figures))
    return AsciiTable(rows, ' held-out sample images ').table


def main() -> None:
    args = parse_args()
    work_dir = cli.check_writable(args.work_dir).absolute()
    data, images = args.data.absolute() / 'sample', args.data.absolute() / 'sample_classification'
    start = time.monotonic()
    step('sample data in the layout of COCO', 'make_sample_data.py', '--out', data)
    step(
        'sample data in the layout of ImageNet',
        'make_sample_data.py',
        *('--kind', 'classification', '--out', images),
    )
    if args.scratch and all(f.is_file() for f in metrics_files(work_dir)):
        print(f'\n=== the pretrained detectors are there already: {work_dir}')
    else:
        checkpoint = pretrain(work_dir / 'classifier', images)
        detect(work_dir, data, checkpoint, args.pictures)
    folders = {'pretrained': work_dir}
    if args.scratch:
        folders['from scratch'] = work_dir / 'scratch'
        detect(work_dir / 'scratch', data, None, args.pictures)
    pages = report(work_dir)
    content = json.loads((work_dir / 'classifier' / 'metrics.json').read_text())
    error = content['metrics']['error/top1']
    print(f'\nclassifier: top-1 error {error:.1f}% of held-out images')
    print(results_table(folders))
    for resolution in RESOLUTIONS:
        print(f'ground truth beside detections: {work_dir / f"detections_{resolution}.jpg"}')
    for kind, page in pages.items():
        print(f'page of the {kind}, for a browser: {page}')
    print(f'the whole demo took {(time.monotonic() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    cli.run(main)
