"""Command line options of ``tools/benchmark.py``."""
import argparse
from pathlib import Path

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


def add_speed_options(command: argparse.ArgumentParser, size: tuple[int, int]) -> None:
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
