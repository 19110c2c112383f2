"""Writing a network as ONNX, and that as OpenVINO's IR."""
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from shufflenet_runtime.engines import FORMATS

import torch

from .errors import ExportError
from .ncnn_file import write_ncnn
from .networks import IMAGE, Exportable, random_images

OPSET = 17
"""RoiAlign with half pixels came with 16; older engines do not know much newer ones."""


def write_onnx(source: Exportable, folder: Path) -> None:
    """Write ``model.onnx``.

    Raises:
        ExportError: an operator has no counterpart in ONNX, or the file is not valid.
    """
    import onnx

    path = folder / FORMATS['onnx'].model
    images = random_images(source)
    with warnings.catch_warnings(), torch.no_grad():
        # the exporter that follows what the code does is deprecated for one that reads it; this
        # code is written for the first
        warnings.simplefilter('ignore')
        try:
            torch.onnx.export(
                source.network,
                (torch.from_numpy(images),),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[IMAGE],
                output_names=list(source.outputs),
                dynamic_axes={IMAGE: dict(source.axes), **_dicts(source.outputs)},
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise ExportError(f'torch cannot export this network: {error}') from None
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    foreign = sorted({node.domain for node in model.graph.node} - {'', 'ai.onnx'})
    if foreign:
        raise ExportError(f'the exported network has operators that are not ONNX: {foreign}.')


def _dicts(outputs: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, str]]:
    return {name: dict(axes) for name, axes in outputs.items() if axes}


def write_openvino(source: Exportable, folder: Path) -> None:
    """Write ``model.xml`` and ``model.bin`` from the ``model.onnx`` beside them.

    Raises:
        ExportError: OpenVINO cannot convert it.
    """
    import openvino

    try:
        model = openvino.convert_model(str(folder / FORMATS['onnx'].model))
        openvino.save_model(
            model, str(folder / FORMATS['openvino'].model), compress_to_fp16=False
        )
    # its exceptions have no class of their own
    except RuntimeError as error:
        raise ExportError(f'OpenVINO cannot convert this network: {error}') from None


WRITERS: Mapping[str, Callable[[Exportable, Path], None]] = {
    'onnx': write_onnx,
    'openvino': write_openvino,
    'ncnn': write_ncnn,
}
