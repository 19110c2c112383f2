"""ONNX Runtime."""
from pathlib import Path

import numpy as np

from .engine import Engine
from .precision import FLOAT
from .sessions import Outputs, Session


class OnnxRuntime(Engine):
    """ONNX Runtime on CPU."""

    name, format, model = 'onnxruntime', 'onnx', 'model.onnx'
    files = (model,)
    # of int8 the file says all
    precisions = ('fp32', 'int8')

    def load(self, path: Path, threads: int, workers: int, precision: str = FLOAT) -> Session:
        """A session; how many inferences there are at a time makes no difference."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # warnings of its optimiser are for its developers
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
        (image,) = (value.name for value in session.get_inputs())
        names = [value.name for value in session.get_outputs()]

        def run(images: np.ndarray) -> Outputs:
            return dict(zip(names, session.run(names, {image: images}), strict=True))

        return run
