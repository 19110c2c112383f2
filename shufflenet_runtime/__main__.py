"""Detect or classify: shufflenet-runtime MODEL SOURCE ..., or python -m shufflenet_runtime."""
import argparse
import sys

from .cli import Options, run
from .engines import ENGINES
from .errors import UserError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='shufflenet-runtime',
        description='Run an exported detector or classifier on images and videos. Without '
        '--out-dir, --json and --show the results are printed.',
    )
    parser.add_argument('model', help='folder of an exported network')
    parser.add_argument(
        'sources', nargs='+', metavar='SOURCE',
        help='image, folder of images, video, camera:0, or URL of a stream',
    )  # fmt: skip
    parser.add_argument('--out-dir', metavar='DIR', help='draw the results into this folder')
    parser.add_argument('--json', metavar='FILE', help='write the results into this file')
    parser.add_argument('--show', action='store_true', help='show the results; Esc ends it')
    parser.add_argument(
        '--score-threshold', type=float,
        help='least score of a detection (default 0.3, or that of the export if it is higher)',
    )  # fmt: skip
    parser.add_argument(
        '--engine', choices=ENGINES,
        help='by default the first that is installed, of those that MODEL was exported for',
    )  # fmt: skip
    parser.add_argument(
        '--threads', type=int, default=0,
        help='threads of one inference (default: all cores, shared among the workers)',
    )  # fmt: skip
    parser.add_argument(
        '--workers', type=int, default=1, help='images at the same time (default 1)'
    )
    parser.add_argument(
        '--image-size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'),
        help='of most images, such as the frames of a camera: these are faster then',
    )  # fmt: skip
    parser.add_argument(
        '--time', action='store_true',
        help='also say how long an image took, from its pixels to the results',
    )  # fmt: skip
    parser.add_argument('--max-frames', type=int, help='of each video or camera')
    return parser.parse_args()


def main() -> None:
    # the name of a file may be no text
    sys.stdout.reconfigure(errors='backslashreplace')
    try:
        run(Options(**vars(parse_args())))
    except KeyboardInterrupt:
        sys.exit('interrupted: nothing is kept of what was not finished')
    except UserError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
