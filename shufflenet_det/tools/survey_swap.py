"""Put a backbone into every config that MMDetection ships, and see which of them work.

python tools/survey_swap.py [--backbone NAME] [--only TEXT ...] [--jobs N] [--out FILE]
"""
import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import monotonic

from shufflenet_det.common import cli
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.tables import as_markdown, as_text
from shufflenet_det.swap import DEFAULT_BACKBONE
from shufflenet_det.swap.survey import (
    Outcome,
    load_outcomes,
    shipped_configs,
    summary,
    survey,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Build each config of MMDetection with its own backbone and with another one, '
        'take a training step and predict; print how many came how far'
    )
    parser.add_argument('--backbone', default=DEFAULT_BACKBONE, help=f'default {DEFAULT_BACKBONE}')
    parser.add_argument('--only', nargs='+', metavar='TEXT', help='configs with this in their path')
    parser.add_argument('--jobs', type=int, default=2, help='processes (default 2)')
    parser.add_argument(
        '--out', type=Path, help='keep outcomes here, a JSON object a line, and resume from there'
    )
    parser.add_argument('--format', choices=('text', 'markdown'), default='text')
    return parser.parse_args()


def as_line(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome)) + '\n'


def main() -> None:
    args = parse_args()
    names = [n for n in shipped_configs() if not args.only or any(t in n for t in args.only)]
    if not names:
        raise ConfigError(f'--only {" ".join(args.only)}: no config of MMDetection has that.')
    known = load_outcomes(args.out) if args.out else []
    if args.out:
        cli.check_writable(args.out.absolute().parent, '--out')
        # a run that was killed may have left half a line
        cli.write_atomically(args.out, ''.join(map(as_line, known)))
    start, outcomes, fresh = monotonic(), [], 0
    for outcome in survey(names, args.backbone, args.jobs, known):
        outcomes.append(outcome)
        if outcome in known:
            continue
        fresh += 1
        if args.out:
            with args.out.open('a') as file:
                file.write(as_line(outcome))
        left = (monotonic() - start) / fresh * (len(names) - len(outcomes))
        print(
            f'{len(outcomes)}/{len(names)}, {left / 60:.0f} min left: {outcome.config}: '
            f'{outcome.step} {outcome.reason}',
            file=sys.stderr,
        )
    tables = summary(outcomes)
    print(as_markdown(tables) if args.format == 'markdown' else as_text(tables))
