"""The networks that ``tools/benchmark.py engines`` times: exported, with random weights."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shufflenet_runtime.engines import ENGINES

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..common.config import CONFIGS
from ..common.errors import ConfigError
from ..export import ExportError
from ..export.networks import Exportable, exportable
from ..export.writers import WRITERS
from ..models.complexity import count_config
from ..paper.figures import CLASSIFIERS, Row
from .timing import Run

Size = tuple[int, int]
PYTORCH = 'pytorch'
SIDES = (PYTORCH, *ENGINES)
"""Where a network can run: PyTorch itself in deploy form, and the engines."""
REFERENCE = 'alexnet'
TABLE_8: Mapping[str, Row] = {
    row.config.removesuffix('_in1k'): row
    for row in (*CLASSIFIERS[8], *(row for row in CLASSIFIERS[6] if '0.5x' in row.model))
}
"""The networks of the paper's Table 8, and ShuffleNet 0.5x of 4 groups, which Table 6 compares with
AlexNet."""


class AveragePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` for maps of one size, as two matrix products.

    ONNX has no adaptive pooling, and its average pooling is the same only where the map's sides are
    multiples of the result's.

    Args:
        size: height and width of the maps.
        bins: height and width of the result.
    """

    def __init__(self, size: Size, bins: Size) -> None:
        super().__init__()
        rows, columns = (_averages(*pair) for pair in zip(size, bins, strict=True))
        self.register_buffer('rows', rows)
        self.register_buffer('columns', columns.T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, *size) to (N, C, *bins)."""
        return self.rows @ x @ self.columns


def _averages(size: int, bins: int) -> Tensor:
    """(bins, size): row b averages the cells of bin b, whose ends are rounded outwards."""
    weights = torch.zeros(bins, size)
    for number in range(bins):
        start, end = number * size // bins, -(-(number + 1) * size // bins)
        weights[number, start:end] = 1 / (end - start)
    return weights


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
    _fix_pooling(model, size)
    source = exportable(model, None, None)
    # a network of one size is faster in some engines: AlexNet keeps that advantage
    if name == REFERENCE:
        source = replace(source, size=size, axes={0: 'batch'})
    return Classifier(name, size, source, macs)


def _fix_pooling(model: nn.Module, size: Size) -> None:
    """Put :class:`AveragePool` in the place of poolings that depend on the size of the image."""
    seen: dict[str, Size] = {}
    chosen = {
        path: layer
        for path, layer in model.named_modules()
        if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size not in (1, (1, 1))
    }
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, args, path=path: seen.update({path: tuple(args[0].shape[2:])})
        )
        for path, layer in chosen.items()
    ]
    with torch.no_grad():
        model(torch.zeros(1, 3, *size))
    for hook in hooks:
        hook.remove()
    for path, found in seen.items():
        model.set_submodule(path, AveragePool(found, chosen[path].output_size))


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
