"""Measure the speed of parts of the package on this machine.

python tools/benchmark.py input [--data DIR] [--images N] [--rounds N] [--json FILE]
"""
import argparse
import json
import tempfile
from pathlib import Path

from shufflenet_det.benchmark.input_pipeline import measure_input, write_photos
from shufflenet_det.benchmark.rendering import as_text
from shufflenet_det.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure the speed of parts of the package')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    command = commands.add_parser(
        'input', help='images a second and core of the input pipeline, against Pillow + torchvision'
    )
    command.add_argument(
        '--data', type=Path, help='folder with a folder a class; by default, rendered JPEGs'
    )
    command.add_argument('--images', type=int, default=128, help='images to use (default 128)')
    command.add_argument('--rounds', type=int, default=11, help='turns of each side (default 11)')
    command.add_argument('--json', type=Path, metavar='FILE', help='also write the figures here')
    command.set_defaults(run=measure_input_pipeline)
    args = parser.parse_args()
    if min(args.images, args.rounds) < 1:
        parser.error('--images and --rounds must be 1 or more')
    return args


def measure_input_pipeline(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None:
            write_photos(Path(folder), args.images)
        table, about = measure_input(args.data or Path(folder), args.images, args.rounds)
    print(as_text([table]))
    if args.json:
        content = json.dumps(about | dict(rows=table.rows), indent=2)
        cli.write_atomically(args.json, content + '\n')


def main() -> None:
    args = parse_args()
    args.run(args)


if __name__ == '__main__':
    cli.run(main)
