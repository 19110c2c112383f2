"""Writing a network as OpenVINO's IR, by way of ONNX."""
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from shufflenet_runtime.onnxruntime_engine import OnnxRuntime
from shufflenet_runtime.openvino_engine import OpenVino

from . import onnx_writer
from .errors import ExportError
from .networks import Exportable
from .operators import first_of_equal
from .rewrites import ORDERS, Rewrite, read_planes

PACKAGES = ('onnx',)
REWRITES = (ORDERS, Rewrite('first convolution on planes', layers=read_planes))
"""In the order in which they are done."""


def write(source: Exportable, folder: Path, rewrites: Sequence[Rewrite] = REWRITES) -> None:
    """Write ``model.xml`` and ``model.bin``.

    Args:
        source: the network.
        folder: for the files.
        rewrites: what to change for the engine.

    Raises:
        ExportError: it cannot be written as ONNX, or OpenVINO cannot convert that.
    """
    import openvino

    path = folder / OpenVino.model
    with tempfile.TemporaryDirectory() as work:
        with first_of_equal():
            onnx_writer.write(source, Path(work), rewrites)
        try:
            model = openvino.convert_model(str(Path(work) / OnnxRuntime.model))
            openvino.save_model(model, str(path), compress_to_fp16=False)
        # its exceptions have no class of their own
        except RuntimeError as error:
            raise ExportError(f'OpenVINO cannot convert this network: {error}') from None
    changes = [rewrite.layers for rewrite in rewrites if rewrite.layers is not None]
    if changes:
        tree = ElementTree.parse(path)
        for change in changes:
            change(tree.getroot())
        tree.write(path, encoding='utf-8', xml_declaration=True)
