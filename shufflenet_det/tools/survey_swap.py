"""Put a backbone into every config that MMDetection ships, and see which of them work.

python tools/survey_swap.py [--backbone NAME] [--only TEXT ...] [--jobs N] [--out FILE]
"""
import argparse
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.options import positive
from shufflenet_det.common.tables import as_markdown, as_text
from shufflenet_det.swap import DEFAULT_BACKBONE
from shufflenet_det.swap.outcomes import collect
from shufflenet_det.swap.survey import Outcome, summary, survey
from shufflenet_det.swap.survey_processes import shipped_configs


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Build each config of MMDetection with its own backbone and with another one, '
        'take a training step and predict; print how many came how far'
    )
    parser.add_argument('--backbone', default=DEFAULT_BACKBONE, help=f'default {DEFAULT_BACKBONE}')
    parser.add_argument('--only', nargs='+', metavar='TEXT', help='configs with this in their path')
    parser.add_argument('--jobs', type=positive, default=2, help='processes (default 2)')
    parser.add_argument(
        '--out', type=Path, help='keep outcomes here, a JSON object a line, and resume from there'
    )
    parser.add_argument('--format', choices=('text', 'markdown'), default='text')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = [n for n in shipped_configs() if not args.only or any(t in n for t in args.only)]
    if not names:
        raise ConfigError(f'--only {" ".join(args.only)}: no config of MMDetection has that.')
    outcomes = collect(
        lambda known: survey(names, args.backbone, args.jobs, known),
        Outcome, len(names), args.out, lambda o: f'{o.config}: {o.step} {o.reason}',
    )  # fmt: skip
    tables = summary(outcomes)
    print(as_markdown(tables) if args.format == 'markdown' else as_text(tables))
