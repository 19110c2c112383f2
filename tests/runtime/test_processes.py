"""Detectors in services: threads share them, forked processes are told to have their own."""
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shufflenet_runtime import Detector, EngineError, ncnn_engine
from shufflenet_runtime.ncnn_engine import Ncnn, NcnnNetwork
from shufflenet_runtime.sessions import Setting

import numpy as np
import pytest

from .networks import write_detector

IMAGE = np.full((30, 40, 3), 200, np.uint8)


def in_a_fork(function: Callable[[], object]) -> str:
    """What a function returns, or its error, in a process forked from this one."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        # a hang ends the child, and the test sees nothing
        signal.alarm(20)
        try:
            text = f'{function()}'
        except EngineError as error:
            text = f'EngineError: {error}'
        os.write(sender, text.encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp('model') / 'exported')


@pytest.mark.parametrize('threads', [1, 2])
def test_detector_of_before_a_fork_is_refused_behind_it(exported, threads):
    detector = Detector(exported, threads=threads)
    assert len(detector(IMAGE)) == 3
    text = in_a_fork(lambda: detector(IMAGE))
    assert text.startswith('EngineError: tiny was loaded before this process was forked')
    assert 'Load it in each process, after the fork' in text
    assert len(detector(IMAGE)) == 3


def test_detector_of_after_a_fork_works(exported):
    Detector(exported, threads=2)(IMAGE)
    assert in_a_fork(lambda: len(Detector(exported, threads=2)(IMAGE))) == '3'


def found(exported: str) -> int:
    return len(Detector(exported, threads=2)(IMAGE))


def test_detectors_in_spawned_processes(exported):
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert pool.map(found, [str(exported)]) == [3]


def test_threads_share_a_detector(exported):
    detector = Detector(exported, threads=1)
    images = [np.full((30, 40, 3), value, np.uint8) for value in (0, 200) * 20]
    with ThreadPoolExecutor(4) as pool:
        assert [len(f) for f in pool.map(detector, images)] == [0, 3] * 20


@pytest.fixture
def ncnn_network(tmp_path: Path) -> Path:
    pytest.importorskip('ncnn', reason='ncnn is not installed')
    path = tmp_path / ncnn_engine.MODEL
    path.write_text('7767517\n2 2\nInput image 0 1 image\nAbsVal abs 1 1 image level0\n')
    path.with_suffix('.bin').write_bytes(b'')
    return path


@pytest.mark.parametrize('threads', [1, 2])
def test_ncnn_before_and_after_a_fork(ncnn_network, monkeypatch, threads):
    monkeypatch.setattr(ncnn_engine, '_threaded_in', None)
    values = -np.ones((64, 32, 32), np.float32)

    def run() -> float:
        session = Ncnn().load(ncnn_network, Setting(threads))
        return float(session(values[None])['level0'].sum())

    assert run() == values.size
    text = in_a_fork(run)
    if threads == 1:
        assert float(text) == values.size
    else:
        assert 'ncnn was used with several threads before this process was forked' in text


def test_ncnn_in_a_fork_alone(ncnn_network, monkeypatch):
    monkeypatch.setattr(ncnn_engine, '_threaded_in', None)
    assert 'EngineError' not in in_a_fork(lambda: NcnnNetwork(ncnn_network, 2).outputs)
