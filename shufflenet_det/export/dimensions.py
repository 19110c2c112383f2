"""Names for the dimensions of maps in an ONNX graph.

Shape inference gives every map whose size depends on the image's a size of its own. Only where
two maps are known to have the same does ONNX Runtime take an addition and its ReLU into the
convolution in front.
"""
from typing import Any

# what comes out has the shape of what goes in
_SAME = {'Add', 'Cast', 'Clip', 'Div', 'HardSigmoid', 'HardSwish', 'Mul', 'Relu', 'Sigmoid', 'Sub'}
_WINDOWS = {'AveragePool', 'Conv', 'MaxPool'}
Dimension = int | str


def name_dimensions(model: Any) -> None:
    """Name the sizes of maps (N, C, H, W), equal ones alike.

    Args:
        model: ``onnx.ModelProto``; the shapes of its inner values are set.
    """
    import onnx

    # torch's own names are those of a kind of node and a scope: different sizes share one
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {
        value.name: _dimensions(value)
        for value in (*graph.input, *graph.value_info)
        if len(value.type.tensor_type.shape.dim) == 4
    }
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes: dict[str, list[Dimension]] = {
        value.name: known[value.name] for value in graph.input if value.name in known
    }
    for node in graph.node:
        out = node.output[0]
        if out not in known:
            continue
        # what is not known by a rule keeps the name that it has, or a size of its own; a one may
        # have been broadcast with something that has no rule
        shape = _output(node, [shapes.get(name) for name in node.input], weights) or known[out]
        shapes[out] = [
            dim if isinstance(dim, int) or name == 1 else name
            for dim, name in zip(known[out], shape, strict=True)
        ]
    elements = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)
    }
    inputs = {value.name for value in graph.input}
    del model.graph.value_info[:]
    model.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, elements[name], shape)
        for name, shape in shapes.items()
        if name not in inputs
    )


def _dimensions(value: Any) -> list[Dimension]:
    dims = value.type.tensor_type.shape.dim
    return [
        dim.dim_value if dim.HasField('dim_value') else dim.dim_param or f'{value.name}_{axis}'
        for axis, dim in enumerate(dims)
    ]


def _output(
    node: Any, inputs: list[list[Dimension] | None], weights: dict[str, tuple[int, ...]]
) -> list[Dimension] | None:
    """Names of the output's dimensions, those of the channels aside; None if there is no rule."""
    from onnx.helper import get_attribute_value

    options = {option.name: get_attribute_value(option) for option in node.attribute}
    maps = [shape for shape in inputs if shape is not None]
    if not maps:
        return None
    if node.op_type in _SAME:
        # what is broadcast has ones
        return [next((d for d in dims if d != 1), 1) for dims in zip(*maps, strict=True)]
    batch, channels, height, width = maps[0]
    if node.op_type in ('Concat', 'Gather') and options.get('axis', 0) == 1:
        return [batch, channels, height, width]
    if node.op_type not in _WINDOWS or options.get('ceil_mode') or 'auto_pad' in options:
        return None
    kernel = options.get('kernel_shape') or weights[node.input[1]][2:]
    pads, ones = options.get('pads', (0,) * 4), (1, 1)
    strides, steps = options.get('strides', ones), options.get('dilations', ones)
    sizes = [
        _window(size, pads[i] + pads[i + 2] - steps[i] * (kernel[i] - 1) - 1, strides[i])
        for i, size in enumerate((height, width))
    ]
    return [batch, channels, *sizes]


def _window(size: Dimension, margin: int, stride: int) -> Dimension:
    """``(size + margin) // stride + 1``."""
    if isinstance(size, int):
        return (size + margin) // stride + 1
    if stride == 1:
        return size if margin == -1 else f'({size}{margin + 1:+})'
    return f'(({size}{margin:+})/{stride}+1)'
