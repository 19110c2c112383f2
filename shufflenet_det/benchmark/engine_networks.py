"""What ``tools/benchmark.py engines`` times: exported networks with random weights."""
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shufflenet_runtime.engines import ENGINES

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..common.config import CONFIGS, load_config
from ..common.errors import ConfigError
from ..export import ExportError
from ..export.average_pool import fix_pooling
from ..export.networks import Exportable, exportable
from ..export.onnx_writer import OPSET
from ..export.writers import WRITERS
from ..models.complexity import count_config
from ..paper.figures import CLASSIFIERS, Row
from .detector_parts import Size
from .detectors import MMDetDetector
from .peers import TORCHVISION, find_torchvision
from .timing import Run

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


@dataclass(frozen=True)
class Classifier:
    """A classifier of ``configs/imagenet`` with random weights, for images of one size.

    Attributes:
        name: of its config, without the data set.
        size: height and width of its images in pixels.
        source: what is exported.
        macs: multiply-adds of an image.
    """

    name: str
    size: Size
    source: Exportable
    macs: int

    def images(self) -> np.ndarray:
        """One image (1, 3, H, W) of uint8."""
        return random_image(self.size)


def build_classifier(name: str, size: Size) -> Classifier:
    """A classifier by the name of its config; the weights are the same each time.

    Raises:
        ConfigError: the images are too small for it.
    """
    cfg = Config.fromfile(CONFIGS / 'imagenet' / f'{name}_in1k.py')
    with DefaultScope.overwrite_default_scope('mmdet'), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).eval()
        model.init_weights()
    macs = count_config(cfg, size).macs
    fix_pooling(model, size)
    source = exportable(model, None, None)
    # a network of one size is faster in some engines: AlexNet keeps that advantage
    if name == REFERENCE:
        source = replace(source, size=size, axes={0: 'batch'})
    return Classifier(name, size, source, macs)


def random_image(size: Size) -> np.ndarray:
    """Noise (1, 3, H, W) of uint8, always the same."""
    return np.random.default_rng(0).integers(0, 256, (1, 3, *size), dtype=np.uint8)


def engine_run(
    source: Exportable,
    engine: str,
    images: np.ndarray,
    folder: Path,
    threads: int,
    write: Callable[[Exportable, Path], None] | None = None,
) -> Run:
    """What runs a network once.

    Args:
        source: the network.
        engine: one of :data:`SIDES`.
        images: its input.
        folder: empty, for the exported files.
        threads: of one inference.
        write: writes the exported files; by default as ``tools/export.py`` does for the engine.

    Raises:
        EngineError: the engine is not installed, or cannot load the network.
        ConfigError: the network cannot be exported for the engine.
    """
    if engine == PYTORCH:
        return _eager(source.network, images)
    chosen = ENGINES[engine]
    try:
        (write or WRITERS[chosen.format])(source, folder)
    except ExportError as error:
        raise ConfigError(f'{engine}: {error}') from None
    session = chosen.open(folder, threads)
    return lambda: session(images)


def _eager(network: nn.Module, images: np.ndarray) -> Callable[[], object]:
    image = torch.from_numpy(images)

    @torch.inference_mode()
    def run() -> object:
        return network(image)

    return run


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
