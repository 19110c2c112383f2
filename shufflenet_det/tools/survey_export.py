"""Export every config that MMDetection ships, with another backbone, and see which agree.

python tools/survey_export.py [--backbone NAME] [--only TEXT ...] [--jobs N] [--out FILE]
"""
import argparse
from pathlib import Path

from shufflenet_det.benchmark.export_outcomes import Outcome, summary
from shufflenet_det.benchmark.export_survey import survey
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.options import positive
from shufflenet_det.common.tables import as_markdown, as_text
from shufflenet_det.export import FORMATS
from shufflenet_det.export.writers import require_writer
from shufflenet_det.swap.outcomes import collect
from shufflenet_det.swap.survey_processes import shipped_configs

_BACKBONE = 'shufflenet-v1-0.5x-g3'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Put another backbone into each config of MMDetection, export the detector '
        'with random weights that decide, and compare it with PyTorch in each engine. Configs of '
        'which the exported form is the same are exported once and counted together.'
    )
    parser.add_argument('--backbone', default=_BACKBONE, help=f'default {_BACKBONE}')
    parser.add_argument('--only', nargs='+', metavar='TEXT', help='configs with this in their path')
    parser.add_argument(
        '--format', nargs='+', choices=FORMATS, default=list(FORMATS), help='default all'
    )
    parser.add_argument('--jobs', type=positive, default=1, help='processes (default 1)')
    parser.add_argument(
        '--out', type=Path, help='keep outcomes here, a JSON object a line, and resume from there'
    )
    parser.add_argument('--tables', choices=('text', 'markdown'), default='text')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for name in args.format:
        require_writer(name)
    names = shipped_configs()
    if args.only:
        # in the order of the texts
        names = list(dict.fromkeys(n for text in args.only for n in names if text in n))
    if not names:
        raise ConfigError(f'--only {" ".join(args.only)}: no config of MMDetection has that.')
    outcomes = collect(
        lambda known: survey(names, args.backbone, args.format, args.jobs, known),
        Outcome, len(names), args.out, _said,
    )  # fmt: skip
    tables = summary(outcomes, args.format)
    print(as_markdown(tables) if args.tables == 'markdown' else as_text(tables))


def _said(outcome: Outcome) -> str:
    found = ', '.join(f'{e} {r}' for e, r in outcome.engines.items()) or outcome.reason
    return f'{outcome.config}: {outcome.step} {found[:200]}'
