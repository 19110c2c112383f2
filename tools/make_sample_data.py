"""Makes a rendered sample data set in the layout of COCO 2017, without any download."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shufflenet_det.data.sample import make_sample
from shufflenet_det.errors import ShuffleNetDetError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, required=True, help='folder to make: data/sample, say')
    parser.add_argument('--seed', type=int, default=0, help='the same seed makes the same data set')
    parser.add_argument('--train', type=int, default=600, help='training pictures (default 600)')
    parser.add_argument('--val', type=int, default=150, help='validation pictures (default 150)')
    parser.add_argument('--workers', type=int, help='threads (default: one a processor)')
    parser.add_argument('--force', action='store_true', help='replace one made by this tool')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        make_sample(
            args.out,
            seed=args.seed,
            train=args.train,
            val=args.val,
            workers=args.workers,
            force=args.force,
        )
    except ShuffleNetDetError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted: nothing was made', file=sys.stderr)
        return 130
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
