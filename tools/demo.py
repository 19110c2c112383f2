"""The main job on sample data: render it, train at 300 and 600 pixels, evaluate, show the result.

python tools/demo.py [--work-dir work_dirs/demo] [--data data/sample]
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from shufflenet_det.engine import cli
from shufflenet_det.evaluation.pictures import contact_sheet

from terminaltables import AsciiTable

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs' / 'sample'
CONFIG = 'faster-rcnn_shufflenet-v1-0.5x-g3_c4_sample-{}.py'
RESOLUTIONS = (300, 600)
COCO_VARIABLES = ('COCO_DATA_ROOT', 'SHUFFLENET_PRETRAINED')
FIGURES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train and evaluate on sample data')
    parser.add_argument('--work-dir', type=Path, default='work_dirs/demo', help='output folder')
    parser.add_argument('--data', type=Path, default='data/sample', help='folder for sample data')
    parser.add_argument('--pictures', type=int, default=6, help='pictures in a contact sheet')
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


def results_table(work_dir: Path) -> str:
    """Figures by resolution, from the two ``metrics.json``."""
    rows = [('resolution', *FIGURES)]
    for resolution in RESOLUTIONS:
        content = json.loads((work_dir / str(resolution) / 'metrics.json').read_text())
        metrics = content['metrics']
        long_side, short_side = content['resolution']
        rows.append(
            (
                f'{short_side} (long side at most {long_side})',
                *(f'{metrics[f"coco/bbox_{figure}"]:.3f}' for figure in FIGURES),
            )
        )
    return AsciiTable(rows, ' held-out sample images ').table


def main() -> None:
    args = parse_args()
    work_dir = cli.check_writable(args.work_dir).absolute()
    data = args.data.absolute()
    environment = {'SAMPLE_DATA_ROOT': str(data)}
    start = time.monotonic()
    step('sample data in the layout of COCO', 'make_sample_data.py', '--out', data)
    checkpoint = None
    for resolution in RESOLUTIONS:
        config = CONFIGS / CONFIG.format(resolution)
        folder = work_dir / str(resolution)
        # tools/test.py evaluates below, so training need not
        options = ['--cfg-options', 'train_cfg.val_begin=100']
        if checkpoint:
            # the second detector is the first one, fine-tuned at the higher resolution
            options.append(f'load_from={checkpoint}')
        step(
            f'train at {resolution}',
            'train.py',
            *(config, '--work-dir', folder, *options),
            **environment,
        )
        checkpoint = (folder / 'last_checkpoint').read_text().strip()
        results = folder / 'val.json'
        step(
            f'evaluate at {resolution}',
            'test.py',
            *(config, checkpoint, '--work-dir', folder, '--out', results),
            **environment,
        )
        contact_sheet(
            data / 'annotations' / 'instances_val2017.json',
            data / 'val2017',
            results,
            work_dir / f'detections_{resolution}.jpg',
            args.pictures,
        )
    print(f'\n{results_table(work_dir)}')
    for resolution in RESOLUTIONS:
        print(f'ground truth beside detections: {work_dir / f"detections_{resolution}.jpg"}')
    print(f'the whole demo took {(time.monotonic() - start) / 60:.1f} minutes')


if __name__ == '__main__':
    cli.run(main)
