"""Engines in a process that does other things, too."""
import subprocess
import sys
from pathlib import Path

from shufflenet_runtime.engine import Engine
from shufflenet_runtime.onnxruntime_engine import OnnxRuntime
from shufflenet_runtime.openvino_engine import OpenVino
from shufflenet_runtime.sessions import Session, Setting

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

# engines come and go, and then a process ends that reads images
SIGNAL = """
import gc, os, signal, sys
from pathlib import Path
import numpy as np
from shufflenet_runtime.openvino_engine import OpenVino
from shufflenet_runtime.sessions import Setting
images = np.zeros((1, 3, 2, 2), np.uint8)
first = OpenVino().load(Path(sys.argv[1]), Setting())
second = OpenVino().load(Path(sys.argv[1]), Setting())
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


def write_cast(path: Path) -> Path:
    """A network whose output is its image."""
    info = [
        helper.make_tensor_value_info(name, kind, ['batch', 3, 'height', 'width'])
        for name, kind in (('image', TensorProto.UINT8), ('out', TensorProto.FLOAT))
    ]
    node = helper.make_node('Cast', ['image'], ['out'], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], 'cast', info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('engine', [OnnxRuntime(), OpenVino()], ids=lambda engine: engine.name)
def test_a_network_for_images_of_one_shape_takes_others_too(tmp_path, monkeypatch, engine):
    import openvino

    path = write_cast(tmp_path / 'model.onnx')
    if engine.name == 'openvino':
        openvino.save_model(openvino.convert_model(path), tmp_path / engine.model)
    load, loaded = type(engine).load, []

    def counted(self: Engine, path: Path, setting: Setting) -> Session:
        loaded.append(setting.shape)
        return load(self, path, setting)

    monkeypatch.setattr(type(engine), 'load', counted)
    shape = (1, 3, 4, 6)
    session = engine.open(tmp_path, 1, shape=shape)
    rng = np.random.default_rng(0)
    for other in (shape, (1, 3, 6, 4), shape, (2, 3, 4, 6), (1, 3, 9, 9)):
        images = rng.integers(0, 256, other, np.uint8)
        assert (session(images)['out'] == images).all()
    # once for the shape, once for all others
    assert loaded == [shape, None]
    # that of the one shape takes no other
    with pytest.raises(Exception, match=r'(?i)shape|dimension'):
        engine.load(tmp_path / engine.model, Setting(shape=shape))(np.zeros((1, 3, 9, 9), np.uint8))


def test_the_end_of_a_worker_process_after_openvino_is_no_crash(tmp_path):
    path = write_cast(tmp_path / 'model.onnx')
    done = subprocess.run(
        [sys.executable, '-c', SIGNAL, path], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert 'signals True' in done.stdout
