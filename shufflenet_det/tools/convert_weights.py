"""Convert weights of ShuffleNet v1 between the layouts of this package, mmpretrain and the authors.

python tools/convert_weights.py SOURCE OUT [--to LAYOUT] [--shuffle ORDER] [--force]
python tools/convert_weights.py --list [--format FORMAT]
"""
import argparse
import shlex
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.tables import as_json, as_markdown, as_text
from shufflenet_det.models.shuffle_unit import SHUFFLES
from shufflenet_det.weights.convert import (
    LAYOUTS,
    SUFFIXES,
    Converted,
    as_file,
    convert,
    halved,
    mmpretrain_factor,
)
from shufflenet_det.weights.layouts import FOREIGN
from shufflenet_det.weights.listing import public_table, refused_table
from shufflenet_det.weights.public_names import find_public

from mmengine.runner.checkpoint import CheckpointLoader

FORMATS = {'text': as_text, 'markdown': as_markdown, 'json': as_json}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert weights of ShuffleNet v1')
    parser.add_argument(
        'source', nargs='?',
        help='file (a zip archive with one in it will do), URL or name of the list',
    )  # fmt: skip
    parser.add_argument('out', nargs='?', type=Path, help=f'file, {" or ".join(SUFFIXES)}')
    parser.add_argument('--to', choices=LAYOUTS, default='ours', help='layout (default ours)')
    parser.add_argument(
        '--shuffle', choices=SHUFFLES,
        help='rearrange the channels for this order of the shuffle, where that is possible; by '
        'default the order stays, but for layouts that have only one',
    )  # fmt: skip
    parser.add_argument(
        '--half', action='store_true', help='in 16 bits: half the size, nearly the same results'
    )
    parser.add_argument('--force', action='store_true', help='overwrite OUT')
    parser.add_argument('--list', action='store_true', help='print the public files')
    parser.add_argument('--format', choices=FORMATS, default='text', help='of --list')
    args = parser.parse_args()
    if args.list == bool(args.source):
        parser.error('give SOURCE and OUT, or --list')
    if not args.list and args.out is None:
        parser.error('OUT is missing')
    if args.out and args.out.suffix not in SUFFIXES:
        parser.error(f'{args.out}: the name of OUT must end in {" or ".join(SUFFIXES)}')
    return args


def usage(converted: Converted, out: Path, layout: str) -> str:
    """The lines of a config that use a written file."""
    if layout in FOREIGN:
        return f'The file is for the code of {layout}; for a config here convert it --to ours.'
    if layout == 'mmpretrain':
        return _usage_in_mmpretrain(converted, out)
    record = converted.record
    network = _arguments(record.variant | dict(shuffle=record.shuffle))
    lines = [
        'In a config:',
        f"  backbone=dict(type='ShuffleNetV1', {network},",
        f"                init_cfg=dict(type='Pretrained', checkpoint={str(out)!r},",
        "                              prefix='backbone.'))",
    ]
    if 'head.fc.weight' in converted.tensors:
        classes = len(converted.tensors['head.fc.weight'])
        bias = '' if 'head.fc.bias' in converted.tensors else ', bias=False'
        lines.append(f"  head=dict(type='LinearHead', num_classes={classes}{bias})")
    if record.preprocessing is not None:
        for kind, of, settings in (
            ('DetDataPreprocessor', 'detector', record.preprocessing.as_detector_cfg()),
            ('ClassifierPreprocessor', 'classifier', record.preprocessing.as_classifier_cfg()),
        ):
            lines.append(f"  data_preprocessor=dict(type='{kind}',  # of a {of}")
            lines.append(f'                         {_arguments(settings)})')
    quoted = shlex.quote(str(out))
    lines += [
        'Or start a detector of configs/faster_rcnn from it:',
        f'  SHUFFLENET_PRETRAINED={quoted} python tools/train.py CONFIG',
        'Or put this backbone into any other:',
        f'  python tools/swap_backbone.py CONFIG --checkpoint {quoted} --out NEW_CONFIG',
    ]
    return '\n'.join(lines)


def _usage_in_mmpretrain(converted: Converted, out: Path) -> str:
    record = converted.record
    groups, channels = record.variant['groups'], record.variant['stage_channels'][-1]
    factor = mmpretrain_factor(record.variant)
    lines = [
        'In a config of mmpretrain:',
        f"  backbone=dict(type='ShuffleNetV1', groups={groups}, widen_factor={factor},",
        f"                init_cfg=dict(type='Pretrained', checkpoint={str(out)!r},",
        "                              prefix='backbone.'))",
    ]
    if 'head.fc.weight' in converted.tensors:
        classes = len(converted.tensors['head.fc.weight'])
        lines.append(
            f"  head=dict(type='LinearClsHead', num_classes={classes}, in_channels={channels})"
        )
    if record.preprocessing is not None:
        settings = _arguments(record.preprocessing.as_mmpretrain_cfg())
        lines.append(f"  data_preprocessor=dict(type='ClsDataPreprocessor', {settings})")
    if out.suffix != '.pth':
        lines.append(f'mmpretrain itself does not read {out.suffix}: for it, write a .pth.')
    lines.append('For a config of this package convert the weights without --to.')
    return '\n'.join(lines)


def _arguments(settings: dict) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in settings.items())


def main() -> None:
    args = parse_args()
    if args.list:
        table = public_table()
        print(FORMATS[args.format]([table, refused_table()]))
        if args.format == 'text':
            name = table.rows[0]['name']
            print(f'\nto train a detector from one: SHUFFLENET_PRETRAINED={name} python '
                  'tools/train.py CONFIG')
        return
    if args.out.exists() and not args.force:
        raise ConfigError(f'{args.out} exists: choose another name, or overwrite it with --force.')
    # a name of the list says what it is before mmengine looks for a file
    find_public(args.source)
    checkpoint = CheckpointLoader.load_checkpoint(args.source, map_location='cpu')
    converted = convert(checkpoint, args.source, args.to, args.shuffle)
    if args.half:
        converted = halved(converted)
    cli.check_writable(args.out.absolute().parent, 'OUT')
    cli.write_atomically(args.out, as_file(converted, args.out.suffix))
    for note in converted.notes:
        print(f'note: {note}')
    print(f'wrote {args.out}: {len(converted.tensors)} tensors, shuffle '
          f'{converted.record.shuffle!r}, pixels {converted.record.preprocessing}')
    print(usage(converted, args.out, args.to))
