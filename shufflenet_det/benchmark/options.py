"""Command line options of ``tools/benchmark.py``."""
import argparse
from pathlib import Path

from ..common.options import positive
from ..paper.figures import DETECTOR_SHAPES, TIMED_SHAPES
from .engine_networks import SIDES, TABLE_8
from .machine import DTYPES
from .speed import MODES


def height_and_width(text: str) -> tuple[int, int]:
    """``224``, or ``300x400`` for height and width in pixels."""
    height, by, width = text.partition('x')
    return positive(height), positive(width if by else height)


def _add_turns(command: argparse.ArgumentParser, rounds: int = 15) -> None:
    command.add_argument('--rounds', type=positive, default=rounds,
        help='turns of a side (default %(default)s)')
    command.add_argument('--json', type=Path, metavar='FILE', help='write all figures')


def _add_report(command: argparse.ArgumentParser) -> None:
    _add_turns(command)
    command.add_argument('--warmup', type=positive, default=3,
        help='calls before (default %(default)s)')
    command.add_argument('--markdown', action='store_true', help='print tables for a document')


def _add_speed_options(command: argparse.ArgumentParser, size: str) -> None:
    """The options that all comparisons of networks have, with the size of images by default."""
    several = dict(nargs='+', type=positive, metavar='N', default=[1])
    add = command.add_argument
    add('--batch', help='images (default 1)', **several)
    add('--size', nargs='+', type=height_and_width, metavar='N|HxW',
        default=[height_and_width(size)], help=f'pixels (default {size})')
    add('--threads', help='of the processor (default 1)', **several)
    add('--dtype', nargs='+', default=['fp32'], choices=DTYPES,
        help='bf16 is autocast (default fp32)')
    add('--mode', nargs='+', default=MODES, choices=MODES, help='default all')
    add('--device', default='cpu', choices=('cpu', 'cuda'))
    add('--baseline', metavar='NAME', help='side to compare with (default: the same network of '
        'mmpretrain, or the first side)')
    _add_report(command)
    add('--plot', type=Path, metavar='FILE', help='draw time against complexity')


def add_input_options(command: argparse.ArgumentParser) -> None:
    """The options of ``input``."""
    add = command.add_argument
    add('--data', type=Path, help='folder with a folder a class; by default, rendered JPEGs')
    add('--config',
        help='instead: training data of this config: of a classifier decoded each time and kept '
        'decoded, of a detector by MMDetection and by this package')
    add('--images', type=positive, default=128, help='images to use (default %(default)s)')
    _add_turns(command, 11)


def add_backbone_options(command: argparse.ArgumentParser) -> None:
    """The options of ``backbone``."""
    add = command.add_argument
    add('names', nargs='+', metavar='NAME',
        help='shufflenet-v1-1x-g3 and other names of `tools/swap_backbone.py --list`, "type=X '
        'key=value" in quotes, mmpretrain:<name of a ShuffleNet v1>, torchvision:<name>')
    add('--classifier', action='store_true', help='with pooling and classifier of 1000 classes')
    add('--compile', action='store_true', help='all sides through torch.compile')
    add('--ablate', action='store_true',
        help='each side of this package also with one optimisation after another switched off')
    _add_speed_options(command, '224x224')


def add_detector_options(command: argparse.ArgumentParser) -> None:
    """The options of ``detector``."""
    add = command.add_argument
    add('names', nargs='+', metavar='CONFIG',
        help='config files, names such as mmdet::..., or torchvision:<name>')
    add('--peer-backbone', choices=['mmpretrain'],
        help="each detector also with mmpretrain's ShuffleNet v1 and the same weights")
    add('--proposals', type=positive, help='RoIs in prediction (default: as each detector states)')
    add('--no-parts', action='store_true', help='only from end to end')
    _add_speed_options(command, '300x400')


def add_exported_options(command: argparse.ArgumentParser) -> None:
    """The options of ``exported``."""
    add = command.add_argument
    add('folders', nargs='+', metavar='DIR', help='of tools/export.py')
    add('--size', nargs='+', type=height_and_width, default=[], metavar='N|HxW',
        help='pixels of their input, which is noise then')
    add('--images', nargs='+', default=[], metavar='FILE',
        help='instead: the first of these images, resized as the network wants it')
    add('--threads', type=positive, default=1, help='default %(default)s')
    add('--metrics', nargs='+', type=Path, default=[], metavar='FILE',
        help='metrics.json of tools/test.py on these folders: how good they are')
    add('--peer', action='store_true',
        help="beside torchvision's smallest Faster R-CNN, with random weights")
    add('--plot', type=Path, metavar='FILE', help='draw how good they are against their time')
    _add_report(command)


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """The options of ``engines``."""
    add = command.add_argument
    add('--network', nargs='*', default=list(TABLE_8), choices=TABLE_8, metavar='NAME',
        help=f'classifiers beside AlexNet (default {" ".join(TABLE_8)})')
    shapes = ' '.join(f'{height}x{width}' for height, width in TIMED_SHAPES)
    add('--size', nargs='+', type=height_and_width, default=TIMED_SHAPES, metavar='N|HxW',
        help=f'pixels of their image (default {shapes})')
    add('--detectors', nargs='*', type=int, default=list(DETECTOR_SHAPES), choices=DETECTOR_SHAPES,
        metavar='N', help='resolutions of the detectors (default 300 600); none: no detectors')
    add('--rewrites', action='store_true',
        help='instead: the first network at the first size with one rewrite after another')
    add('--engine', nargs='+', default=SIDES, choices=SIDES, help='where to run (default all)')
    add('--threads', type=positive, default=1, help='default %(default)s')
    _add_report(command)
