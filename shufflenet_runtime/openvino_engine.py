"""OpenVINO."""
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Engine
from .precision import PRECISIONS
from .sessions import Outputs, Session, Setting

# of int8 what is not quantised stays in float32
_HINTS = dict(fp32='f32', fp16='f16', bf16='bf16', int8='f32')


@cache
def _adds_in_16_bits() -> bool:
    """Whether this is an x86 processor that adds the products of bytes in 16 bits: large ones are
    cut off there. Those with VNNI add in 32, as does ARM. Linux alone tells."""
    try:
        words = set(Path('/proc/cpuinfo').read_text().split())
    except OSError:
        return False
    return 'sse2' in words and not words & {'avx512_vnni', 'avx_vnni'}


@cache
def _core() -> Any:
    # One for the process, and for good: each has an alternate stack for signals, and leaves that of
    # another one behind when it goes. The next signal, such as the end of a worker process that
    # reads images, would then kill the process without a word.
    import openvino

    return openvino.Core()


class OpenVino(Engine):
    """OpenVINO on CPU."""

    name, format, model = 'openvino', 'openvino', 'model.xml'
    files = (model, 'model.bin')
    precisions = PRECISIONS
    fixes_shapes = True

    def known_to_processor(self) -> tuple[str, ...]:
        """float32 always, the others where there are instructions for them."""
        found = _core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        known = [p for p in PRECISIONS if p == 'fp32' or p.upper() in found]
        if _adds_in_16_bits():
            known.remove('int8')
        return tuple(known)

    def load(self, path: Path, setting: Setting) -> Session:
        """A session with a stream for each worker."""
        import openvino

        # by itself it takes the fastest type that the processor has
        properties = {
            'INFERENCE_PRECISION_HINT': _HINTS[setting.precision],
            'NUM_STREAMS': setting.workers,
            'INFERENCE_NUM_THREADS': setting.threads * setting.workers,
        }
        model = _core().read_model(str(path))
        if setting.shape is not None:
            model.reshape({0: list(setting.shape)})
        network = _core().compile_model(model, 'CPU', properties)
        outputs = {output.any_name: output for output in network.outputs}
        # a request is one inference at a time
        own = threading.local()

        def run(images: np.ndarray) -> Outputs:
            if not hasattr(own, 'request'):
                own.request = network.create_infer_request()
            request = own.request
            # a dictionary of inputs and outputs takes a tenth of the time of a small network
            tensor = openvino.Tensor(np.ascontiguousarray(images), shared_memory=True)
            request.set_input_tensor(tensor)
            request.infer()
            # the request writes its next results into the same memory
            return {name: request.get_tensor(o).data.copy() for name, o in outputs.items()}

        return run
