"""Seconds of a detector by its parts, beside torchvision's light Faster R-CNN, in one run.

python -m shufflenet_det.benchmark.detector_parts CONFIG ... [--shape 300 400] [--fuse-conv-bn]

The detectors take turns, one image at a time, with the weights that ``--checkpoint`` names or
random ones. The peer is ``fasterrcnn_mobilenet_v3_large_320_fpn`` with random weights, at the same
pixels.
"""
import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmcv.cnn.utils import fuse_conv_bn
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.runner import load_checkpoint
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

from ..engine import cli
from ..engine.config import load_config
from .rendering import Column, Table, as_markdown, as_text

PEER = 'torchvision'
PARTS = {
    'preprocessing': ('data_preprocessor', 'forward'),
    'backbone': ('backbone', 'forward'),
    'neck': ('neck', 'forward'),
    'RPN': ('rpn_head', 'forward'),
    'proposals': ('rpn_head', 'predict_by_feat'),
    'RoIAlign': ('roi_head.bbox_roi_extractor', 'forward'),
    'RoI head': ('roi_head.bbox_head', 'forward'),
    'post-processing': ('roi_head.bbox_head', 'predict_by_feat'),
}
"""What is measured, by the module that has it and the method."""


def time_parts(model: nn.Module) -> dict[str, float]:
    """Wrap the parts of a detector, and return where the seconds of the next call will stand."""
    seconds: dict[str, float] = {}

    def wrap(name: str, method: Callable) -> Callable:
        def timed(*args, **kwargs):
            start = time.perf_counter()
            result = method(*args, **kwargs)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
            return result

        return timed

    for name, (path, method) in PARTS.items():
        try:
            module = model.get_submodule(path)
        except AttributeError:
            continue
        setattr(module, method, wrap(name, getattr(module, method)))
    return seconds


def build(config: str, checkpoint: str | None, fuse: bool) -> nn.Module:
    """The detector of a config, in evaluation mode.

    Random weights get batch norms whose statistics are those of noise. Without, activations grow
    from layer to layer, and no proposal stays in the image.
    """
    cfg = load_config(config)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if checkpoint:
        load_checkpoint(model, checkpoint, map_location='cpu')
    else:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = None
        with torch.no_grad():
            model.train().extract_feat(torch.randn(2, 3, 224, 224))
    model.eval()
    return fuse_conv_bn(model) if fuse else model


def detector(config: str, image: torch.Tensor, args: argparse.Namespace) -> Callable:
    """A function that detects once and returns the seconds of each part."""
    model = build(config, args.checkpoint, args.fuse_conv_bn)
    seconds = time_parts(model)
    height, width = image.shape[1:]
    shape = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))

    def detect() -> dict[str, float]:
        seconds.clear()
        start = time.perf_counter()
        model.test_step(dict(inputs=[image], data_samples=[DetDataSample(metainfo=shape)]))
        seconds['total'] = time.perf_counter() - start
        return dict(seconds)

    return detect


def peer(image: torch.Tensor) -> Callable:
    """The same for torchvision's detector, which is measured as a whole."""
    short, long = sorted(image.shape[1:])
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=91, min_size=short, max_size=long
    ).eval()
    pixels = image.float() / 255

    def detect() -> dict[str, float]:
        start = time.perf_counter()
        model([pixels])
        return dict(total=time.perf_counter() - start)

    return detect


def measure(args: argparse.Namespace) -> Table:
    """Medians over ``args.rounds`` turns, after two to warm up."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    image = torch.randint(0, 256, (3, *args.shape), dtype=torch.uint8)
    sides = {Path(config).stem: detector(config, image, args) for config in args.configs}
    sides[PEER] = peer(image)
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with torch.inference_mode():
        for turn in range(args.rounds + 2):
            for name, detect in sides.items():
                seconds = detect()
                if turn >= 2:
                    turns[name].append(seconds)
    rows = []
    for name, seconds in turns.items():
        row = {part: statistics.median(s[part] for s in seconds) for part in seconds[0]}
        ratios = [ours['total'] / t['total'] for ours, t in zip(seconds, turns[PEER], strict=True)]
        row['ratio'] = statistics.median(ratios)
        rows.append(dict(name=name) | row)
    milliseconds = [Column(part, part, '.1f', scale=1e3) for part in (*PARTS, 'total')]
    columns = (Column('name', 'detector'), *milliseconds, Column('ratio', 'ratio', '.2f'))
    title = f'Milliseconds at {args.shape[0]}x{args.shape[1]}, {args.threads} thread(s)'
    return Table(title, columns, rows)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Seconds of detectors by part')
    parser.add_argument('configs', nargs='+', help='config files of two-stage detectors')
    parser.add_argument('--shape', type=int, nargs=2, default=(300, 400), metavar=('H', 'W'))
    parser.add_argument('--threads', type=int, default=1, help='of PyTorch (default 1)')
    parser.add_argument('--rounds', type=int, default=21, help='turns of each (default 21)')
    parser.add_argument('--checkpoint', help='weights of the detectors; by default random ones')
    parser.add_argument('--fuse-conv-bn', action='store_true', help='fold batch norms first')
    parser.add_argument('--markdown', action='store_true', help='print a table for a document')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # a detector from random weights lists each of them as it is initialised
    MMLogger.get_current_instance().setLevel('WARNING')
    table = measure(args)
    print(as_markdown([table]) if args.markdown else as_text([table]))


if __name__ == '__main__':
    cli.run(main)
