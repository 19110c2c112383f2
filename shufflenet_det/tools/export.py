"""Export a trained detector or classifier for engines other than PyTorch.

python tools/export.py CONFIG CHECKPOINT --out DIR [--format onnx openvino] [--images FILE ...]
"""
import argparse

from shufflenet_det.common.config import load_config
from shufflenet_det.common.tables import Column, Table, as_text
from shufflenet_det.engine import setup
from shufflenet_det.export import FORMATS, export
from shufflenet_det.export.exporting import check_request
from shufflenet_det.export.validation import Checked


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Export a trained network, compare it with PyTorch, and keep it if it agrees'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('--out', required=True, help='folder to make')
    parser.add_argument(
        '--format', nargs='+', choices=FORMATS, default=['onnx'], help='(default onnx)'
    )
    parser.add_argument(
        '--images', nargs='+', default=[], metavar='FILE',
        help='images, or folders of images, to compare with; by default rendered scenes',
    )  # fmt: skip
    parser.add_argument('--backbone-only', action='store_true', help='export the backbone alone')
    setup.add_cfg_options(parser)
    return parser.parse_args()


COLUMNS = (
    Column('picture', 'picture'),
    Column('compared', 'compared', 'd'),
    Column('boxes', 'boxes, pixels', '.4f'),
    Column('scores', 'scores', '.1e'),
    Column('values', 'values, relative', '.1e'),
)


def table(engine: str, checked: list[Checked]) -> Table:
    """The largest differences between an engine and PyTorch on each picture."""
    rows = []
    for c in checked:
        row = dict(picture=c.picture, compared=c.difference.compared)
        if c.difference.boxes is None:
            row.update(values=c.difference.scores)
        else:
            row.update(boxes=c.difference.boxes, scores=c.difference.scores)
        rows.append(row)
    return Table(f'{engine}: largest differences from PyTorch', COLUMNS, rows)


def main() -> None:
    args = parse_args()
    check_request(args.out, args.format)
    cfg = load_config(args.config, args.cfg_options)
    checked = export(
        cfg, args.config, args.checkpoint, args.out, args.format, args.images, args.backbone_only
    )
    print(as_text([table(engine, rows) for engine, rows in checked.items()]))
    print(f'wrote {args.out}')
