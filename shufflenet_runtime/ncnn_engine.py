"""Networks in ncnn, and detectors of one of them or several."""
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .dense import DenseDetector, names_of_maps
from .engine import Engine
from .errors import EngineError
from .precision import FLOAT
from .sessions import Outputs, Session, Setting
from .two_stage import Features, TwoStageDetector

MODEL, WEIGHTS = 'model.ncnn.param', 'model.ncnn.bin'
"""Of a network; of a two-stage detector those of its first one."""
ROI_MODEL, ROI_WEIGHTS = 'model.rois.ncnn.param', 'model.rois.ncnn.bin'
"""Of the second network of a two-stage detector; see :func:`roi_model` for those behind it."""
SETTINGS = 'model.ncnn.json'
"""What a detector does beside its networks (:mod:`.two_stage`, :mod:`.dense`)."""

# the process in which ncnn has started threads, of which it has one group for all networks
_threaded_in: int | None = None

LEVEL, LOGITS, DELTAS = 'level', 'logits', 'deltas'
"""Names of the outputs of a two-stage detector, of the first network with numbers."""


def roi_model(number: int) -> str:
    """The second network of a two-stage detector, 0, or one behind it in a cascade."""
    return ROI_MODEL.replace('rois', f'rois{number}') if number else ROI_MODEL


class NcnnNetwork:
    """A network in ncnn, which runs one image at a time.

    Args:
        path: its ``.param``; the ``.bin`` is beside it.
        threads: of one inference.
        precision: ``'fp32'``, ``'fp16'`` or ``'bf16'``.

    Attributes:
        outputs: their names.

    Raises:
        EngineError: ncnn cannot load it.
    """

    def __init__(self, path: Path, threads: int, precision: str = FLOAT) -> None:
        import ncnn

        if threads > 1:
            _require_own_threads()
        self._mat, self._path = ncnn.Mat, path
        self._network = ncnn.Net()
        self._network.opt.num_threads = threads
        for name in ('fp16_packed', 'fp16_storage', 'fp16_arithmetic', 'bf16_storage'):
            setattr(self._network.opt, f'use_{name}', name.startswith(precision))
        weights = path.with_suffix('.bin')
        if self._network.load_param(str(path)) or self._network.load_model(str(weights)):
            raise EngineError(
                f'{path.name} is damaged, or has something that ncnn {ncnn.__version__} does not '
                f'know'
            )
        (self._input,) = self._network.input_names()
        self.outputs: list[str] = self._network.output_names()

    def run(self, values: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """Run on one input without a batch dimension. Threads may call it at the same time.

        Raises:
            EngineError: it does not run on this input.
        """
        extractor = self._network.create_extractor()
        # it takes float32 alone, and neither copies nor keeps what it is given
        values = np.ascontiguousarray(values, dtype=np.float32)
        extractor.input(self._input, self._mat(values).clone())
        results = []
        for name in names:
            status, result = extractor.extract(name)
            if status:
                raise EngineError(
                    f'ncnn cannot run {self._path} on {values.shape}: status {status}'
                )
            results.append(np.array(result))
        return results


def _require_own_threads() -> None:
    """Raise :class:`EngineError` where ncnn would wait for threads that a fork has left behind."""
    global _threaded_in
    if _threaded_in not in (None, os.getpid()):
        raise EngineError(
            'ncnn was used with several threads before this process was forked, and would wait for '
            'them for ever. Start processes by spawn or forkserver, load nothing before the fork, '
            'or use threads=1'
        )
    _threaded_in = os.getpid()


class Ncnn(Engine):
    """ncnn on CPU: networks, and detectors of one of them or several."""

    name, format, model = 'ncnn', 'ncnn', MODEL
    files = (MODEL, WEIGHTS)
    detector_files = (SETTINGS,)
    precisions = ('fp32', 'fp16')

    def load(self, path: Path, setting: Setting) -> Session:
        """A session; how many inferences there are at a time makes no difference."""
        threads, precision = setting.threads, setting.precision
        network = NcnnNetwork(path, threads, precision)
        if path.with_name(SETTINGS).is_file():
            settings = json.loads(path.with_name(SETTINGS).read_text(encoding='utf-8'))
            if 'coding' in settings:
                return _dense(network, settings)
            return _two_stage(network, path, settings, threads, precision)

        def run(images: np.ndarray) -> Outputs:
            results = zip(*(network.run(image, network.outputs) for image in images), strict=True)
            return {n: np.stack(rows) for n, rows in zip(network.outputs, results, strict=True)}

        return run


def _dense(network: NcnnNetwork, settings: dict[str, Any]) -> DenseDetector:
    names, levels = names_of_maps(settings), range(len(settings['levels']))
    all_names = [f'{name}{number}' for number in levels for name in names]

    def extract(image: np.ndarray) -> list[list[np.ndarray]]:
        maps = iter(network.run(image, all_names))
        return [[next(maps) for _ in names] for _ in levels]

    return DenseDetector(settings, extract)


def _two_stage(
    network: NcnnNetwork, path: Path, settings: dict[str, Any], threads: int, precision: str
) -> TwoStageDetector:
    scales, levels = settings['rois']['scales'], settings['proposals']['strides']
    counts = {LEVEL: len(scales), LOGITS: len(levels), DELTAS: len(levels)}
    names = [f'{name}{number}' for name, count in counts.items() for number in range(count)]

    def extract(image: np.ndarray) -> Features:
        results = iter(network.run(image, names))
        return Features(*([next(results) for _ in range(n)] for n in counts.values()))

    rows = settings['rois']['rows']
    # one RoI is too small to be shared among threads
    others = [
        NcnnNetwork(path.with_name(roi_model(number)), threads if rows else 1, precision)
        for number in range(1 + len(settings.get('refinements', ())))
    ]
    pool = ThreadPoolExecutor(threads)

    def classify(number: int, rois: np.ndarray) -> tuple[np.ndarray, ...]:
        def classify_some(rois: np.ndarray) -> list[list[np.ndarray]]:
            return [others[number].run(roi, (LOGITS, DELTAS)) for roi in rois]

        if rows:
            return tuple(others[number].run(rois.reshape(len(rois), -1), (LOGITS, DELTAS)))
        parts = (pool.map if threads > 1 else map)(classify_some, np.array_split(rois, threads))
        results = zip(*(result for part in parts for result in part), strict=True)
        return tuple(map(np.stack, results))

    return TwoStageDetector(settings, extract, classify)
