"""Writing a network as ONNX."""
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from shufflenet_runtime.onnxruntime_engine import OnnxRuntime
from shufflenet_runtime.precision import FLOAT

import numpy as np
import torch

from .deformable import use_sampling
from .dimensions import name_dimensions
from .errors import ExportError, tracing
from .networks import IMAGE, Exportable, random_images
from .quantising import quantise_onnx
from .rewrites import (
    DENSE,
    NO_GROUPS,
    ORDERS,
    PLAIN_PIXELS,
    Rewrite,
    align_bottlenecks,
    fill_groups,
    fill_stem,
    fold_division,
    rewritten,
)

OPSET = 17
"""RoiAlign with half pixels came with 16; older engines do not know much newer ones."""


PACKAGES = ('onnx',)
REWRITES = (
    Rewrite('names for the dimensions', graph=name_dimensions),
    PLAIN_PIXELS,
    Rewrite('division in the first convolution', fold_division),
    ORDERS,
    Rewrite('bottlenecks of a multiple of 4 channels', align_bottlenecks),
    Rewrite('stem of a multiple of 16 channels', fill_stem),
    Rewrite('groups of a multiple of 16 channels', fill_groups),
)
"""In the order in which they are done."""
LOW_REWRITES = dict(int8=(REWRITES[0], PLAIN_PIXELS, ORDERS, DENSE, NO_GROUPS))
"""By precision."""


def write(
    source: Exportable,
    folder: Path,
    rewrites: Sequence[Rewrite] = REWRITES,
    precision: str = FLOAT,
    images: Sequence[np.ndarray] = (),
) -> None:
    """Write ``model.onnx``.

    Args:
        source: the network.
        folder: for the file.
        rewrites: what to change for the engine.
        precision: ``'fp32'`` or ``'int8'``.
        images: of int8 those to calibrate with.

    Raises:
        ExportError: an operator has no counterpart in ONNX, or the file is not valid.
    """
    import onnx

    network = rewritten(source.network, rewrites)
    use_sampling(network)
    path = folder / OnnxRuntime.model
    example = torch.from_numpy(random_images(source))
    with warnings.catch_warnings(), torch.no_grad():
        # the exporter that follows what the code does is deprecated for one that reads it; this
        # code is written for the first
        warnings.simplefilter('ignore')
        with tracing('ONNX'):
            torch.onnx.export(
                network,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[IMAGE],
                output_names=list(source.outputs),
                dynamic_axes={IMAGE: dict(source.axes), **_dicts(source.outputs)},
            )
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    for rewrite in rewrites:
        if rewrite.graph is not None:
            rewrite.graph(model)
            onnx.save(model, str(path))
    foreign = sorted({node.domain for node in model.graph.node} - {'', 'ai.onnx'})
    if foreign:
        raise ExportError(f'the exported network has operators that are not ONNX: {foreign}.')
    if precision == 'int8':
        quantise_onnx(path, IMAGE, images)


def _dicts(outputs: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, str]]:
    return {name: dict(axes) for name, axes in outputs.items() if axes}
