"""Check one's own data set and write a config that trains on it: docs/own-data.md.

python tools/prepare_data.py IMAGES ANNOTATIONS --out DIR [--val-annotations FILE] ...
python tools/prepare_data.py DATA_YAML --out DIR ...
"""
import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from shufflenet_det.common.cli import check_writable, write_atomically
from shufflenet_det.common.config import load_config
from shufflenet_det.evaluation.pictures import truth_sheet
from shufflenet_det.own_data import prepare
from shufflenet_det.own_data.config import DEFAULT_BASE
from shufflenet_det.own_data.report import summary
from shufflenet_det.swap import plan_swap
from shufflenet_det.swap.writing import check_output, write_config
from shufflenet_det.tools import command_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Check images and annotations, divide them into training and validation, and '
        'write a config. Images stay where they are.'
    )
    parser.add_argument(
        'images', type=Path,
        help='folder of images; folders in it count, too. Alone, without ANNOTATIONS: a data.yaml '
        'of YOLO, or a folder with one, with train/_annotations.coco.json and valid/... as '
        'Roboflow exports COCO, or with the Annotations, JPEGImages and ImageSets/Main of Pascal '
        'VOC; these say what is for training and what for validation',
    )  # fmt: skip
    parser.add_argument(
        'annotations', type=Path, nargs='?',
        help='a COCO JSON file, a folder of Pascal VOC XML files, or a data.yaml of YOLO',
    )  # fmt: skip
    parser.add_argument(
        '--out', type=Path, required=True, help='folder for annotations, config.py and a picture'
    )
    parser.add_argument(
        '--val-annotations', type=Path, metavar='PATH',
        help='annotations to validate on, of other images in the same folder (default: a share '
        'of the images is set aside)',
    )  # fmt: skip
    parser.add_argument(
        '--val-share', type=float, default=0.2, metavar='SHARE',
        help='share of the images to validate on (default 0.2)',
    )  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='another seed divides otherwise')
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='learn these only (default: all)'
    )
    parser.add_argument(
        '--base', metavar='CONFIG',
        help='config to inherit (default: ShuffleNet 0.5x, Faster R-CNN C4 at 300 pixels)',
    )  # fmt: skip
    parser.add_argument(
        '--pretrained', metavar='WEIGHTS',
        help='start from these, a name of `tools/convert_weights.py --list` or a file: they say '
        'which network the backbone is, and what pixels it gets (default: random weights, or what '
        'SHUFFLENET_PRETRAINED names when training)',
    )  # fmt: skip
    parser.add_argument(
        '--steps', type=int, metavar='N',
        help='length of training (default: 1000, or 12 epochs where these are more)',
    )  # fmt: skip
    parser.add_argument(
        '--mend', action='store_true',
        help='clip boxes that reach outside their image, leave out empty ones',
    )  # fmt: skip
    parser.add_argument('--force', action='store_true', help='replace what is in --out already')
    return parser.parse_args()


@contextmanager
def started_base(base: str, weights: str | None, out: Path, force: bool) -> Iterator[str]:
    """A config that inherits ``base`` and starts from weights; taken back if what follows fails."""
    if weights is None:
        yield base
        return
    old = load_config(base)
    swap = plan_swap(old, checkpoint=weights)
    check_writable(out, '--out')
    path = check_output(out / 'base.py', force)
    before = path.read_bytes() if path.exists() else None
    write_config(base, old, swap.cfg, path, f'{base} from {weights}, by tools/prepare_data.py')
    try:
        yield str(path)
    except BaseException:
        path.unlink() if before is None else write_atomically(path, before)
        raise
    print(f'starts from {weights}, for which {path} sets:\n{swap}\n')


def main() -> None:
    args = parse_args()
    options = vars(args)
    weights = options.pop('pretrained')
    base = args.base or str(DEFAULT_BASE)
    with started_base(base, weights, args.out, args.force) as base:
        prepared = prepare(**{**options, 'base': base})
    config, sheet = args.out / 'config.py', args.out / 'annotated.jpg'
    # the COCO API prints how far it is
    with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere):
        truth_sheet(args.out / 'annotations' / 'train.json', prepared.images, sheet)
    print(summary(prepared))
    print(f'\nlook at some training images with their boxes: {sheet}\nthen train and test:')
    cfg = prepared.config
    flags = ['--auto-scale-lr'] if prepared.scales_rate else []
    checkpoint = Path(cfg.work_dir, f'epoch_{cfg.train_cfg.max_epochs}.pth')
    for tool, arguments in (('train', flags), ('test', [checkpoint])):
        print(f'  {shlex.join(map(str, [*command_of(tool), config, *arguments]))}')
