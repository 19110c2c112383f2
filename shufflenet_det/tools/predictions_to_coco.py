"""Detections as a COCO data set, for a labelling tool to correct: docs/own-data.md.

python tools/predictions_to_coco.py FOUND.json --out predictions.json
"""
import argparse
from pathlib import Path

from shufflenet_det.own_data.predictions import predictions_to_coco


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write what a detector found as annotations in COCO format'
    )
    parser.add_argument(
        'found', type=Path,
        help='file of `python -m shufflenet_runtime --json`, or of tools/test.py --out',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, required=True, help='COCO file to write')
    parser.add_argument(
        '--least-score', type=float, default=0.3, help='leave out what is below (default 0.3)'
    )
    parser.add_argument(
        '--annotations', type=Path, help='of the test, for a file of tools/test.py --out'
    )
    parser.add_argument('--images', type=Path, help='folder that file names are relative to')
    parser.add_argument(
        '--classes', nargs='+', default=(), metavar='NAME', help='all classes, in their order'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    content = predictions_to_coco(**vars(args))
    print(f'wrote {args.out}: {len(content["annotations"])} boxes in {len(content["images"])} '
          f'images')  # fmt: skip
