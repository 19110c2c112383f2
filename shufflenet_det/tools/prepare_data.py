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
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.evaluation.pictures import truth_sheet
from shufflenet_det.own_data import prepare
from shufflenet_det.own_data.report import summary
from shufflenet_det.swap import plan_swap
from shufflenet_det.tools import command_of
from shufflenet_det.weights import describe_checkpoint
from shufflenet_det.weights.convert import as_file, convert
from shufflenet_det.weights.layouts import FOREIGN

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader


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
        help='config to inherit, a file or a name of MMDetection such as '
        'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py (default: a light one-stage detector '
        'with ShuffleNet 0.5x at 320 pixels)',
    )  # fmt: skip
    parser.add_argument(
        '--size', type=int, metavar='PIXELS',
        help='resize images to this short side in testing, and change what training has in pixels '
        'in proportion (default: as the config says)',
    )  # fmt: skip
    parser.add_argument(
        '--pretrained', metavar='WEIGHTS',
        help='start from these, a name of `tools/convert_weights.py --list` or a file: they say '
        'which network the backbone is, and what pixels it gets (default: random weights, or what '
        'SHUFFLENET_PRETRAINED names when training)',
    )  # fmt: skip
    parser.add_argument(
        '--steps', type=int, metavar='N',
        help='length of training (default: 2000, or 24 epochs where these are more)',
    )  # fmt: skip
    parser.add_argument(
        '--mend', action='store_true',
        help='clip boxes that reach outside their image, leave out empty ones',
    )  # fmt: skip
    parser.add_argument('--force', action='store_true', help='replace what is in --out already')
    return parser.parse_args()


@contextmanager
def own_layout(weights: str | None, out: Path, force: bool) -> Iterator[str | None]:
    """Weights that a model can load: a publisher's file is converted, into the results."""
    if weights is None or describe_checkpoint(weights).layout not in FOREIGN:
        yield weights
        return
    path = out / 'pretrained.safetensors'
    if path.exists() and not force:
        raise ConfigError(f'{path} exists already: choose another --out, or --force replaces it.')
    source = CheckpointLoader.load_checkpoint(weights, map_location='cpu')
    content = as_file(convert(source, weights), path.suffix)
    check_writable(out, '--out')
    before = path.read_bytes() if path.exists() else None
    write_atomically(path, content)
    try:
        yield str(path.absolute())
    except BaseException:
        path.unlink() if before is None else write_atomically(path, before)
        raise
    print(f'converted {weights} to {path}')


def main() -> None:
    args = parse_args()
    options = vars(args)
    given = options.pop('pretrained')
    changes: list[str] = []

    def start(base: Config) -> Config:
        swap = plan_swap(base, checkpoint=weights)
        changes.append(f'starts from {given}, for which {args.out / "base.py"} sets:\n{swap}\n')
        return swap.cfg

    with own_layout(given, args.out, args.force) as weights:
        prepared = prepare(**options, change=start if weights else None)
    print(*changes, sep='\n', end='')
    config, sheet = args.out / 'config.py', args.out / 'annotated.jpg'
    # the COCO API prints how far it is
    with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere):
        truth_sheet(args.out / 'annotations' / 'train.json', prepared.images, sheet)
    print(summary(prepared))
    print(f'\nlook at some training images with their boxes: {sheet}\nthen train and test:')
    cfg = prepared.config
    checkpoint = Path(cfg.work_dir, f'epoch_{cfg.train_cfg.max_epochs}.pth')
    for tool, arguments in (('train', []), ('test', [checkpoint])):
        print(f'  {shlex.join(map(str, [*command_of(tool), config, *arguments]))}')
