"""Command line options of ``tools/benchmark.py``."""
import argparse
from pathlib import Path

from ..paper.figures import DETECTOR_SHAPES, TIMED_SHAPES
from .engine_networks import SIDES, TABLE_8
from .machine import DTYPES
from .speed import MODES


def positive(text: str) -> int:
    """A number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def height_and_width(text: str) -> tuple[int, int]:
    """``224``, or ``300x400`` for height and width in pixels."""
    height, by, width = text.partition('x')
    return positive(height), positive(width if by else height)


def _add_speed_options(command: argparse.ArgumentParser, size: tuple[int, int]) -> None:
    """The options that all comparisons of networks have.

    Args:
        command: the subcommand's parser.
        size: height and width in pixels, by default.
    """

    def several(flag: str, default: object, **options: object) -> None:
        command.add_argument(flag, nargs='+', default=[default], **options)

    several('--batch', 1, type=positive, metavar='N', help='images (default 1)')
    several(
        '--size', size, type=height_and_width, metavar='N|HxW',
        help=f'pixels (default {size[0]}x{size[1]})',
    )  # fmt: skip
    several('--threads', 1, type=positive, metavar='N', help='of the processor (default 1)')
    several('--dtype', 'fp32', choices=DTYPES, help='bf16 is autocast (default fp32)')
    command.add_argument('--mode', nargs='+', default=MODES, choices=MODES, help='default all')
    command.add_argument('--device', default='cpu', choices=('cpu', 'cuda'))
    command.add_argument('--rounds', type=positive, default=15, help='turns of a side (default 15)')
    command.add_argument('--warmup', type=positive, default=3, help='calls before (default 3)')
    command.add_argument(
        '--baseline',
        metavar='NAME',
        help='side to compare with (default: the same network of mmpretrain, or the first side)',
    )
    command.add_argument('--markdown', action='store_true', help='print the table for a document')
    command.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
    command.add_argument('--plot', type=Path, metavar='FILE', help='draw time against complexity')


def add_input_options(command: argparse.ArgumentParser) -> None:
    """The options of ``input``."""
    command.add_argument(
        '--data', type=Path, help='folder with a folder a class; by default, rendered JPEGs'
    )
    command.add_argument(
        '--config', help='instead: training data of this config, decoded each time and kept decoded'
    )
    command.add_argument('--images', type=positive, default=128, help='images to use (default 128)')
    command.add_argument(
        '--rounds', type=positive, default=11, help='turns of each side (default 11)'
    )
    command.add_argument('--json', type=Path, metavar='FILE', help='also write the figures here')


def add_backbone_options(command: argparse.ArgumentParser) -> None:
    """The options of ``backbone``."""
    command.add_argument(
        'names',
        nargs='+',
        metavar='NAME',
        help='shufflenet-v1-1x-g3 and other names of `tools/swap_backbone.py --list`, '
        '"type=X key=value" in quotes, mmpretrain:<name of a ShuffleNet v1>, torchvision:<name>',
    )
    command.add_argument(
        '--classifier', action='store_true', help='with pooling and classifier of 1000 classes'
    )
    command.add_argument('--compile', action='store_true', help='all sides through torch.compile')
    command.add_argument(
        '--ablate',
        action='store_true',
        help='each side of this package also with one optimisation after another switched off',
    )
    _add_speed_options(command, size=(224, 224))


def add_detector_options(command: argparse.ArgumentParser) -> None:
    """The options of ``detector``."""
    command.add_argument(
        'names',
        nargs='+',
        metavar='CONFIG',
        help='config files, names such as mmdet::..., or torchvision:<name>',
    )
    command.add_argument(
        '--peer-backbone',
        choices=['mmpretrain'],
        help="each detector also with mmpretrain's ShuffleNet v1 and the same weights",
    )
    command.add_argument(
        '--proposals', type=positive, help='RoIs in prediction (default: as each detector states)'
    )
    command.add_argument('--no-parts', action='store_true', help='only from end to end')
    _add_speed_options(command, size=(300, 400))


def add_engine_options(command: argparse.ArgumentParser) -> None:
    """The options of ``engines``."""
    shapes = ' '.join(f'{height}x{width}' for height, width in TIMED_SHAPES)
    command.add_argument(
        '--network', nargs='*', default=list(TABLE_8), choices=TABLE_8, metavar='NAME',
        help=f'classifiers beside AlexNet (default {" ".join(TABLE_8)})',
    )  # fmt: skip
    command.add_argument(
        '--size', nargs='+', type=height_and_width, default=TIMED_SHAPES, metavar='N|HxW',
        help=f'pixels of their image (default {shapes})',
    )  # fmt: skip
    command.add_argument(
        '--detectors', nargs='*', type=int, default=list(DETECTOR_SHAPES), choices=DETECTOR_SHAPES,
        metavar='N', help='resolutions of the detectors (default 300 600); none: no detectors',
    )  # fmt: skip
    command.add_argument(
        '--rewrites', action='store_true',
        help='instead: the first network at the first size with one rewrite after another',
    )  # fmt: skip
    command.add_argument(
        '--engine', nargs='+', default=SIDES, choices=SIDES, help='where to run (default all)'
    )
    command.add_argument('--threads', type=positive, default=1, help='default 1')
    command.add_argument('--rounds', type=positive, default=15, help='turns of a side (default 15)')
    command.add_argument('--warmup', type=positive, default=3, help='calls before (default 3)')
    command.add_argument('--markdown', action='store_true', help='print tables for a document')
    command.add_argument('--json', type=Path, metavar='FILE', help='write all figures')
