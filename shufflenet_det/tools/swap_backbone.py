"""Put another backbone into the config of any MMDetection detector.

python tools/swap_backbone.py BASE_CONFIG [--backbone NAME] [--checkpoint FILE] --out NEW_CONFIG
python tools/swap_backbone.py --list
"""
import argparse
import shlex

from shufflenet_det.common.config import load_config
from shufflenet_det.common.config_writing import check_output, write_config
from shufflenet_det.swap import DEFAULT_BACKBONE, backbone_names, plan_swap
from shufflenet_det.swap.names import backbone_config, parse_backbone


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Exchange the backbone in a config of MMDetection: channels, levels, '
        'preprocessing and weights follow; everything else stays. Without --out nothing is '
        'written, the changes are only printed'
    )
    parser.add_argument('base', nargs='?', help='config file, or a name such as mmdet::...')
    parser.add_argument(
        '--backbone',
        help=f'name (--list), or type=NAME key=value ... in quotes; by default that of the '
        f'checkpoint, or {DEFAULT_BACKBONE}',
    )
    parser.add_argument(
        '--checkpoint',
        help='its pretrained weights: a name of `tools/convert_weights.py --list`, a path or an '
        'address; they say which network it is, and what pixels it gets',
    )
    parser.add_argument('--out', help='config file to write')
    parser.add_argument('--force', action='store_true', help='replace OUT')
    parser.add_argument('--list', action='store_true', help='print the names of all backbones')
    args = parser.parse_args()
    if (args.base is None) != args.list:
        parser.error('give a config, or --list alone')
    return args


def main() -> None:
    args = parse_args()
    if args.list:
        for name in backbone_names():
            settings = [f'{k}={v}' for k, v in backbone_config(name).items() if k != 'type']
            print(f'{name:34}{backbone_config(name)["type"]:16}{" ".join(settings)}')
        return
    out = check_output(args.out, args.force) if args.out else None
    old = load_config(args.base)
    swap = plan_swap(old, parse_backbone(args.backbone), args.checkpoint)
    print(swap)
    if out is None:
        print('nothing written' + (': name a file with --out' if swap.changes else ''))
        return
    what = 'another' if swap.changes else 'the same'
    heading = f'{args.base} with {what} backbone, written by tools/swap_backbone.py'
    write_config(args.base, old, swap.cfg, out, heading)
    if not swap.changes:
        print(f'{out} only inherits {args.base}')
    print(f'wrote {out}: python tools/train.py {shlex.quote(str(out))}')
