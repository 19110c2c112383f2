"""The detectors that ``tools/benchmark.py engines`` times from end to end."""
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from shufflenet_runtime.engines import ENGINES

import numpy as np
import torch

from ..common.config import CONFIGS, load_config
from ..export.networks import exportable
from ..export.onnx_writer import OPSET
from .detectors import MMDetDetector, Size
from .engine_networks import PYTORCH, engine_run, random_image
from .networks import TORCHVISION
from .timing import Run
from .torchvision_detector import find_torchvision

PEER = f'{TORCHVISION}fasterrcnn_mobilenet_v3_large_320_fpn'
FAMILIES = ('c4', 'fpn', 'light')
# torchvision's has no export for ncnn
ENGINES_OF_PEER = (PYTORCH, 'onnxruntime', 'openvino')


def detector_runs(
    short: int, size: Size, engines: list[str], folder: Path, threads: int
) -> Mapping[tuple[str, str], Run]:
    """Our 0.5x detectors and torchvision's smallest, in engines.

    Args:
        short: resolution of the configs, 300 or 600.
        size: height and width of the image in pixels.
        engines: of :data:`.engine_networks.SIDES`. PyTorch is MMDetection's own ``predict``.
            torchvision's runs in :data:`ENGINES_OF_PEER` of them.
        folder: for the exported files.
        threads: of one inference.

    Returns:
        What runs each on one image, by name of the detector and engine.
    """
    runs: dict[tuple[str, str], Run] = {}
    for family in FAMILIES:
        name = f'faster-rcnn_shufflenet-v1-0.5x-g3_{family}_2x_coco-{short}'
        cfg = load_config(str(CONFIGS / 'faster_rcnn' / f'{name}.py'))
        source = exportable(MMDetDetector(name, cfg).build(size).eval(), None, None)
        images = random_image(size)
        for engine in engines:
            place = folder / f'{family}-{engine}'
            place.mkdir()
            run = engine_run(source, engine, images, place, threads)
            runs[name, engine] = _predict(source.predict, images) if engine == PYTORCH else run
    for engine in [engine for engine in engines if engine in ENGINES_OF_PEER]:
        runs[PEER, engine] = _peer_run(size, engine, folder, threads)
    return runs


def _predict(predict: Callable, images: np.ndarray) -> Run:
    return lambda: predict(images)


def _peer_run(size: Size, engine: str, folder: Path, threads: int) -> Run:
    """torchvision's detector, which takes an image of float32, exported as its documents say."""
    detector = find_torchvision(PEER)
    model = detector.build(size).eval()
    (image,), _ = detector.batch(size, 1, 'cpu')
    if engine == PYTORCH:

        @torch.inference_mode()
        def run() -> object:
            return model([image])

        return run
    place = folder / f'torchvision-{engine}'
    place.mkdir()
    path = place / ENGINES['onnxruntime'].model
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        torch.onnx.export(model, ([image],), str(path), dynamo=False, opset_version=OPSET)
    if engine == 'openvino':
        import openvino

        converted = openvino.convert_model(str(path))
        openvino.save_model(converted, str(place / ENGINES[engine].model), compress_to_fp16=False)
    session = ENGINES[engine].open(place, threads)
    return lambda: session(image.numpy())
