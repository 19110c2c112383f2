"""The engines that run exported networks.

Nothing here needs torch or MMDetection: an engine, numpy and a folder that
:mod:`.description` describes.
"""
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import ncnn_engine
from .errors import ConfigError, EngineError
from .packages import require
from .sessions import Outputs, Session


@dataclass(frozen=True)
class Engine:
    """An engine.

    Attributes:
        name: of the engine, which is that of its Python package, too.
        format: name of the kind of file that it reads.
        model: name of that file in an exported folder.
        files: all files that belong to a network.
        load: from a file, a number of threads of one inference and one of inferences at the same
            time to a session.
        detector_files: of a detector those besides ``files``.
    """

    name: str
    format: str
    model: str
    files: tuple[str, ...]
    load: Callable[[Path, int, int], Session]
    detector_files: tuple[str, ...] = ()

    def files_of(self, kind: str) -> tuple[str, ...]:
        """All files of a ``'detector'``, ``'classifier'`` or ``'backbone'``."""
        return self.files + (self.detector_files if kind == 'detector' else ())

    def require(self) -> Any:
        """Import the engine.

        Raises:
            EngineError: it is not installed.
        """
        return require(self.name, self.name, f'the extra {self.name} of shufflenet_runtime')

    def open(self, folder: Path, threads: int = 0, workers: int = 1) -> Session:
        """Load the network of an exported folder.

        Args:
            folder: the folder.
            threads: of one inference; 0 to share all cores among the workers.
            workers: most threads that will call the session at the same time.

        Raises:
            EngineError: the engine is not installed, or refuses the file.
        """
        self.require()
        path = Path(folder) / self.model
        try:
            return self.load(path, threads or max(1, cores() // workers), workers)
        # each engine has exceptions of its own, which its Python package does not name
        except Exception as error:
            raise EngineError(f'{self.name} cannot load {path}: {error}') from None


def _load_onnxruntime(path: Path, threads: int, workers: int) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # warnings of its optimiser are for its developers
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    (image,) = (value.name for value in session.get_inputs())
    names = [value.name for value in session.get_outputs()]

    def run(images: np.ndarray) -> Outputs:
        return dict(zip(names, session.run(names, {image: images}), strict=True))

    return run


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


@cache
def _openvino_core() -> Any:
    # One for the process, and for good: each has an alternate stack for signals, and leaves that of
    # another one behind when it goes. The next signal, such as the end of a worker process that
    # reads images, would then kill the process without a word.
    import openvino

    return openvino.Core()


def _load_openvino(path: Path, threads: int, workers: int) -> Session:
    import openvino

    # float32 also where the processor has a faster type
    settings = {
        'INFERENCE_PRECISION_HINT': 'f32',
        'NUM_STREAMS': workers,
        'INFERENCE_NUM_THREADS': threads * workers,
    }
    network = _openvino_core().compile_model(str(path), 'CPU', settings)
    outputs = {output.any_name: output for output in network.outputs}
    # a request is one inference at a time
    own = threading.local()

    def run(images: np.ndarray) -> Outputs:
        if not hasattr(own, 'request'):
            own.request = network.create_infer_request()
        request = own.request
        # a dictionary of inputs and outputs takes a tenth of the time of a small network
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(images), shared_memory=True))
        request.infer()
        # the request writes its next results into the same memory
        return {name: request.get_tensor(output).data.copy() for name, output in outputs.items()}

    return run


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine('onnxruntime', 'onnx', 'model.onnx', ('model.onnx',), _load_onnxruntime),
        Engine('openvino', 'openvino', 'model.xml', ('model.xml', 'model.bin'), _load_openvino),
        Engine(
            'ncnn',
            'ncnn',
            ncnn_engine.MODEL,
            (ncnn_engine.MODEL, ncnn_engine.WEIGHTS),
            ncnn_engine.load_ncnn,
            (ncnn_engine.ROI_MODEL, ncnn_engine.ROI_WEIGHTS, ncnn_engine.SETTINGS),
        ),
    )
}
FORMATS: Mapping[str, Engine] = {engine.format: engine for engine in ENGINES.values()}


def engine_named(name: str) -> Engine:
    """An engine by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in ENGINES:
        raise ConfigError(f'unknown engine {name!r}: there are {", ".join(ENGINES)}.')
    return ENGINES[name]
