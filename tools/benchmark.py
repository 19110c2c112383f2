"""Measure the speed of parts of the package on this machine.

python tools/benchmark.py input [--data DIR] [--images N] [--rounds N] [--json FILE]
python tools/benchmark.py backbone NAME ... [--batch N ...] [--size N ...] [--threads N ...]
"""
import argparse
import json
import logging
import tempfile
from pathlib import Path

from shufflenet_det.benchmark import backbone_speed, speed_report
from shufflenet_det.benchmark.input_pipeline import measure_input, write_photos
from shufflenet_det.benchmark.machine import DTYPES, check_device
from shufflenet_det.benchmark.networks import find_network
from shufflenet_det.benchmark.rendering import as_text
from shufflenet_det.benchmark.speed import MODES, all_settings
from shufflenet_det.engine import cli

from mmengine.logging import MMLogger


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def size(text: str) -> tuple[int, int]:
    """``224``, or ``300x400`` for height and width in pixels."""
    height, _, width = text.partition('x')
    return positive(height), positive(width or height)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure the speed of parts of the package')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    command = commands.add_parser(
        'input', help='images a second and core of the input pipeline, against Pillow + torchvision'
    )
    command.add_argument(
        '--data', type=Path, help='folder with a folder a class; by default, rendered JPEGs'
    )
    command.add_argument('--images', type=positive, default=128, help='images to use (default 128)')
    command.add_argument(
        '--rounds', type=positive, default=11, help='turns of each side (default 11)'
    )
    command.add_argument('--json', type=Path, metavar='FILE', help='also write the figures here')
    command.set_defaults(run=measure_input_pipeline)

    command = commands.add_parser(
        'backbone', help='inference, deploy form and training step of backbones, side by side'
    )
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
    add_speed_options(command, size=(224, 224))
    command.set_defaults(run=measure_backbones)
    return parser.parse_args()


def add_speed_options(command: argparse.ArgumentParser, size: tuple[int, int]) -> None:
    def several(flag: str, default: object, **options: object) -> None:
        command.add_argument(flag, nargs='+', default=[default], **options)

    several('--batch', 1, type=positive, metavar='N', help='images (default 1)')
    several(
        '--size', size, type=globals()['size'], metavar='N|HxW',
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


def measure_input_pipeline(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None:
            write_photos(Path(folder), args.images)
        table, about = measure_input(args.data or Path(folder), args.images, args.rounds)
    print(as_text([table]))
    if args.json:
        content = json.dumps(about | dict(rows=table.rows), indent=2)
        cli.write_atomically(args.json, content + '\n')


def measure_backbones(args: argparse.Namespace) -> None:
    check_device(args.device)
    networks = [find_network(name, args.classifier) for name in dict.fromkeys(args.names)]
    settings = all_settings(args.batch, args.size, args.threads, args.dtype, args.device)
    rows = backbone_speed.measure_backbones(
        networks, settings, args.mode, args.baseline, args.rounds, args.warmup, args.compile
    )
    what = 'Classifiers' if args.classifier else 'Backbones'
    report(args, [speed_report.speed_table(what, rows)], rows)


def report(args: argparse.Namespace, tables: list, rows: list[dict]) -> None:
    about = speed_report.describe_run(rows, dict(rounds=args.rounds, warmup=args.warmup))
    print(speed_report.render(tables, about, args.markdown))
    if args.json:
        speed_report.write_json(args.json, about)
    if args.plot:
        speed_report.plot(rows, args.plot)


def main() -> None:
    args = parse_args()
    # MMEngine tells of each parameter how it was initialised
    MMLogger.get_instance('benchmark', log_level=logging.ERROR)
    args.run(args)


if __name__ == '__main__':
    cli.run(main)
