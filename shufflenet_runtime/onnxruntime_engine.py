"""ONNX Runtime."""
from pathlib import Path

import numpy as np

from .engine import Engine
from .sessions import Outputs, Session, Setting


class OnnxRuntime(Engine):
    """ONNX Runtime on CPU."""

    name, format, model = 'onnxruntime', 'onnx', 'model.onnx'
    files = (model,)
    # of int8 the file says all
    precisions = ('fp32', 'int8')
    fixes_shapes = True

    def load(self, path: Path, setting: Setting) -> Session:
        """A session; how many inferences there are at a time makes no difference."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        # warnings of its optimiser are for its developers
        options.log_severity_level = 3
        if setting.shape is not None:
            # exported networks have these names for what may vary; it is no error if one is fixed
            for axis, name in {0: 'batch', 2: 'height', 3: 'width'}.items():
                options.add_free_dimension_override_by_name(name, setting.shape[axis])
        session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
        (image,) = (value.name for value in session.get_inputs())
        names = [value.name for value in session.get_outputs()]

        def run(images: np.ndarray) -> Outputs:
            return dict(zip(names, session.run(names, {image: images}), strict=True))

        return run
