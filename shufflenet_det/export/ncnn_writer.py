"""Writing networks for ncnn by way of pnnx."""
import copy
import json
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shufflenet_runtime.ncnn_engine import (
    DELTAS,
    LEVEL,
    LOGITS,
    MODEL,
    SETTINGS,
    roi_model,
)
from shufflenet_runtime.precision import FLOAT

import numpy as np
import torch
from torch import Tensor, nn

from ..common.errors import ConfigError
from .deformable import TorchvisionDeformConv2d, use_sampling
from .dense import MapNetwork, PlainDenseDetector
from .detector import PlainDetector
from .errors import ExportError, tracing
from .networks import IMAGE, Exportable, random_images
from .rewrites import Rewrite, rewritten
from .two_stage import FeatureNetwork, RoINetwork, describe

PACKAGES = ('onnx', 'pnnx')
REWRITES: tuple[Rewrite, ...] = ()
"""None has been found to help."""
ROIS = 'rois'
"""Name of the input of a detector's second network, and of those behind it."""

# parameters of Interp
_HEIGHT_WIDTH = ('3=', '4=')


def check_precision(precision: str) -> None:
    """Refuse int8.

    Raises:
        ConfigError: ncnn's package has no tools for it.
    """
    if precision == 'int8':
        raise ConfigError(
            "--precision int8: ncnn quantises by its tools ncnn2table and ncnn2int8, which are in "
            'none of its Python packages. Take --precision fp16, or --format openvino or onnx.'
        )


def write(
    source: Exportable,
    folder: Path,
    rewrites: Sequence[Rewrite] = REWRITES,
    precision: str = FLOAT,
    images: Sequence[np.ndarray] = (),
) -> None:
    """Write ``model.ncnn.param`` and ``model.ncnn.bin``; and of a detector what belongs to these.

    Args:
        source: the network.
        folder: for the files.
        rewrites: what to change for the engine.
        precision: ``'fp32'``, or ``'fp16'`` for weights of 16 bits.
        images: none are needed.

    Raises:
        ExportError: pnnx cannot convert it, or makes of it what ncnn does not know.
    """
    network = rewritten(source.network, rewrites) if rewrites else copy.deepcopy(source.network)
    use_sampling(network, TorchvisionDeformConv2d)
    example = torch.from_numpy(random_images(source)).float()
    halves = precision == 'fp16'
    if isinstance(network, PlainDetector):
        _write_two_stage(network, example, folder, halves)
    elif isinstance(network, PlainDenseDetector):
        maps = MapNetwork(network.with_padding_outside()).eval()
        convert(maps, example, IMAGE, maps.outputs, folder / MODEL, halves)
        _write_settings(network.describe(), folder)
    else:
        convert(network, example, IMAGE, list(source.outputs), folder / MODEL, halves)


def _write_two_stage(detector: PlainDetector, images: Tensor, folder: Path, halves: bool) -> None:
    features = FeatureNetwork(detector).eval()
    with torch.no_grad():
        channels = features(images)[0].shape[1]
    levels, anchors = range(features.levels), range(len(detector.propose.strides))
    names = [f'{LEVEL}{i}' for i in levels]
    names += [f'{name}{i}' for name in (LOGITS, DELTAS) for i in anchors]
    convert(features, images, IMAGE, names, folder / MODEL, halves)
    for number in range(len(detector.detect.heads)):
        rois = RoINetwork(detector.detect, channels, number).eval()
        path = folder / roi_model(number)
        convert(rois, torch.zeros(rois.shape), ROIS, [LOGITS, DELTAS], path, halves)
    _write_settings(describe(detector, rois.rows), folder)


def _write_settings(settings: dict[str, Any], folder: Path) -> None:
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + '\n', encoding='utf-8')


def convert(
    network: nn.Module,
    example: Tensor,
    name: str,
    outputs: Sequence[str],
    path: Path,
    halves: bool = False,
) -> None:
    """Write a network.

    pnnx makes ncnn's own operator of the channel shuffle where it knows the size of the image, and
    ncnn's operators work on any other.

    Args:
        network: one input to one tensor or several.
        example: of its input.
        name: of its input.
        outputs: names of its results.
        path: the ``.param``; the ``.bin`` goes beside it.
        halves: whether the weights are written in 16 bits.
    """
    import pnnx

    shapes = [list(example.shape)]
    if example.dim() == 2:
        # any number of rows
        shapes.append([example.shape[0] + 1, example.shape[1]])
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        with tracing('TorchScript, from which ncnn is made'):
            torch.jit.trace(network, example, check_trace=False).save(f'{work}/model.pt')
        process = subprocess.run(
            [pnnx.EXEC_PATH, 'model.pt', f'fp16={halves:d}', *map(_input_shape, ('', '2'), shapes)],
            cwd=work, capture_output=True, text=True, check=False,
        )  # fmt: skip
        made = [Path(work, f'model.ncnn.{kind}') for kind in ('param', 'bin')]
        if process.returncode or not all(file.is_file() for file in made):
            raise ExportError(f'pnnx cannot convert this network: {process.stderr[-500:]}')
        text = made[0].read_text()
        # pnnx counts inputs and outputs
        names = {'in0': name, **{f'out{i}': output for i, output in enumerate(outputs)}}
        for old, new in names.items():
            text = re.sub(rf'(?<=\s){old}(?=\s)', new, text)
        path.write_text(_with_any_size(text))
        shutil.copyfile(made[1], path.with_suffix('.bin'))


def _input_shape(number: str, shape: Sequence[int]) -> str:
    return f'inputshape{number}=[{",".join(map(str, shape))}]f32'


def _with_any_size(text: str) -> str:
    """A network whose upsampled maps have the size of those that they are added to.

    What upsamples has the size of the example from pnnx. As in feature pyramids, a map is taken to
    be upsampled to the size of another one, to which it is added.

    Raises:
        ExportError: a map is upsampled for something else, or there is an operator that pnnx has
            left as it was.
    """
    magic, _, *lines = text.splitlines()
    layers = [line.split() for line in lines]
    unknown = sorted({layer[0] for layer in layers if '.' in layer[0] or ':' in layer[0]})
    if unknown:
        raise ExportError(f'ncnn has no operator for {", ".join(unknown)} of this network.')
    for layer in [layer for layer in layers if _has_height(layer)]:
        # name, number of inputs and outputs, their names, and parameters by number
        name, _, _, source, result, *parameters = layer[1:]
        takers = [other for other in layers if result in _inputs(other)]
        if [taker[0] for taker in takers] != ['BinaryOp'] or len(_inputs(takers[0])) != 2:
            raise ExportError(f'the size of {name} would be that of the example image in ncnn.')
        (taker,) = takers
        position = next(i for i in (4, 5) if taker[i] != result)
        other = taker[position]
        taker[position], reference = f'{other}_added', f'{other}_size'
        others = [p for p in parameters if not p.startswith(_HEIGHT_WIDTH)]
        layers.remove(layer)
        place = next(i for i, candidate in enumerate(layers) if candidate is taker)
        layers[place:place] = [
            ['Split', f'split_{other}', '1', '2', other, taker[position], reference],
            # width and height of the second input
            ['Interp', name, '2', '1', source, reference, result, *others, '9="1w,1h"'],
        ]
    blobs = sum(int(layer[3]) for layer in layers)
    header = [magic, f'{len(layers)} {blobs}']
    return '\n'.join([*header, *map(' '.join, layers)]) + '\n'


def _has_height(layer: Sequence[str]) -> bool:
    return layer[0] == 'Interp' and any(p.startswith(_HEIGHT_WIDTH) for p in layer)


def _inputs(layer: Sequence[str]) -> Sequence[str]:
    return layer[4 : 4 + int(layer[2])]
