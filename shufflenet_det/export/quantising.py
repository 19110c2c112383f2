"""Networks in int8, by the quantisers that the engines come with.

Weights have a scale for each channel, what goes between layers has one for all of it, found on
calibration images. What is quantised are the networks proper; what a detector does with their
results, from proposals to boxes, stays in float32.
"""
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shufflenet_runtime.packages import require

import numpy as np

EXTRA = 'the extra quantize of shufflenet_det'
# what quantised operators ONNX Runtime has that pay
_OPERATORS = ('Conv', 'Gemm', 'MatMul', 'Add', 'AveragePool', 'MaxPool', 'Concat')
# what stays in float32 in OpenVINO, by measurement (docs/precision.md): an average of int8 takes 18
# times as long there, and depthwise layers lose the most and gain no time
_FLOAT_TYPES = ['ReduceMean', 'GroupConvolution']
# between the networks of a two-stage detector, and behind that of a one-stage one; the convolutions
# of a one-stage head, which lose more than all others and take little time (docs/precision.md)
_FLOAT = [
    r'/preprocess/.*',
    r'/head/.*Conv.*',
    r'/(propose|detect)/(?!.*(/shared/|/heads|Conv|Gemm|MatMul|Relu)).*',
    r'/[^/]*$',
]
# modules of the exported network whose layers are networks
_NETWORKS = ('/backbone/', '/neck/', '/head/', '/propose/rpn', '/detect/shared/', '/detect/heads')


def require_nncf() -> Any:
    """Import NNCF.

    Raises:
        EngineError: it is not installed.
    """
    return require('nncf', 'nncf', EXTRA)


def quantise_openvino(model: Any, images: Sequence[np.ndarray]) -> Any:
    """An OpenVINO model in int8.

    Args:
        model: ``openvino.Model`` of float32, from an ONNX file of the export.
        images: inputs (1, 3, H, W) of uint8.
    """
    nncf = require_nncf()
    nncf.set_log_level(logging.ERROR)
    ignored = nncf.IgnoredScope(types=_FLOAT_TYPES, patterns=_FLOAT, validate=False)
    # by default the weights of the first layer have 7 bits, for processors that add products in 16
    # bits; the runtime does without these
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE)
    quantised = nncf.quantize(
        model, nncf.Dataset(images), subset_size=len(images), ignored_scope=ignored,
        # weights and activations alike around zero, which the int8 kernels want
        preset=nncf.QuantizationPreset.PERFORMANCE, advanced_parameters=advanced,
    )  # fmt: skip
    _take_bytes(quantised)
    return quantised


def _take_bytes(model: Any) -> None:
    """Let a first convolution that reads the bytes of the image as they are read just these.

    NNCF gives them a scale of its own, to which OpenVINO would have to round them. With that of
    bytes it takes them as they come, which is exact and costs nothing.
    """
    import openvino

    for node in model.get_ops():
        if node.get_type_name() != 'FakeQuantize':
            continue
        cast = node.input_value(0).get_node()
        if cast.get_type_name() != 'Convert':
            continue
        bytes_ = cast.input_value(0).get_node()
        while bytes_.get_type_name() == 'Pad':
            bytes_ = bytes_.input_value(0).get_node()
        if bytes_.get_type_name() == 'Parameter':
            for place, value in enumerate((0, 255, 0, 255), 1):
                constant = openvino.op.Constant(np.array(value, np.float32))
                node.input(place).replace_source_output(constant.output(0))


class _Reader:
    """Calibration images for ONNX Runtime."""

    def __init__(self, name: str, images: Sequence[np.ndarray]) -> None:
        self._left = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def quantise_onnx(path: Path, name: str, images: Sequence[np.ndarray]) -> None:
    """Make an ONNX file one of int8 (QDQ).

    Args:
        path: the file, which is replaced.
        name: of its input.
        images: inputs (1, 3, H, W) of uint8.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = onnx.load(str(path))
    outside = [node.name for node in model.graph.node if not node.name.startswith(_NETWORKS)]
    logger = logging.getLogger()
    level = logger.level
    # it recommends a preprocessing that the export has done
    logger.setLevel(logging.ERROR)
    try:
        quantize_static(
            model, str(path), _Reader(name, images), quant_format=QuantFormat.QDQ,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, op_types_to_quantize=list(_OPERATORS),
            nodes_to_exclude=outside,
        )  # fmt: skip
    finally:
        logger.setLevel(level)
