"""Make rendered sample data, without any download: python tools/make_sample_data.py --out DIR

Pictures with annotated objects in the layout of COCO 2017, or with --kind classification pictures
of one object each in the layout of ImageNet.
"""
import argparse
import sys
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.data.sample import make_classification_sample, make_sample

MAKERS = dict(detection=make_sample, classification=make_classification_sample)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Make rendered sample data')
    parser.add_argument('--out', type=Path, required=True, help='folder to make: data/sample, say')
    parser.add_argument('--kind', choices=MAKERS, default='detection')
    parser.add_argument('--seed', type=int, default=0, help='the same seed makes the same data set')
    parser.add_argument('--train', type=int, help='training pictures (default: 600 or 8000)')
    parser.add_argument('--val', type=int, help='validation pictures (default: 150 or 4000)')
    parser.add_argument('--size', type=int, help='pixels a side, classification only (default: 80)')
    parser.add_argument('--workers', type=int, help='threads (default: one a processor)')
    parser.add_argument('--force', action='store_true', help='replace one made by this tool')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.size is not None and args.kind == 'detection':
        raise ConfigError(
            "--size is for --kind classification; the detection sample has COCO's sizes."
        )
    # what is not given keeps the default of its kind
    given = {
        name: value
        for name in ('train', 'val', 'size')
        if (value := getattr(args, name)) is not None
    }
    try:
        MAKERS[args.kind](
            args.out, seed=args.seed, workers=args.workers, force=args.force, **given
        )
    except KeyboardInterrupt:
        print('interrupted: nothing was made', file=sys.stderr)
        sys.exit(130)
    print(args.out)
