"""What ``tools/benchmark.py engines`` times: exported networks with random weights."""
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from shufflenet_runtime.engines import ENGINES

import numpy as np
import torch

from ..common.config import CONFIGS, load_config
from ..common.errors import ConfigError
from ..export import ExportError
from ..export.average_pool import fix_pooling
from ..export.networks import Exportable, exportable
from ..export.onnx_writer import OPSET
from ..export.rewrites import Rewrite
from ..export.writers import REWRITES, WRITERS
from ..paper.figures import CLASSIFIERS, Row
from .detectors import MMDetDetector
from .networks import find_network
from .peers import TORCHVISION, find_torchvision
from .speed import Setting, Size, attempt
from .timing import Call

PYTORCH = 'pytorch'
SIDES = (PYTORCH, *ENGINES)
"""Where a network can run: PyTorch itself in deploy form, and the engines."""
REFERENCE = 'alexnet'
PEER = f'{TORCHVISION}fasterrcnn_mobilenet_v3_large_320_fpn'
FAMILIES = ('c4', 'fpn', 'light')
# torchvision's has no export for ncnn
ENGINES_OF_PEER = (PYTORCH, 'onnxruntime', 'openvino')
TABLE_8: Mapping[str, Row] = {
    row.config.removesuffix('_in1k'): row
    for row in (*CLASSIFIERS[8], *(row for row in CLASSIFIERS[6] if '0.5x' in row.model))
}
"""The networks of the paper's Table 8, and ShuffleNet 0.5x of 4 groups, which Table 6 compares with
AlexNet."""


def build_classifier(name: str, size: Size) -> tuple[Exportable, int]:
    """A classifier of ``configs/imagenet`` for images of one size, by the name of its config.

    Returns:
        What is exported, with the same random weights each time, and multiply-adds of an image.

    Raises:
        ConfigError: the images are too small for it.
    """
    network = find_network(name, classifier=True)
    macs = attempt(name, Setting(1, size, 1, 'fp32', 'cpu'), partial(network.count, size))
    model = network.build().eval()
    fix_pooling(model, size)
    source = exportable(model, None, None)
    # a network of one size is faster in some engines: AlexNet keeps that advantage
    if name == REFERENCE:
        source = replace(source, size=size, axes={0: 'batch'})
    return source, macs


def random_image(size: Size) -> np.ndarray:
    """Noise (1, 3, H, W) of uint8, always the same."""
    return np.random.default_rng(0).integers(0, 256, (1, 3, *size), dtype=np.uint8)


def engine_run(
    source: Exportable,
    engine: str,
    images: np.ndarray,
    folder: Path,
    threads: int,
    rewrites: Sequence[Rewrite] | None = None,
) -> Call:
    """What runs a network once on images, in one of :data:`SIDES` with some threads.

    The exported files go into an empty folder, with the engine's rewrites unless others are given.

    Raises:
        EngineError: the engine is not installed, or cannot load the network.
        ConfigError: the network cannot be exported for the engine.
    """
    if engine == PYTORCH:
        return _eager(source.network, torch.from_numpy(images))
    chosen = ENGINES[engine]
    if rewrites is None:
        rewrites = REWRITES[chosen.format]
    try:
        WRITERS[chosen.format](source, folder, rewrites)
    except ExportError as error:
        raise ConfigError(f'{engine}: {error}') from None
    return partial(chosen.open(folder, threads, shape=images.shape), images)


def _eager(network: Callable, images: object) -> Call:
    return torch.inference_mode()(lambda: network(images))


def detector_runs(
    short: int, size: Size, engines: Sequence[str], place: Callable[[], Path], threads: int
) -> dict[tuple[str, str], Call]:
    """Our 0.5x detectors of a resolution, 300 or 600, and torchvision's smallest, in engines.

    PyTorch is MMDetection's own ``predict``; torchvision's runs in :data:`ENGINES_OF_PEER`.
    Exported files go into the empty folders that ``place`` makes.

    Returns:
        What runs each on one image of this height and width, by name of the detector and engine.
    """
    runs: dict[tuple[str, str], Call] = {}
    images = random_image(size)
    for family in FAMILIES:
        name = f'faster-rcnn_shufflenet-v1-0.5x-g3_{family}_2x_coco-{short}'
        cfg = load_config(str(CONFIGS / 'faster_rcnn' / f'{name}.py'))
        source = exportable(MMDetDetector(name, cfg).build(size).eval(), None, None)
        for engine in engines:
            if engine == PYTORCH:
                runs[name, engine] = partial(source.predict, images)
            else:
                runs[name, engine] = engine_run(source, engine, images, place(), threads)
    for engine in engines:
        if engine in ENGINES_OF_PEER:
            runs[PEER, engine] = peer_run(size, engine, place(), threads)
    return runs


def peer_run(size: Size, engine: str, folder: Path, threads: int) -> Call:
    """torchvision's detector, which takes an image of float32, exported as its documents say.

    Its files go into the empty folder, for one of :data:`ENGINES_OF_PEER`.
    """
    detector = find_torchvision(PEER)
    model = detector.build(size).eval()
    (image,), _ = detector.batch(size, 1, 'cpu')
    if engine == PYTORCH:
        return _eager(model, [image])
    path = folder / ENGINES['onnxruntime'].model
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        torch.onnx.export(model, ([image],), str(path), dynamo=False, opset_version=OPSET)
    if engine == 'openvino':
        import openvino

        converted = openvino.convert_model(str(path))
        openvino.save_model(converted, str(folder / ENGINES[engine].model), compress_to_fp16=False)
        path.unlink()
    return partial(ENGINES[engine].open(folder, threads), image.numpy())
