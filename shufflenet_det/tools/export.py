"""Export a trained detector or classifier for engines other than PyTorch.

python tools/export.py CONFIG CHECKPOINT --out DIR [--format onnx openvino] [--images FILE ...]
python tools/export.py CONFIG CHECKPOINT --out DIR --format openvino --precision int8
"""
import argparse

from shufflenet_det.common.config import load_config
from shufflenet_det.common.tables import Column, Table, as_text
from shufflenet_det.engine import setup
from shufflenet_det.export import FORMATS, export
from shufflenet_det.export.accuracy import MAX_LOSS, Loss, Precision
from shufflenet_det.export.calibration import LEAST, MOST
from shufflenet_det.export.exporting import check_request
from shufflenet_det.export.validation import Checked
from shufflenet_runtime.precision import FLOAT, PRECISIONS


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
        help='images, or folders of images, to compare with (default: some of the validation set, '
        'where that is there, and rendered scenes)',
    )  # fmt: skip
    parser.add_argument(
        '--precision', choices=PRECISIONS, default=FLOAT,
        help='numbers to compute in; other than fp32 the loss on the validation set of the config '
        'is measured (default fp32)',
    )  # fmt: skip
    parser.add_argument(
        '--calibrate', nargs='+', default=[], metavar='DIR',
        help=f'for int8: {LEAST} to {MOST} images such as the network will see (default: the '
        'training set of the config)',
    )  # fmt: skip
    parser.add_argument(
        '--max-loss', type=float, default=MAX_LOSS, metavar='LOSS',
        help='most mAP, or top-1 accuracy, that a precision may lose (default %(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--keep-anyway', action='store_true', help='keep what loses more, and record the loss'
    )
    parser.add_argument('--backbone-only', action='store_true', help='export the backbone alone')
    setup.add_cfg_options(parser)
    args = parser.parse_args()
    if args.calibrate and args.precision != 'int8':
        parser.error(f'--calibrate: {args.precision} needs no images, only int8 does')
    if args.images and args.precision != FLOAT:
        parser.error(
            f'--images: {args.precision} is compared on the validation set of the config, in mAP '
            'or top-1'
        )
    return args


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
    check_request(args.out, args.format, args.precision)
    cfg = load_config(args.config, args.cfg_options)
    checked = export(
        cfg, args.config, args.checkpoint, args.out, args.format, args.images, args.backbone_only,
        Precision(args.precision, args.calibrate, args.max_loss, args.keep_anyway),
    )  # fmt: skip
    tables = [
        found.table() if isinstance(found, Loss) else table(engine, found)
        for engine, found in checked.items()
    ]
    print(as_text(tables))
    print(f'wrote {args.out}')
