"""python -m shufflenet_runtime, in a process in which torch and MMDetection cannot be imported."""
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shufflenet_runtime import cli
from shufflenet_runtime.errors import ConfigError, DataError
from shufflenet_runtime.output import JSONList
from shufflenet_runtime.sources import Frame, Source, open_sources

import cv2
import numpy as np
import pytest

from ..conftest import ROOT
from .networks import write_classifier, write_detector

# what the package must do without
BLOCKED = (
    'torch', 'torchvision', 'mmdet', 'mmcv', 'mmengine', 'mmpretrain', 'shufflenet_det',
    'pycocotools', 'scipy', 'matplotlib',
)  # fmt: skip
MAIN = f"""
import runpy, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {BLOCKED}:
            raise ImportError(f'{{name}} is blocked')

sys.meta_path.insert(0, Block())
runpy.run_module('shufflenet_runtime', run_name='__main__')
"""
COLORS = [(51, 255, 102), (200, 0, 0), (9, 9, 9)]


def run(folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
    process = subprocess.run(
        [sys.executable, '-c', MAIN, *map(str, arguments)],
        cwd=folder, env=dict(PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == code, process.stdout + process.stderr
    assert 'Traceback' not in process.stderr
    return process


def write_pictures(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f'{number}.png' for number in range(len(COLORS))]
    for path, color in zip(paths, COLORS, strict=True):
        cv2.imwrite(str(path), np.full((60, 80, 3), color, np.uint8))
    return paths


def write_video(path: Path, frames: int = 6) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 5, (80, 64))
    for number in range(frames):
        color = COLORS[number * len(COLORS) // frames]
        writer.write(np.full((64, 80, 3), color, np.uint8))
    writer.release()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_detector(tmp_path / 'exported')
    write_pictures(tmp_path / 'pictures')
    return tmp_path


def test_the_size_of_most_images_changes_nothing_that_is_found(work):
    plain = run(work, 'exported', 'pictures').stdout.splitlines()
    sized = run(work, 'exported', 'pictures', '--image-size', 60, 80).stdout.splitlines()
    assert sized[:3] == plain[:3]
    refused = run(work, 'exported', 'pictures', '--image-size', 0, 80, code=1)
    assert 'error: image_size=(0, 80) must be height and width' in refused.stderr


def test_detections_are_printed(work):
    output = run(work, 'exported', 'pictures', 'pictures/1.png').stdout.splitlines()
    assert output[0] == (
        'pictures/0.png: second 1.00 at 20 15 60 45, third 0.40 at 40 0 80 30'
    )
    assert output[1] == output[3] == 'pictures/1.png: first 0.78 at 0 0 80 60'
    assert output[2] == 'pictures/2.png: nothing'
    assert output[4].startswith('4 images with onnxruntime in fp32, ')


def test_time_is_that_of_images_after_the_first(work):
    output = run(work, 'exported', 'pictures', '--time').stdout
    assert re.search(r'latency: median \d+\.\d\d ms, quartiles .* of 2 images after', output)
    assert cli.latency([0.5, 0.001, 0.002, 0.003]) == (
        'latency: median 2.00 ms, quartiles 1.50 and 2.50 ms, of 3 images after the first '
        '(500.00 ms)'
    )
    assert 'there is no other' in cli.latency([0.5]) and 'no image' in cli.latency([])


def test_json_holds_every_image(work):
    run(work, 'exported', 'pictures', '--json', 'new/found.json', '--score-threshold', 0.1)
    entries = json.loads((work / 'new/found.json').read_text())
    assert [entry['image'] for entry in entries] == [f'pictures/{n}.png' for n in range(3)]
    assert all((entry['width'], entry['height']) == (80, 60) for entry in entries)
    assert [len(entry['detections']) for entry in entries] == [3, 1, 0]
    assert entries[1]['detections'] == [dict(label='first', score=0.78431, box=[0, 0, 80, 60])]
    assert [path.name for path in (work / 'new').iterdir()] == ['found.json']


def test_pictures_are_drawn(work):
    output = run(work, 'exported', 'pictures', '--out-dir', 'drawn', '--workers', 2).stdout
    assert 'wrote drawn' in output
    for number, differs in enumerate((True, True, False)):
        before = cv2.imread(str(work / f'pictures/{number}.png'))
        after = cv2.imread(str(work / f'drawn/{number}.png'))
        assert after.shape == before.shape and (after != before).any() == differs


def test_videos_are_drawn_and_their_frames_listed(work):
    write_video(work / 'film.mp4')
    run(work, 'exported', 'film.mp4', '--out-dir', 'drawn', '--json', 'found.json')
    entries = json.loads((work / 'found.json').read_text())
    assert [entry['frame'] for entry in entries] == list(range(6))
    assert [entry['seconds'] for entry in entries] == pytest.approx([n / 5 for n in range(6)])
    # the threshold of drawings is 0.3
    labels = [[found['label'] for found in entry['detections']] for entry in entries]
    assert labels == [['second', 'third']] * 2 + [['first']] * 2 + [[]] * 2
    (source,) = open_sources([str(work / 'drawn/film.mp4')])
    assert source.count == 6 and source.fps == 5
    run(work, 'exported', 'film.mp4', '--json', 'two.json', '--max-frames', 2)
    assert len(json.loads((work / 'two.json').read_text())) == 2
    with pytest.raises(ConfigError, match='0 frames of a video'):
        open_sources([str(work / 'film.mp4')], most_frames=0)


def test_classifiers_name_classes(work):
    rule = dict(rule='crop', short=64, crop=56)
    write_classifier(work / 'classifier', resize=rule)
    output = run(work, 'classifier', 'pictures/0.png').stdout
    assert output.startswith('pictures/0.png: second 1.000, first 0.000')
    run(work, 'classifier', 'pictures', '--json', 'found.json', '--out-dir', 'drawn')
    entries = json.loads((work / 'found.json').read_text())
    assert entries[0]['classes'][0] == dict(label='second', probability=1.0)
    assert len(list((work / 'drawn').iterdir())) == 3
    error = run(work, 'classifier', 'pictures', '--score-threshold', 0.5, code=1).stderr
    assert 'for detectors' in error


def test_unreadable_images_do_not_stop_the_others(work):
    (work / 'pictures/1.png').write_bytes(b'text')
    process = run(work, 'exported', 'pictures', '--json', 'found.json', code=1)
    assert 'error: cannot read image pictures/1.png' in process.stderr
    assert 'error: 1 of 3 images failed' in process.stderr
    entries = json.loads((work / 'found.json').read_text())
    assert [entry.keys() >= {'error'} for entry in entries] == [False, True, False]


@pytest.mark.parametrize(
    'arguments, reason',
    [
        (['exported', 'none.jpg'], 'not found: none.jpg'),
        (['exported', 'empty'], 'no image in folder empty'),
        (['exported', 'text.mp4'], 'cannot open text.mp4'),
        (['exported', 'camera:one'], 'as in camera:0'),
        (['exported', 'pictures', '--out-dir', 'pictures'], 'would replace pictures/0.png'),
        (['exported', 'pictures', 'pictures', '--out-dir', 'd'], 'two pictures named 0.png'),
        (['exported', 'pictures', '--out-dir', 'text.mp4'], 'cannot make the folder text.mp4'),
        (['exported', 'pictures', '--json', 'text.mp4/found.json'], 'cannot write text.mp4/found'),
        (['exported', 'pictures', '--engine', 'openvino'], 'no network for openvino'),
        (['pictures', 'pictures'], 'no exported network'),
        (['exported', 'pictures', '--threads', '-1'], 'threads=-1 must be 0 or more'),
        (['exported', 'pictures', '--show'], 'no windows: install opencv-python'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_bad_input_leaves_nothing_behind(work, arguments, reason):
    (work / 'empty').mkdir()
    (work / 'text.mp4').write_text('text')
    before = sorted(work.rglob('*'))
    error = run(work, *arguments, code=1).stderr
    assert reason in error and 'error: ' in error
    assert sorted(work.rglob('*')) == before


def test_a_run_that_breaks_off_keeps_no_half_of_a_file(work):
    # the second source cannot be drawn: where its drawing would go is a folder
    write_video(work / 'film.mp4')
    (work / 'drawn/film.mp4').mkdir(parents=True)
    process = run(
        work, 'exported', 'pictures/0.png', 'film.mp4', '--json', 'f.json', '--out-dir', 'drawn',
        code=1,
    )  # fmt: skip
    assert 'cannot write drawn/film.mp4: Is a directory' in process.stderr
    assert not list(work.glob('*f.json'))
    assert sorted(path.name for path in (work / 'drawn').iterdir()) == ['0.png', 'film.mp4']


def frames_until_interrupted() -> Iterator[Frame]:
    for number, color in enumerate(COLORS):
        image = np.full((64, 80, 3), color, np.uint8)
        yield Frame('camera:0', number, number / 5, lambda image=image: image)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    'count, files',
    [(None, []), (9, []), (9, [Path('film.mp4')])],
    ids=['camera', 'camera with a limit', 'video'],
)
def test_to_interrupt_a_camera_is_to_end_it(work, monkeypatch, count, files):
    source = Source('a', count, 5.0, files, ['film.mp4'], frames_until_interrupted)
    monkeypatch.setattr(cli, 'open_sources', lambda *_: [source])
    arguments = cli.Options(
        model=str(work / 'exported'), sources=['a'], out_dir=str(work / 'drawn'),
        json=str(work / 'found.json'), show=False, score_threshold=None, engine=None, threads=1,
        workers=1, max_frames=None,
    )  # fmt: skip
    if not files:
        cli.run(arguments)
        assert len(json.loads((work / 'found.json').read_text())) == len(COLORS)
        (drawn,) = open_sources([str(work / 'drawn/film.mp4')])
        assert drawn.count == len(COLORS)
        return
    with pytest.raises(KeyboardInterrupt):
        cli.run(arguments)
    assert not (work / 'found.json').exists() and not list((work / 'drawn').iterdir())


def test_one_drawing_that_cannot_be_written_stops_no_other(work):
    (work / 'drawn' / '1.png').mkdir(parents=True)
    out = ('--out-dir', 'drawn', '--json', 'found.json')
    process = run(work, 'exported', 'pictures', *out, code=1)
    assert 'cannot write drawn/1.png' in process.stderr
    assert '1 of 3 images failed' in process.stderr
    assert len(json.loads((work / 'found.json').read_text())) == 3
    assert (work / 'drawn' / '2.png').is_file()


def test_grey_images_are_drawn_in_colour(work):
    cv2.imwrite(str(work / 'pictures' / 'grey.pgm'), np.full((60, 80), 255, np.uint8))
    run(work, 'exported', 'pictures', '--out-dir', 'drawn')
    drawn = cv2.imread(str(work / 'drawn' / 'grey.pgm.jpg'))
    assert (drawn.max(2) - drawn.min(2)).max() > 50


def test_json_that_cannot_be_written_is_said_and_leaves_nothing(work):
    (work / 'folder').mkdir()
    process = run(work, 'exported', 'pictures', '--json', 'folder', code=1)
    assert 'cannot write folder: it is a folder' in process.stderr
    before = sorted(work.iterdir())
    entries = JSONList(work / 'found.json')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(DataError, match='cannot write .*found.json'):
            for _ in range(10):
                entries.add(dict(text='x' * 9000))
        entries.close(keep=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert sorted(work.iterdir()) == before


def test_streams_of_one_name_are_numbered(monkeypatch):
    class Capture:
        isOpened, get = (lambda _: True), (lambda *_: 25)

    monkeypatch.setattr(cv2, 'VideoCapture', lambda _: Capture())
    sources = open_sources(['rtsp://cam1/stream', 'rtsp://cam2/stream'])
    assert [source.pictures for source in sources] == [['stream-1.mp4'], ['stream-2.mp4']]
