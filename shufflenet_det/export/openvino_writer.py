"""Writing a network as OpenVINO's IR, by way of ONNX."""
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from shufflenet_runtime.onnxruntime_engine import OnnxRuntime
from shufflenet_runtime.openvino_engine import OpenVino
from shufflenet_runtime.precision import FLOAT

import numpy as np

from . import onnx_writer
from .errors import ExportError
from .networks import Exportable
from .operators import first_of_equal
from .quantising import quantise_openvino, require_nncf
from .rewrites import DENSE, NO_GROUPS, ORDERS, PLAIN_PIXELS, Rewrite, read_planes

PACKAGES = ('onnx',)
REWRITES = (PLAIN_PIXELS, ORDERS, Rewrite('first convolution on planes', layers=read_planes))
"""In the order in which they are done."""
_WEIGHTED = ('Convolution', 'GroupConvolution', 'MatMul')
LOW_REWRITES = dict.fromkeys(('fp16', 'bf16'), (PLAIN_PIXELS, ORDERS, DENSE))
LOW_REWRITES['int8'] = (PLAIN_PIXELS, ORDERS, DENSE, NO_GROUPS)
"""By precision."""


def check_precision(precision: str) -> None:
    """Import the quantiser, if there is to be one."""
    if precision == 'int8':
        require_nncf()


def write(
    source: Exportable,
    folder: Path,
    rewrites: Sequence[Rewrite] = REWRITES,
    precision: str = FLOAT,
    images: Sequence[np.ndarray] = (),
) -> None:
    """Write ``model.xml`` and ``model.bin``.

    Args:
        source: the network.
        folder: for the files.
        rewrites: what to change for the engine.
        precision: of :data:`shufflenet_runtime.precision.PRECISIONS`. The engine computes in 16
            bits when it is told to; in the file the weights have 16 then, too.
        images: of int8 those to calibrate with.

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
            if precision == 'int8':
                model = quantise_openvino(model, images)
            if precision in ('fp16', 'bf16'):
                _halve_weights(model)
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


def _halve_weights(model: Any) -> None:
    """Keep the weights of convolutions and matrix products in 16 bits.

    All else stays in float32. OpenVINO's own compression takes every constant, and its engine then
    picks anchors out of 16 bits by a slow kernel, which took a tenth of the light detector's time.
    """
    import openvino

    for node in model.get_ops():
        if node.get_type_name() not in _WEIGHTED:
            continue
        weights = node.input_value(1).get_node()
        while weights.get_type_name() in ('Reshape', 'Transpose'):
            weights = weights.input_value(0).get_node()
        if weights.get_type_name() != 'Constant' or weights.get_element_type() != openvino.Type.f32:
            continue
        half = openvino.op.Constant(weights.data.astype(np.float16))
        full = openvino.opset13.convert(half, 'f32')
        for reader in list(weights.output(0).get_target_inputs()):
            reader.replace_source_output(full.output(0))
