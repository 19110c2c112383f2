"""The paper's tables beside our networks, and the complexity of any config.

python tools/paper_tables.py [--table N ...] [--detail] [--work-dirs DIR ...]
python tools/paper_tables.py --config CONFIG --shape HEIGHT WIDTH [--detail]
"""
import argparse
import sys
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.config import load_config
from shufflenet_det.common.tables import Table, as_json, as_markdown, as_text
from shufflenet_det.engine import setup
from shufflenet_det.models.complexity import count_config
from shufflenet_det.paper.evaluations import find_evaluations
from shufflenet_det.paper.figures import TITLES
from shufflenet_det.paper.tables import (
    detail_tables,
    layer_table,
    paper_table,
    part_table,
)

FORMATS = {'text': as_text, 'markdown': as_markdown, 'json': as_json}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Print the tables of the paper with counted and measured figures beside them, '
        'or count the multiply-adds and parameters of one config'
    )
    parser.add_argument('--table', type=int, nargs='+', help='numbers of tables, 1 to 8; all')
    parser.add_argument(
        '--work-dirs', nargs='+', help='folders in which to look for metrics.json of tools/test.py'
    )
    parser.add_argument('--config', help='count this detector or classifier instead')
    parser.add_argument(
        '--shape', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'),
        help='of the image in pixels, with --config',
    )  # fmt: skip
    setup.add_cfg_options(parser)
    parser.add_argument('--detail', action='store_true', help='layer by layer, too')
    parser.add_argument('--format', choices=FORMATS, default='text')
    parser.add_argument('--out', help='write to this file instead of the terminal')
    args = parser.parse_args()
    if bool(args.config) != bool(args.shape):
        parser.error('--config and --shape HEIGHT WIDTH go together')
    if args.config and (args.table or args.work_dirs):
        parser.error('--config counts one model: leave out --table and --work-dirs')
    if args.cfg_options and not args.config:
        parser.error('--cfg-options needs --config')
    return args


def config_tables(args: argparse.Namespace) -> list[Table]:
    """The parts of a config's model and, with ``--detail``, its layers."""
    cfg = load_config(args.config, args.cfg_options)
    counted = count_config(cfg, tuple(args.shape))
    title = f'{Path(args.config).stem} at {"x".join(map(str, args.shape))}'
    if counted.input_shape != tuple(args.shape):
        title += f', padded to {"x".join(map(str, counted.input_shape))}'
    if counted.proposals is not None:
        title += f', {counted.proposals} RoIs'
    details = [layer_table(f'{title}: layers', counted)] if args.detail else []
    return [part_table(title, counted), *details]


def paper_tables(args: argparse.Namespace) -> list[Table]:
    """The tables of the paper and, with ``--detail``, the layers of their networks."""
    evaluations = find_evaluations(args.work_dirs or ())
    tables = []
    for number in args.table or TITLES:
        tables.append(paper_table(number, evaluations))
        if args.detail:
            tables += detail_tables(number)
    for path, reason in evaluations.left_out.items():
        print(f'left out: {path} {reason}', file=sys.stderr)
    if args.work_dirs:
        used = {row['run'] for table in tables for row in table.rows if row.get('run')}
        print(
            f'{len(used)} of {len(evaluations.found)} evaluations found stand in these tables',
            file=sys.stderr,
        )
    return tables


def main() -> None:
    args = parse_args()
    if args.out:
        cli.check_writable(Path(args.out).absolute().parent, '--out')
    tables = config_tables(args) if args.config else paper_tables(args)
    text = FORMATS[args.format](tables) + '\n'
    if args.out:
        cli.write_atomically(args.out, text)
        print(f'wrote {args.out}')
    else:
        print(text, end='')
