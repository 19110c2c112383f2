"""Exported networks small enough to know their results by heart."""
from pathlib import Path

from shufflenet_runtime.description import write_description

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = ['first', 'second', 'third']
LEAST = 0.1
# of the boxes of the three classes, in widths and heights of the input
PARTS = np.float32([[0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], [0.5, 0, 1, 0.5]])


def write_detector(folder: Path, channels: str = 'bgr', **about: object) -> Path:
    """A detector whose scores are the means of the channels, in parts of 255.

    It detects class i at ``PARTS[i]`` if the score of channel i is above ``LEAST``.
    """
    nodes = [
        helper.make_node('Cast', ['image'], ['pixels'], to=TensorProto.FLOAT),
        helper.make_node('ReduceMean', ['pixels'], ['means'], axes=[0, 2, 3], keepdims=0),
        helper.make_node('Div', ['means', 'full'], ['all_scores']),
        helper.make_node('Greater', ['all_scores', 'least'], ['above']),
        helper.make_node('NonZero', ['above'], ['places']),
        helper.make_node('Squeeze', ['places', 'first_axis'], ['labels']),
        helper.make_node('Gather', ['all_scores', 'labels'], ['scores']),
        helper.make_node('Shape', ['image'], ['shape']),
        helper.make_node('Gather', ['shape', 'width_height'], ['size']),
        helper.make_node('Cast', ['size'], ['border'], to=TensorProto.FLOAT),
        helper.make_node('Mul', ['parts', 'border'], ['all_boxes']),
        helper.make_node('Gather', ['all_boxes', 'labels'], ['boxes']),
    ]
    constants = dict(
        full=np.float32(255), least=np.float32(LEAST), first_axis=np.int64([0]),
        width_height=np.int64([3, 2, 3, 2]), parts=PARTS,
    )  # fmt: skip
    outputs = [
        helper.make_tensor_value_info('boxes', TensorProto.FLOAT, ['n', 4]),
        helper.make_tensor_value_info('scores', TensorProto.FLOAT, ['n']),
        helper.make_tensor_value_info('labels', TensorProto.INT64, ['n']),
    ]
    about = dict(thresholds=dict(score=LEAST, iou=0.5, max_per_image=3)) | about
    return _write(folder, 'detector', channels, 1, nodes, constants, outputs, about)


def write_classifier(folder: Path, **about: object) -> Path:
    """A classifier of RGB images whose logits are the means of the channels."""
    nodes = [
        helper.make_node('Cast', ['image'], ['pixels'], to=TensorProto.FLOAT),
        helper.make_node('ReduceMean', ['pixels'], ['logits'], axes=[2, 3], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['batch', 3])]
    return _write(folder, 'classifier', 'rgb', 'batch', nodes, {}, outputs, about)


def _write(
    folder: Path, kind: str, channels: str, batch: int | str, nodes: list, constants: dict,
    outputs: list, about: dict,
) -> Path:  # fmt: skip
    folder.mkdir()
    image = helper.make_tensor_value_info('image', TensorProto.UINT8, [batch, 3, 'h', 'w'])
    initial = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, kind, [image], outputs, initial)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / 'model.onnx')
    content = dict(
        name='tiny',
        kind=kind,
        labels=LABELS,
        input=dict(name='image', channels=channels),
        outputs=[output.name for output in outputs],
        resize=None,
        engines=dict(
            onnxruntime=dict(format='onnx', model='model.onnx', files=['model.onnx']),
        ),
    )
    write_description(folder, content | about)
    return folder
