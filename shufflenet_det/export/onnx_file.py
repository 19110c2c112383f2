"""Writing a network as ONNX, and that as OpenVINO's IR."""
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from shufflenet_runtime.engines import FORMATS

import torch

from .errors import ExportError
from .ncnn_file import write_ncnn
from .networks import IMAGE, Exportable, random_images
from .operators import first_of_equal
from .rewrites import REWRITES, Rewrite, rewritten

OPSET = 17
"""RoiAlign with half pixels came with 16; older engines do not know much newer ones."""


def write_onnx(
    source: Exportable, folder: Path, rewrites: Sequence[Rewrite] = REWRITES['onnx']
) -> None:
    """Write ``model.onnx``.

    Args:
        source: the network.
        folder: for the file.
        rewrites: what to change for the engine.

    Raises:
        ExportError: an operator has no counterpart in ONNX, or the file is not valid.
    """
    import onnx

    network = rewritten(source.network, rewrites)
    path = folder / FORMATS['onnx'].model
    images = random_images(source)
    with warnings.catch_warnings(), torch.no_grad():
        # the exporter that follows what the code does is deprecated for one that reads it; this
        # code is written for the first
        warnings.simplefilter('ignore')
        try:
            torch.onnx.export(
                network,
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
    for rewrite in rewrites:
        if rewrite.graph is not None:
            rewrite.graph(model)
            onnx.save(model, str(path))
    foreign = sorted({node.domain for node in model.graph.node} - {'', 'ai.onnx'})
    if foreign:
        raise ExportError(f'the exported network has operators that are not ONNX: {foreign}.')


def _dicts(outputs: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, str]]:
    return {name: dict(axes) for name, axes in outputs.items() if axes}


def write_openvino(
    source: Exportable, folder: Path, rewrites: Sequence[Rewrite] = REWRITES['openvino']
) -> None:
    """Write ``model.xml`` and ``model.bin``, by way of ONNX.

    Args:
        source, folder, rewrites: as of :func:`write_onnx`.

    Raises:
        ExportError: it cannot be written as ONNX, or OpenVINO cannot convert that.
    """
    import openvino

    with tempfile.TemporaryDirectory() as work:
        with first_of_equal():
            write_onnx(source, Path(work), rewrites)
        try:
            model = openvino.convert_model(str(Path(work) / FORMATS['onnx'].model))
            openvino.save_model(
                model, str(folder / FORMATS['openvino'].model), compress_to_fp16=False
            )
        # its exceptions have no class of their own
        except RuntimeError as error:
            raise ExportError(f'OpenVINO cannot convert this network: {error}') from None
    changes = [rewrite.layers for rewrite in rewrites if rewrite.layers is not None]
    if changes:
        path = folder / FORMATS['openvino'].model
        tree = ElementTree.parse(path)
        for change in changes:
            change(tree.getroot())
        tree.write(path, encoding='utf-8', xml_declaration=True)


WRITERS: Mapping[str, Callable[..., None]] = {
    'onnx': write_onnx,
    'openvino': write_openvino,
    'ncnn': write_ncnn,
}
