"""Write a page about one run or several: docs/report.md.

python tools/report.py WORK_DIR... --out report.html
"""
import argparse
from pathlib import Path

from shufflenet_det.common.options import not_negative
from shufflenet_det.report import write_report


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write one HTML page, for which no network is needed, about training and test'
    )
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, metavar='WORK_DIR',
        help='work folder of tools/train.py and tools/test.py; others are compared with the first',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, default='report.html', help='the page (report.html)')
    parser.add_argument(
        '--images', type=not_negative, default=40, metavar='N',
        help='the N worst images (default 40)',
    )  # fmt: skip
    parser.add_argument('--title', default='', help="the page's title (default: the folders)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    path = write_report(args.work_dirs, args.out, args.images, args.title)
    print(f'wrote {path} ({path.stat().st_size / 1e6:.1f} MB)')
