"""Draw detections: python tools/image_demo.py IMAGE... CONFIG CHECKPOINT [--out-dir DIR]"""
import argparse
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import DataError
from shufflenet_det.data import CheckedLoadImageFromFile
from shufflenet_det.engine.hooks import keys_of, require_complete

import torch
from mmdet.apis import DetInferencer
from mmengine.runner import CheckpointLoader


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw the detections of images')
    parser.add_argument('images', nargs='+', help='image files or folders of images')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('--out-dir', default='outputs', help='folder for pictures and JSON files')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='least score to draw')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--device', default='cuda:0' if torch.cuda.is_available() else 'cpu', help='cpu or cuda:N'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for image in args.images:
        if '://' not in image and not Path(image).exists():
            raise DataError(f'image not found: {image}')
        if Path(image).is_file():
            CheckedLoadImageFromFile()(dict(img_path=image))
    cli.check_writable(args.out_dir, '--out-dir')
    cfg = load_config(args.config)
    inferencer = DetInferencer(cfg, args.checkpoint, device=args.device)
    checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, 'cpu')
    require_complete(keys_of(inferencer.model, checkpoint))
    for images in args.images:
        inferencer(
            images,
            out_dir=args.out_dir,
            pred_score_thr=args.pred_score_thr,
            batch_size=args.batch_size,
            no_save_pred=False,
        )
