"""Engines in a process that does other things, too."""
import subprocess
import sys

import onnx
from onnx import TensorProto, helper

# engines come and go, and then a process ends that reads images
SIGNAL = """
import gc, os, signal, sys
from pathlib import Path
import numpy as np
from shufflenet_runtime.openvino_engine import OpenVino
images = np.zeros((1, 3, 2, 2), np.uint8)
first = OpenVino().load(Path(sys.argv[1]), 1, 1)
second = OpenVino().load(Path(sys.argv[1]), 1, 1)
for session in (first, second):
    assert session(images)['out'].shape == images.shape
del session, first
gc.collect()
del second
gc.collect()
seen = []
signal.signal(signal.SIGCHLD, lambda *_: seen.append(1))
for _ in range(3):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
print('signals', bool(seen))
"""


def test_the_end_of_a_worker_process_after_openvino_is_no_crash(tmp_path):
    info = [
        helper.make_tensor_value_info(name, kind, [1, 3, 'height', 'width'])
        for name, kind in (('image', TensorProto.UINT8), ('out', TensorProto.FLOAT))
    ]
    node = helper.make_node('Cast', ['image'], ['out'], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], 'cast', info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    path = tmp_path / 'model.onnx'
    onnx.save(model, path)
    done = subprocess.run(
        [sys.executable, '-c', SIGNAL, path], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert 'signals True' in done.stdout
